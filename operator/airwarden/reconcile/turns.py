"""Wakes bindings at the moments at which what they may have changes by itself: the end of access, a shorter session.

Those moments are times of day, so the operator's clock is asked again every second while some moment lies
ahead: a clock that is set, or a machine that slept, delays no end of access by more than that. One timer
serves all bindings. Filled and heard by `airwarden.reconcile.engine`.
"""

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime

from airwarden.domain.lifetime import Turn, soonest
from airwarden.reconcile.queue import Key

_LONGEST_SLEEP = 1.0
"""Seconds after which the clock is asked again."""
_SLACK = 64
"""How many moments that no longer count may wait for their time, beside one for each that does."""


class Turns:
    """The next turn of each binding that has one; ``due`` hears of each when its moment has come."""

    def __init__(self, clock: Callable[[], datetime], due: Callable[[Key, Turn], None]) -> None:
        self._clock = clock
        self._due = due
        self._turns: dict[Key, Turn] = {}
        self._heap: list[tuple[datetime, Key]] = []
        self._timer: asyncio.TimerHandle | None = None

    def get(self, key: Key) -> Turn | None:
        """Return the next turn of a binding."""
        return self._turns.get(key)

    def set(self, key: Key, turn: Turn | None) -> None:
        """Replace the next turn of a binding."""
        if turn is None:
            self._turns.pop(key, None)
            return
        known = self._turns.get(key)
        self._turns[key] = turn
        if known is None or known.at != turn.at:
            heapq.heappush(self._heap, (turn.at, key))
        if len(self._heap) > 2 * len(self._turns) + _SLACK:
            self._heap = sorted((each.at, key) for key, each in self._turns.items())
        self._arm()

    def expect(self, key: Key, turn: Turn | None) -> None:
        """Note a turn unless an earlier one is known."""
        self.set(key, soonest(self._turns.get(key), turn))

    def close(self) -> None:
        """Wake nobody any more."""
        self._turns.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._heap and not self._current(*self._heap[0]):
            heapq.heappop(self._heap)
        if self._heap:
            left = (self._heap[0][0] - self._clock()).total_seconds()
            delay = min(max(left, 0.0), _LONGEST_SLEEP)
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            if self._current(at, key):
                self._due(key, self._turns.pop(key))
        self._arm()

    def _current(self, at: datetime, key: Key) -> bool:
        turn = self._turns.get(key)
        return turn is not None and turn.at == at
