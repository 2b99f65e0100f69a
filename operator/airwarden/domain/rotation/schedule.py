"""Cron texts in a time zone, as moments.

`CronSim` does the arithmetic: it is small, has no dependencies, is typed, and keeps the daylight-saving rule of
Debian's cron, which people who write cron texts know. That rule, for schedules that name an hour: what falls into
the gap of spring runs at the end of the gap, and what falls into the doubled hour of autumn runs once, at its first
pass. Schedules of every hour or every minute follow elapsed time. Called by `airwarden.domain.rotation.timetable`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

FORMS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""The short forms that Kubernetes knows too."""
_FIELDS: Final = ("minute", "hour", "day of month", "month", "day of week")
_SAMPLE: Final = 60
"""How many runs are looked at for the shortest period: two months of a daily one, a day of one every 24 minutes."""
_ONE_FIELD: Final = re.compile(r"[0-9A-Za-z*/,-]+")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WORDS: Final = frozenset((*_DAYS, *_MONTHS))


class InvalidSchedule(ValueError):
    """A cron text or a zone that is none; the message says what is wrong and what would do."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Moments that follow a cron text, read in one time zone. Make it with `Schedule.read`."""

    text: str
    """Five fields."""
    zone: ZoneInfo

    @classmethod
    def read(cls, text: str, zone: str) -> Self:
        """Read a cron text of five fields or a short form such as ``@weekly``.

        Raises InvalidSchedule for anything else, for a date that never comes, and for a zone that is not known.
        """
        found = cls(_five_fields(text), _zone(zone))
        try:
            first = next(found.after(datetime(2000, 1, 1, tzinfo=UTC)), None)
        except CronSimError as error:
            raise InvalidSchedule(f"schedule {text!r} cannot be read: {str(error).lower()}; {_EXAMPLE}") from error
        if first is None:
            raise InvalidSchedule(f"schedule {text!r} names a date that never comes; {_EXAMPLE}")
        return found

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the moments later than the given one, in UTC, soonest first; each once.

        The given moment must have a zone. Ends when no further moment comes within fifty years.
        """
        last = moment.astimezone(UTC)
        for each in CronSim(self.text, moment.astimezone(self.zone)):
            found = each.astimezone(UTC)
            if found > last:
                last = found
                yield found

    def latest(self, since: datetime, until: datetime) -> datetime | None:
        """Return the last moment later than ``since`` and not later than ``until``, or None."""
        if since >= until:
            return None
        for each in CronSim(self.text, until.astimezone(self.zone) + timedelta(minutes=1), reverse=True):
            found = each.astimezone(UTC)
            if found <= since:
                return None
            if found <= until:
                return found
        return None

    def shortest_period(self, since: datetime) -> timedelta:
        """Return the shortest time between two of the next moments."""
        gaps = [later - sooner for sooner, later in pairwise(islice(self.after(since), _SAMPLE))]
        return min(gaps, default=timedelta.max)


_EXAMPLE: Final = (
    "write five fields (minute, hour, day of month, month, day of week) such as 30 3 * * 0, or a form such as @weekly"
)


def _five_fields(text: str) -> str:
    if text.startswith("@"):
        if text not in FORMS:
            raise InvalidSchedule(f"schedule {text!r} is no form that is known: use one of {', '.join(FORMS)}")
        return FORMS[text]
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise InvalidSchedule(f"schedule {text!r} has {len(fields)} fields instead of five; {_EXAMPLE}")
    for name, field in zip(_FIELDS, fields, strict=True):
        words = set(re.findall("[A-Za-z]+", field.upper()))
        if _ONE_FIELD.fullmatch(field) is None or not words <= _WORDS:
            raise InvalidSchedule(f"schedule {text!r} cannot be read: {field!r} is no {name}; {_EXAMPLE}")
    return " ".join(fields)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidSchedule(
            f"time zone {name!r} is not known: use a name of the IANA database such as Europe/Berlin or UTC"
        ) from error
