"""Places in a line for writes that Azure wants one after another and far apart.

Nobody waits here: who comes too early is told when its turn is, and comes back then. Used by
`airwarden.providers.azure.identities`.
"""

from collections.abc import Callable, Sequence
from typing import Final

_KEPT: Final = 300.0
"""Seconds after its turn for which a place is kept."""


class Line:
    """Turns ``interval`` seconds apart, but for the first few after a rest."""

    def __init__(self, interval: float, clock: Callable[[], float], burst: int = 1) -> None:
        self._interval = interval
        self._credit = (burst - 1) * interval
        self._clock = clock
        self._next = 0.0
        self._promised: dict[str, float] = {}

    def reserve(self, who: str) -> float:
        """Keep a place for this one, and return in how many seconds its turn is; 0 when it is now."""
        now = self._clock()
        for each in [each for each, turn in self._promised.items() if turn + _KEPT < now]:
            del self._promised[each]
        turn = self._promised.get(who)
        if turn is None:
            turn = self._promised[who] = max(now - self._credit, self._next)
            self._next = turn + self._interval
        return max(0.0, turn - now)

    def take(self, who: str) -> None:
        """Use up the place: the next turn is an interval from now at the earliest, unless there was a rest."""
        self._promised.pop(who, None)
        self._next = max(self._next, self._clock() - self._credit + self._interval)


def take_turn(who: str, lines: Sequence[Line]) -> float:
    """Return 0 when it is this one's turn in all of the lines, and use it up; else in how many seconds it will be."""
    wait = max(each.reserve(who) for each in lines)
    if wait <= 0:
        for each in lines:
            each.take(who)
    return wait
