"""When the next run is due: schedule, jitter, window, deadline and what was done before, in one pure decision.

A *slot* is a moment of the schedule. Each slot becomes due once, at its moment plus the rotation's own share of the
jitter, moved to the next opening when a window is closed then. Slots that passed unseen are one run, not many.
Called by `airwarden.reconcile.rotations`, and by `airwarden rotations` for its calendar.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from airwarden.domain.rotation.schedule import InvalidSchedule, Schedule


@dataclass(frozen=True, slots=True)
class Window:
    """Times in which runs may begin."""

    opens: Schedule
    duration: timedelta

    def opening(self, moment: datetime) -> datetime:
        """Return the moment itself while the window is open, else the next opening.

        Raises InvalidSchedule when none comes any more.
        """
        if self.opens.latest(moment - self.duration, moment) is not None:
            return moment
        found = next(self.opens.after(moment), None)
        if found is None:
            raise InvalidSchedule(f"window {self.opens.text!r} never opens again")
        return found


@dataclass(frozen=True, slots=True)
class Timetable:
    """Everything that decides when one rotation runs."""

    schedule: Schedule
    seed: str
    """What tells this rotation from all others, such as its uid: spreads the jitter, the same after each restart."""
    jitter: timedelta = timedelta()
    window: Window | None = None
    starting_deadline: timedelta | None = None
    """A slot that could not begin for so long after it was due is missed; None: it is made up for however late."""

    def due(self, slot: datetime) -> datetime:
        """Return when the slot's run may begin."""
        spread = slot + self._share(slot, self.jitter)
        if self.window is None:
            return spread
        opening = self.window.opening(spread)
        if opening == spread:
            return spread
        # All that waited for the opening would begin with it: they are spread over its first half.
        return opening + self._share(slot, min(self.jitter, self.window.duration / 2))

    def _share(self, slot: datetime, most: timedelta) -> timedelta:
        span = int(most.total_seconds())
        if span <= 0:
            return timedelta()
        digest = hashlib.sha256(f"{self.seed}/{slot.isoformat()}".encode()).digest()
        return timedelta(seconds=int.from_bytes(digest[:8], "big") % span)

    def coming(self, now: datetime) -> Iterator[datetime]:
        """Yield when runs are due from now on, soonest first, for a calendar."""
        for slot in self.schedule.after(now):
            yield self.due(slot)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before a moment. ``until`` None: never, since the schedule has no further moment."""

    until: datetime | None
    slot: datetime | None = None


@dataclass(frozen=True, slots=True)
class Begin:
    """The run of a slot is due. Older slots, if any, are made up for by this one."""

    slot: datetime
    due: datetime


@dataclass(frozen=True, slots=True)
class Missed:
    """A slot passed its deadline: it is noted as handled, and not made up for."""

    slot: datetime
    due: datetime


SKEW: Final = timedelta(minutes=5)
"""By how much clocks may differ before that is told. A slot on record in the near future is none too many."""


@dataclass(frozen=True, slots=True)
class ClockWentBack:
    """A slot is on record that is well ahead of now: the clock was ahead when it was handled, or it is behind now.

    Nothing runs, since nobody knows which, and a slot must not run twice; a run on demand sets it right.
    """

    slot: datetime


Turn = Wait | Begin | Missed | ClockWentBack


def turn(table: Timetable, handled: datetime, now: datetime) -> Turn:
    """Return what to do now, when the slots up to and including ``handled`` are done with.

    ``handled`` is the rotation's creation before its first run. All moments must have a zone. Begins no slot twice:
    a slot is later than ``handled``, which the caller records before the run begins.
    """
    if handled > now + SKEW:
        return ClockWentBack(handled)
    first = next(table.schedule.after(handled), None)
    if first is None:
        return Wait(None)
    due = table.due(first)
    if due > now:
        return Wait(due, first)
    newest = table.schedule.latest(handled, now) or first
    due = _newest_due(table, handled, newest, now) or due
    if table.starting_deadline is not None and now - due > table.starting_deadline:
        return Missed(newest, due)
    opening = now if table.window is None else table.window.opening(now)
    return Begin(newest, due) if opening <= now else Wait(opening, newest)


def _newest_due(table: Timetable, handled: datetime, newest: datetime, now: datetime) -> datetime | None:
    """Return when the newest slot that is due became so. Only the newest may still wait for its jitter."""
    before = table.schedule.latest(handled, newest - timedelta(microseconds=1))
    for slot in (newest, before):
        if slot is not None and (due := table.due(slot)) <= now:
            return due
    return None


def check(table: Timetable, now: datetime) -> None:
    """Raise InvalidSchedule for what can be read but makes no sense together."""
    period = table.schedule.shortest_period(now)
    if table.jitter >= period:
        raise InvalidSchedule(
            f"a jitter of {table.jitter} is not shorter than the time between two runs, {period}: shorten it"
        )
    if table.window is not None:
        opening = table.window.opens.shortest_period(now)
        if table.window.duration > opening:
            raise InvalidSchedule(
                f"a window of {table.window.duration} is longer than the time between two openings, {opening}: "
                "it would never close; shorten it or leave the window out"
            )
