"""Whom a login of somebody else lets in: patterns as Vault reads them, and messages that stay short."""

from __future__ import annotations

import pytest

from airwarden.domain.logins import ForeignLogin, admitting

BILLING, OTHER = ("team", "billing"), ("team-b", "other")


@pytest.mark.parametrize(
    ("names", "namespaces", "admitted"),
    [
        (("billing",), ("team",), (BILLING,)),
        (("billing", "x"), ("y", "team"), (BILLING,)),
        (("billing",), ("team-b",), ()),
        (("Billing",), ("team",), ()),
        (("*",), ("*",), (BILLING, OTHER)),
        (("*",), ("team",), (BILLING,)),
        (("bill*",), ("t*m",), (BILLING,)),
        (("*i*i*",), ("*",), (BILLING,)),
        (("b*b",), ("*",), ()),
        (("**",), ("te*", "x"), (BILLING, OTHER)),
        (("b.lling",), ("team",), ()),
        (("billin?",), ("team",), ()),
        ((), ("team",), ()),
        (("billing",), (), ()),
    ],
)
def test_names_and_namespaces_must_both_fit_and_only_a_star_is_a_pattern(
    names: tuple[str, ...], namespaces: tuple[str, ...], admitted: tuple[tuple[str, str], ...]
) -> None:
    assert ForeignLogin("x", names, namespaces).admitted((BILLING, OTHER)) == admitted


def test_a_label_selector_counts_for_every_namespace_because_its_outcome_is_not_known() -> None:
    assert ForeignLogin("x", ("other",), (), by_label=True).admitted((BILLING, OTHER)) == (OTHER,)


def test_a_subject_is_the_whole_name_of_an_account() -> None:
    def admitted(subject: str) -> tuple[tuple[str, str], ...]:
        return ForeignLogin("x", subjects=(subject,)).admitted((BILLING, OTHER))

    assert admitted("system:serviceaccount:team:billing") == (BILLING,)
    assert admitted("system:serviceaccount:team*") == (BILLING, OTHER)
    assert admitted("system:serviceaccount:team:bill") == ()


def test_many_stars_are_decided_at_once() -> None:
    login = ForeignLogin("x", ("a*" * 200 + "b",), ("*",))
    assert login.admitted((("team", "a" * 250),)) == ()


def test_a_hit_names_login_accounts_and_policies_and_stays_short() -> None:
    many = tuple(("team", f"account-{number:03}") for number in range(40))
    login = ForeignLogin(
        "auth/kubernetes/role/legacy", ("*",), ("team",), policies=("admin", "bad\x1b[2Jname", "p" * 500)
    )
    unused = ForeignLogin("auth/kubernetes/role/unused", ("nobody",), ("team",))
    (hit,) = admitting((unused, login), many)
    assert hit.login is login
    assert hit.sentence.startswith(
        "auth/kubernetes/role/legacy lets team/account-000, team/account-001, team/account-002, team/account-003, "
        "team/account-004 and 35 more log in with policies admin, bad?[2Jname, ppp"
    )
    assert len(hit.sentence) < 500
