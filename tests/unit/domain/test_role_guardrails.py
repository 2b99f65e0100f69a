"""Which database roles a namespace may have rotated and made: nothing but what one rule names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.api.backend import AllowRule, DynamicRule, Operation
from airwarden.api.database_role import DatabaseRole
from airwarden.api.reasons import Reason
from airwarden.domain.guardrails import AdmittedRotation, Refused, RotationRequest, judge
from airwarden.domain.role_guardrails import judge_role, own_prefix, user_patterns
from unit.domain import making
from unit.domain.making import dynamic_item, view

ENGINE: dict[str, Any] = {
    "engine": "database",
    "rolePrefixes": ["{namespace}.", "airwarden.c1.{namespace}."],
    "connections": ["main"],
    "usernames": ["{namespace}_*", "exact"],
    "roots": ["main"],
}


def rule(name: str = "own", names: tuple[str, ...] = ("team",), **engine: Any) -> AllowRule:
    """Return a rule with every operation on the engine."""
    operations = ["Read", "RotateGenerate", "RotateNative", "RotateRevoke"]
    return making.rule(name, names=names, operations=operations, dynamic=[{**ENGINE, **engine}])


def role(name: str = "team.x", kind: str = "Static", engine: str = "database", **declare: str) -> DatabaseRole:
    declared = {"declare": {"connection": "main", "username": "team_x", **declare}} if declare else {}
    return DatabaseRole.model_validate({"engine": engine, "name": name, "kind": kind, **declared})


def admitted(
    wanted: DatabaseRole, *rules: AllowRule, operation: Operation = Operation.ROTATE_NATIVE, namespace: str = "team"
) -> bool:
    found = judge_role(wanted, operation, "c1", RotationRequest(namespace, {}), view(*(rules or (rule(),))))
    assert found is not None
    return isinstance(found, AdmittedRotation)


OWN = "airwarden.c1.team.x"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (role(), True),
        (role(OWN), True),
        (role("team-b.x"), False),
        (role("tea.x"), False),
        (role("x.team.x"), False),
        (role("team.x", engine="other"), False),
        (role("main", "Root"), True),
        (role("other", "Root"), False),
        (role("team.main", "Root"), False),
        (role(OWN, period="24h"), True),
        (role(OWN, period="24h", connection="other"), False),
        (role(OWN, period="24h", username="team_y"), True),
        (role(OWN, period="24h", username="exact"), True),
        (role(OWN, period="24h", username="exactly"), False),
        (role(OWN, period="24h", username="team"), False),
        (role(OWN, period="24h", username="team-b_x"), False),
        (role("airwarden.c1.team-b.x", period="24h"), False),
        (role("airwarden.c2.team.x", period="24h"), False),
        (role("airwarden.c1.teamx", period="24h"), False),
    ],
)
def test_a_role_is_admitted_by_engine_prefix_connection_and_user(wanted: DatabaseRole, expected: bool) -> None:
    assert admitted(wanted) is expected


@pytest.mark.parametrize("operation", [Operation.READ, Operation.ROTATE_GENERATE, Operation.ROTATE_REVOKE])
def test_an_operation_permits_no_other(operation: Operation) -> None:
    only = rule().model_copy(update={"operations": (operation,)})
    assert not admitted(role(), only)
    assert not admitted(role(OWN, period="1h"), only)


def test_no_two_rules_together_admit_what_neither_does() -> None:
    assert not admitted(role(OWN, period="1h"), rule("a", connections=[]), rule("b", usernames=[]))


def test_a_rule_of_another_namespace_gives_nothing() -> None:
    assert not admitted(role(), rule(names=("team-b",)))


def test_a_literal_prefix_does_not_let_another_namespace_s_role_be_declared() -> None:
    wide = rule(rolePrefixes=["airwarden."], usernames=["team_*", "other_*"])
    assert admitted(role(OWN, period="1h"), wide)
    assert not admitted(role("airwarden.c1.team-b.x", period="1h"), wide)


def test_a_namespace_called_airwarden_reaches_no_role_that_others_declared() -> None:
    own = rule(names=("airwarden",))
    theirs = dynamic_item("airwarden.c1.team.x")
    assert isinstance(judge(theirs, making.request("airwarden"), view(own)), Refused)
    assert not admitted(role("airwarden.c1.team.x"), own, namespace="airwarden")
    assert admitted(role("airwarden.c1.airwarden.x"), own, namespace="airwarden")


def test_what_cannot_be_said_yet_is_not_said() -> None:
    selecting = making.rule(namespaces={"selector": {"matchLabels": {"a": "b"}}}, dynamic=[ENGINE])
    asked = RotationRequest("team", None)
    assert judge_role(role(), Operation.ROTATE_NATIVE, "c1", asked, view(selecting)) is None


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (role("x.y"), "rule own permits it for roles beginning with team., airwarden.c1.team."),
        (role("x", "Root"), "rule own permits it for main: ask for it in roots"),
        (role("x.y", engine="other"), "rule own says nothing of engine other"),
        (role(OWN, period="1h", username="x"), "connections main and users team_*, exact"),
        (role("airwarden.c1.other.x", period="1h"), "has a name that begins with airwarden.c1.team., so that"),
    ],
)
def test_a_refusal_names_what_would_be_admitted(wanted: DatabaseRole, said: str) -> None:
    found = judge_role(wanted, Operation.ROTATE_NATIVE, "c1", RotationRequest("team", {}), view(rule()))
    assert isinstance(found, Refused)
    assert found.reason is Reason.ROTATION_NOT_ALLOWED
    assert said in found.message


_LETTERS = st.sampled_from("ab-_.@")
_SPACES = st.from_regex(r"[a-b]([-a-b]{0,3}[a-b])?", fullmatch=True)


@given(_SPACES, _SPACES, st.text(_LETTERS, max_size=4), st.sampled_from("_.@$"))
def test_the_users_of_two_namespaces_are_never_the_same(one: str, other: str, rest: str, border: str) -> None:
    asked = DynamicRule.model_validate({**ENGINE, "usernames": [f"{{namespace}}{border}*"]})
    (mine,), (theirs,) = user_patterns(asked, one), user_patterns(asked, other)
    user = f"{one}{border}{rest}"
    assert user.startswith(mine.removesuffix("*"))
    if one != other:
        assert not user.startswith(theirs.removesuffix("*"))
        assert not f"{own_prefix('c1', one)}x".startswith(own_prefix("c1", other))
