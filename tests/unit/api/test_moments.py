"""The pattern of times holds exactly the calendar: it stands in for a date check that CEL would report badly."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.api.fields import MOMENT, moment

PATTERN = re.compile(MOMENT)
times = st.datetimes(datetime(2000, 1, 1), datetime(2999, 12, 31, 23, 59, 59), timezones=st.just(UTC))  # noqa: DTZ001


@given(times)
def test_every_second_of_the_years_2000_to_2999_is_taken_and_read(time: datetime) -> None:
    time = time.replace(microsecond=0)
    assert moment(time.strftime("%Y-%m-%dT%H:%M:%SZ")) == time


@pytest.mark.parametrize("year", [*range(2000, 2110), 2200, 2400, 2799, 2800, 2900, 2999])
def test_each_year_has_its_days(year: int) -> None:
    taken = {
        (month, day)
        for month in range(14)
        for day in range(33)
        if PATTERN.match(f"{year}-{month:02}-{day:02}T00:00:00Z")
    }
    assert taken == {(month, day) for month in range(14) for day in range(33) if exists(year, month, day)}


def exists(year: int, month: int, day: int) -> bool:
    try:
        datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("text", ["", "now", "2027-01-31", "2027-02-29T00:00:00Z", "2027-01-31T00:00:00Z\n"])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        moment(text)
