"""Shows how far a build of the binaries is: a bar on a terminal, a line every 15 s elsewhere.

Called by `building.py` only. Both forms write to stderr.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from plane.binaries import say_on_stderr

LINE_EVERY = 15.0


class Progress(Protocol):
    """What a build tells while it runs."""

    def begin(self, number: int, name: str, estimate: float) -> None:
        """Start step `number`."""

    def tick(self) -> None:
        """Say that the step is still running; called about twice a second."""

    def done(self, name: str) -> None:
        """End the step."""


class PlainProgress:
    """A line at each start and end, and one every 15 s between."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._label, self._estimate, self._started, self._said = "", 0.0, 0.0, 0.0

    def begin(self, number: int, name: str, estimate: float) -> None:
        """Start step `number`."""
        self._label, self._estimate = f"{number}/{self._total} {name}", estimate
        self._started = self._said = time.monotonic()
        say_on_stderr(f"plane: building {self._label} (about {estimate:.0f} s)")

    def tick(self) -> None:
        """Print a line if the last one is old enough."""
        now = time.monotonic()
        if now - self._said >= LINE_EVERY:
            self._said = now
            elapsed = now - self._started
            say_on_stderr(f"plane: building {self._label}: {elapsed:.0f} s of about {self._estimate:.0f} s")

    def done(self, name: str) -> None:
        """Print how long the step took."""
        say_on_stderr(f"plane: built {self._label} in {time.monotonic() - self._started:.0f} s")


class BarProgress:
    """One bar over the current step's estimate; it stops short of the end until the step is done."""

    def __init__(self, total: int, bar: RichProgress) -> None:
        self._total, self._bar = total, bar
        self._task = bar.add_task("starting", total=1.0)
        self._estimate, self._started = 1.0, time.monotonic()

    def begin(self, number: int, name: str, estimate: float) -> None:
        """Start step `number`."""
        self._estimate, self._started = estimate, time.monotonic()
        label = f"building {number}/{self._total} {name} (about {estimate:.0f} s)"
        self._bar.reset(self._task, total=1.0, description=label)

    def tick(self) -> None:
        """Move the bar."""
        share = (time.monotonic() - self._started) / self._estimate
        self._bar.update(self._task, completed=min(share, 0.97))

    def done(self, name: str) -> None:
        """Fill the bar and leave a line behind."""
        self._bar.update(self._task, completed=1.0)
        self._bar.console.print(f"plane: built {name} in {time.monotonic() - self._started:.0f} s", highlight=False)


@contextmanager
def open_progress(total: int) -> Iterator[Progress]:
    """Yield the form of progress that suits stderr."""
    if not sys.stderr.isatty():
        yield PlainProgress(total)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with RichProgress(*columns, console=Console(stderr=True)) as bar:
        yield BarProgress(total, bar)
