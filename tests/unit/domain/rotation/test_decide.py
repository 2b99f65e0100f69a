"""Each moment of the schedule and each request makes one new version, whatever ends the process and whenever."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.api.reasons import Reason
from airwarden.api.rotation import RotationStatus
from airwarden.domain.rotation.decide import (
    End,
    Obstacle,
    Record,
    Rest,
    Result,
    Start,
    Write,
    conflict,
    decide,
    requested,
)
from airwarden.domain.rotation.facts import RunMark, SecretState
from unit.domain.rotation.world import FOUND, OWNER, START, Crash, World, rotation, situation

DAY = timedelta(days=1)
REFUSED = Obstacle(Reason.ROTATION_NOT_ALLOWED, "no rule")
_RUN_EFFECTS = 4
"""The record, the write, the mark and the report."""
crashes = st.sets(st.tuples(st.integers(1, 30), st.sampled_from(("before", "after"))), max_size=12)
jumps = st.lists(
    st.one_of(st.timedeltas(timedelta(minutes=1), timedelta(days=3)), st.timedeltas(timedelta(days=-20), timedelta(0))),
    min_size=1,
    max_size=14,
)


def begun(word: str = "now") -> World:
    """Return a world in which a run is on record and nothing of it is written."""
    world = World(rotation(word), crash=lambda number, when: (number, when) == (1, "after"))
    with pytest.raises(Crash):
        world.look()
    world.crash = lambda _number, _when: False
    assert world.status.run is not None
    return world


def test_a_request_starts_a_run_on_the_version_that_was_seen() -> None:
    step = decide(situation(rotation("now")))
    assert isinstance(step, Start)
    assert (step.run.cause, step.run.request, step.run.base_version) == ("Request", "now", 4)


def test_without_request_and_schedule_nothing_ever_runs() -> None:
    assert decide(situation(rotation())) == Rest()


def test_a_request_that_is_done_with_asks_for_nothing() -> None:
    assert requested(rotation("now", RotationStatus(handled_request="now"))) == ""
    assert requested(rotation("again", RotationStatus(handled_request="now"))) == "again"


def test_a_run_costs_two_writes_of_the_status_one_value_and_one_mark() -> None:
    world = World(rotation("now"))
    world.look()
    assert world.effects == _RUN_EFFECTS
    assert world.made == [("", "now", 5)]
    assert world.secret.mark is not None
    assert world.secret.mark.owner == OWNER
    assert world.status.run is None
    assert world.status.last_run.result == "Succeeded"
    assert (world.status.observed_version, world.status.last_run.version) == (5, 5)
    world.look()
    assert world.effects == _RUN_EFFECTS, "a second look writes nothing"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, _RUN_EFFECTS + 1))
def test_a_process_that_ends_at_any_step_leaves_a_run_that_is_finished_and_not_repeated(number: int, when: str) -> None:
    world = World(rotation("now"), crash=lambda *point: point == (number, when))
    world.live()
    assert world.made == [("", "now", 5)]
    assert world.status.last_run.result == "Succeeded"
    assert world.status.handled_request == "now"


@given(crashes, st.integers(1, 5))
def test_each_moment_of_a_schedule_makes_one_version_through_any_crashes(
    points: set[tuple[int, str]], days: int
) -> None:
    world = World(rotation(schedule="0 3 * * *"), crash=lambda *point: point in points)
    for _ in range(days):
        world.now += DAY
        world.live(40)
    slots = [slot for slot, _, _ in world.made]
    assert len(slots) == days
    assert slots == sorted(set(slots))
    assert world.secret.version == FOUND.version + days


@given(crashes, jumps)
def test_whatever_the_clock_does_no_moment_makes_two_versions(
    points: set[tuple[int, str]], passed: list[timedelta]
) -> None:
    world = World(rotation(schedule="0 3 * * *"), crash=lambda *point: point in points)
    for step in passed:
        world.now += step
        world.live(40)
    slots = [slot for slot, _, _ in world.made]
    assert slots == sorted(set(slots))


@given(crashes, jumps)
def test_whatever_the_clock_does_each_word_makes_one_version(
    points: set[tuple[int, str]], passed: list[timedelta]
) -> None:
    world = World(rotation(schedule="0 3 * * *"), crash=lambda *point: point in points)
    for number, step in enumerate(passed):
        world.now += step
        world.ask(f"word-{number}")
        world.live(40)
    assert [word for _, word, _ in world.made if word] == [f"word-{number}" for number in range(len(passed))]
    assert world.secret.version == FOUND.version + len(world.made)


@given(st.integers(1, _RUN_EFFECTS), st.sampled_from(("before", "after")), st.integers(1, 6))
def test_a_version_made_by_hand_is_never_overwritten(at: int, when: str, hand: int) -> None:
    world = World(rotation("now"), crash=lambda *point: point == (at, when))
    by_hand: list[int] = []

    def meddle(number: int) -> None:
        if number == hand:
            world.by_hand()
            by_hand.append(world.secret.version)

    world.meddle = meddle
    world.live()
    ours = {version for _, _, version in world.made}
    assert len(ours) <= 1
    assert not ours & set(by_hand)
    assert world.secret.version == FOUND.version + len(ours) + len(by_hand)
    assert world.status.handled_request == "now"
    assert all(FOUND.version < version <= world.secret.version for version in ours)


def test_a_write_that_meets_a_newer_version_ends_superseded() -> None:
    world = World(rotation("now"))
    world.meddle = lambda number: world.by_hand() if number == 2 else None  # the write
    world.look()
    assert world.made == []
    assert world.status.last_run.result == "Superseded"
    assert world.status.last_success == ""
    assert world.status.handled_request == "now"


def test_two_versions_by_hand_after_a_crash_end_superseded() -> None:
    world = begun()
    world.by_hand()
    world.by_hand()
    world.live()
    assert world.made == []
    assert world.status.last_run.result == "Superseded"


def test_a_second_process_that_sees_no_record_of_the_run_makes_no_second_version() -> None:
    world = World(rotation("now"))
    stale = world.declared
    world.look()
    again = World(stale, secret=world.secret, now=START)
    again.look()
    assert again.made == []
    assert again.status.last_run.result == "Succeeded"


def test_the_same_word_asks_again_after_another_one() -> None:
    world = World(rotation("a"))
    for word in ("a", "b", "a", "b"):
        world.ask(word)
        world.live()
    assert [word for _, word, _ in world.made] == ["a", "b", "a", "b"]


def test_an_edited_schedule_counts_from_the_edit_and_not_from_the_last_run() -> None:
    world = World(rotation(schedule="0 3 * * 0"))
    world.live()
    world.now = START + 7 * DAY  # a Monday, the day after
    world.live()
    assert len(world.made) == 1
    world.now += timedelta(days=2)
    world.edit(schedule="0 4 * * 0")
    world.live()
    assert len(world.made) == 1, "Sunday at four has passed, but nobody wanted it then"
    world.now += timedelta(days=5)
    world.live()
    assert len(world.made) == 2


def test_a_schedule_that_comes_later_counts_from_when_it_came() -> None:
    world = World(rotation())
    world.live()
    world.now += 30 * DAY
    world.edit(schedule="@daily")
    world.live()
    assert world.made == []
    world.now += DAY
    world.live()
    assert len(world.made) == 1


def test_moments_that_passed_before_the_first_look_are_made_up_for_once() -> None:
    world = World(rotation(schedule="@hourly"), now=START + DAY)
    world.live()
    assert len(world.made) == 1


def test_a_missed_moment_is_told_and_not_made_up_for() -> None:
    world = World(rotation(schedule="@daily", startingDeadline="1h"), now=START + timedelta(hours=20))
    world.live()
    assert world.made == []
    assert world.status.last_run.result == "Missed"
    world.now = START + timedelta(hours=38, minutes=5)
    world.live()
    assert len(world.made) == 1


def test_what_is_suspended_begins_nothing_and_finishes_what_was_begun() -> None:
    world = begun()
    world.edit(suspend=True)
    world.live()
    assert world.made == [("", "now", 5)]
    world.ask("again")
    world.live()
    assert len(world.made) == 1
    world.edit(suspend=False)
    world.live()
    assert len(world.made) == 2


def test_what_is_refused_begins_nothing_and_asks_nothing() -> None:
    assert decide(situation(rotation("now"), facts=None, obstacle=REFUSED)) == Rest(obstacle=REFUSED)


def test_a_run_that_is_refused_before_its_write_writes_nothing_until_it_is_admitted() -> None:
    world = begun()
    world.obstacle = REFUSED
    world.live()
    assert (world.made, world.status.run is not None) == ([], True)
    world.obstacle = None
    world.live()
    assert world.made == [("", "now", 5)]


def test_a_run_that_is_refused_after_its_write_is_recorded() -> None:
    world = World(rotation("now"), crash=lambda *point: point == (2, "after"))
    with pytest.raises(Crash):
        world.look()
    world.obstacle = REFUSED
    world.live()
    assert world.status.last_run.result == "Succeeded"
    assert world.status.phase == "Refused"


def test_a_run_that_has_not_written_waits_when_its_window_closed() -> None:
    world = World(rotation(schedule="@daily", window={"opens": "0 0 * * *", "duration": "1h"}))
    world.now = START + timedelta(hours=14, minutes=30)
    world.crash = lambda *point: point == (world.effects, "after") and world.status.run is not None
    with pytest.raises(Crash):
        world.look()
    world.crash = lambda _number, _when: False
    world.now += timedelta(hours=2)
    world.live()
    assert world.made == []
    assert world.status.next == "2031-01-08T00:00:00Z"
    world.now = START + timedelta(hours=38)
    world.live()
    assert len(world.made) == 1


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (replace(FOUND, state=SecretState.ABSENT, version=0), Reason.SECRET_ABSENT),
        (replace(FOUND, state=SecretState.DELETED), Reason.SECRET_DELETED),
        (replace(FOUND, state=SecretState.DESTROYED), Reason.SECRET_DESTROYED),
        (replace(FOUND, fields=frozenset({"user"})), Reason.FIELD_MISSING),
    ],
)
def test_a_secret_that_cannot_be_rotated_ends_the_run_with_its_own_reason(found: object, reason: Reason) -> None:
    assert isinstance(found, type(FOUND))
    step = decide(situation(rotation("now"), facts=found))
    assert isinstance(step, End)
    assert (step.result, step.reason) == (Result.FAILED, reason)
    rest = decide(situation(rotation(), facts=found))
    assert isinstance(rest, Rest)
    assert rest.obstacle is not None
    assert rest.obstacle.reason is reason
    world = begun()
    world.secret = found
    world.live()
    assert world.made == []
    assert (world.status.last_run.result, world.status.last_run.reason) == ("Failed", reason.word)
    assert world.status.run is None


def test_a_store_that_gives_no_answer_leaves_everything_to_the_next_try() -> None:
    fault = Obstacle(Reason.BACKEND_UNREACHABLE, "no answer", passing=True)
    assert decide(situation(rotation("now"), facts=None, fault=fault)) == Rest(obstacle=fault)
    assert decide(situation(begun().declared, facts=None, fault=fault)) == Rest(obstacle=fault)


def test_a_store_that_can_never_do_it_ends_the_run() -> None:
    fault = Obstacle(Reason.NO_VERSIONS, "version 1")
    step = decide(situation(rotation("now"), facts=None, fault=fault))
    assert isinstance(step, End)
    assert (step.result, step.reason) == (Result.FAILED, Reason.NO_VERSIONS)


@pytest.mark.parametrize(
    ("owner", "rivals", "conflicts"),
    [
        (OWNER, frozenset[str](), False),
        ("c1/team/gone", frozenset[str](), False),
        ("c1/team/other", frozenset({"team/other"}), True),
        ("c2/team/warehouse", frozenset[str](), True),
        ("something else", frozenset[str](), True),
    ],
)
def test_a_secret_that_others_rotate_is_left_alone(owner: str, rivals: frozenset[str], conflicts: bool) -> None:
    marked = replace(FOUND, mark=RunMark(owner, "r", "t"))
    step = decide(situation(rotation("now"), facts=marked, rivals=rivals))
    if not conflicts:
        assert isinstance(step, Start)
        return
    assert isinstance(step, Rest)
    assert step.obstacle is not None
    assert step.obstacle.reason is Reason.ROTATION_CONFLICT
    world = begun()
    world.secret, world.rivals = marked, rivals
    world.live()
    assert world.made == []


def test_conflicts_name_the_others() -> None:
    assert conflict(()) is None
    found = conflict(("team/b", "team/a"))
    assert found is not None
    assert "team/a, team/b" in found.message


def test_a_clock_that_went_back_runs_nothing_until_somebody_asks() -> None:
    world = World(rotation(schedule="@daily"), now=START + 400 * DAY)
    world.live()
    assert len(world.made) == 1
    world.now = START + 2 * DAY
    world.live()
    assert len(world.made) == 1
    healthy = world.status.condition("Healthy")
    assert healthy is not None
    assert (healthy.status, healthy.reason) == ("False", "ClockWentBack")
    world.ask("set right")
    world.live()
    assert len(world.made) == 2
    world.now += DAY
    world.live()
    assert len(world.made) == 3


def test_a_clock_that_is_a_little_behind_repeats_nothing_even_on_request() -> None:
    midnight = START + timedelta(hours=14)
    world = World(rotation(schedule="@daily"), now=midnight + timedelta(seconds=1))
    world.live()
    world.now = midnight - timedelta(seconds=3)
    world.ask("now")
    world.live()
    world.now = midnight + timedelta(seconds=5)
    world.live()
    assert [(bool(slot), word) for slot, word, _ in world.made] == [(True, ""), (False, "now")]


def test_a_resumed_run_writes_over_its_base_alone() -> None:
    world = begun()
    step = decide(situation(world.declared))
    assert isinstance(step, Write)
    assert step.run.base_version == FOUND.version
    after = decide(situation(world.declared, facts=replace(FOUND, version=5)))
    assert isinstance(after, Record)
    assert after.version == 5
