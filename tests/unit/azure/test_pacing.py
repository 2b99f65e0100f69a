"""Who comes too early is told when its turn is, and gets it then: nobody waits, nobody is passed over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.providers.azure.pacing import LONGEST, Line, take_turn


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


def test_whoever_does_not_come_is_not_waited_for() -> None:
    clock = Time()
    line = Line(4.0, clock)
    assert take_turn("one", (line,)) == 0.0
    assert [take_turn(f"gone-{number}", (line,)) for number in range(50)][-1] == LONGEST
    assert take_turn("other", (line,)) == LONGEST
    clock.now += LONGEST + 3.0
    assert take_turn("other", (line,)) == 0.0
    assert take_turn("another", (line,)) == 4.0


@pytest.mark.parametrize("burst", [1, 2])
def test_a_namespace_whose_writes_never_come_holds_up_no_other(burst: int) -> None:
    clock = Time()
    line = Line(0.5, clock, burst)
    for number in range(2000):
        take_turn(f"gone-{number}", (line,), "theirs")
    waits = []
    for number in range(40):
        begun = clock.now
        while (wait := take_turn(f"ours-{number}", (line,), "ours")) > 0:
            clock.now += wait
        waits.append(clock.now - begun)
    assert max(waits) <= 3.0, "as long as it takes to see that one does not come"
    assert sum(waits) <= 3.0 * 40 / 2


@pytest.mark.parametrize("burst", [1, 2])
def test_a_namespace_with_much_to_write_shares_the_turns_with_one_that_comes_later(burst: int) -> None:
    clock = Time()
    line = Line(0.5, clock, burst)
    waiting = {f"a-theirs-{number}": clock.now for number in range(200)}
    for each in waiting:
        waiting[each] += take_turn(each, (line,), "theirs")
    clock.now += 0.1
    late = {f"z-ours-{number}": clock.now for number in range(10)}
    waiting |= late
    begun = clock.now
    while late.keys() & waiting.keys():
        who = min(waiting, key=lambda each: (waiting[each], each))
        clock.now = max(clock.now, waiting[who])
        wait = take_turn(who, (line,), "ours" if who in late else "theirs")
        if wait > 0:
            waiting[who] = clock.now + wait
        else:
            del waiting[who]
    assert clock.now - begun <= 0.5 * 2 * 10 + 0.5


def test_whoever_waits_in_another_line_has_not_missed_its_turn() -> None:
    clock = Time()
    slow, quick = Line(30.0, clock), Line(0.5, clock)
    assert take_turn("first", (slow,), "theirs") == 0.0
    assert take_turn("one", (slow, quick), "ours") == 30.0
    clock.now += 29.9
    assert take_turn("first", (quick,), "theirs") == 0.0
    clock.now += 0.1
    assert take_turn("two", (quick,), "theirs") > 0.5, "the other namespace has had no turn yet"
    clock.now += 0.4
    assert take_turn("one", (slow, quick), "ours") == 0.0


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), min_size=1, max_size=30),
    st.integers(min_value=1, max_value=3),
)
def test_whoever_comes_back_has_its_turn_whoever_does_not(comers: list[tuple[str, bool, bool]], burst: int) -> None:
    clock = Time()
    line = Line(0.5, clock, burst)
    waiting, taken, begun = dict.fromkeys(range(len(comers)), clock.now), list[float](), clock.now
    while waiting:
        who = min(waiting, key=lambda each: (waiting[each], each))
        clock.now = max(clock.now, waiting[who])
        namespace, comes_back, removes = comers[who]
        wait = take_turn(str(who), (line,), namespace, ahead=removes)
        if wait > 0 and comes_back:
            waiting[who] = clock.now + wait
        else:
            del waiting[who]
            taken += [clock.now] if wait <= 0 else []
    assert len(taken) >= sum(comes_back for _, comes_back, _ in comers)
    for number in range(burst, len(taken)):
        assert taken[number] - taken[number - burst] >= 0.5 - 1e-6
    assert clock.now - begun <= 2.5 * len(comers)


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
    assert take_turn("making-999", (line,)) > 100
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
