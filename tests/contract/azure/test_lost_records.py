"""An assignment says whose it is: where no record tells of it any more, its own binding still takes it away."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import pytest_asyncio

from airwarden.providers.azure.rows import name_of
from airwarden.providers.azure.store import AzureStore
from airwarden.providers.kubernetes.objects import binding_path
from contract.azure.bench import Bench
from contract.azure.test_shared_groups import ONE, Office
from stand_ins.azure.roles import SECRETS_USER
from stand_ins.azure.stand_in import AzureStandIn

Opening = Callable[[AzureStore], AzureStore]


@pytest.fixture
def office(azure: AzureStandIn, bench: Bench, store: AzureStore) -> Office:
    """Return an operator with one backend and no binding yet."""
    return Office(azure, bench, store)


def secrets(*keys: str) -> list[dict[str, Any]]:
    """Return a binding's secrets."""
    return [{"type": "Connection", "id": each, "backendRef": {"name": "kv"}, "key": each} for each in keys]


def opened(office: Office) -> list[str]:
    """Return the secrets at which something is assigned."""
    found = office.azure.assignments(f"{office.store.place.vault_id}/secrets")
    return sorted(each.scope.rpartition("/")[2] for each in found)


@pytest_asyncio.fixture
async def remade(office: Office) -> Office:
    """Return an operator whose binding was taken away from it and made again, with less, in one breath."""
    await office.make(ONE, secrets=secrets("airflow-a", "airflow-b"))
    path = binding_path(*ONE)
    old = copy.deepcopy(office.cluster.api.objects[path])
    del office.cluster.api.objects[path]
    assert office.cluster.cache.lose_binding(old) is not None
    office.declare(ONE, people=False, secrets=secrets("airflow-a"))
    office.cluster.api.objects[path]["metadata"]["uid"] = "another"
    return office


async def test_a_binding_that_is_made_again_with_less_keeps_nothing_of_what_it_was(remade: Office) -> None:
    assert opened(remade) == ["airflow-a", "airflow-a", "airflow-b", "airflow-b"], "its own, and the group's"
    await remade.look(ONE)
    assert remade.ready(ONE) == "True"
    assert opened(remade) == ["airflow-a"]


async def test_a_rule_that_is_tightened_later_ends_what_no_record_tells(office: Office) -> None:
    await office.make(ONE, secrets=secrets("airflow-a", "airflow-b"))
    office.cluster.api.change(binding_path(*ONE), lambda body: body["status"].update(targets=[]))
    body = office.cluster.backend_bodies["kv"]
    body["spec"]["allow"][0]["keyPrefixes"] = ["nothing-"]
    body["metadata"]["resourceVersion"] = "2"
    office.restart()
    await office.look(ONE)
    assert office.ready(ONE) == "False"
    assert opened(office) == []


async def test_its_deletion_ends_what_no_record_tells(office: Office) -> None:
    await office.make(ONE, secrets=secrets("airflow-a", "airflow-b"))
    office.cluster.api.change(binding_path(*ONE), lambda body: body["status"].update(targets=[]))
    office.declare(ONE, people=False, secrets=secrets("airflow-a"))
    office.delete(ONE)
    await office.look(ONE)
    assert binding_path(*ONE) not in office.cluster.api.objects
    assert opened(office) == []


async def test_it_goes_also_while_the_identities_cannot_be_looked_at(remade: Office) -> None:
    remade.azure.fail_next(500, "InternalServerError", path="/userassignedidentities", times=100)
    remade.watch()
    await remade.cluster.reconciler.reconcile(ONE)
    assert remade.ready(ONE) == "False"
    assert opened(remade) == ["airflow-a"]


async def test_it_fails_the_binding_until_it_is_gone(remade: Office) -> None:
    name = next(each.name for each in remade.azure.assignments() if each.scope.endswith("/airflow-b"))
    remade.azure.fail_next(500, "InternalServerError", method="DELETE", path=name, times=10)
    remade.watch()
    following = await remade.cluster.reconciler.reconcile(ONE)
    assert following.kind == "retry"
    assert any(each["state"] == "Removing" for each in remade.status(ONE)["targets"])


async def test_what_somebody_else_gave_under_a_copy_of_the_mark_is_left(office: Office) -> None:
    await office.make(ONE, people=False)
    (ours,) = office.azure.assignments(f"{office.store.place.vault_id}/secrets")
    scope = f"{office.store.place.vault_id}/secrets/airflow-b"
    theirs = office.azure.grant(office.azure.add_identity("somebody").principal_id, SECRETS_USER, scope)
    with office.azure.world() as world:
        object.__setattr__(world.assignments[theirs.name], "description", ours.description)
    assert theirs.name != name_of(scope, theirs.principal, theirs.role)
    office.azure.clock.advance(office.store.place.drift_age + 1)
    await office.look(ONE)
    assert opened(office) == ["airflow-a", "airflow-b"]


async def test_looking_for_it_costs_no_request(office: Office) -> None:
    await office.make(ONE, people=False)
    office.azure.clock.advance(office.store.place.drift_age + 1)
    office.azure.forget_requests()
    await office.look(ONE)
    asked = [each.path.rsplit("/", 1)[-1].lower() for each in office.azure.requests(service="arm")]
    assert sorted(asked) == ["federatedidentitycredentials", "roleassignments", "userassignedidentities"]


async def let_in_unseen(office: Office, begin: Callable[[], AzureStore]) -> None:
    """Let the group in without an answer, and end the process while Azure's lists do not show it."""
    await office.make(ONE, people=False)
    office.azure.clock.advance(130)
    office.azure.delay(lists=20.0)
    office.azure.cut_next(method="PUT", path=office.name, times=2, lose_answer=True)
    office.declare(ONE)
    office.watch()
    assert (await office.cluster.reconciler.reconcile(ONE)).kind == "retry"
    assert len(office.given()) == office.recorded(ONE) == 1
    office.store = begin()
    office.cluster.stores = {"kv": office.store}  # type: ignore[dict-item] # any store will do
    office.restart()


async def test_what_the_process_before_gave_a_group_unseen_is_taken_away(
    office: Office, bench: Bench, opening: Opening
) -> None:
    await let_in_unseen(office, lambda: opening(bench.open()))
    office.declare(ONE, people=False)
    await office.look(ONE)
    assert office.ready(ONE) == "True"
    assert office.recorded(ONE) == 0
    assert office.given() == []


async def test_what_a_group_got_unseen_is_not_forgotten_though_the_backend_does_not_list_it_any_more(
    office: Office, bench: Bench, opening: Opening
) -> None:
    await let_in_unseen(office, lambda: opening(bench.open()))
    body = office.cluster.backend_bodies["kv"]
    body["spec"]["groups"] = []
    body["metadata"]["resourceVersion"] = "2"
    office.restart()
    office.watch()
    assert (await office.cluster.reconciler.reconcile(ONE)).kind == "retry"
    assert office.recorded(ONE) == 1
    office.azure.clock.advance(20)
    await office.look(ONE)
    assert office.recorded(ONE) == 0
    assert office.given() == []


async def test_a_new_process_lets_a_binding_go_at_once_whose_group_had_nothing_left(
    office: Office, bench: Bench, opening: Opening
) -> None:
    await office.make(ONE)
    with office.azure.world() as world:
        del world.assignments[office.name]
    office.store = opening(bench.open())
    office.cluster.stores = {"kv": office.store}  # type: ignore[dict-item] # any store will do
    office.restart()
    office.delete(ONE)
    began = office.azure.clock.now()
    await office.look(ONE)
    assert binding_path(*ONE) not in office.cluster.api.objects
    assert office.azure.clock.now() - began < 20
