"""Work on thousands of bindings lets others have their turn, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from airwarden.domain.slices import Steps
from airwarden.reconcile.queue import Key
from airwarden.reconcile.slicing import Waking, in_steps

KEYS = [("team", f"b{number:04}") for number in range(1000)]


def counting(to: int) -> Steps[int]:
    for _ in range(to):
        yield
    return to


async def turns(done: asyncio.Event) -> int:
    """Return how many turns somebody else has until it is done."""
    count = 0
    while not done.is_set():
        await asyncio.sleep(0)
        count += 1
    return count


async def test_after_each_step_others_have_their_turn() -> None:
    done = asyncio.Event()
    others = asyncio.create_task(turns(done))
    assert await in_steps(counting(100)) == 100
    done.set()
    assert await others >= 99


class Woken:
    """Notes who is woken, and how many at once."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.most = 0
        self.broken: set[Key] = set()
        self.waking = Waking(self.wake)

    def wake(self, keys: Iterable[Key]) -> None:
        some = list(keys)
        self.most = max(self.most, len(some))
        self.keys += some
        if self.broken & set(some):
            raise RuntimeError("on purpose")

    async def rest(self) -> None:
        for _ in range(2 * len(KEYS)):
            if self.waking.idle:
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came to rest")


async def test_few_are_woken_at_once() -> None:
    woken = Woken()
    woken.waking.take(KEYS[:3])
    assert (woken.keys, woken.waking.idle) == (KEYS[:3], True)


async def test_many_are_woken_a_few_at_a_time_each_once_however_often_they_are_named() -> None:
    woken = Woken()
    for _ in range(3):
        woken.waking.take(KEYS)
    assert not woken.waking.idle
    await woken.rest()
    assert sorted(set(woken.keys)) == KEYS
    assert len(woken.keys) <= len(KEYS) + 3 * woken.most
    assert woken.most <= 16
    woken.waking.take(KEYS[:1])
    await woken.rest()
    assert woken.keys[-1] == KEYS[0]


async def test_one_that_breaks_is_told_and_the_others_are_woken() -> None:
    woken = Woken()
    woken.broken = {KEYS[500]}
    with structlog.testing.capture_logs() as logs:
        woken.waking.take(KEYS)
        await woken.rest()
    assert woken.keys == KEYS
    assert [each["log_level"] for each in logs] == ["error"]


async def test_after_the_end_nobody_is_woken() -> None:
    woken = Woken()
    woken.waking.take(KEYS)
    woken.waking.close()
    before = len(woken.keys)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(woken.keys) == before
