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


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.3, 1.0, 3.7, 9.0])), min_size=1, max_size=14),
    st.integers(min_value=1, max_value=4),
)
def test_removals_go_ahead_and_turns_stay_an_interval_apart(comers: list[tuple[bool, float]], burst: int) -> None:
    clock = Time()
    line = Line(4.0, clock, burst)
    come, at = {}, clock.now
    for number, (removal, after) in enumerate(comers):
        at += after
        come[f"{'removal' if removal else 'making'}-{number}"] = at
    waiting, taken = dict(come), dict[str, float]()
    while waiting:
        who = min(waiting, key=lambda each: (waiting[each], each))
        clock.now = max(clock.now, waiting[who])
        wait = take_turn(who, (line,), ahead=who.startswith("removal"))
        if wait > 0:
            waiting[who] = clock.now + wait
        else:
            taken[who] = clock.now
            del waiting[who]
    times = sorted(taken.values())
    for number in range(burst, len(times)):
        assert times[number] - times[number - burst] >= 4.0 - 1e-6
    for who in (each for each in taken if each.startswith("removal")):
        before = [each for each in taken if each.startswith("removal") and come[each] <= come[who]]
        assert taken[who] - come[who] <= 4.0 * len(before) + 1e-6, "it waits for other removals and the write under way"


def test_a_thousand_who_make_hold_up_no_removal() -> None:
    clock = Time()
    line = Line(0.5, clock, burst=4)
    for number in range(1000):
        take_turn(f"making-{number}", (line,))
    assert take_turn("making-999", (line,)) > 400
    assert take_turn("removal", (line,), ahead=True) <= 0.5
    clock.now += 0.5
    assert take_turn("removal", (line,), ahead=True) == 0.0
    assert take_turn("making-4", (line,)) == 0.5, "who was next is so still"


def test_what_was_to_be_made_and_goes_has_one_place() -> None:
    clock = Time()
    line = Line(4.0, clock)
    assert take_turn("one", (line,)) == 0.0
    assert take_turn("two", (line,)) == 4.0
    assert take_turn("three", (line,)) == 8.0
    assert take_turn("three", (line,), ahead=True) == 4.0
    assert take_turn("two", (line,)) == 8.0


def test_whoever_is_late_for_a_turn_comes_no_closer_to_a_removal_that_went_before() -> None:
    clock = Time()
    line = Line(4.0, clock)
    assert take_turn("one", (line,)) == 0.0
    assert take_turn("late", (line,)) == 4.0
    clock.now += 5.0
    assert take_turn("removal", (line,), ahead=True) == 0.0
    assert take_turn("late", (line,)) == 4.0
