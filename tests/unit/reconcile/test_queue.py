"""The lanes: urgent work first, one pass a key at a time, room kept for what is urgent, no lane in another's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from airwarden.reconcile.queue import Key, Lane, Lanes, Urgency

VAULT: Lane = frozenset({"vault"})
OTHER: Lane = frozenset({"other"})


class Work:
    """Passes that last until they are let go."""

    def __init__(self) -> None:
        self.started: list[Key] = []
        self.ended: list[Key] = []
        self.under_way: set[Key] = set()
        self.twice: list[Key] = []
        self.failures: dict[Key, Exception] = {}
        self._gates: dict[Key, asyncio.Event] = {}
        self.lanes = Lanes(self._work, self.ended.append)

    async def _work(self, key: Key, _urgency: Urgency) -> None:
        if key in self.under_way:
            self.twice.append(key)
        self.under_way.add(key)
        self.started.append(key)
        await self._gates.setdefault(key, asyncio.Event()).wait()
        self.under_way.discard(key)
        if key in self.failures:
            raise self.failures[key]

    async def release(self, *keys: Key) -> None:
        """Let passes end, and everything that follows from it begin."""
        for key in keys:
            self._gates.setdefault(key, asyncio.Event()).set()
        await self.turn()
        for key in keys:
            self._gates.pop(key)

    @staticmethod
    async def turn() -> None:
        """Let all that can go on go on."""
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def work() -> AsyncIterator[Work]:
    """Return lanes whose passes wait to be let go."""
    made = Work()
    yield made
    await made.lanes.close(0)
    assert made.twice == [], "no key may be worked on twice at once"


def keys(stem: str, count: int) -> list[Key]:
    return [("team", f"{stem}{number}") for number in range(count)]


async def test_urgent_work_goes_first_and_equals_in_their_order(work: Work) -> None:
    busy = keys("busy", 48)
    for key in busy:
        work.lanes.submit(key, VAULT, Urgency.REMOVAL)
    work.lanes.submit(("team", "drift"), VAULT, Urgency.DRIFT)
    work.lanes.submit(("team", "first"), VAULT, Urgency.CHANGE)
    work.lanes.submit(("team", "second"), VAULT, Urgency.CHANGE)
    work.lanes.submit(("team", "urgent"), VAULT, Urgency.REMOVAL)
    await work.turn()
    assert work.started == busy
    await work.release(*busy)
    assert work.started[48:] == [("team", name) for name in ("urgent", "first", "second", "drift")]


@pytest.mark.parametrize(("urgency", "most"), [(Urgency.REMOVAL, 48), (Urgency.CHANGE, 32), (Urgency.DRIFT, 8)])
async def test_what_is_less_urgent_leaves_room_for_what_is_more_so(work: Work, urgency: Urgency, most: int) -> None:
    for key in keys("k", 60):
        work.lanes.submit(key, VAULT, urgency)
    await work.turn()
    assert len(work.started) == most
    work.lanes.submit(("team", "removal"), VAULT, Urgency.REMOVAL)
    await work.turn()
    assert (("team", "removal") in work.started) is (urgency is not Urgency.REMOVAL)


async def test_a_full_lane_does_not_hold_up_another(work: Work) -> None:
    for key in keys("slow", 60):
        work.lanes.submit(key, VAULT, Urgency.REMOVAL)
    work.lanes.submit(("team", "quick"), OTHER, Urgency.DRIFT)
    await work.turn()
    assert ("team", "quick") in work.started


async def test_namespaces_take_turns_however_much_one_of_them_has_waiting(work: Work) -> None:
    busy = keys("busy", 32)
    for key in busy:
        work.lanes.submit(key, VAULT, Urgency.CHANGE)
    for key in keys("flood", 100):
        work.lanes.submit(key, VAULT, Urgency.CHANGE)
    others = [("other", "a"), ("third", "a"), ("other", "b")]
    for key in others:
        work.lanes.submit(key, VAULT, Urgency.CHANGE)
    await work.turn()
    await work.release(*busy[:6])
    begun = work.started[32:]
    assert len(begun) == 6
    assert set(others) <= set(begun)


async def test_a_namespace_whose_turn_passed_gets_no_credit_for_it(work: Work) -> None:
    busy = keys("busy", 32)
    for key in busy:
        work.lanes.submit(key, VAULT, Urgency.CHANGE)
    for key in keys("flood", 40):
        work.lanes.submit(key, VAULT, Urgency.CHANGE)
    await work.turn()
    await work.release(*busy[:10])
    late = [("late", f"l{number}") for number in range(10)]
    for key in late:
        work.lanes.submit(key, VAULT, Urgency.CHANGE)
    await work.release(*busy[10:14])
    latest = work.started[42:]
    assert len(latest) == 4
    assert {namespace for namespace, _ in latest} == {"team", "late"}


async def test_drift_checks_that_wait_cost_a_namespace_no_turn_for_its_changes(work: Work) -> None:
    busy = keys("busy", 32)
    for key in busy:
        work.lanes.submit(key, VAULT, Urgency.CHANGE)
    for key in keys("drift", 50):
        work.lanes.submit(key, VAULT, Urgency.DRIFT)
    for number in range(3):
        work.lanes.submit(("other", f"o{number}"), VAULT, Urgency.CHANGE)
    work.lanes.submit(("team", "edited"), VAULT, Urgency.CHANGE)
    await work.turn()
    await work.release(*busy[:2])
    assert ("team", "edited") in work.started


async def test_a_key_that_is_worked_on_waits_for_its_end_also_in_another_lane(work: Work) -> None:
    key = ("team", "a")
    work.lanes.submit(key, VAULT, Urgency.CHANGE)
    await work.turn()
    work.lanes.submit(key, OTHER, Urgency.REMOVAL)
    await work.turn()
    assert work.started == [key]
    await work.release(key)
    assert work.started == [key, key]


async def test_many_submissions_of_a_waiting_key_are_one_pass(work: Work) -> None:
    key = ("team", "a")
    work.lanes.submit(key, VAULT, Urgency.CHANGE)
    await work.turn()
    for _ in range(5):
        work.lanes.submit(key, VAULT, Urgency.CHANGE)
    assert work.lanes.depth == 1
    await work.release(key)
    await work.release(key)
    assert work.started == [key, key]
    assert work.lanes.idle


async def test_a_waiting_key_becomes_more_urgent_and_never_less(work: Work) -> None:
    for key in keys("busy", 48):
        work.lanes.submit(key, VAULT, Urgency.REMOVAL)
    raised, other = ("team", "raised"), ("team", "other")
    work.lanes.submit(raised, VAULT, Urgency.DRIFT)
    work.lanes.submit(other, VAULT, Urgency.CHANGE)
    work.lanes.submit(raised, VAULT, Urgency.REMOVAL)
    work.lanes.submit(raised, VAULT, Urgency.DRIFT)
    await work.turn()
    await work.release(*keys("busy", 48))
    assert work.started[48:] == [raised, other]


async def test_a_forgotten_key_is_not_begun(work: Work) -> None:
    for key in keys("busy", 48):
        work.lanes.submit(key, VAULT, Urgency.REMOVAL)
    work.lanes.submit(("team", "gone"), VAULT, Urgency.CHANGE)
    work.lanes.forget(("team", "gone"))
    await work.turn()
    await work.release(*keys("busy", 48))
    assert ("team", "gone") not in work.started
    assert work.lanes.idle


async def test_a_pass_that_breaks_off_frees_its_place_and_its_key(work: Work) -> None:
    key = ("team", "a")
    work.failures[key] = RuntimeError("a bug")
    work.lanes.submit(key, VAULT, Urgency.CHANGE)
    await work.turn()
    await work.release(key)
    assert work.lanes.idle
    assert work.ended == []
    work.failures.clear()
    work.lanes.submit(key, VAULT, Urgency.CHANGE)
    await work.turn()
    await work.release(key)
    assert work.ended == [key]


async def test_the_end_takes_nothing_new_and_does_not_wait_for_ever(work: Work) -> None:
    key = ("team", "a")
    work.lanes.submit(key, VAULT, Urgency.CHANGE)
    await work.turn()
    work.lanes.submit(("team", "b"), VAULT, Urgency.DRIFT)
    await work.lanes.close(0.01)
    work.lanes.submit(("team", "c"), VAULT, Urgency.REMOVAL)
    await work.turn()
    assert set(work.started) <= {key, ("team", "b")}
    assert work.lanes.idle
