"""What Resource Manager shows some seconds after a write: its lists and reads may lag behind, its writes never do.

Kept by `world.py`; the services note what was there before each write, and ask what is shown by now. What a test does
by its own hand is shown at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from stand_ins.azure.limits import Clock

T = TypeVar("T")


class History:
    """Earlier states of the things of one kind, by a key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._before: dict[str, list[tuple[float, object]]] = {}

    def note(self, key: str, before: object) -> None:
        """Remember what was there before a write; None for nothing."""
        self._before.setdefault(key, []).append((self._clock.now(), before))

    def shown(self, key: str, current: T | None, lag: float) -> T | None:
        """Return a thing as it was so many seconds ago."""
        since = self._clock.now() - lag
        for at, before in self._before.get(key, ()):
            if at > since:
                return before  # type: ignore[return-value] # of the same kind as what is there now
        return current

    def listed(self, current: Mapping[str, T], lag: float, under: str = "") -> list[T]:
        """Return all things, or those whose key begins so, as they were so many seconds ago."""
        keys = {**current, **dict.fromkeys(each for each in self._before if each.startswith(under))}
        found = (self.shown(key, current.get(key), lag) for key in keys)
        return [each for each in found if each is not None]
