"""A write that gets no answer, a process that ends between two writes, lists and reads that lag behind.

Whatever of them comes together: the next passes finish, and nothing is left, and nothing is there twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from airwarden.domain.diff import Terms, diff
from airwarden.domain.errors import AirwardenError
from airwarden.domain.resources import Address, Grant, Resource
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import Bench
from stand_ins.azure.stand_in import GROUP, AzureStandIn

Opening = Callable[[AzureStore], AzureStore]
WRITES = ("userassignedidentities/airwarden-", "federatedidentitycredentials", "roleassignments")
LAGS = pytest.mark.parametrize("lag", [0.0, 8.0], ids=["at once", "lagging"])
LOST = pytest.mark.parametrize("lost", [True, False], ids=["lost answer", "never sent"])


def pending(store: AzureStore, wanted: Grant) -> dict[Address, str]:
    """Return a record as it is written before the first write."""
    return {each.address: "" for each in store.render(wanted)}


async def one_pass(
    azure: AzureStandIn,
    store: AzureStore,
    wanted: Grant,
    resources: tuple[Resource, ...],
    recorded: Mapping[Address, str],
) -> bool:
    """Do one pass as the reconciler does; True when nothing was to be done. What failed is waited for as it says."""
    order = store.addresses(wanted.owner, [*(each.address for each in resources), *recorded])
    try:
        seen = await store.observe(wanted.owner, order, known=True)
        found = diff(resources, seen, recorded, order, Terms(str(wanted.owner), alone=store.alone))
        assert not found.conflicts, found.conflicts
        for each in found.operations:
            await store.apply(each)
    except AirwardenError as error:
        azure.clock.advance(error.retry_after or 1.0)
        return False
    return not found.operations


async def finish(azure: AzureStandIn, store: AzureStore, wanted: Grant, *, gone: bool = False) -> None:
    """Do passes until one finds nothing to do."""
    resources = () if gone else store.render(wanted)
    for _ in range(12):
        if await one_pass(azure, store, wanted, resources, pending(store, wanted)):
            return
    raise AssertionError("no rest after twelve passes")


def there(azure: AzureStandIn, store: AzureStore) -> Counter[str]:
    """Count what is made for bindings, whatever lists show."""
    with azure.world() as world:
        made = [each for each in world.identities.values() if not each.name.startswith("operator-")]
        credentials = [name for each in made for name in each.credentials]
    assigned = azure.assignments(f"{store.place.vault_id}/secrets")
    return Counter(identities=len(made), credentials=len(credentials), assignments=len(assigned))


@LAGS
@LOST
@pytest.mark.parametrize("write", WRITES, ids=["identity", "credential", "assignment"])
async def test_a_write_without_an_answer_is_finished_and_nothing_is_there_twice(
    azure: AzureStandIn, bench: Bench, store: AzureStore, write: str, lost: bool, lag: float
) -> None:
    azure.delay(lists=lag, reads=lag)
    wanted = bench.grant("airflow-a")
    # The client asks a second time where a connection that it had before ends.
    azure.cut_next(method="PUT", path=write, times=2, lose_answer=lost)
    await finish(azure, store, wanted)
    assert there(azure, store) == {"identities": 1, "credentials": 1, "assignments": 1}
    await finish(azure, store, wanted, gone=True)
    assert there(azure, store) == {"identities": 0, "credentials": 0, "assignments": 0}


@LAGS
@pytest.mark.parametrize("write", WRITES, ids=["identity", "credential", "assignment"])
async def test_what_is_given_up_right_after_a_lost_answer_is_removed(
    azure: AzureStandIn, bench: Bench, store: AzureStore, write: str, lag: float
) -> None:
    wanted = bench.grant("airflow-a")
    azure.delay(lists=lag, reads=lag)
    azure.cut_next(method="PUT", path=write, times=2, lose_answer=True)
    while not azure.requests(method="PUT", path=write):
        await one_pass(azure, store, wanted, store.render(wanted), pending(store, wanted))
    await finish(azure, store, wanted, gone=True)
    assert there(azure, store) == {"identities": 0, "credentials": 0, "assignments": 0}


@LAGS
async def test_a_credential_on_an_existing_identity_goes_right_after_a_lost_answer(
    azure: AzureStandIn, bench: Bench, opening: Opening, lag: float
) -> None:
    azure.add_identity("id-billing")
    identities: dict[str, Any] = {
        "subscriptionID": azure.subscription,
        "resourceGroup": GROUP,
        "existing": [{"namespace": "team", "serviceAccount": "billing", "name": "id-billing"}],
    }
    store = opening(bench.open(identities=identities))
    wanted = bench.grant("airflow-a")
    azure.delay(lists=lag, reads=lag)
    azure.cut_next(method="PUT", path=WRITES[1], times=2, lose_answer=True)
    await one_pass(azure, store, wanted, store.render(wanted), pending(store, wanted))
    assert there(azure, store)["credentials"] == 1
    await finish(azure, store, wanted, gone=True)
    assert there(azure, store) == {"identities": 1, "credentials": 0, "assignments": 0}


@LAGS
@pytest.mark.parametrize("done", [1, 2, 3], ids=["identity", "credential", "assignment"])
async def test_a_process_that_ends_between_two_writes_is_followed_by_one_that_finishes(
    azure: AzureStandIn, bench: Bench, store: AzureStore, opening: Opening, done: int, lag: float
) -> None:
    azure.delay(lists=lag)
    wanted = bench.grant("airflow-a")
    resources = store.render(wanted)
    order = store.addresses(wanted.owner, pending(store, wanted))
    seen = await store.observe(wanted.owner, order, known=False)
    for each in diff(resources, seen, {}, order, Terms(str(wanted.owner), alone=store.alone)).operations[:done]:
        await store.apply(each)
    second = opening(bench.open())
    await finish(azure, second, wanted)
    assert there(azure, second) == {"identities": 1, "credentials": 1, "assignments": 1}
    await finish(azure, second, wanted, gone=True)
    assert there(azure, second) == {"identities": 0, "credentials": 0, "assignments": 0}


async def test_what_azure_refuses_is_not_in_doubt(azure: AzureStandIn, bench: Bench, store: AzureStore) -> None:
    wanted = bench.grant("airflow-a")
    azure.fail_next(403, "AuthorizationFailed", method="PUT", path=WRITES[2])
    while not azure.requests(method="PUT", path=WRITES[2]):
        await one_pass(azure, store, wanted, store.render(wanted), pending(store, wanted))
    await finish(azure, store, wanted, gone=True)
    assert not azure.requests(method="DELETE", path=WRITES[2])
