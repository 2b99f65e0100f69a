"""Work that would hold up the event loop, a little at a time.

An edit of an environment, or one claim of all DAGs, concerns bindings by the thousand: probes, removals and other
environments go on meanwhile. Used by `airwarden.reconcile.environments` and `airwarden.reconcile.engine`.
"""

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, TypeVar

import structlog

from airwarden.domain.slices import Steps
from airwarden.reconcile.queue import Key

log = structlog.get_logger("airwarden.slicing")
T = TypeVar("T")
_FEW: Final = 8
"""How many bindings are woken at once: each is held against all that is known of its surroundings."""


async def in_steps(steps: Steps[T]) -> T:
    """Return what some work comes to; after each of its steps others have their turn."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)


class Waking:
    """Has bindings looked at again, a few now and the others in turn, each once however often it is named."""

    def __init__(self, wake: Callable[[Iterable[Key]], None]) -> None:
        self._wake = wake
        self._waiting: dict[Key, None] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """True when none waits to be woken."""
        return not self._waiting

    def take(self, keys: Iterable[Key]) -> None:
        """Wake some bindings: few of them now, the others in turn."""
        self._waiting.update(dict.fromkeys(keys))
        if self._task is None:
            self._some()
            self._go_on()

    def close(self) -> None:
        """Wake nobody any more."""
        self._waiting.clear()

    def _go_on(self) -> None:
        if self._waiting:
            self._task = asyncio.get_running_loop().create_task(self._others(), name="waking bindings")
            self._task.add_done_callback(self._ended)

    async def _others(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)
            self._some()

    def _some(self) -> None:
        some = tuple(islice(self._waiting, _FEW))
        for each in some:
            del self._waiting[each]
        self._wake(some)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("waking broke off: this is a bug", exc_info=error)
        self._go_on()  # also for those that came after its last step
