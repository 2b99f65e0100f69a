"""When a run is due: each slot once, spread by jitter, in its window, made up or missed, whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.rotation.schedule import InvalidSchedule, Schedule
from airwarden.domain.rotation.timetable import Begin, ClockWentBack, Missed, Timetable, Wait, Window, check, turn

START = datetime(2031, 1, 6, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
WEEKEND = Window(Schedule.read("0 22 * * 5", "UTC"), 6 * HOUR)
schedules = st.sampled_from(("@hourly", "@daily", "30 2 * * *", "*/20 * * * *", "@weekly"))
jitters = st.sampled_from((timedelta(), timedelta(minutes=5), timedelta(minutes=19)))
windows = st.sampled_from((None, WEEKEND, Window(Schedule.read("0 1 * * *", "Europe/Berlin"), 2 * HOUR)))
steps = st.lists(st.timedeltas(timedelta(seconds=-600), timedelta(days=9)), min_size=1, max_size=40)


def table(
    text: str = "@daily", jitter: timedelta = timedelta(), window: Window | None = None, seed: str = "u-1"
) -> Timetable:
    return Timetable(Schedule.read(text, "UTC"), seed, jitter, window)


def test_a_run_begins_at_its_moment_and_not_before() -> None:
    midnight = START + timedelta(days=1)
    assert turn(table(), START, midnight - timedelta(seconds=1)) == Wait(midnight, midnight)
    assert turn(table(), START, midnight) == Begin(midnight, midnight)


def test_slots_that_passed_while_nobody_looked_are_one_run() -> None:
    later = START + timedelta(days=5, hours=1)
    begun = turn(table(), START, later)
    assert begun == Begin(START + timedelta(days=5), START + timedelta(days=5))
    assert isinstance(turn(table(), START + timedelta(days=5), later), Wait)


def test_a_run_outside_its_window_waits_for_the_opening() -> None:
    friday = START + timedelta(days=4, hours=22)
    assert turn(table(window=WEEKEND), START, START + timedelta(days=2)) == Wait(friday, START + timedelta(days=1))
    assert isinstance(turn(table(window=WEEKEND), START, friday), Begin)


def test_a_window_that_was_slept_through_is_waited_for_again() -> None:
    after = START + timedelta(days=5, hours=12)
    assert turn(table(window=WEEKEND), START, after) == Wait(
        START + timedelta(days=11, hours=22), START + timedelta(days=5)
    )


def test_a_missed_run_is_made_up_for_only_within_its_deadline() -> None:
    strict = Timetable(Schedule.read("@daily", "UTC"), "u-1", starting_deadline=HOUR)
    midnight = START + timedelta(days=1)
    assert isinstance(turn(strict, START, midnight + HOUR), Begin)
    assert turn(strict, START, midnight + 2 * HOUR) == Missed(midnight, midnight)


def test_a_slot_recorded_in_the_future_is_never_run_again() -> None:
    assert turn(table(), START + timedelta(days=400), START) == ClockWentBack(START + timedelta(days=400))


def test_jitter_spreads_rotations_and_keeps_each_at_its_place() -> None:
    slot = START + timedelta(days=1)
    dues = {table(jitter=HOUR, seed=f"u-{number}").due(slot) for number in range(500)}
    assert len(dues) > 400
    assert slot <= min(dues) < slot + timedelta(minutes=2)
    assert slot + timedelta(minutes=58) < max(dues) < slot + HOUR
    assert table(jitter=HOUR).due(slot) == table(jitter=HOUR).due(slot)


def test_those_that_wait_for_an_opening_are_spread_over_its_first_half() -> None:
    dues = {table(jitter=HOUR * 20, window=WEEKEND, seed=f"u-{number}").due(START) for number in range(300)}
    opening = START + timedelta(days=4, hours=22)
    assert all(opening <= due < opening + 3 * HOUR for due in dues)
    assert len(dues) > 250


@given(schedules, jitters, windows, steps)
def test_no_slot_runs_twice_and_no_run_begins_early_or_outside_its_window(
    text: str, jitter: timedelta, window: Window | None, passed: list[timedelta]
) -> None:
    timetable, handled, now = table(text, jitter, window), START, START
    begun: list[datetime] = []
    for step in passed:
        now += step
        match turn(timetable, handled, now):
            case Begin(slot, due):
                assert due <= now
                assert window is None or window.opening(now) == now
                begun.append(slot)
                handled = slot
            case Wait(until):
                assert until is not None
                assert until > now
            case ClockWentBack():
                assert handled > now
    assert begun == sorted(set(begun))


@given(schedules, jitters, windows)
def test_who_wakes_when_told_to_runs_in_every_window(text: str, jitter: timedelta, window: Window | None) -> None:
    timetable, handled, now, begun = table(text, jitter, window), START, START, 0
    for _ in range(40):
        match turn(timetable, handled, now):
            case Wait(until):
                assert until is not None
                now = until
            case Begin(slot):
                begun, handled = begun + 1, slot
    assert begun >= 15


@pytest.mark.parametrize(
    ("timetable", "complaint"),
    [
        (table("@hourly", HOUR), "jitter of 1:00:00 is not shorter than the time between two runs"),
        (table(window=Window(Schedule.read("@daily", "UTC"), 25 * HOUR)), "it would never close"),
    ],
)
def test_what_makes_no_sense_together_is_refused(timetable: Timetable, complaint: str) -> None:
    with pytest.raises(InvalidSchedule, match=complaint):
        check(timetable, START)


def test_the_calendar_shows_when_runs_are_due() -> None:
    found = list(islice(table(window=WEEKEND).coming(START), 3))
    assert found == [START + timedelta(days=4, hours=22)] * 3
