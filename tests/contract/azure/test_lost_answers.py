"""A write whose answer was lost, or that the lists do not show yet, is never taken for one that was not done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from airwarden.domain.errors import AirwardenError
from airwarden.domain.resources import Action, Address, Grant, Operation
from airwarden.providers.azure.naming import ASSIGNMENT, CREDENTIAL, IDENTITY
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import Bench, addressed, changes, create, remove, write
from stand_ins.azure.stand_in import GROUP, AzureStandIn

Opening = Callable[[AzureStore], AzureStore]


def assigned(azure: AzureStandIn, store: AzureStore) -> int:
    return len(azure.assignments(f"{store.place.vault_id}/secrets"))


def existing(azure: AzureStandIn, name: str) -> dict[str, Any]:
    return {
        "subscriptionID": azure.subscription,
        "resourceGroup": GROUP,
        "existing": [{"namespace": "team", "serviceAccount": "billing", "name": name}],
    }


def pending(store: AzureStore, wanted: Grant, recorded: Mapping[Address, str]) -> dict[Address, str]:
    """Return a record as it is written before the first write."""
    return {**{each.address: "" for each in store.render(wanted)}, **recorded}


async def lose(azure: AzureStandIn, store: AzureStore, operation: Operation, path: str) -> None:
    # The client asks a second time where a connection that it had before ends.
    azure.cut_next(method="PUT", path=path, times=2, lose_answer=True)
    with pytest.raises(AirwardenError):
        await store.apply(operation)


@pytest.mark.parametrize("people", [False, True])
async def test_a_secret_that_is_given_up_after_a_lost_answer_is_taken_away(
    azure: AzureStandIn, bench: Bench, store: AzureStore, people: bool
) -> None:
    group = (azure.add_group("analysts").id,) if people else ()
    before, after = bench.grant("airflow-a"), bench.grant("airflow-a", people=group)
    wanted = after if people else bench.grant("airflow-a", "airflow-b")
    recorded = await create(bench, store, before)
    azure.clock.advance(30)
    (operation,) = (await changes(store, wanted, recorded)).operations
    await lose(azure, store, operation, "roleassignments")
    assert assigned(azure, store) == 2
    azure.clock.advance(10)
    found = await changes(store, before, pending(store, wanted, recorded))
    assert addressed(found) == [(Action.DELETE, ASSIGNMENT)]
    assert not found.gone
    await write(bench, store, found)
    assert assigned(azure, store) == 1


async def test_a_binding_that_is_deleted_after_a_lost_answer_leaves_nothing(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    azure.add_identity("id-billing")
    store = opening(bench.open(identities=existing(azure, "id-billing")))
    wanted = bench.grant("airflow-a")
    credential, assignment = (await changes(store, wanted, known=False)).operations
    await store.apply(credential)
    await lose(azure, store, assignment, "roleassignments")
    azure.clock.advance(6)
    await remove(bench, store, wanted.owner, pending(store, wanted, {}))
    assert assigned(azure, store) == 0


async def test_an_identity_whose_answer_was_lost_goes_with_its_binding(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    await lose(azure, store, (await changes(store, wanted)).operations[0], "userassignedidentities")
    azure.clock.advance(6)
    assert await remove(bench, store, wanted.owner, pending(store, wanted, {})) == [(Action.DELETE, IDENTITY)]


async def test_what_another_process_wrote_a_moment_ago_is_looked_at_itself(
    azure: AzureStandIn, bench: Bench, store: AzureStore, opening: Opening
) -> None:
    wanted = bench.grant("airflow-a")
    found = await changes(store, wanted)
    await write(bench, store, found)
    (made,) = azure.assignments(f"{store.place.vault_id}/secrets")
    with azure.world() as world:
        del world.assignments[made.name]
    second = opening(bench.open())
    await second.observe(wanted.owner, store.addresses(wanted.owner, pending(store, wanted, {})), known=False)
    with azure.world() as world:
        world.assignments[made.name] = made  # from now on Azure's lists show it
    assert await remove(bench, second, wanted.owner, pending(store, wanted, {})) == [
        (Action.DELETE, ASSIGNMENT),
        (Action.DELETE, CREDENTIAL),
        (Action.DELETE, IDENTITY),
    ]
    assert assigned(azure, store) == 0


async def test_what_is_on_a_record_is_not_absent_on_the_word_of_an_old_list(
    azure: AzureStandIn, bench: Bench, store: AzureStore, opening: Opening
) -> None:
    first = opening(bench.open())
    recorded = await create(bench, store, bench.grant("airflow-a"))
    azure.clock.advance(600)
    await changes(first, bench.grant("airflow-a"), recorded)
    both = bench.grant("airflow-a", "airflow-b")
    await write(bench, store, await changes(store, both, recorded))
    azure.clock.advance(50)
    found = await changes(first, bench.grant("airflow-a"), pending(store, both, recorded))
    assert addressed(found) == [(Action.DELETE, ASSIGNMENT)]


async def test_a_check_of_what_is_there_looks_at_no_assignment_by_itself(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a", "airflow-b")
    recorded = await create(bench, store, wanted)
    azure.clock.advance(600)
    azure.forget_requests()
    assert (await changes(store, wanted, recorded)).operations == ()
    asked = [each.path.rsplit("/", 1)[-1].lower() for each in azure.requests(service="arm")]
    assert sorted(asked) == ["federatedidentitycredentials", "roleassignments", "userassignedidentities"]
