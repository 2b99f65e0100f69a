"""What a binding reads in the vault is taken from it whatever is wrong with the identities."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final

import pytest
from azure.core.exceptions import AzureError

from airwarden.domain.desired import Plan
from airwarden.domain.errors import AirwardenError, PartUnreachable, StoreFailed
from airwarden.domain.resources import Action, Claim, Grant, Observed, Operation
from airwarden.providers.azure.naming import ASSIGNMENT, CREDENTIAL, IDENTITY
from airwarden.providers.azure.store import AzureStore
from airwarden.reconcile import parts
from airwarden.reconcile.backends import Runtime
from contract.azure.bench import Bench, create, remove
from stand_ins.azure.stand_in import GROUP, AzureStandIn

Opening = Callable[[AzureStore], AzureStore]
Way = tuple[int, str]
WAYS: Final[tuple[Way, ...]] = (
    (403, "AuthorizationFailed"),
    (404, "SubscriptionNotFound"),
    (429, "TooManyRequests"),
    (503, "ServiceUnavailable"),
)


def planned(grant: Grant) -> Plan:
    """Return the plan of a binding that is given that."""
    return Plan(grant.owner, grant.account, (), {grant.backend: grant}, frozenset())


def operations(part: parts.Part) -> tuple[Operation, ...]:
    """Return what is to be done."""
    assert part.progress.changes is not None
    return part.progress.changes.operations


@pytest.fixture
def apart(azure: AzureStandIn, bench: Bench, opening: Opening) -> AzureStore:
    """Return a store whose identities have a resource group of their own."""
    with azure.world() as world:
        world.subscriptions[azure.subscription]["ids"] = "ids"
    identities = {**bench.body()["spec"]["azureKeyVault"]["identities"], "resourceGroup": "ids"}
    bench.allow(identities=identities)
    return opening(bench.open(identities=identities))


async def test_what_is_assigned_goes_with_the_resource_group_of_the_identities_gone(
    azure: AzureStandIn, bench: Bench, apart: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, apart, wanted)
    azure.clock.advance(600)
    with azure.world() as world:
        world.subscriptions[azure.subscription].pop("ids")
        world.identities = {name: each for name, each in world.identities.items() if "/ids/" not in name}
    (holding,) = await apart.holdings()
    assert holding.owner == wanted.owner
    assert await remove(bench, apart, wanted.owner, recorded) == [(Action.DELETE, ASSIGNMENT)]
    assert azure.assignments(f"{apart.place.vault_id}/secrets") == []


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_assigned_goes_while_the_identities_cannot_be_looked_at(
    azure: AzureStandIn, bench: Bench, apart: AzureStore, way: Way
) -> None:
    wanted = bench.grant("airflow-a", "airflow-b")
    recorded = await create(bench, apart, wanted)
    azure.clock.advance(601)
    azure.fail_next(*way, "no", path="userassignedidentities", times=1000)
    runtime = Runtime(bench.backend(), apart, lambda _: None)
    for _ in range(4):
        await parts.observe(runtime, planned(wanted), recorded, parts.Standing())
    part = await parts.observe_removal(runtime, wanted.owner, recorded)
    assert [each.address.kind for each in operations(part)] == [ASSIGNMENT, ASSIGNMENT, CREDENTIAL, IDENTITY]
    progress = await parts.write(part, creating=False)
    assert progress.fault is not None
    assert {each.operation.address.kind for each in progress.done} == {ASSIGNMENT}
    assert azure.assignments(f"{apart.place.vault_id}/secrets") == []


async def test_one_secret_less_is_one_assignment_less_while_the_identities_cannot_be_looked_at(
    azure: AzureStandIn, bench: Bench, apart: AzureStore
) -> None:
    recorded = await create(bench, apart, bench.grant("airflow-a", "airflow-b"))
    azure.clock.advance(601)
    azure.fail_next(429, "TooManyRequests", path="userassignedidentities", times=1000)
    runtime = Runtime(bench.backend(), apart, lambda _: None)
    part = await parts.observe(runtime, planned(bench.grant("airflow-b")), recorded, parts.Standing())
    progress = await parts.write(part, creating=True)
    (removed,) = progress.done
    assert removed.operation.address.name.endswith("/airflow-a")
    (left,) = azure.assignments(f"{apart.place.vault_id}/secrets")
    assert left.scope.endswith("/airflow-b")
    assert progress.fault is not None, "the rest is not known, and that is said"


async def test_the_sweep_is_told_what_is_assigned_while_the_identities_cannot_be_looked_at(
    azure: AzureStandIn, bench: Bench, apart: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    await create(bench, apart, wanted)
    azure.fail_next(429, "TooManyRequests", path="userassignedidentities", times=1000)
    with pytest.raises(AirwardenError):
        await apart.holdings()
    (holding,) = await apart.marked_holdings()
    assert holding.owner == wanted.owner
    azure.clock.advance(601)
    part = await parts.observe_left(Runtime(bench.backend(), apart, lambda _: None), holding)
    progress = await parts.write(part, creating=False)
    assert progress.fault is not None
    assert azure.assignments(f"{apart.place.vault_id}/secrets") == []


async def test_a_pause_for_one_of_two_subscriptions_stops_nothing_in_the_other(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    other = azure.add_subscription(groups=[GROUP])
    identities = {**bench.body()["spec"]["azureKeyVault"]["identities"], "subscriptionID": other}
    bench.allow(identities=identities)
    store = opening(bench.open(identities=identities))
    wanted = bench.grant("airflow-a", "airflow-b")
    recorded = await create(bench, store, wanted)
    runtime = Runtime(bench.backend(identities=identities), store, lambda _: None)
    azure.clock.advance(601)
    azure.throttle(other, 3600)
    for _ in range(4):
        await parts.observe(runtime, planned(wanted), recorded, parts.Standing())
    assert [each.status for each in azure.requests(path=other)].count(429) == 1, "it is left alone"
    assert (await store.check()).missing_permissions == ()
    less = await parts.observe(runtime, planned(bench.grant("airflow-b")), recorded, parts.Standing())
    assert len((await parts.write(less, creating=True)).done) == 1
    azure.clock.advance(3601)
    azure.throttle(azure.subscription, 3600)
    for _ in range(4):
        await parts.observe(runtime, planned(wanted), recorded, parts.Standing())
    assert not runtime.breaker.open
    rest = tuple(each for each in store.addresses(wanted.owner, recorded) if each.kind != ASSIGNMENT)
    seen = await store.observe(wanted.owner, rest, known=True)
    assert not any(each.absent for each in seen.values())


async def test_identities_that_do_not_answer_are_asked_less_and_less_and_keep_no_removal_waiting(
    azure: AzureStandIn, bench: Bench, apart: AzureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bindings = [bench.grant("airflow-a", "airflow-b", binding=f"b{each}", account=f"b{each}") for each in range(2)]
    recorded = [await create(bench, apart, each) for each in bindings]
    runtime = Runtime(bench.backend(), apart, lambda _: None)
    azure.clock.advance(601)
    as_it_is, asked = apart._arm._failed, list[float]()

    def counted(error: AzureError, side: str, doing: str) -> AirwardenError:
        asked.append(azure.clock.now())
        return as_it_is(error, side, doing)

    monkeypatch.setattr(apart._arm, "_failed", counted)
    azure.cut_next(path="/userassignedidentities", times=1000)
    for _ in range(30):
        for wanted, record in zip(bindings, recorded, strict=True):
            await parts.observe(runtime, planned(wanted), record, parts.Standing())
        assert not runtime.breaker.open
        azure.clock.advance(3)
    assert 3 <= len(asked) <= 5
    assert all(later - earlier >= 5 for earlier, later in itertools.pairwise(asked))
    assert (await apart.check()).missing_permissions == (), "the vault's side answers, and is no outage"
    part = await parts.observe_removal(runtime, bindings[0].owner, recorded[0])
    progress = await parts.write(part, creating=False)
    assert [each.operation.address.kind for each in progress.done] == [ASSIGNMENT, ASSIGNMENT]


async def test_identities_that_answer_again_are_asked_again_and_a_short_silence_is_a_short_pause(
    azure: AzureStandIn, bench: Bench, apart: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, apart, wanted)
    for _ in range(3):
        azure.clock.advance(601)
        azure.cut_next(path="/userassignedidentities", times=1000)
        for _ in range(3):
            with pytest.raises(PartUnreachable):
                await apart.observe(wanted.owner, list(recorded), known=True)
            azure.clock.advance(25)
        azure.heal()
        assert await apart.observe(wanted.owner, list(recorded), known=True)
        azure.clock.advance(601)
        azure.cut_next(path="/userassignedidentities", times=1000)
        with pytest.raises(PartUnreachable):
            await apart.observe(wanted.owner, list(recorded), known=True)
        azure.heal()
        azure.clock.advance(5.1)
        assert await apart.observe(wanted.owner, list(recorded), known=True)


async def test_passes_that_meet_the_silence_of_the_identities_at_once_open_no_breaker(
    azure: AzureStandIn, bench: Bench, apart: AzureStore
) -> None:
    bindings = [bench.grant("airflow-a", binding=f"b{each}", account=f"b{each}") for each in range(6)]
    recorded = [await create(bench, apart, each) for each in bindings]
    runtime = Runtime(bench.backend(), apart, lambda _: None)
    azure.clock.advance(601)
    azure.cut_next(path="/userassignedidentities", times=1000)
    removals = [
        parts.observe_removal(runtime, each.owner, record) for each, record in zip(bindings, recorded, strict=True)
    ]
    for part in await asyncio.gather(*removals):
        await parts.write(part, creating=False)
    assert azure.assignments(f"{apart.place.vault_id}/secrets") == []
    assert not runtime.breaker.open


async def test_one_side_that_does_not_answer_takes_not_all_the_connections(
    azure: AzureStandIn, bench: Bench, apart: AzureStore
) -> None:
    await apart.check()
    arm, place = apart._arm, apart.place
    hanging, waiting = asyncio.Event(), []

    async def hang() -> None:
        waiting.append(1)
        await hanging.wait()

    most = arm.connection.max_concurrent
    async with asyncio.TaskGroup() as group:
        for _ in range(2 * most):
            group.create_task(arm.call(place.identity_side, "hanging", hang))
        async with asyncio.timeout(30):
            assert (await apart.check()).missing_permissions == ()
            assert await apart.marked_holdings() == frozenset()
        assert len(waiting) == most - 1
        hanging.set()


async def test_an_assignment_that_lost_its_mark_is_not_forgotten_meanwhile(
    azure: AzureStandIn, bench: Bench, apart: AzureStore
) -> None:
    wanted = bench.grant("airflow-a", "airflow-b")
    recorded = await create(bench, apart, wanted)
    with azure.world() as world:
        for made in world.assignments.values():
            if made.scope.endswith("/airflow-a"):
                object.__setattr__(made, "description", "by hand")
    azure.clock.advance(601)
    azure.fail_next(403, "AuthorizationFailed", "no", path="userassignedidentities", times=1000)
    part = await parts.observe_removal(Runtime(bench.backend(), apart, lambda _: None), wanted.owner, recorded)
    progress = await parts.write(part, creating=False)
    assert [each.operation.address.name.rpartition("/")[2] for each in progress.done] == ["airflow-b"]
    assert {each.name.rpartition("/")[2] for each in progress.failed if each.kind == ASSIGNMENT} == {"airflow-a"}
    (left,) = azure.assignments(f"{apart.place.vault_id}/secrets")
    assert left.scope.endswith("/airflow-a")


async def test_what_the_process_before_may_have_written_is_not_absent_on_the_word_of_a_mark(
    bench: Bench, apart: AzureStore
) -> None:
    owner = bench.grant().owner
    (address,) = [each.address for each in apart.render(bench.grant("airflow-a")) if each.address.kind == ASSIGNMENT]
    assert await apart.marked(owner, [address]) == {}
    bench.azure.clock.advance(601)
    assert (await apart.marked(owner, [address]))[address].absent


@pytest.mark.parametrize("kind", [IDENTITY, CREDENTIAL])
async def test_what_could_not_be_looked_at_and_is_another_owner_s_by_now_stays(
    azure: AzureStandIn, bench: Bench, apart: AzureStore, kind: str
) -> None:
    recorded = await create(bench, apart, bench.grant("airflow-a"))
    with azure.world() as world:
        identity = next(each for each in world.identities.values() if each.name.startswith("airwarden-"))
        identity.tags = {"airwarden.dev-owner": "c9/other/x/y", "airwarden.dev-cluster-uid": "another"}
    address = next(each for each in recorded if each.kind == kind)
    unseen = Observed(address, {}, Claim.OURS)
    with pytest.raises(StoreFailed, match="not removed"):
        await apart.apply(Operation(Action.DELETE, address, None, unseen))
    with azure.world() as world:
        assert len(world.identities[identity.id.lower()].credentials) == 1
