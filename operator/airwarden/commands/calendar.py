"""The coming runs of rotations by day: for the terminal, as an SVG picture, and as an HTML page. Pure.

Called by `airwarden.commands.rotations`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from html import escape
from itertools import islice, takewhile
from typing import Final

from airwarden.domain.rotation.timetable import Timetable

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MOST: Final = 3000
"""Runs of one rotation that are looked for: six weeks of one every twenty minutes."""
_LINES: Final = 4
"""Names in one day of the picture, before it says how many more there are."""
_WIDTH, _HEIGHT, _HEAD, _SIDE = 132, 92, 64, 16
_INK, _FAINT, _TODAY, _RUN = "#24292f", "#8c959f", "#fff8c5", "#0550ae"
_STYLE: Final = (
    "body{font-family:system-ui,sans-serif;color:#24292f;background:#fff;margin:2rem}"
    "table{border-collapse:collapse;margin-top:1.5rem}"
    "td,th{border-bottom:1px solid #d0d7de;padding:.3rem .8rem;text-align:left}"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One rotation: what is shown of it, and when it runs."""

    row: Mapping[str, str]
    table: Timetable | None
    following: datetime | None = None
    """When the operator says that the next run is due."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.row["namespace"], self.row["rotation"]


@dataclass(frozen=True, slots=True)
class Calendar:
    """All runs of some weeks, which begin on a Monday. Days are those of UTC."""

    first: date
    weeks: int
    today: date
    runs: Mapping[tuple[str, str], tuple[datetime, ...]]
    cut: tuple[str, ...] = field(default=())
    """Rotations of which not all runs are shown."""

    def on(self, day: date) -> list[tuple[datetime, str]]:
        """Return the runs of a day, soonest first."""
        found = [(each, "/".join(key)) for key, moments in self.runs.items() for each in moments if each.date() == day]
        return sorted(found)

    def day(self, week: int, weekday: int) -> date:
        """Return a day by its place."""
        return self.first + timedelta(days=7 * week + weekday)


def calendar(entries: Sequence[Entry], now: datetime, weeks: int) -> Calendar:
    """Return the runs from now to the end of so many weeks, this one counted."""
    first = now.date() - timedelta(days=now.weekday())
    end = first + timedelta(days=7 * weeks)
    runs = {each.key: _coming(each, now, end) for each in entries}
    cut = tuple("/".join(key) for key, moments in sorted(runs.items()) if len(moments) >= _MOST)
    return Calendar(first, weeks, now.date(), runs, cut)


def _coming(entry: Entry, now: datetime, end: date) -> tuple[datetime, ...]:
    """Return when one rotation runs: what the operator says is next, which may be of a moment that has passed, too.

    Several moments that wait for one opening are one run.
    """
    if entry.table is None:
        return ()
    moments = set(takewhile(lambda each: each.date() < end, islice(entry.table.coming(now), _MOST)))
    if entry.following is not None and now <= entry.following and entry.following.date() < end:
        moments.add(entry.following)
    return tuple(sorted(moments))


def text(found: Calendar) -> str:
    """Return the calendar for a terminal: how many runs each day has, and what the next days bring."""
    lines = ["runs a day (UTC)  " + "".join(f"{name:>6}" for name in _DAYS)]
    for week in range(found.weeks):
        days = [found.day(week, weekday) for weekday in range(7)]
        lines.append(f"{days[0].isoformat():<18}" + "".join(f"{_count(found, day):>6}" for day in days))
    lines += [f"not all runs are shown of {name}" for name in found.cut]
    return "\n".join(lines) + "\n"


def _count(found: Calendar, day: date) -> str:
    if day < found.today:
        return ""
    return str(len(found.on(day)) or "·")


def picture(found: Calendar) -> str:
    """Return the calendar as an SVG picture."""
    width, height = 2 * _SIDE + 7 * _WIDTH, _HEAD + found.weeks * _HEIGHT + _SIDE
    last = found.day(found.weeks - 1, 6)
    parts = [_write(_SIDE, 26, f"Rotations from {found.today.isoformat()} to {last.isoformat()} (UTC)", size=15)]
    parts += [_write(_SIDE + at * _WIDTH + 6, _HEAD - 10, name, colour=_FAINT) for at, name in enumerate(_DAYS)]
    parts += [_cell(found, week, weekday) for week in range(found.weeks) for weekday in range(7)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Calendar of rotations" font-family="system-ui, sans-serif" font-size="11">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "".join(parts) + "</svg>\n"
    )


def page(found: Calendar, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """Return calendar and list as an HTML page without anything to load."""
    head = "".join(f"<th>{escape(each)}</th>" for each in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(row.get(each, ''))}</td>" for each in columns) + "</tr>\n" for row in rows
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Rotations</title>'
        f"<style>{_STYLE}</style></head><body>\n{picture(found)}"
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>\n</body></html>\n"
    )


def _cell(found: Calendar, week: int, weekday: int) -> str:
    day = found.day(week, weekday)
    left, top = _SIDE + weekday * _WIDTH, _HEAD + week * _HEIGHT
    fill = _TODAY if day == found.today else "#ffffff"
    box = f'<rect x="{left}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" fill="{fill}" stroke="#d0d7de"/>\n'
    runs = found.on(day)
    lines = [f"{moment:%H:%M} {name}" for moment, name in runs[:_LINES]]
    if len(runs) > _LINES:
        lines[-1] = f"and {len(runs) - _LINES + 1} more"
    written = [_write(left + 6, top + 32 + 15 * at, _short(line), colour=_RUN) for at, line in enumerate(lines)]
    return box + _write(left + 6, top + 15, f"{day:%d %b}", colour=_FAINT) + "".join(written)


def _short(line: str) -> str:
    return line if len(line) <= 21 else line[:20] + "…"


def _write(left: int, top: int, words: str, *, size: int = 11, colour: str = _INK) -> str:
    return f'<text x="{left}" y="{top}" font-size="{size}" fill="{colour}">{escape(words)}</text>\n'
