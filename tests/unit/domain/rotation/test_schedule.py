"""Cron texts as moments: short forms, daylight saving, leap days, and texts that are none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.rotation.schedule import FORMS, InvalidSchedule, Schedule

TEXTS = ("*/7 * * * *", "0 * * * *", "30 2 * * *", "15 3 * * 0", "0 0 1 * *", "0 12 29 2 *", "5 4 1-7 * 1", *FORMS)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia")
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(lambda found: found.replace(tzinfo=UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def following(text: str, zone: str, moment: str, count: int) -> list[str]:
    found = islice(Schedule.read(text, zone).after(at(moment)), count)
    return [f"{each:%Y-%m-%d %H:%M}" for each in found]


def test_a_schedule_is_read_in_its_own_zone() -> None:
    assert following("30 3 * * *", "Europe/Berlin", "2031-01-10T00:00", 1) == ["2031-01-10 02:30"]
    assert following("30 3 * * *", "Europe/Berlin", "2031-07-10T00:00", 1) == ["2031-07-10 01:30"]


def test_what_falls_into_the_gap_of_spring_runs_at_its_end() -> None:
    # In Berlin 02:00 to 03:00 does not exist on 2031-03-30.
    assert following("30 2 * * *", "Europe/Berlin", "2031-03-29T12:00", 2) == ["2031-03-30 01:00", "2031-03-31 00:30"]


def test_what_falls_into_the_doubled_hour_of_autumn_runs_once_at_its_first_pass() -> None:
    # In Berlin 02:00 to 03:00 comes twice on 2031-10-26.
    assert following("30 2 * * *", "Europe/Berlin", "2031-10-25T12:00", 2) == ["2031-10-26 00:30", "2031-10-27 01:30"]


def test_every_hour_is_every_hour_also_when_the_clock_is_set() -> None:
    for day in ("2031-03-29T23:00", "2031-10-25T22:00"):
        found = list(islice(Schedule.read("@hourly", "Europe/Berlin").after(at(day)), 6))
        assert {later - sooner for sooner, later in pairwise(found)} == {timedelta(hours=1)}


def test_a_leap_day_comes_in_leap_years_only() -> None:
    assert following("0 0 29 2 *", "UTC", "2031-01-01T00:00", 2) == ["2032-02-29 00:00", "2036-02-29 00:00"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0 0 31 2 *", "bad day-of-month"),
        ("0 0 * *", "has 4 fields instead of five"),
        ("0 0 0 * * *", "has 6 fields instead of five"),
        ("61 * * * *", "bad minute"),
        ("*/0 * * * *", "bad minute"),
        ("0 0 L * *", "'L' is no day of month"),
        ("0 0 * * 5#3", "'5#3' is no day of week"),
        ("@fortnightly", "is no form that is known: use one of @yearly"),
        ("@every 1h", "is no form that is known"),
        ("CRON_TZ=UTC 0 0 * * *", "has 6 fields"),
        ("", "has 0 fields"),
    ],
)
def test_what_is_no_schedule_is_refused_with_what_would_be(text: str, complaint: str) -> None:
    with pytest.raises(InvalidSchedule, match=complaint.replace("*", r"\*").replace("(", r"\(")):
        Schedule.read(text, "UTC")


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "", "../../etc/passwd", "Europe", "CET+1"])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(InvalidSchedule, match="is not known: use a name of the IANA database"):
        Schedule.read("@daily", zone)


@given(st.sampled_from(TEXTS), st.sampled_from(ZONES), moments)
def test_moments_only_ever_go_on(text: str, zone: str, moment: datetime) -> None:
    found = [moment, *islice(Schedule.read(text, zone).after(moment), 8)]
    assert all(sooner < later for sooner, later in pairwise(found))


@given(st.sampled_from(TEXTS), st.sampled_from(ZONES), moments)
def test_looking_back_finds_what_looking_forward_found(text: str, zone: str, moment: datetime) -> None:
    schedule = Schedule.read(text, zone)
    first, second = islice(schedule.after(moment), 2)
    assert schedule.latest(moment, first) == first
    assert schedule.latest(moment, second - timedelta(seconds=1)) == first
    assert schedule.latest(moment, first - timedelta(seconds=1)) is None


@given(st.sampled_from(TEXTS), st.sampled_from(ZONES), moments)
def test_the_next_moment_does_not_depend_on_when_it_is_asked_for(text: str, zone: str, moment: datetime) -> None:
    schedule = Schedule.read(text, zone)
    first = next(schedule.after(moment))
    between = moment + (first - moment) / 2
    assert next(schedule.after(between)) == first
