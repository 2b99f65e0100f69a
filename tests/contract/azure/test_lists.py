"""How often Azure is asked and written to: one list for all bindings of a vault, what lists lack, and the pace."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from airwarden.domain.resources import Address, Grant
from airwarden.providers.azure.identities import NotYet
from airwarden.providers.azure.naming import IDENTITY
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import Bench, changes, create
from stand_ins.azure.stand_in import AzureStandIn

Opening = Callable[[AzureStore], AzureStore]
ASSIGNMENTS, IDENTITIES, CREDENTIALS = "roleAssignments", "userAssignedIdentities", "federatedIdentityCredentials"


async def ten(bench: Bench, store: AzureStore) -> list[tuple[Grant, dict[Address, str]]]:
    """Make ten bindings, and return what they want and what is recorded of them."""
    wanted = [bench.grant("airflow-a", binding=f"b-{number}", account=f"b-{number}") for number in range(10)]
    return [(each, await create(bench, store, each)) for each in wanted]


def asked(azure: AzureStandIn) -> Counter[str]:
    """Count what was asked by the last word of its path."""
    found = azure.requests(service="arm")
    assert {each.method for each in found} <= {"GET"}
    return Counter(each.path.rsplit("/", 1)[-1] for each in found)


async def test_bindings_that_are_checked_at_once_share_one_list_a_vault(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    made = await ten(bench, store)
    azure.clock.advance(store.place.drift_age + 1)
    azure.forget_requests()
    found = await asyncio.gather(*(changes(store, wanted, recorded) for wanted, recorded in made))
    assert all(each.operations == () for each in found)
    assert asked(azure) == {ASSIGNMENTS: 1, IDENTITIES: 1, CREDENTIALS: 10}


async def test_and_so_do_bindings_that_are_checked_one_after_another_in_a_period(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    made = await ten(bench, store)
    azure.clock.advance(store.place.drift_age + 1)
    azure.forget_requests()
    for wanted, recorded in made:
        assert (await changes(store, wanted, recorded)).operations == ()
        azure.clock.advance(store.place.drift_age / 11)
    assert asked(azure) == {ASSIGNMENTS: 1, IDENTITIES: 1, CREDENTIALS: 10}


async def test_what_lists_do_not_show_yet_is_not_written_again(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    azure.delay(lists=8.0)
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    azure.clock.advance(6)
    azure.forget_requests()
    found = await changes(store, wanted, recorded, known=False)
    assert asked(azure)[ASSIGNMENTS] == 1, "a list is asked for, and lacks what was written"
    assert (found.operations, found.conflicts) == ((), ())


async def test_identities_are_made_at_the_pace_that_azure_permits(bench: Bench, opening: Opening) -> None:
    now = bench.azure.clock.now()
    store = opening(bench.open(clock=lambda: now))
    for number in range(3):
        wanted = bench.grant("airflow-a", binding=f"b-{number}", account=f"b-{number}")
        found = await changes(store, wanted, known=False)
        (making,) = [each for each in found.operations if each.address.kind == IDENTITY]
        if number < 2:
            await store.apply(making)
            continue
        with pytest.raises(NotYet) as caught:
            await store.apply(making)
        assert caught.value.retry_after == pytest.approx(0.5)
