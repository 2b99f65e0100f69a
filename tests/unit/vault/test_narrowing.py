"""What a suspended binding keeps: the part of a grant that policy and role give already, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.owner import Owner
from airwarden.domain.resources import (
    Address,
    Claim,
    DynamicCredentials,
    FieldValue,
    Grant,
    Observed,
    Readable,
    Session,
    StaticSecret,
)
from airwarden.providers.vault.connection import Connection, ProjectedToken
from airwarden.providers.vault.role_forms import KubernetesForm
from airwarden.providers.vault.store import POLICY, ROLE, Layout, VaultStore

OWNER = Owner("c1", "team", "billing", "vault")
LOGIN = ProjectedToken("kubernetes", "airwarden", "vault", Path("none"), "login.kubernetes.audience")
STORE = VaultStore(
    Connection("vault", "https://vault.test", "", 5, 1, 1, None, "", LOGIN),
    Layout("c1", "vault", "airflow", 2, "kubernetes", KubernetesForm("vault")),
)
DB, SMTP = StaticSecret("team/db"), StaticSecret("shared/smtp")
LEASED = DynamicCredentials("database", "team.ro", "Dynamic")
FIXED = DynamicCredentials("database", "team.ro", "Static")
readables: st.SearchStrategy[frozenset[Readable]] = st.frozensets(st.sampled_from((DB, SMTP, LEASED, FIXED)))
times = st.integers(min_value=1, max_value=7200)


def grant(*readable: Readable, ttl: int = 600, max_ttl: int = 3600, owner: Owner = OWNER) -> Grant:
    return Grant("vault", owner, "billing", frozenset(readable), Session(ttl, max_ttl))


def given_by(wanted: Grant, text: str | None = None, **role: FieldValue) -> dict[Address, Observed]:
    """Return what Vault has after this grant was written, and its role or policy changed by hand."""
    policy, fields = STORE.render(wanted)
    shown = policy.fields if text is None else {"policy": text}
    return {
        policy.address: Observed(policy.address, shown, Claim.OURS),
        fields.address: Observed(fields.address, {**fields.fields, **role}, Claim.OURS),
    }


def text_of(wanted: Grant) -> str:
    return str(STORE.render(wanted)[0].fields["policy"])


@given(readables, readables, times, times, times, times)
def test_what_is_kept_is_exactly_what_is_declared_and_given_and_never_longer(
    declared: frozenset[Readable], held: frozenset[Readable], one: int, two: int, three: int, four: int
) -> None:
    wanted = grant(*declared, ttl=min(one, two), max_ttl=max(one, two))
    before = grant(*held, ttl=min(three, four), max_ttl=max(three, four))
    found = STORE.narrowed(wanted, given_by(before))
    if not declared & held:
        assert found is None
        return
    assert found is not None
    assert found.readable == declared & held
    assert found.session.ttl <= min(wanted.session.ttl, before.session.ttl)
    assert found.session.max_ttl == min(wanted.session.max_ttl, before.session.max_ttl)
    assert found.session.ttl <= found.session.max_ttl
    assert (found.owner, found.account, found.backend) == (wanted.owner, wanted.account, wanted.backend)
    assert STORE.narrowed(found, given_by(found)) == found, "the next look finds nothing to write"


@pytest.mark.parametrize("gone", [POLICY, ROLE])
def test_without_policy_or_without_role_nothing_is_given(gone: str) -> None:
    held = given_by(grant(DB))
    address = next(each for each in held if each.kind == gone)
    assert STORE.narrowed(grant(DB), {**held, address: Observed(address, None)}) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("# airwarden.dev/owner", "# somebody"),
        lambda text: text.replace("binding=billing", "binding=other"),
        lambda text: text + 'path "*" {\n  capabilities = ["read"]\n}\n',
        lambda text: text.replace('["read"]', '["deny"]', 1),
        lambda text: text + "# a note\n",
        lambda _: "",
    ],
)
def test_a_policy_that_is_not_ours_or_cannot_be_read_back_gives_nothing(change: Any) -> None:
    assert STORE.narrowed(grant(DB), given_by(grant(DB), change(text_of(grant(DB))))) is None


def without(text: str, path: str) -> str:
    """Return a policy text without the block of a path."""
    head, *blocks = text.split('path "')
    kept = [block for block in blocks if not block.startswith(path)]
    return 'path "'.join([head, *kept])


def test_a_path_taken_away_by_hand_is_not_given() -> None:
    text = without(text_of(grant(DB, SMTP)), "airflow/data/team/db")
    found = STORE.narrowed(grant(DB, SMTP), given_by(grant(DB, SMTP), text))
    assert found is not None
    assert found.readable == {SMTP}


@pytest.mark.parametrize("call", ["sys/leases/renew", "sys/leases/revoke"])
def test_credentials_without_the_calls_for_their_leases_are_not_given_in_full_and_so_not_kept(call: str) -> None:
    text = without(text_of(grant(DB, LEASED)), call)
    found = STORE.narrowed(grant(DB, LEASED), given_by(grant(DB, LEASED), text))
    assert found is not None
    assert found.readable == {DB}


@pytest.mark.parametrize("call", ["lookup-self", "renew-self", "revoke-self"])
def test_a_token_call_taken_away_by_hand_is_not_put_back(call: str) -> None:
    assert STORE.narrowed(grant(DB), given_by(grant(DB), without(text_of(grant(DB)), f"auth/token/{call}"))) is None


@pytest.mark.parametrize(
    "narrower",
    [
        {"bound_service_account_names": ("other",)},
        {"bound_service_account_names": ()},
        {"bound_service_account_namespaces": ("other",)},
        {"audience": "other"},
        {"token_policies": ()},
        {"token_bound_cidrs": ("10.0.0.1",)},
        {"token_num_uses": 1},
        {"token_type": "batch"},
    ],
)
def test_a_role_that_lets_the_account_do_less_than_a_session_can_say_gives_nothing(
    narrower: dict[str, FieldValue],
) -> None:
    assert STORE.narrowed(grant(DB), given_by(grant(DB), None, **narrower)) is None


@pytest.mark.parametrize(
    "wider",
    [
        {"bound_service_account_names": ("*",)},
        {"bound_service_account_names": ("billing", "other")},
        {"bound_service_account_namespaces": ("*",)},
        {"audience": ""},
        {"token_policies": ("admin", OWNER.name_in_store)},
        {"token_ttl": 0, "token_max_ttl": 0},
        {"token_max_ttl": 99999},
        {"token_period": 60},
        {"token_no_default_policy": False},
    ],
)
def test_a_role_widened_by_hand_is_narrowed_to_the_grant(wider: dict[str, FieldValue]) -> None:
    assert STORE.narrowed(grant(DB), given_by(grant(DB), None, **wider)) == grant(DB)


def test_every_limit_of_the_role_counts() -> None:
    held = given_by(grant(DB), token_ttl=300, token_max_ttl=900, token_explicit_max_ttl=120)
    found = STORE.narrowed(grant(DB), held)
    assert found is not None
    assert found.session == Session(120, 120)
