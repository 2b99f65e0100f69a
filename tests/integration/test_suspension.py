"""A suspended binding on the real Vault: nothing is added, and what must go goes at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Binding
from integration.objects import rule, secret
from integration.world import World, eventually

PATIENCE = 60.0
NO_LIMIT = 0


@pytest.fixture
def held(world: World, backend: MakeBackend, binding: MakeBinding, team: str) -> Binding:
    """Return a suspended binding that holds two secrets, which are there, and is checked for drift each second."""
    store = backend(drift={"interval": "1s"})
    for name in ("one", "two", "three"):
        world.write_secret(f"{team}/{name}")
    bound = binding(team, store, secrets=wanted(team, store.name, "one", "two"))
    bound.wait_ready()
    bound.edit(suspend=True)
    bound.wait_condition("Suspended", "True", "Suspended")
    return bound


def wanted(team: str, store: str, *names: str) -> list[dict[str, object]]:
    return [secret(f"{team}/{name}", store, id=name) for name in names]


def declare(bound: Binding, *names: str) -> None:
    bound.edit(secrets=wanted(bound.namespace, bound.backend, *names))


def states(bound: Binding) -> dict[str, tuple[str, str]]:
    return {each["id"]: (each["state"], each.get("reason", "")) for each in bound.status()["secrets"]}


def reads(bound: Binding, token: str) -> list[str]:
    """Return which of the secrets a token reads."""
    return [name for name in ("one", "two", "three") if bound.world.may_read(token, f"{bound.namespace}/{name}")]


def checked_twice(bound: Binding) -> None:
    """Wait until the binding was looked at twice more."""
    mark = bound.world.marks()
    eventually("it was looked at twice", lambda: mark.drift_checks(bound.store_name) >= 2, PATIENCE)


def test_what_is_held_stays_readable_and_an_edit_adds_nothing(held: Binding) -> None:
    assert held.conditions()["Ready"]["status"] == "True"
    token = held.login()
    declare(held, "one", "two", "three")
    held.wait_refused("Suspended")
    assert states(held) == {"one": ("Granted", ""), "two": ("Granted", ""), "three": ("Pending", "Suspended")}
    checked_twice(held)
    assert reads(held, token) == ["one", "two"]
    held.edit(suspend=False)
    held.wait_ready()
    assert reads(held, token) == ["one", "two", "three"]
    assert "Suspended" not in held.conditions()


def test_a_new_binding_that_is_suspended_leaves_nothing_in_vault_and_no_account(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    mark = world.marks()
    bound = binding(team, backend(), suspend=True)
    bound.wait_refused("Suspended")
    assert (world.policy(bound.store_name), world.role(bound.store_name), bound.service_account()) == (None, None, None)
    assert set(mark.vault_operations()) <= {"list"}
    assert mark.patches(bound.name) == ["metadata", "status"]
    bound.edit(suspend=False)
    bound.wait_ready()


def test_a_removal_acts_and_does_not_come_back(held: Binding) -> None:
    token = held.login()
    declare(held, "one")
    eventually("the removed secret is refused", lambda: reads(held, token) == ["one"])
    held.wait_ready()
    declare(held, "one", "two")
    held.wait_refused("Suspended")
    assert reads(held, token) == ["one"]


def test_a_tightened_rule_and_the_end_act(held: Binding, world: World) -> None:
    token = held.login()
    world.merge(f"/apis/airwarden.dev/v1alpha1/airflowsecretbackends/{held.backend}", _allow(max_ttl="10m"))
    eventually("logins are shorter", lambda: (world.role(held.store_name) or {})["token_max_ttl"] == 600, PATIENCE)
    held.edit(access={"notAfter": (datetime.now(UTC) - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")})
    eventually("the live token is cut", lambda: reads(held, token) == [])
    held.wait_refused("Expired")
    assert (world.policy(held.store_name), world.role(held.store_name)) == (None, None)


def _allow(max_ttl: str) -> dict[str, object]:
    return {"spec": {"allow": [rule(max_ttl=max_ttl)]}}


def test_a_loosened_rule_widens_nothing(held: Binding, world: World) -> None:
    world.merge(f"/apis/airwarden.dev/v1alpha1/airflowsecretbackends/{held.backend}", _allow(max_ttl="10m"))
    eventually("logins are shorter", lambda: (world.role(held.store_name) or {})["token_max_ttl"] == 600, PATIENCE)
    world.merge(f"/apis/airwarden.dev/v1alpha1/airflowsecretbackends/{held.backend}", _allow(max_ttl="50m"))
    checked_twice(held)
    assert (world.role(held.store_name) or {})["token_max_ttl"] == 600
    assert held.status()["effective"]["sessionMaxTTL"] == "10m"


def test_what_is_taken_by_hand_is_not_put_back(held: Binding, world: World) -> None:
    world.delete_policy(held.store_name)
    held.wait_refused("Suspended", PATIENCE)
    checked_twice(held)
    assert (world.policy(held.store_name), world.role(held.store_name)) == (None, None)
    assert held.service_account() is not None


def test_what_is_widened_by_hand_is_narrowed_and_what_is_narrowed_stays(held: Binding, world: World) -> None:
    policy = world.policy(held.store_name)
    assert policy is not None
    world.write_policy(held.store_name, policy.replace(f"{held.namespace}/two", f"{held.namespace}/three"))
    world.write_role(held.store_name, bound_service_account_names="*", token_ttl="1m", token_max_ttl=NO_LIMIT)
    held.wait_refused("Suspended", PATIENCE)
    checked_twice(held)
    assert reads(held, held.login()) == ["one"]
    role = world.role(held.store_name)
    assert role is not None
    assert role["bound_service_account_names"] == [held.account]
    assert (role["token_ttl"], role["token_max_ttl"]) == (60, 3600)


def test_a_suspended_binding_is_deleted_as_any_other(held: Binding, world: World) -> None:
    held.delete()
    held.wait_gone()
    assert (world.policy(held.store_name), world.role(held.store_name), held.service_account()) == (None, None, None)
