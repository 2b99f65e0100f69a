"""One namespace does not use up what all have, and Airwarden not what others need; what is there stays."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from airwarden.domain.diff import diff
from airwarden.domain.errors import AirwardenError
from airwarden.domain.resources import Action, Grant, Operation
from airwarden.providers.azure.answers import QuotaReached
from airwarden.providers.azure.ceilings import CeilingReached
from airwarden.providers.azure.identities import NotYet
from airwarden.providers.azure.naming import ASSIGNMENT
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import VAULT, Bench, changes, create, remove, write
from stand_ins.azure.roles import SECRETS_USER
from stand_ins.azure.stand_in import AzureStandIn

Opening = Callable[[AzureStore], AzureStore]


@pytest.fixture
def store(azure: AzureStandIn, bench: Bench, opening: Opening) -> AzureStore:
    """Return a store in which a namespace may have three assignments."""
    for number in range(6):
        azure.set_secret(VAULT, f"airflow-{number}", "value")
    return opening(bench.open(assignmentsPerNamespace=3))


def assigned(azure: AzureStandIn, store: AzureStore) -> list[str]:
    found = azure.assignments(f"{store.place.vault_id}/secrets")
    return sorted(each.scope.rpartition("/")[2] for each in found)


def of_namespace(grant: Grant, namespace: str) -> Grant:
    return replace(grant, owner=replace(grant.owner, namespace=namespace))


async def assignments(store: AzureStore, wanted: Grant) -> tuple[Operation, ...]:
    found = await changes(store, wanted, known=False)
    return tuple(each for each in found.operations if each.address.kind == ASSIGNMENT)


async def test_a_namespace_gets_no_more_than_its_own_and_others_go_on(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    recorded = await create(bench, store, bench.grant("airflow-0", "airflow-1"))
    azure.forget_requests()
    with pytest.raises(
        CeilingReached, match=r"namespace team has 3 role assignments.* permits 3: .*What is there stays"
    ):
        await create(bench, store, bench.grant("airflow-2", "airflow-3", binding="second", account="second"))
    assert assigned(azure, store) == ["airflow-0", "airflow-1", "airflow-2"]
    assert len(azure.requests(method="PUT", path="/roleAssignments/")) == 1, "Azure is not asked for what is refused"
    await create(bench, store, of_namespace(bench.grant("airflow-4"), "other"))
    assert assigned(azure, store) == ["airflow-0", "airflow-1", "airflow-2", "airflow-4"]
    await remove(bench, store, bench.grant().owner, recorded)
    (left,) = list(await assignments(store, bench.grant("airflow-2", "airflow-3", binding="second")))
    await store.apply(left)
    assert assigned(azure, store) == ["airflow-2", "airflow-3", "airflow-4"]


async def test_groups_count_as_well(azure: AzureStandIn, bench: Bench, store: AzureStore) -> None:
    groups = tuple(azure.add_group(f"group-{number}").id for number in range(3))
    with pytest.raises(CeilingReached, match="remove secrets, groups or bindings"):
        await create(bench, store, bench.grant("airflow-0", people=groups))
    assert len(assigned(azure, store)) == 3


async def test_what_is_there_stays_and_is_kept_right_when_the_ceiling_is_lowered(
    azure: AzureStandIn, bench: Bench, store: AzureStore, opening: Opening
) -> None:
    wanted = bench.grant("airflow-0", "airflow-1")
    recorded = await create(bench, store, wanted)
    lower = opening(bench.open(assignmentsPerNamespace=1))
    for _ in range(20):
        azure.grant(azure.add_user("somebody").id, SECRETS_USER)
    with azure.world() as world:
        azure.quotas.assignments = len(world.assignments) + 1
    await lower.check()
    assert (await changes(lower, wanted, recorded)).operations == ()
    with azure.world() as world:
        theirs = next(each for each in world.identities.values() if each.name.startswith("airwarden-"))
    azure.remove_identity(theirs)
    azure.clock.advance(601)
    found = await changes(lower, wanted, recorded)
    assert [each.action for each in found.operations if each.address.kind == ASSIGNMENT] == [Action.UPDATE] * 2
    await write(bench, lower, found)
    assert assigned(azure, lower) == ["airflow-0", "airflow-1"]
    assert theirs.principal_id not in {each.principal for each in azure.assignments(lower.place.vault_id)}


async def test_writes_at_the_same_moment_do_not_add_up_to_more(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    plans = []
    for number in range(3):
        keys = (f"airflow-{2 * number}", f"airflow-{2 * number + 1}")
        found = await changes(store, bench.grant(*keys, binding=f"b-{number}", account=f"b-{number}"), known=False)
        plans += [each for each in found.operations if each.address.kind == ASSIGNMENT]
        await write(bench, store, replace(found, operations=found.operations[:-2]))
    outcomes = await asyncio.gather(*(store.apply(each) for each in plans), return_exceptions=True)
    assert sum(isinstance(each, CeilingReached) for each in outcomes) == 3
    assert len(assigned(azure, store)) == 3


async def test_a_namespace_that_has_its_share_gets_no_identity_either(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    store = opening(bench.open(assignmentsPerNamespace=2))
    wanted = bench.grant("airflow-a", "airflow-b")
    recorded = await create(bench, store, wanted)
    azure.forget_requests()
    for number in range(3):
        with pytest.raises(CeilingReached, match="permits 2"):
            await create(bench, store, bench.grant("airflow-a", binding=f"b{number}", account=f"b{number}"))
    assert azure.requests(method="PUT") == []
    await create(bench, store, of_namespace(bench.grant("airflow-a"), "other"))
    await remove(bench, store, wanted.owner, recorded)
    await create(bench, store, bench.grant("airflow-a", binding="b0", account="b0"))


async def test_nor_more_identities_than_it_may_have_assignments(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    store = opening(bench.open(assignmentsPerNamespace=2))
    for number in range(4):
        wanted = bench.grant("airflow-a", binding=f"b{number}", account=f"b{number}")
        (making, *_) = (await changes(store, wanted, known=False)).operations
        with contextlib.nullcontext() if number < 2 else pytest.raises(CeilingReached, match="has 2 identities"):
            await store.apply(making)
        azure.clock.advance(5)
    assert len(azure.requests(method="PUT", path="/userAssignedIdentities/")) == 2
    others = of_namespace(bench.grant("airflow-a"), "other")
    (making, *_) = (await changes(store, others, known=False)).operations
    await store.apply(making)


async def test_what_another_write_finished_since_the_list_was_asked_for_counts(
    azure: AzureStandIn, bench: Bench, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opening(bench.open(assignmentsPerNamespace=1))
    found = await changes(store, bench.grant("airflow-a", "airflow-b"), known=False)
    await write(bench, store, replace(found, operations=found.operations[:2]))
    first, second = found.operations[2:]
    begun, going_on, as_it_is = asyncio.Event(), asyncio.Event(), store._assigning._principal

    async def slow(shown: str, kind: str) -> str:
        begun.set()
        await going_on.wait()
        return await as_it_is(shown, kind)

    monkeypatch.setattr(store._assigning, "_principal", slow)
    waiting = asyncio.create_task(store.apply(first))
    await begun.wait()
    monkeypatch.setattr(store._assigning, "_principal", as_it_is)
    await store.apply(second)
    going_on.set()
    with pytest.raises(CeilingReached):
        await waiting
    assert assigned(azure, store) == ["airflow-b"]


async def test_a_write_that_fails_takes_no_place(azure: AzureStandIn, bench: Bench, store: AzureStore) -> None:
    azure.fail_next(500, "InternalServerError", method="PUT", path="/roleAssignments/", times=4)
    with pytest.raises(AirwardenError):
        await create(bench, store, bench.grant("airflow-0"))
    for each in 3 * await assignments(store, bench.grant("airflow-0")):
        with pytest.raises(AirwardenError, match="InternalServerError"):
            await store.apply(each)
    await create(bench, store, bench.grant("airflow-0", "airflow-1", "airflow-2"))
    assert len(assigned(azure, store)) == 3


async def test_of_the_last_twentieth_of_a_subscription_nothing_new_is_taken(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    store = opening(bench.open())
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    somebody = [azure.grant(azure.add_user("somebody").id, SECRETS_USER) for _ in range(20)]
    with azure.world() as world:
        used = len(world.assignments)
    azure.quotas.assignments = used + 1
    await store.check()
    azure.forget_requests()
    with pytest.raises(
        QuotaReached, match=r"more than \d+ of \d+ role assignments.*last twentieth.*What is there stays"
    ):
        await create(bench, store, bench.grant("airflow-b", binding="second", account="second"))
    assert azure.requests(method="PUT", path="/roleAssignments/") == []
    assert (await changes(store, wanted, recorded)).operations == ()
    assert next(kind for _, kind in await remove(bench, store, wanted.owner, recorded)) == ASSIGNMENT
    with azure.world() as world:
        for each in somebody:
            del world.assignments[each.name]
    azure.clock.advance(301)
    await store.check()
    await create(bench, store, wanted)
    assert assigned(azure, store) == ["airflow-a"]


async def test_what_was_made_since_the_last_count_is_counted(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    store = opening(bench.open())
    with azure.world() as world:
        used = len(world.assignments)
    azure.quotas.assignments = used + 2
    await store.check()
    with pytest.raises(QuotaReached, match="last twentieth"):
        await create(bench, store, bench.grant("airflow-a", "airflow-b", "other"))
    assert len(assigned(azure, store)) == 2


async def test_who_asks_for_much_that_is_new_holds_up_no_removal(bench: Bench, opening: Opening) -> None:
    now = bench.azure.clock.now()
    store = opening(bench.open(clock=lambda: now))
    old = bench.grant("airflow-a")
    (making, _, _) = (await changes(store, old, known=False)).operations
    made = await store.apply(making)
    assert made.id
    for number in range(20):
        new = bench.grant("airflow-a", binding=f"b-{number}", account=f"b-{number}")
        making = (await changes(store, new, known=False)).operations[0]
        if number < 1:
            await store.apply(making)
            continue
        with pytest.raises(NotYet):
            await store.apply(making)
    order = store.addresses(old.owner)
    seen = await store.observe(old.owner, order, known=True)
    (going,) = diff((), seen, dict.fromkeys(order, ""), order).operations
    with pytest.raises(NotYet) as caught:
        await store.apply(going)
    assert 0 < (caught.value.retry_after or 0) <= 0.5
    with pytest.raises(NotYet) as caught:
        await store.apply(making)
    assert (caught.value.retry_after or 0) > 5


async def test_a_namespace_whose_bindings_come_and_go_holds_up_no_other(bench: Bench, opening: Opening) -> None:
    now = bench.azure.clock.now()
    store = opening(bench.open(clock=lambda: now))
    for number in range(60):
        gone = bench.grant("airflow-a", binding=f"b{number}", account=f"b{number}")
        making = (await changes(store, gone, known=False)).operations[0]
        with contextlib.suppress(NotYet):
            await store.apply(making)
    honest = of_namespace(bench.grant("airflow-a"), "other")
    making = (await changes(store, honest, known=False)).operations[0]
    with pytest.raises(NotYet) as caught:
        await store.apply(making)
    assert (caught.value.retry_after or 0) <= 1.0
    now += 1.0
    bench.azure.clock.advance(5)
    assert (await store.apply(making)).id
