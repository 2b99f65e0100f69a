"""Work that goes on as long as the operator does: the look back, the sweeps, the watch of Jobs.

Each of them handles what it expects and never returns. One that ends all the same would be missed by nobody until
access stays that should have gone: so it ends the process, which Kubernetes starts again. Called by
`airwarden.operator_process`.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger("airwarden.background")


class BackgroundEnded(Exception):
    """Work ended that goes on as long as the operator. Its cause is the exception, if it was one."""


class Background:
    """Tasks that end with the operator; ``ended`` is set when one ends before."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: asyncio.Task[None] | None = None

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Begin; ``name`` is for the log."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._done)
        self._tasks.append(task)

    def cancel(self) -> None:
        """End all of them."""
        for each in self._tasks:
            each.cancel()

    def check(self) -> None:
        """Raise BackgroundEnded when one ended before it was cancelled."""
        if self._failed is not None:
            raise BackgroundEnded(f"{self._failed.get_name()} ended by itself") from self._failed.exception()

    def _done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._failed is not None:
            return
        self._failed = task
        log.critical("work ended that must not; the operator ends", what=task.get_name(), exc_info=task.exception())
        self._ended.set()
