"""Accounts of mode External: given by their owner's label, watched, never written."""

from __future__ import annotations

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Binding
from integration.objects import account_path, rule
from integration.world import World, eventually
from plane.json_client import Json

ALLOW = "airwarden.dev/allow-binding"
BOTH = [rule(serviceAccounts=["Managed", "External"])]


def make_account(world: World, team: str, labels: dict[str, str], name: str = "worker") -> Json:
    """Make an account as its owner does."""
    world.create(account_path(team), {"metadata": {"name": name, "labels": labels}})
    found = world.get(account_path(team, name))
    assert found is not None
    return found


def relabel(world: World, team: str, value: str | None) -> None:
    world.merge(account_path(team, "worker"), {"metadata": {"labels": {ALLOW: value}}})


def external(make: MakeBinding, team: str, store: str, name: str) -> Binding:
    return make(team, store, name, account="worker", serviceAccount={"name": "worker", "mode": "External"})


@pytest.fixture
def given(world: World, backend: MakeBackend, binding: MakeBinding, team: str) -> Binding:
    """Return a Ready binding of an account that its owner gave to it."""
    world.write_secret(f"{team}/connections/warehouse")
    name = world.fresh("external")
    make_account(world, team, {ALLOW: name, "terraform": "yes"})
    made = external(binding, team, backend(allow=BOTH).name, name)
    made.wait_ready()
    return made


def test_it_carries_the_access_and_is_never_written(world: World, given: Binding) -> None:
    before = given.service_account()
    assert world.may_read(given.login(), f"{given.namespace}/connections/warehouse")
    mark = world.marks()
    given.edit(access={"session": {"ttl": "5m"}})
    given.wait_ready()
    given.delete()
    given.wait_gone()
    assert given.service_account() == before
    assert [each for each in mark.api_requests() if each.resource == "serviceaccounts" and each.verb != "watch"] == []
    assert (world.policy(given.store_name), world.role(given.store_name)) == (None, None)


@pytest.mark.parametrize(("value", "reason"), [(None, "ServiceAccountNotAllowed"), ("another", "ServiceAccountTaken")])
def test_a_label_that_goes_or_names_another_cuts_live_tokens_at_once(
    world: World, given: Binding, value: str | None, reason: str
) -> None:
    key, token = f"{given.namespace}/connections/warehouse", given.login()
    assert world.may_read(token, key)
    relabel(world, given.namespace, value)
    eventually("the live token is cut", lambda: not world.may_read(token, key))
    assert ALLOW in given.wait_refused(reason)["message"]
    assert (world.policy(given.store_name), world.role(given.store_name)) == (None, None)
    relabel(world, given.namespace, given.name)
    given.wait_ready()
    assert world.may_read(given.login(), key)


def test_an_account_that_goes_takes_the_access_and_one_made_anew_with_the_label_has_it(
    world: World, given: Binding
) -> None:
    key, token = f"{given.namespace}/connections/warehouse", given.login()
    world.delete(account_path(given.namespace, "worker"))
    eventually("the live token is cut", lambda: not world.may_read(token, key))
    assert "create it" in given.wait_refused("ServiceAccountNotFound")["message"]
    make_account(world, given.namespace, {})
    given.wait_refused("ServiceAccountNotFound")
    relabel(world, given.namespace, given.name)
    given.wait_ready()
    assert world.may_read(given.login(), key)


def test_without_the_owner_s_label_nothing_is_given(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    before = make_account(world, team, {})
    made = external(binding, team, backend(allow=BOTH).name, world.fresh("external"))
    assert f"{ALLOW}={made.name}" in made.wait_refused("ServiceAccountNotAllowed")["message"]
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)
    assert world.get(account_path(team, "worker")) == before


def test_a_rule_that_does_not_list_the_mode_refuses_it(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    name = world.fresh("external")
    make_account(world, team, {ALLOW: name})
    made = external(binding, team, backend().name, name)
    assert "rule own-tree permits Managed" in made.wait_refused("AccountModeNotAllowed")["message"]
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)


def test_an_account_is_one_binding_s_whatever_the_modes(
    world: World, given: Binding, backend: MakeBackend, binding: MakeBinding
) -> None:
    team, store = given.namespace, backend(allow=BOTH).name
    second = external(binding, team, store, world.fresh("second"))
    managed = binding(team, store, world.fresh("managed"), account="worker")
    for each in (second, managed):
        assert given.name in each.wait_refused("ServiceAccountTaken")["message"]
        assert world.role(each.store_name) is None
    own = binding(team, store)
    own.wait_ready()
    taker = binding(
        team, store, world.fresh("taker"), account=own.account, serviceAccount={"name": own.account, "mode": "External"}
    )
    assert f"for binding {own.name}" in taker.wait_refused("ServiceAccountTaken")["message"]
    world.merge(account_path(team, own.account), {"metadata": {"labels": {ALLOW: taker.name}}})
    own.wait_ready()
    taker.wait_refused("ServiceAccountTaken")
    given.wait_ready()


def test_a_steady_external_binding_costs_two_reads_a_check_and_asks_the_cluster_nothing(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    name = world.fresh("external")
    make_account(world, team, {ALLOW: name})
    made = external(binding, team, backend(allow=BOTH, drift={"interval": "1s"}).name, name)
    made.wait_ready()
    mark = world.marks()
    eventually("three drift checks", lambda: mark.drift_checks(made.store_name) >= 3)
    assert set(mark.vault_operations()) == {"read"}
    assert [each for each in mark.api_requests() if each.namespace == team] == []


def test_a_new_external_binding_costs_three_patches(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store, name = backend(allow=BOTH), world.fresh("external")
    make_account(world, team, {ALLOW: name})
    mark = world.marks()
    external(binding, team, store.name, name).wait_ready()
    assert mark.patches(name) == ["metadata", "status", "status"]
