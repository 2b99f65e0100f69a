"""The early message: what no allow rule admits is refused when applied, and the words say what would be allowed."""

from __future__ import annotations

from typing import Any

import pytest

from integration.admission.asking import Asking, bindings_path
from integration.admission.wanted import backend, fenced_backend, rule, wanting
from integration.schema import objects
from plane.errors import PlaneHTTPError

Json = dict[str, Any]


@pytest.fixture(scope="module")
def team(asking: Asking) -> str:
    """Return a tenant's namespace, and have the backend `vault` judge it by its own tree and a shared one."""
    asking.make_namespace("team-a", {"airwarden.dev/tenant": "true"})
    asking.judge_by(backend("vault", rule()))
    return "team-a"


def test_what_a_rule_admits_is_admitted(asking: Asking, team: str) -> None:
    assert asking.refusal(wanting(team, "vault", "team-a/db", "shared/smtp")) is None


@pytest.mark.parametrize("key", ["team-b/db", "team-ab/db", "shared2/x", "x/team-a/db"])
def test_a_key_outside_is_refused_and_the_message_names_rule_and_what_would_be_allowed(
    asking: Asking, team: str, key: str
) -> None:
    assert asking.refusal(wanting(team, "vault", "team-a/db", key)) == (
        f"billing (Managed) may not read key {key} of backend vault: rule own-tree allows keys below team-a/, shared/ "
        "and roles of database beginning with team-a., shared. to Managed accounts for sessions up to 1h"
    )


def test_a_session_that_is_too_long_is_refused_with_the_longest(asking: Asking, team: str) -> None:
    said = asking.refusal(wanting(team, "vault", "team-a/db", session={"maxTTL": "1h1s"}))
    assert said is not None
    assert said.endswith("for sessions up to 1h")


def test_a_rule_that_requires_sessions_to_end_says_why_it_admits_nothing_in_mode_fenced(asking: Asking) -> None:
    asking.make_namespace("fenced")
    names = {"names": ["fenced"]}
    asking.judge_by(fenced_backend("fenced", rule(namespaces=names)))
    said = asking.refusal(wanting("fenced", "fenced", "fenced/db")) or ""
    assert "for sessions up to 1h, which the store must end in time and in mode Fenced cannot" in said
    unheld = rule(namespaces=names, session={"maxTTL": "1h", "required": False})
    asking.judge_by(fenced_backend("fenced", unheld))
    assert asking.refusal(wanting("fenced", "fenced", "fenced/db")) is None
    assert "cannot" not in (asking.refusal(wanting("fenced", "fenced", "else/db")) or "cannot")


def test_several_refusals_are_counted(asking: Asking, team: str) -> None:
    said = asking.refusal(wanting(team, "vault", "x/a", "x/b", "x/c"))
    assert said is not None
    assert said.startswith("billing (Managed) may not read key x/a (and 2 more) of backend vault")


def test_a_backend_that_says_nothing_of_a_namespace_says_so(asking: Asking) -> None:
    asking.make_namespace("stranger")
    asking.judge_by(backend("named", rule(namespaces={"names": ["somebody"]})))
    said = asking.refusal(wanting("stranger", "named", "stranger/db"))
    assert said == "no allow rule of backend named speaks of namespace stranger: ask its owners to add it to one"


def test_an_unknown_backend_is_admitted_since_it_may_come_later(asking: Asking, team: str) -> None:
    assert asking.refusal(wanting(team, "not-there-yet", "anything/at/all")) is None


def test_each_backend_judges_its_own_secrets_only(asking: Asking, team: str) -> None:
    asking.judge_by(backend("second", rule(keyPrefixes=["two/"])))
    body = wanting(team, "vault", "team-a/db")
    body["spec"]["secrets"].append(objects.secret("other", "two/x", backendRef={"name": "second"}))
    assert asking.refusal(body) is None
    body["spec"]["secrets"][1]["key"] = "team-a/x"
    assert "of backend second: rule own-tree allows keys below two/" in (asking.refusal(body) or "")


def test_what_is_there_already_keeps_its_finalizers_and_labels_free_when_a_rule_is_tightened(asking: Asking) -> None:
    asking.make_namespace("older")
    asking.judge_by(backend("tight", rule(namespaces={"names": ["older"]})))
    body = wanting("older", "tight", "older/db")
    admin = asking.plane.api.admin
    admin.request("POST", bindings_path("older"), body)
    path = f"{bindings_path('older')}/billing"
    merge = {"Content-Type": "application/merge-patch+json"}
    asking.judge_by(backend("tight", rule(namespaces={"names": ["older"]}, keyPrefixes=["gone/"])))
    marks = {"metadata": {"labels": {"a": "b"}, "finalizers": ["airwarden.dev/revoke-access"]}}
    admin.request("PATCH", path, marks, headers=merge)
    with pytest.raises(PlaneHTTPError, match="rule own-tree allows keys below gone/"):
        admin.request(
            "PATCH",
            path,
            {"spec": {"secrets": wanting("older", "tight", "older/else")["spec"]["secrets"]}},
            headers=merge,
        )
    admin.request("DELETE", path)
    admin.request("PATCH", path, {"metadata": {"finalizers": None}}, headers=merge)
    assert admin.status("GET", path) == 404
