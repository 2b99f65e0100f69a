"""When something is looked at again: one timer a key, and after failures longer and longer pauses.

Used by `airwarden.reconcile.engine` and `airwarden.reconcile.rotation_engine`, each for its own keys.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from airwarden.reconcile.queue import Key, Urgency

LONGEST_RETRY: Final = 60.0
"""Seconds between two tries at most, unless the other side asks for more."""
GONE_RETRY: Final = 0.2
"""Seconds after a write that met a newer object; usually its event has come by then."""
_FIRST_RETRY: Final = 1.0
_GONE_RETRIES: Final = 3
"""How often in a row that is so; a write that is refused for another reason must not be tried so fast for ever."""


class Timers:
    """Calls ``due`` for each key when its time has come. A key has one timer; a new one takes its place."""

    def __init__(self, due: Callable[[Key, Urgency], None]) -> None:
        self._due = due
        self._handles: dict[Key, asyncio.TimerHandle] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._handles

    def when(self, key: Key) -> float:
        """Return the moment of a key's timer, by the loop's clock. Raises KeyError where there is none."""
        return self._handles[key].when()

    def set(self, key: Key, delay: float, urgency: Urgency) -> None:
        """Have the key looked at in so many seconds."""
        self.stop(key)
        self._handles[key] = asyncio.get_running_loop().call_later(delay, self._fire, key, urgency)

    def stop(self, key: Key) -> None:
        """Drop a key's timer, if it has one."""
        handle = self._handles.pop(key, None)
        if handle is not None:
            handle.cancel()

    def close(self) -> None:
        """Drop all timers."""
        for key in list(self._handles):
            self.stop(key)

    def _fire(self, key: Key, urgency: Urgency) -> None:
        self._handles.pop(key, None)
        self._due(key, urgency)


class Retries:
    """Counts the failures of each key in a row."""

    def __init__(self) -> None:
        self._attempts: dict[Key, int] = {}

    def delay(self, key: Key, asked: float | None, longest: float = LONGEST_RETRY) -> float:
        """Return for how many seconds a failed pass is put off: longer each time, as the other side asked at least."""
        attempt = self._attempts[key] = self._attempts.get(key, 0) + 1
        if asked is not None and asked < _FIRST_RETRY and attempt <= _GONE_RETRIES:
            return asked
        pause = min(longest, _FIRST_RETRY * float(2 ** min(attempt - 1, 8)))
        return max(asked or 0.0, pause * random.uniform(0.5, 1.0))  # noqa: S311 - spread, not a secret

    def forget(self, key: Key) -> None:
        """Begin anew with a key that did not fail, or is gone."""
        self._attempts.pop(key, None)
