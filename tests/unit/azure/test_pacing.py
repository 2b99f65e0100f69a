"""Who comes too early is told when its turn is, and gets it then: nobody waits, nobody is passed over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airwarden.providers.azure.pacing import Line, take_turn


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(min_value=1, max_value=12), st.integers(min_value=1, max_value=4))
def test_everybody_gets_a_turn_and_turns_are_an_interval_apart_after_the_first_few(count: int, burst: int) -> None:
    clock = Time()
    line = Line(4.0, clock, burst)
    waiting = {f"who-{number}": 0.0 for number in range(count)}
    taken: list[float] = []
    while waiting:
        who = min(waiting, key=lambda each: (waiting[each], each))
        clock.now = max(clock.now, waiting[who])
        wait = take_turn(who, (line,))
        if wait > 0:
            waiting[who] = clock.now + wait
        else:
            taken.append(clock.now)
            del waiting[who]
    for number, at in enumerate(taken):
        assert at - taken[max(0, number - burst)] >= (4.0 if number >= burst else 0.0)
    assert taken[-1] - taken[0] <= 4.0 * count


def test_a_turn_that_is_due_in_one_line_only_is_not_used_up() -> None:
    clock = Time()
    slow, quick = Line(4.0, clock), Line(0.5, clock)
    assert take_turn("one", (slow, quick)) == 0.0
    assert take_turn("two", (slow, quick)) == 4.0
    clock.now += 1.0
    assert take_turn("two", (slow, quick)) == 3.0
    clock.now += 3.0
    assert take_turn("two", (slow, quick)) == 0.0
    assert take_turn("three", (quick,)) == 0.5


def test_a_place_that_nobody_comes_for_is_given_up() -> None:
    clock = Time()
    line = Line(4.0, clock)
    take_turn("one", (line,))
    take_turn("gone", (line,))
    clock.now += 1000.0
    assert take_turn("gone", (line,)) == 0.0
