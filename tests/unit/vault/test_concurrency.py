"""One flight for many askers, an even pace, and lists that are shared for five seconds."""

from __future__ import annotations

import asyncio

import pytest

from airwarden.domain.errors import Throttled
from airwarden.providers.concurrency import Pace, SingleFlight
from airwarden.providers.vault.listing import MAX_AGE, SharedListing


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_all_who_ask_at_once_get_one_answer_and_later_ones_a_new_one() -> None:
    calls = 0

    async def work() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        return calls

    flight = SingleFlight(work)
    assert await asyncio.gather(*(flight.join() for _ in range(50))) == [1] * 50
    assert await flight.join() == 2


async def test_a_failure_is_shared_but_not_kept_and_each_asker_has_its_own_exception() -> None:
    calls = 0

    async def work() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        if calls == 1:
            raise Throttled("slow down", retry_after=3)
        return calls

    flight = SingleFlight(work)
    failures = await asyncio.gather(*(flight.join() for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in failures] == [Throttled] * 5
    assert len({id(each) for each in failures}) == 5
    assert all(isinstance(each, Throttled) and each.retry_after == 3 for each in failures)
    assert await flight.join() == 2


async def test_an_asker_that_gives_up_does_not_end_it_for_the_others() -> None:
    release = asyncio.Event()

    async def work() -> str:
        await release.wait()
        return "done"

    flight = SingleFlight(work)
    first, second = asyncio.create_task(flight.join()), asyncio.create_task(flight.join())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    release.set()
    assert await second == "done"
    await flight.settle()


async def test_the_pace_lets_a_burst_through_and_then_spaces_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, delays = Clock(), []

    async def sleep(delay: float) -> None:
        delays.append(round(delay, 6))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    pace = Pace(10, clock)
    clock.now += 60
    for _ in range(5):
        await pace.wait()
    assert delays == [0.1, 0.2, 0.3]
    clock.now += 0.3
    await pace.wait()
    assert delays[3:] == [0.1]


async def test_a_list_is_asked_for_once_in_five_seconds() -> None:
    clock, asked = Clock(), 0

    async def fetch() -> frozenset[str]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return frozenset({"a"})

    listing = SharedListing(fetch, clock)
    assert await asyncio.gather(*(listing.has(name) for name in "abab")) == [True, False, True, False]
    clock.now += MAX_AGE
    assert not await listing.has("b")
    assert asked == 1
    clock.now += 0.01
    assert not await listing.has("b")
    assert asked == 2


async def test_a_name_written_before_or_while_the_list_is_under_way_counts_as_there() -> None:
    clock, started, release = Clock(), asyncio.Event(), asyncio.Event()

    async def fetch() -> frozenset[str]:
        started.set()
        await release.wait()
        return frozenset()

    listing = SharedListing(fetch, clock)
    listing.note("before")
    clock.now += 1
    asking = asyncio.create_task(listing.has("during"))
    await started.wait()
    clock.now += 1
    listing.note("during")
    release.set()
    assert await asking
    assert not await listing.has("before"), "the store was asked after that write and did not have it"
    listing.note("after")
    assert await listing.has("after")


async def test_the_age_of_a_list_counts_from_the_question() -> None:
    clock, asked = Clock(), 0

    async def fetch() -> frozenset[str]:
        nonlocal asked
        asked += 1
        clock.now += 4
        return frozenset()

    listing = SharedListing(fetch, clock)
    await listing.has("a")
    clock.now += 2
    await listing.has("a")
    assert asked == 2
