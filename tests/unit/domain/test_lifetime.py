"""The end of access: logins get shorter as it nears, and nothing is granted after it."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.conditions import Effective, Status, Target, TargetState
from airwarden.api.fields import duration_text
from airwarden.domain import lifetime
from airwarden.domain.lifetime import FLOOR, LEAD, Turn, session_at, soonest
from airwarden.domain.resources import Session
from unit.domain.making import binding

END = datetime(2031, 5, 1, 12, tzinfo=UTC)
HOUR = Session(3600, 3600)
lifetimes = st.integers(min_value=1, max_value=30 * 86400)
sessions = st.builds(lambda one, other: Session(min(one, other), max(one, other)), lifetimes, lifetimes)
before = st.floats(min_value=0.001, max_value=60 * 86400).map(lambda left: END - timedelta(seconds=left))
late = st.floats(min_value=0, max_value=LEAD.total_seconds())


def steps(session: Session) -> list[tuple[datetime, Session]]:
    """Return each session with the moment from which it holds, from long before the end to the last."""
    now = END - timedelta(days=3650)
    found = []
    while now < END:
        shortened, turn = session_at(now, END, session)
        found.append((now, shortened))
        assert turn is not None
        assert turn.tightens
        assert turn.at > now
        now = turn.at
    assert now == END
    return found


@given(sessions, before, late)
def test_no_login_at_any_moment_outlives_the_end_by_more_than_the_floor(
    session: Session, at: datetime, delay: float
) -> None:
    """Also when each change acts some seconds late: a login made now gets what was wanted that long ago."""
    shortened, _ = session_at(at - timedelta(seconds=delay), END, session)
    assert at + timedelta(seconds=shortened.max_ttl) <= END + timedelta(seconds=FLOOR)
    assert 1 <= shortened.ttl <= shortened.max_ttl <= session.max_ttl
    assert shortened.ttl <= session.ttl


@given(sessions, before, before)
def test_between_two_turns_every_look_gives_the_same_session(session: Session, one: datetime, other: datetime) -> None:
    early, later = sorted((one, other))
    shortened, turn = session_at(early, END, session)
    assert turn is not None
    if later < turn.at:
        assert session_at(later, END, session) == (shortened, turn)
    else:
        assert session_at(later, END, session)[0].max_ttl <= shortened.max_ttl


@given(sessions)
def test_the_steps_are_few(session: Session) -> None:
    found = steps(session)
    assert len(found) - 1 <= max(0, math.ceil(math.log2(session.max_ttl / FLOOR)))
    assert found[0][1] == session


def test_an_hour_is_halved_eight_times() -> None:
    assert [each.max_ttl for _, each in steps(HOUR)] == [3600, 1800, 900, 450, 225, 112, 56, 28, 15]


def test_a_login_is_not_shortened_while_a_whole_session_fits() -> None:
    at = END - timedelta(seconds=3600) - LEAD
    assert session_at(at - timedelta(microseconds=1), END, HOUR) == (HOUR, Turn(at, tightens=True))
    assert session_at(at, END, HOUR)[0] == Session(1800, 1800)


def test_without_an_end_nothing_is_shortened_and_nothing_is_due() -> None:
    assert session_at(END, None, HOUR) == (HOUR, None)
    assert not lifetime.has_ended(END, None)


def test_at_the_very_moment_the_access_has_ended() -> None:
    assert lifetime.has_ended(END, END)
    assert not lifetime.has_ended(END - timedelta(microseconds=1), END)


def test_of_two_turns_at_one_moment_the_one_that_tightens_counts() -> None:
    more, less = Turn(END, tightens=False), Turn(END, tightens=True)
    assert soonest(more, None, less) == less
    assert soonest(more, Turn(END - timedelta(seconds=1), tightens=False)) != more
    assert soonest(None) is None


def seen(session: str = "", *backends: str, not_after: str | None = "2031-05-01T12:00:00Z") -> AirflowSecretBinding:
    """Return a binding whose status shows this session, and something recorded in these backends."""
    targets = tuple(Target(backend=each, kind="Policy", name="x", state=TargetState.PRESENT) for each in backends)
    status = Status(effective=Effective(session_ttl=session, session_max_ttl=session), targets=targets)
    return binding(not_after=not_after).model_copy(update={"status": status})


def test_what_is_recorded_in_a_store_after_the_end_is_overdue() -> None:
    assert lifetime.overdue(seen("15s", "", "vault"), END)
    assert not lifetime.overdue(seen("15s", ""), END), "the account stays"
    assert not lifetime.overdue(seen("", "vault"), END - timedelta(days=1))
    assert not lifetime.overdue(seen("1h", "vault", not_after=None), END)
    assert not lifetime.overdue(binding(not_after="2031-05-01T12:00:00Z"), END)


def test_a_session_that_is_too_long_by_now_is_overdue_and_one_that_fits_is_not() -> None:
    near = END - timedelta(minutes=10)
    assert lifetime.overdue(seen("1h", "vault"), near)
    assert not lifetime.overdue(seen("7m30s", "vault"), near)


@given(before, st.integers(min_value=1, max_value=7200))
def test_after_a_restart_the_status_alone_tells_the_next_turn(now: datetime, shown: int) -> None:
    found = lifetime.expected_turn(seen(duration_text(shown), "vault"), now)
    assert found == session_at(now, END, Session(shown, shown))[1]


def test_a_status_that_shows_no_session_leaves_the_end_as_the_turn() -> None:
    assert lifetime.expected_turn(seen("nonsense"), END - timedelta(days=1)) == Turn(END, tightens=True)
    assert lifetime.expected_turn(seen("1h"), END) is None
    assert lifetime.expected_turn(seen("1h", not_after=None), END) is None


@pytest.mark.parametrize("longest", [1, 14, 15])
def test_a_session_below_the_floor_stays_as_it_is_to_the_end(longest: int) -> None:
    assert steps(Session(longest, longest))[1:] == []
