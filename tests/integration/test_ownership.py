"""What is not ours in Vault is never written or deleted, whatever its name."""

from __future__ import annotations

from typing import Any

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.world import World, eventually
from plane.operator import CLUSTER

BY_HAND = 'path "airflow/data/finance" { capabilities = ["read"] }'


def role_fields(policies: list[str]) -> dict[str, Any]:
    return {
        "bound_service_account_names": "somebody",
        "bound_service_account_namespaces": "first",
        "token_policies": policies,
    }


@pytest.mark.parametrize(
    "text",
    [BY_HAND, "# airwarden.dev/owner cluster=test namespace=first binding=other\n" + BY_HAND],
    ids=["made by hand", "of another binding"],
)
def test_a_foreign_policy_under_our_name_stays_as_it_is_and_no_role_is_made(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, text: str
) -> None:
    name = world.fresh("billing")
    in_store = f"airwarden.{CLUSTER}.{team}.{name}"
    world.write_policy(in_store, text)
    store = backend(drift={"interval": "1s"})
    made = binding(team, store, name)
    ready = made.wait_refused("NotOwned")
    assert in_store in ready["message"]
    assert made.conditions()["Stalled"]["status"] == "True"
    mark = world.marks()
    eventually("two more looks", lambda: mark.drift_checks(in_store) >= 2)
    assert (world.policy(in_store), world.role(in_store)) == (text, None)
    made.delete()
    made.wait_gone()
    assert (world.policy(in_store), world.role(in_store)) == (text, None)
    world.delete_policy(in_store)


@pytest.mark.parametrize("policies", [["admin"], ["{name}", "admin"]], ids=["another policy", "one policy more"])
def test_a_foreign_role_under_our_name_stays_as_it_is_and_no_policy_is_made(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, policies: list[str]
) -> None:
    name = world.fresh("billing")
    in_store = f"airwarden.{CLUSTER}.{team}.{name}"
    world.write_role(in_store, **role_fields([each.format(name=in_store) for each in policies]))
    before = world.role(in_store)
    store = backend(drift={"interval": "1s"})
    made = binding(team, store, name)
    ready = made.wait_refused("NotOwned")
    assert in_store in ready["message"]
    mark = world.marks()
    eventually("two more looks", lambda: mark.drift_checks(in_store) >= 2)
    assert (world.policy(in_store), world.role(in_store)) == (None, before)
    made.delete()
    made.wait_gone()
    assert (world.policy(in_store), world.role(in_store)) == (None, before)
    world.delete_role(in_store)


def test_the_binding_heals_when_the_foreign_policy_is_removed(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    name = world.fresh("billing")
    in_store = f"airwarden.{CLUSTER}.{team}.{name}"
    world.write_policy(in_store, BY_HAND)
    made = binding(team, backend(drift={"interval": "1s"}), name)
    made.wait_refused("NotOwned")
    world.delete_policy(in_store)
    made.wait_ready()
    assert made.login()


def test_a_policy_that_names_the_binding_is_ours_also_without_a_status(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    """As after a restored backup: what is left under our mark is corrected and goes with the binding."""
    name = world.fresh("billing")
    in_store = f"airwarden.{CLUSTER}.{team}.{name}"
    world.write_policy(in_store, f"# airwarden.dev/owner cluster={CLUSTER} namespace={team} binding={name}\n{BY_HAND}")
    made = binding(team, backend(), name)
    made.wait_ready()
    policy = world.policy(in_store)
    assert policy is not None
    assert "finance" not in policy
    made.delete()
    made.wait_gone()
    assert (world.policy(in_store), world.role(in_store)) == (None, None)


def test_names_of_other_clusters_and_of_the_operator_itself_are_left_alone(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    others = [f"airwarden.other.{team}.billing", f"airwarden-operator.{CLUSTER}"]
    world.write_policy(others[0], BY_HAND)
    before = [world.policy(each) for each in others]
    made = binding(team, backend())
    made.wait_ready()
    made.delete()
    made.wait_gone()
    assert [world.policy(each) for each in others] == before
    world.delete_policy(others[0])
