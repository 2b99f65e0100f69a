"""Shows how far a run is: a bar on a terminal, a line at each start and end elsewhere, both on standard error.

Made by `__main__`, used by `runner` and, within a scenario, by `stage`.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

_LINE_EVERY: Final = 15.0


class Progress:
    """What a run tells while it runs."""

    def __init__(self, console: Console, bar: Bar | None) -> None:
        self._console = console
        self._bar = bar
        self._task: TaskID | None = bar.add_task("starting", total=None) if bar is not None else None
        self._title, self._began, self._said = "", 0.0, 0.0

    def begin(self, title: str) -> None:
        """Start a step."""
        self._title, self._began = title, time.monotonic()
        self._said = self._began
        if self._bar is not None and self._task is not None:
            self._bar.reset(self._task, total=None, description=title)
        else:
            self._console.print(f"bench: {title}", highlight=False)

    def move(self, done: int, total: int) -> None:
        """Say how much of the step is done; may be called often."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)
        elif time.monotonic() - self._said >= _LINE_EVERY:
            self._said = time.monotonic()
            self._console.print(f"bench: {self._title}: {done} of {total}", highlight=False)

    def end(self, outcome: str = "") -> None:
        """Say how the step ended."""
        seconds = time.monotonic() - self._began
        self._console.print(f"bench: {self._title}: {outcome or 'done'} in {seconds:.0f} s", highlight=False)


@contextmanager
def open_progress() -> Iterator[Progress]:
    """Yield the form of progress that suits standard error."""
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield Progress(console, None)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        yield Progress(console, bar)
