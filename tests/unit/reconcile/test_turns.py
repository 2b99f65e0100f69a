"""Moments at which something changes by itself are met exactly, by the clock of the wall, also when that is set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.lifetime import Turn
from airwarden.reconcile.queue import Key
from airwarden.reconcile.turns import Turns

START = datetime(2031, 5, 1, tzinfo=UTC)
ONE, TWO = ("team", "one"), ("team", "two")


def at(seconds: float, *, tightens: bool = True) -> Turn:
    return Turn(START + timedelta(seconds=seconds), tightens)


class Wall:
    """A clock on the wall, and who was woken at which time of it."""

    def __init__(self) -> None:
        self.now = START
        self.woken: list[tuple[Key, Turn]] = []
        self.turns = Turns(lambda: self.now, lambda key, turn: self.woken.append((key, turn)))

    def pass_to(self, seconds: float) -> None:
        """Let the time be so long after the start, and the timer ring."""
        self.now = START + timedelta(seconds=seconds)
        self.turns._tick()

    def delay(self) -> float | None:
        """Return in how many seconds the clock is asked again."""
        timer = self.turns._timer
        return None if timer is None else timer.when() - asyncio.get_running_loop().time()


@pytest.fixture
async def wall() -> AsyncIterator[Wall]:
    """Return a clock that nobody waits for yet."""
    made = Wall()
    yield made
    made.turns.close()


async def test_each_is_woken_at_its_moment_and_once(wall: Wall) -> None:
    wall.turns.set(TWO, at(20))
    wall.turns.set(ONE, at(10))
    wall.pass_to(9.999)
    assert wall.woken == []
    wall.pass_to(10)
    assert wall.woken == [(ONE, at(10))]
    wall.pass_to(30)
    wall.pass_to(40)
    assert wall.woken == [(ONE, at(10)), (TWO, at(20))]


async def test_a_moved_turn_counts_alone_and_a_dropped_one_not_at_all(wall: Wall) -> None:
    wall.turns.set(ONE, at(10))
    wall.turns.set(ONE, at(20))
    wall.turns.set(TWO, at(10))
    wall.turns.set(TWO, None)
    wall.pass_to(15)
    assert wall.woken == []
    wall.pass_to(20)
    assert wall.woken == [(ONE, at(20))]


async def test_what_is_expected_never_puts_off_an_earlier_turn(wall: Wall) -> None:
    wall.turns.expect(ONE, at(10))
    wall.turns.expect(ONE, at(20))
    wall.turns.expect(ONE, None)
    assert wall.turns.get(ONE) == at(10)
    wall.turns.expect(ONE, at(5))
    assert wall.turns.get(ONE) == at(5)


async def test_the_clock_is_asked_every_second_so_that_setting_it_delays_nothing(wall: Wall) -> None:
    wall.turns.set(ONE, at(86400))
    delay = wall.delay()
    assert delay is not None
    assert delay <= 1.0
    wall.pass_to(86401)
    assert wall.woken == [(ONE, at(86400))]
    assert wall.delay() is None, "nobody waits any more"


async def test_a_real_timer_rings_by_itself(wall: Wall) -> None:
    woken = asyncio.Event()
    turns = Turns(lambda: datetime.now(UTC), lambda *_: woken.set())
    turns.set(ONE, Turn(datetime.now(UTC) + timedelta(milliseconds=20), tightens=True))
    await asyncio.wait_for(woken.wait(), 30)
    turns.close()


async def test_a_turn_that_is_moved_again_and_again_fills_no_memory_and_is_met(wall: Wall) -> None:
    for second in range(100_000, 90_000, -1):
        wall.turns.set(ONE, at(second))
    assert len(wall.turns._heap) < 100
    wall.pass_to(90_001)
    assert wall.woken == [(ONE, at(90_001))]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.integers(1, 50))), max_size=20))
def test_whatever_was_set_before_only_the_last_turn_of_each_is_met(said: list[tuple[str, int | None]]) -> None:
    async def run() -> None:
        wall = Wall()
        last: dict[Key, int] = {}
        for name, second in said:
            wall.turns.set(("team", name), None if second is None else at(second))
            last.pop(("team", name), None)
            if second is not None:
                last[("team", name)] = second
        for second in range(52):
            wall.pass_to(second)
        assert dict(wall.woken) == {key: at(second) for key, second in last.items()}
        assert len(wall.woken) == len(last)
        wall.turns.close()

    asyncio.run(run())
