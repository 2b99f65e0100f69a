"""Which binding is worked on next: keyed lanes, one per set of backends, urgent work first, namespaces by turns.

A lane for each set of backends keeps a slow store from holding up bindings that do not use it, and turns keep
a namespace with a thousand bindings from holding up one that has a single one. A key is never worked on twice
at once, whatever lane it stands in. Called by `airwarden.reconcile.engine`.
"""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import structlog

log = structlog.get_logger("airwarden.queue")

Key = tuple[str, str]
"""Namespace and name of a binding."""
Lane = frozenset[str]
"""The backends that the bindings of a lane use."""


class Urgency(IntEnum):
    """The order in which work is done."""

    REMOVAL = 0
    """Access must end: deletion and tightening."""
    CHANGE = 1
    """New and edited bindings, and retries of them."""
    DRIFT = 2
    """Periodic checks."""


_CAPACITY = {Urgency.REMOVAL: 48, Urgency.CHANGE: 32, Urgency.DRIFT: 8}
"""How many bindings of one lane may be under way when work of that urgency is begun.

What is less urgent leaves room for what is more so, even when a store answers slowly.
"""


class _Waiting(NamedTuple):
    """A key in a line, as the heap compares it: the number makes it unique, so that keys are never compared."""

    urgency: Urgency
    turn: int
    number: int
    key: Key


@dataclass(slots=True)
class _Line:
    heap: list[_Waiting] = field(default_factory=list)
    active: int = 0
    turns: dict[Urgency, int] = field(default_factory=lambda: dict.fromkeys(Urgency, 0))
    """The turn of what was begun last."""
    last: dict[tuple[Urgency, str], int] = field(default_factory=dict)
    """The turn of what a namespace has waiting last; nothing for one that waits for nothing."""

    def turn(self, urgency: Urgency, namespace: str) -> int:
        """Give a namespace its next turn: behind its own, and beside the first ones of others."""
        given = max(self.turns[urgency], self.last.get((urgency, namespace), 0)) + 1
        self.last[urgency, namespace] = given
        return given

    def begin(self, waiting: _Waiting) -> None:
        """Note that a turn was taken, or given up."""
        self.turns[waiting.urgency] = max(self.turns[waiting.urgency], waiting.turn)
        whose = (waiting.urgency, waiting.key[0])
        if self.last.get(whose) == waiting.turn:
            del self.last[whose]


class Lanes:
    """Runs ``work`` for submitted keys, most urgent first, each key once at a time; ``ended`` hears of each end."""

    def __init__(self, work: Callable[[Key, Urgency], Awaitable[None]], ended: Callable[[Key], None]) -> None:
        self._work = work
        self._after = ended
        self._lines: dict[Lane, _Line] = {}
        self._waiting: dict[Key, tuple[_Waiting, Lane]] = {}
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._numbers = itertools.count()
        self._closed = False

    @property
    def idle(self) -> bool:
        """True when nothing waits and nothing runs."""
        return not self._waiting and not self._running

    @property
    def depth(self) -> int:
        """How many keys wait."""
        return len(self._waiting)

    def submit(self, key: Key, lane: Lane, urgency: Urgency) -> None:
        """Ask for one more pass over the key. A waiting key becomes more urgent, never less."""
        if self._closed:
            return
        found = self._waiting.get(key)
        if found is not None:
            before, place = found
            if before.urgency <= urgency and place == lane:
                return
            urgency = min(urgency, before.urgency)
        line = self._lines.setdefault(lane, _Line())
        waiting = _Waiting(urgency, line.turn(urgency, key[0]), next(self._numbers), key)
        self._waiting[key] = (waiting, lane)
        heapq.heappush(line.heap, waiting)
        self._pump(lane)

    def running(self, key: Key) -> bool:
        """True while a pass over the key is under way."""
        return key in self._running

    def forget(self, key: Key) -> None:
        """Drop a waiting key; one that runs goes on to its end."""
        self._waiting.pop(key, None)

    async def close(self, seconds: float) -> None:
        """Take nothing new and wait for what runs, at most so long; then cancel it."""
        self._closed = True
        self._waiting.clear()
        running = list(self._running.values())
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _pump(self, lane: Lane) -> None:
        line = self._lines.get(lane)
        if line is None:
            return
        held: list[_Waiting] = []
        while line.heap and line.active < _CAPACITY[line.heap[0].urgency]:
            first = heapq.heappop(line.heap)
            if self._waiting.get(first.key) != (first, lane):
                line.begin(first)
                continue
            if first.key in self._running:
                held.append(first)
                continue
            line.begin(first)
            del self._waiting[first.key]
            self._start(first.key, first.urgency, lane, line)
        for each in held:
            heapq.heappush(line.heap, each)
        if not line.heap and not line.active:
            del self._lines[lane]

    def _start(self, key: Key, urgency: Urgency, lane: Lane, line: _Line) -> None:
        line.active += 1
        task = asyncio.get_running_loop().create_task(self._run(key, urgency), name=f"binding {key[0]}/{key[1]}")
        self._running[key] = task
        task.add_done_callback(lambda ended: self._ended(ended, key, lane, line))

    async def _run(self, key: Key, urgency: Urgency) -> None:
        await self._work(key, urgency)

    def _ended(self, task: asyncio.Task[None], key: Key, lane: Lane, line: _Line) -> None:
        line.active -= 1
        del self._running[key]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("pass broke off: this is a bug", namespace=key[0], binding=key[1], exc_info=error)
        elif not task.cancelled():
            self._after(key)
        self._pump(lane)
        found = self._waiting.get(key)
        if found is not None and found[1] != lane:
            self._pump(found[1])
