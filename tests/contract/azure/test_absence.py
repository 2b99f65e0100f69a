"""Only an answer about the very thing says that it is gone: a subscription out of sight does not, nor any other 404."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import pytest

from airwarden.domain.errors import AirwardenError, MountMissing, StoreFailed
from airwarden.domain.resources import Action, Claim, Observed, Operation
from airwarden.providers.azure.answers import ResourceMissing
from airwarden.providers.azure.naming import ASSIGNMENT, IDENTITY
from airwarden.providers.azure.store import AzureStore
from airwarden.providers.azure.vault import VaultSoftDeleted
from airwarden.providers.kubernetes.objects import binding_path
from airwarden.reconcile import parts
from airwarden.reconcile.backends import Runtime
from contract.azure.bench import VAULT, Bench, create
from contract.azure.test_existing import existing
from contract.azure.test_shared_groups import ONE, Office
from stand_ins.azure.stand_in import AzureStandIn

Opening = Callable[[AzureStore], AzureStore]
PROVES_NOTHING: Final = (
    (404, "SubscriptionNotFound"),
    (400, "InvalidSubscriptionId"),
    (404, "InvalidResourceType"),
    (404, ""),
)
proves_nothing = pytest.mark.parametrize(("status", "code"), PROVES_NOTHING)


def identified(bench: Bench, store: AzureStore) -> Runtime:
    """Return the backend as it is used once its vault is on record: what lay in a vault that is gone counts as gone."""
    body = bench.body()
    body["status"] = {"store": {"id": store.place.vault_id}}
    return Runtime(type(bench.backend()).model_validate(body), store, lambda _: None)


@pytest.fixture
def office(azure: AzureStandIn, bench: Bench, store: AzureStore) -> Office:
    """Return an operator with one backend and no binding yet."""
    return Office(azure, bench, store)


@proves_nothing
async def test_a_finalizer_does_not_fall_over_an_assignment_that_one_answer_did_not_show(
    azure: AzureStandIn, office: Office, status: int, code: str
) -> None:
    await office.make(ONE, people=False)
    (row,) = azure.assignments(f"{office.store.place.vault_id}/secrets")
    azure.clock.advance(30)
    office.delete(ONE)
    azure.fail_next(status, code, "not seen", method="GET", path=row.name)
    office.watch()
    await office.cluster.reconciler.reconcile(ONE)
    assert binding_path(*ONE) in office.cluster.api.objects
    assert azure.assignments(f"{office.store.place.vault_id}/secrets") == [row]
    await office.look(ONE)
    assert binding_path(*ONE) not in office.cluster.api.objects
    assert azure.assignments(f"{office.store.place.vault_id}/secrets") == []


@proves_nothing
async def test_a_vault_out_of_sight_takes_no_assignment_with_it(
    azure: AzureStandIn, bench: Bench, store: AzureStore, status: int, code: str
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    azure.clock.advance(store.place.drift_age + 1)
    for path in ("/roleassignments", "/vaults", "/deletedvaults"):
        azure.fail_next(status, code, "not seen", method="GET", path=path, times=100)
    with pytest.raises(StoreFailed, match="not seen"):
        await store.identify()
    part = await parts.observe_removal(identified(bench, store), wanted.owner, recorded)
    assert part.progress.fault is not None
    assert part.progress.changes is None, "nothing is taken to be removed"


async def test_a_vault_whose_subscription_goes_out_of_sight_while_it_is_looked_for_is_not_gone(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    vault = bench.body()["spec"]["azureKeyVault"]["vault"]
    store = opening(bench.open(vault={**vault, "name": "kv-other"}))
    with pytest.raises(MountMissing):
        await store.identify()
    azure.fail_next(404, "SubscriptionNotFound", path="/deletedvaults")
    with pytest.raises(StoreFailed, match="nothing is taken to be gone"):
        await store.identify()


@proves_nothing
async def test_an_identity_out_of_sight_has_the_credentials_that_it_had(
    azure: AzureStandIn, bench: Bench, opening: Opening, status: int, code: str
) -> None:
    given = existing(azure, azure.add_identity("id-x").name)
    bench.allow(identities=given)
    store = opening(bench.open(identities=given))
    recorded = await create(bench, store, bench.grant("airflow-a"))
    azure.fail_next(status, code, "not seen", method="GET", path="/federatedidentitycredentials")
    with pytest.raises(AirwardenError, match="not seen"):
        await store.observe(bench.grant().owner, list(recorded), known=True)


@proves_nothing
async def test_an_identity_out_of_sight_is_not_taken_to_be_removed(
    azure: AzureStandIn, bench: Bench, store: AzureStore, status: int, code: str
) -> None:
    recorded = await create(bench, store, bench.grant("airflow-a"))
    address = next(each for each in recorded if each.kind == IDENTITY)
    azure.fail_next(status, code, "not seen", method="GET", path="/userassignedidentities/airwarden-")
    with pytest.raises(StoreFailed, match="not seen"):
        await store.apply(Operation(Action.DELETE, address, None, Observed(address, {}, Claim.OURS)))


async def test_what_azure_says_is_not_there_is_gone(azure: AzureStandIn, bench: Bench, store: AzureStore) -> None:
    recorded = await create(bench, store, bench.grant("airflow-a"))
    (row,) = azure.assignments(f"{store.place.vault_id}/secrets")
    azure.revoke(row.name)
    azure.clock.advance(store.place.drift_age + 1)
    address = next(each for each in recorded if each.kind == ASSIGNMENT)
    assert (await store.observe(bench.grant().owner, [address], known=True))[address].absent
    assert await store._assignments.live(row.scope, row.name) is None
    with pytest.raises(ResourceMissing):
        await store._arm.call("", "reading", lambda: store._assignments._client.get(row.scope, row.name))


async def test_rights_and_counts_that_a_cloud_has_no_route_for_are_not_known(
    azure: AzureStandIn, store: AzureStore
) -> None:
    azure.fail_next(404, "InvalidResourceType", path="/permissions", times=2)
    azure.fail_next(404, "InvalidResourceType", path="usagemetrics")
    assert (await store.check()).missing_permissions == ()


def due(office: Office) -> None:
    """Let the time of the next drift check come."""
    office.azure.clock.advance(office.store.place.drift_age + 1)
    office.cluster.now += timedelta(seconds=office.store.place.drift_age * 2)


async def test_a_vault_that_is_recovered_gets_its_assignments_anew_once_the_operator_has_its_own_again(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    office = Office(azure, bench, store)
    await office.make(ONE)
    assert (await store.check()).missing_permissions == ()
    azure.delete_vault(VAULT)
    with pytest.raises(VaultSoftDeleted, match="azure-setup"):
        await store.check()
    azure.recover_vault(VAULT)
    assert azure.assignments(store.place.vault_id) == []
    found = await store.check()
    assert "Microsoft.Authorization/roleAssignments/write" in "".join(found.missing_permissions)
    due(office)
    await office.look(ONE)
    assert azure.assignments(store.place.vault_id) == []
    bench.allow()
    assert (await store.check()).missing_permissions == ()
    due(office)
    await office.look(ONE)
    assert office.ready(ONE) == "True", office.status(ONE)
    assert len(azure.assignments(f"{store.place.vault_id}/secrets")) == 2
