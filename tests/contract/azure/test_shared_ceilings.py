"""What a namespace leans on and inherits is of its number: none gets by another what it may not have itself.

The operator's own passes on a cluster in memory, and the store on the stand-in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airwarden.providers.azure.marks import read_description
from airwarden.providers.azure.store import AzureStore
from airwarden.providers.kubernetes.objects import binding_path
from airwarden.reconcile.queue import Key
from contract.azure.bench import Bench
from contract.azure.test_shared_groups import ONE, TWO, Office
from stand_ins.azure.stand_in import AzureStandIn

THREE: Key = ("third", "sales")
BESIDE: Key = (TWO[0], "beside")
CEILING = 3
Opening = Callable[[AzureStore], AzureStore]


class Building(Office):
    """An office in which a namespace may have three assignments, one of them for the secrets of each binding."""

    def __init__(self, azure: AzureStandIn, bench: Bench, opening: Opening) -> None:
        self.bench, self.opening = bench, opening
        super().__init__(azure, bench, opening(bench.open(assignmentsPerNamespace=CEILING)))
        self.groups = [azure.add_group(f"group-{each}").id for each in range(6)]
        self.keys += [THREE, BESIDE]
        spec = self.cluster.backend_bodies["kv"]["spec"]
        spec["allow"][0]["namespaces"] = {"names": sorted({each[0] for each in self.keys})}
        spec["groups"] = [{"provider": "entra", "value": each} for each in self.groups]
        spec["azureKeyVault"]["assignmentsPerNamespace"] = CEILING
        self.restart()

    def let_in(self, key: Key, *numbers: int, **spec: Any) -> None:
        """Declare a binding that lets these groups in."""
        self.declare(key, people=False, groups=[self.groups[each] for each in numbers], **spec)

    async def give(self, key: Key, *numbers: int) -> None:
        """The same, and see that it has them."""
        self.let_in(key, *numbers)
        await self.look(key)
        assert self.ready(key) == "True", self.status(key)

    async def refuse(self, key: Key, *numbers: int) -> str:
        """Declare a binding that gets less than it asks for, pass after pass; return what it says."""
        self.let_in(key, *numbers)
        for _ in range(4):
            self.watch()
            if (await self.cluster.reconciler.reconcile(key)).kind != "retry":
                break
            self.azure.clock.advance(30.0)
        found = [each for each in self.status(key)["targets"] if each.get("reason") == "CeilingReached"]
        assert found, self.status(key)
        assert self.ready(key) == "False"
        return str(found[0]["message"])

    def lower(self, ceiling: int) -> None:
        """Lower the ceiling: the store is opened anew, as the operator does."""
        self.store = self.opening(self.bench.open(assignmentsPerNamespace=ceiling))
        self.cluster.stores = {"kv": self.store}  # type: ignore[dict-item] # any store will do
        self.cluster.backend_bodies["kv"]["spec"]["azureKeyVault"]["assignmentsPerNamespace"] = ceiling
        self.restart()
        self.watch()

    def marked(self, namespace: str) -> int:
        """Return how many assignments carry a mark of the namespace."""
        found = self.azure.assignments(f"{self.store.place.vault_id}/secrets")
        marks = [read_description(each.description) for each in found]
        return sum(each is not None and each.owner.namespace == namespace for each in marks)

    def lets_in(self, number: int) -> bool:
        """Tell whether a group has access."""
        found = self.azure.assignments(f"{self.store.place.vault_id}/secrets")
        return any(each.principal == self.groups[number] for each in found)

    def has(self, key: Key) -> int:
        """Return how many groups' assignments a binding was given, by its record."""
        return sum("#" in each["name"] and bool(each.get("digest")) for each in self.status(key)["targets"])


@pytest.fixture
def building(azure: AzureStandIn, bench: Bench, opening: Opening) -> Building:
    """Return an operator with one backend and no binding yet."""
    return Building(azure, bench, opening)


async def test_nobody_passes_the_ceiling_by_inheriting_again_and_again(building: Building) -> None:
    await building.give(ONE, 0, 1)
    await building.give(TWO, 0, 1)
    await building.give(ONE)
    assert building.marked(TWO[0]) == CEILING
    await building.give(ONE, 2, 3)
    said = await building.refuse(TWO, 0, 1, 2, 3)
    assert building.has(TWO) == 2, "also when it is asked for again"
    await building.give(ONE)
    assert building.marked(TWO[0]) == CEILING
    assert not building.lets_in(2), "what was only asked for is not inherited"
    assert f"namespace {TWO[0]} has 3 role assignments through backend kv" in said
    assert "assignmentsPerNamespace of the backend permits 3: remove secrets, groups or bindings" in said


@pytest.mark.parametrize("inherited", [True, False], ids=["and inherits", "and goes on leaning"])
async def test_who_leans_on_others_may_have_the_rest_of_its_own_whether_it_inherits_or_not(
    building: Building, *, inherited: bool
) -> None:
    await building.give(ONE, 0)
    await building.give(TWO, 0)
    if inherited:
        building.delete(ONE)
        await building.look(ONE)
    await building.give(TWO, 0, 4)
    await building.refuse(TWO, 0, 4, 5)
    assert building.has(TWO) == 2


async def test_what_is_leant_on_in_one_pass_counts_before_it_is_on_record(building: Building) -> None:
    await building.give(ONE, 0, 1)
    await building.give(THREE, 2)
    await building.refuse(TWO, 0, 1, 2)
    assert building.has(TWO) == 2


async def test_passes_at_the_same_moment_do_not_add_up_to_more(building: Building) -> None:
    await building.give(ONE, 0, 1)
    building.let_in(BESIDE)
    building.let_in(TWO)
    for key in (BESIDE, TWO):
        await building.look(key)
    building.let_in(BESIDE, 0)
    building.let_in(TWO, 1)
    building.watch()
    await asyncio.gather(*(building.cluster.reconciler.reconcile(each) for each in (BESIDE, TWO)))
    assert sorted(building.has(each) for each in (BESIDE, TWO)) == [0, 1]


async def test_two_bindings_of_a_namespace_that_share_one_have_one_between_them(building: Building) -> None:
    await building.give(ONE, 0)
    await building.give(TWO, 0)
    await building.give(BESIDE, 0)
    assert (building.has(TWO), building.has(BESIDE)) == (1, 1)
    await building.refuse(BESIDE, 0, 1)
    building.delete(ONE)
    await building.look(ONE)
    assert building.marked(TWO[0]) == CEILING
    building.delete(TWO)
    await building.look(TWO)
    assert building.marked(TWO[0]) == 2, "its other binding has it now"
    await building.give(BESIDE, 0, 1)


async def test_a_restart_forgets_nothing_of_the_number(building: Building) -> None:
    await building.give(ONE, 0, 1)
    await building.give(TWO, 0, 1)
    building.restart()
    building.watch()
    await building.refuse(BESIDE)
    assert building.marked(TWO[0]) == 1


async def test_a_namespace_that_leans_on_all_it_may_have_gets_no_identity(building: Building) -> None:
    await building.give(ONE, 0, 1)
    await building.give(TWO, 0, 1)
    building.azure.forget_requests()
    await building.refuse(BESIDE)
    assert building.azure.requests(method="PUT") == []


async def test_removals_are_not_refused_and_make_room(building: Building) -> None:
    await building.give(ONE, 0, 1)
    await building.give(TWO, 0, 1)
    await building.refuse(TWO, 0, 1, 4)
    await building.give(TWO, 1, 4)
    assert (building.has(TWO), building.lets_in(4)) == (2, True)
    building.delete(TWO)
    await building.look(TWO)
    await building.give(BESIDE, 0, 5)


async def test_a_suspended_binding_has_what_it_has_and_an_expired_one_nothing(building: Building) -> None:
    await building.give(ONE, 0, 1)
    await building.give(TWO, 0, 1)
    building.let_in(TWO, 0, 1, suspend=True)
    await building.look(TWO)
    await building.refuse(BESIDE)
    building.let_in(TWO, 0, 1, access={"notAfter": "2031-05-01T00:00:00Z"})
    await building.look(TWO)
    await building.give(BESIDE, 0)


async def test_what_is_leant_on_stays_when_the_ceiling_is_lowered(building: Building) -> None:
    await building.give(ONE, 0, 1)
    await building.give(TWO, 0, 1)
    building.lower(2)
    building.azure.forget_requests()
    for _ in range(2):
        await building.look(TWO)
        building.azure.clock.advance(601)
    assert (building.ready(TWO), building.has(TWO)) == ("True", 2)
    assert building.azure.requests(method="PUT") == building.azure.requests(method="DELETE") == []
    await building.refuse(TWO, 0, 1, 4)
    assert building.has(TWO) == 2
    building.delete(ONE)
    await building.look(ONE)
    assert building.marked(TWO[0]) == 2, "none has more under its own marks than it may have"


async def test_what_a_vault_lost_comes_back_up_to_the_ceiling_by_then(building: Building) -> None:
    await building.give(TWO, 0, 1)
    building.lower(2)
    with building.azure.world() as world:
        lost = [each.name for each in world.assignments.values() if str(each.description).startswith("airwarden.dev/")]
        for each in lost:
            del world.assignments[each]
    building.azure.clock.advance(1300)
    await building.refuse(TWO, 0, 1)
    assert building.marked(TWO[0]) == 2


async def test_a_forged_record_brings_its_namespace_nothing_and_costs_no_other(building: Building) -> None:
    await building.give(ONE, 0, 1)
    await building.give(THREE, 2)
    await building.give(TWO, 0, 1)
    await building.refuse(TWO, 0, 1, 2)

    def forge(body: dict[str, Any]) -> None:
        given = next(each for each in body["status"]["targets"] if each.get("digest") and "#" in each["name"])
        for each in body["status"]["targets"]:
            if not each.get("digest"):
                each.update(state="Present", digest=given["digest"], reason="", message="")

    building.cluster.api.change(binding_path(*TWO), forge)
    building.watch()
    await building.cluster.reconciler.reconcile(TWO)
    await building.refuse(BESIDE)
    for key in (ONE, THREE):
        building.delete(key)
        await building.look(key)
    assert building.marked(TWO[0]) == CEILING
    assert not building.lets_in(2)
    await building.give(ONE, 3, 4)


async def test_a_wiped_record_makes_no_room(building: Building) -> None:
    await building.give(TWO, 0, 1)
    building.cluster.api.change(binding_path(*TWO), lambda body: body["status"].update(targets=[]))
    building.watch()
    await building.refuse(BESIDE)
    assert building.marked(TWO[0]) == CEILING
