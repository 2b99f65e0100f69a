"""What is not ours in Vault is never written or deleted, whatever its name."""

from __future__ import annotations

from typing import Any

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.handles import name_in_store
from integration.objects import secret
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
    [BY_HAND, "# airwarden.dev/owner cluster=test namespace=first binding=other backend=vault\n" + BY_HAND],
    ids=["made by hand", "of another binding"],
)
def test_a_foreign_policy_under_our_name_stays_as_it_is_and_no_role_is_made(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, text: str
) -> None:
    store, name = backend(drift={"interval": "1s"}), world.fresh("billing")
    in_store = name_in_store(team, name, store.name)
    world.write_policy(in_store, text)
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
    store, name = backend(drift={"interval": "1s"}), world.fresh("billing")
    in_store = name_in_store(team, name, store.name)
    world.write_role(in_store, **role_fields([each.format(name=in_store) for each in policies]))
    before = world.role(in_store)
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
    store, name = backend(drift={"interval": "1s"}), world.fresh("billing")
    in_store = name_in_store(team, name, store.name)
    world.write_policy(in_store, BY_HAND)
    made = binding(team, store, name)
    made.wait_refused("NotOwned")
    world.delete_policy(in_store)
    made.wait_ready()
    assert made.login()


def test_a_policy_that_names_the_binding_is_ours_also_without_a_status(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    """As after a restored backup: what is left under our mark is corrected and goes with the binding."""
    store, name = backend(), world.fresh("billing")
    in_store = name_in_store(team, name, store.name)
    mark = f"# airwarden.dev/owner cluster={CLUSTER} namespace={team} binding={name} backend={store.name}"
    world.write_policy(in_store, f"{mark}\n{BY_HAND}")
    made = binding(team, store, name)
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


def test_two_backends_in_one_vault_do_not_get_in_each_others_way(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    one, two = backend(drift={"interval": "1s"}), backend(drift={"interval": "1s"})
    wanted = [secret(f"{team}/a", one.name, id="a"), secret(f"{team}/b", two.name, id="b")]
    for key in (f"{team}/a", f"{team}/b"):
        world.write_secret(key)
    made = binding(team, one, secrets=wanted)
    made.wait_ready()
    tokens = [world.login(team, made.account, made.name_at(each.name)) for each in (one, two)]
    assert [world.may_read(tokens[0], f"{team}/{key}") for key in "ab"] == [True, False]
    assert [world.may_read(tokens[1], f"{team}/{key}") for key in "ab"] == [False, True]
    mark = world.marks()
    eventually("both are checked", lambda: all(mark.drift_checks(made.name_at(each.name)) for each in (one, two)))
    assert set(mark.vault_operations()) == {"read"}
    made.edit(secrets=[secret(f"{team}/b", two.name, id="b")])
    made.wait_ready()
    assert world.policy(made.name_at(one.name)) is None
    assert world.may_read(tokens[1], f"{team}/b")
