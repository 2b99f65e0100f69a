"""Which rotations a binding's `spec.rotation` makes, under which names, and how they are held against what is there."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airwarden.api.binding import AirflowSecretBinding, SecretItem
from airwarden.api.references import MAX_NAME
from airwarden.api.rotation import AirflowSecretRotation, Part, Strategy
from airwarden.domain.rotation import sugar
from airwarden.domain.rotation.sugar import Action, Found, Wanted
from unit.domain.making import binding, dynamic_item, item

names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", fullmatch=True).filter(lambda text: ".." not in text)
secrets = st.tuples(st.sampled_from(("Connection", "Variable", "Config")), st.from_regex(r"[A-Za-z0-9_.-]{1,20}")).map(
    "/".join
)


def rotated(
    *items: SecretItem, suspended: bool = False, name: str = "billing", **sugar_spec: Any
) -> AirflowSecretBinding:
    """Return a binding with `spec.rotation`."""
    plain = binding(*items, suspend=suspended, name=name).model_dump(by_alias=True, exclude_none=True)
    return AirflowSecretBinding.model_validate({**plain, "spec": {**plain["spec"], "rotation": sugar_spec}})


def found(wanted: Wanted, **more: Any) -> Found:
    """Return a rotation as it is when it is as wanted."""
    spec = wanted.spec
    target = (spec.backend_ref.name, spec.key or "", spec.field or "")
    return replace(Found(wanted.name, "u-1", ours=True, deleting=False, target=target, spec=spec), **more)


def test_a_binding_that_says_nothing_of_rotation_makes_none() -> None:
    assert sugar.wanted(binding()) == ()


def test_each_secret_with_a_key_has_one_and_dynamic_ones_have_none() -> None:
    made = sugar.wanted(
        rotated(item("team/db", "warehouse"), dynamic_item("team.ro", name="reporting"), schedule="@daily")
    )
    digest = sha256(b"Connection/warehouse").hexdigest()
    assert [(each.name, each.secret) for each in made] == [(f"billing-{digest[:8]}", "Connection/warehouse")]
    spec = made[0].spec
    assert (spec.backend_ref.name, spec.key, spec.schedule) == ("vault", "team/db", "@daily")
    assert (spec.strategy, spec.suspend) == (Strategy.GENERATE, False)


@pytest.mark.parametrize(
    ("kind", "connections", "field", "part"),
    [
        ("Connection", "Password", "password", Part.VALUE),
        ("Connection", "URI", "conn_uri", Part.URI_PASSWORD),
        ("Variable", "URI", "value", Part.VALUE),
        ("Config", "Password", "value", Part.VALUE),
    ],
)
def test_the_field_follows_from_the_type(kind: str, connections: str, field: str, part: Part) -> None:
    (made,) = sugar.wanted(rotated(item(type=kind), connections=connections))
    assert (made.spec.field, made.spec.part) == (field, part)


def test_all_that_is_said_of_the_rotation_is_said_of_each() -> None:
    said: dict[str, Any] = {
        "schedule": "30 3 * * 0",
        "timeZone": "Europe/Berlin",
        "window": {"opens": "0 1 * * *", "duration": "3h"},
        "jitter": "20m",
        "startingDeadline": "1h",
        "maxAge": "336h",
        "keepVersions": 5,
        "generate": {"length": 40, "characters": ["Lower"]},
    }
    (made,) = sugar.wanted(rotated(**said))
    shown = made.spec.model_dump(by_alias=True, mode="json", exclude_none=True)
    assert {name: shown[name] for name in said} == {**said, "generate": {**said["generate"], "passwordPolicy": ""}}


@pytest.mark.parametrize(("binding_is", "sugar_is"), [(True, False), (False, True), (True, True)])
def test_a_suspended_binding_suspends_its_rotations(*, binding_is: bool, sugar_is: bool) -> None:
    (made,) = sugar.wanted(rotated(suspended=binding_is, suspend=sugar_is))
    assert made.spec.suspend


def test_items_of_one_key_share_a_rotation_whatever_their_order() -> None:
    items = (item("team/db", "b"), item("team/db", "a"), item("team/db", "c", backend="other"))
    made = sugar.wanted(rotated(*items))
    assert [each.secret for each in made] == ["Connection/a", "Connection/c"]
    assert made == sugar.wanted(rotated(*reversed(items)))


@given(names, secrets)
def test_a_name_is_one_that_the_api_server_takes_and_is_known_again(name: str, secret: str) -> None:
    made = sugar.name_of(name, secret)
    assert len(made) <= MAX_NAME
    assert sugar.is_name_of(name, made)
    assert sugar.binding_of(made) == (name if len(name) <= MAX_NAME - 9 else "")
    AirflowSecretRotation.model_validate(
        {"metadata": {"name": made}, "spec": {"backendRef": {"name": "v"}, "key": "a", "field": "f"}}
    )


@given(names, names, secrets, secrets)
def test_two_bindings_never_share_a_name(one: str, other: str, first: str, second: str) -> None:
    assume(one != other)
    assert sugar.name_of(one, first) != sugar.name_of(other, second)


def test_a_short_binding_cannot_take_the_name_of_a_long_one_s_rotation() -> None:
    long = "a" * MAX_NAME
    made = sugar.name_of(long, "Connection/x")
    assert len(made) == MAX_NAME
    shorter = (made[:-9], made[:-21], long[: MAX_NAME - 9], long[: MAX_NAME - 21])
    assert not any(sugar.is_name_of(each, made) for each in shorter if len(each) <= MAX_NAME - 9)


def steps(wanted: tuple[Wanted, ...], *there: Found, suspended: bool = False) -> list[tuple[Action, str]]:
    """Return what is done to what."""
    made = sugar.difference(wanted, there, suspended=suspended)
    return [(each.action, each.name) for each in made.steps]


def test_what_is_not_there_is_made_unless_the_binding_is_suspended() -> None:
    wanted = sugar.wanted(rotated())
    assert steps(wanted) == [(Action.CREATE, wanted[0].name)]
    assert steps(wanted, suspended=True) == []


def test_what_is_as_wanted_is_left_as_it_is() -> None:
    wanted = sugar.wanted(rotated())
    assert steps(wanted, found(wanted[0])) == []


def test_what_differs_is_set_right_and_what_cannot_be_is_made_anew() -> None:
    (was,), (now,) = sugar.wanted(rotated(schedule="@daily")), sugar.wanted(rotated(schedule="@weekly"))
    assert steps((now,), found(was)) == [(Action.CORRECT, now.name)]
    assert steps((now,), found(was, spec=None)) == [(Action.CORRECT, now.name)]
    (moved,) = sugar.wanted(rotated(item("team/other")))
    assert steps((moved,), found(was)) == [(Action.REPLACE, now.name)]


def test_what_is_not_declared_any_more_is_deleted_by_its_uid() -> None:
    (was,) = sugar.wanted(rotated())
    (step,) = sugar.difference((), [found(was)], suspended=True).steps
    assert (step.action, step.name, step.uid) == (Action.DELETE, was.name, "u-1")


@pytest.mark.parametrize("declared", [True, False])
def test_what_somebody_else_made_is_neither_changed_nor_deleted(*, declared: bool) -> None:
    wanted = sugar.wanted(rotated(schedule="@daily"))
    theirs = found(wanted[0], ours=False, spec=None)
    made = sugar.difference(wanted if declared else (), [theirs], suspended=False)
    assert made.steps == ()
    assert made.taken == ((wanted[0].name,) if declared else ())


def test_what_is_being_deleted_is_waited_for() -> None:
    wanted = sugar.wanted(rotated(schedule="@daily"))
    assert steps(wanted, found(wanted[0], deleting=True, spec=None)) == []
    assert steps((), found(wanted[0], deleting=True)) == []
