"""Places in a line for writes that Azure wants one after another and far apart.

Nobody waits here: who comes too early is told when its turn is, and comes back then. Removals go ahead of everything
else: whoever asks for much that is new holds up no end of access. Used by `airwarden.providers.azure.identities`.
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
        self._free = 0.0
        """When the next write may be, whoever's it is."""
        self._next = 0.0
        """The turn of whoever comes last."""
        self._promised: dict[str, float] = {}
        self._ahead: dict[str, float] = {}

    def reserve(self, who: str, *, ahead: bool = False) -> float:
        """Keep a place for this one, and return in how many seconds its turn is; 0 when it is now.

        One that goes ``ahead`` waits for others that do alone, and all the rest for one turn more.
        """
        now = self._clock()
        for line in (self._promised, self._ahead):
            for each in [each for each, turn in line.items() if turn + _KEPT < now]:
                del line[each]
        turn = self._ahead.get(who)
        if turn is None and ahead:
            turn = self._go_ahead(who, now)
        elif turn is None:
            turn = self._promised.get(who)
        if turn is None:
            turn = self._promised[who] = max(now - self._credit, self._next)
            self._next = turn + self._interval
        return max(0.0, turn - now, self._free - now)

    def take(self, who: str) -> None:
        """Use up the place: the next turn is an interval from now at the earliest, unless there was a rest."""
        since = self._clock() - self._credit
        held = self._promised.pop(who, None) is not None
        held = self._ahead.pop(who, None) is not None or held
        after = max(self._free, since) if held else since
        self._free = max(self._free, after + self._interval)
        self._next = max(self._next, self._free)

    def _go_ahead(self, who: str, now: float) -> float:
        self._promised.pop(who, None)
        behind = [each + self._interval for each in self._ahead.values()]
        turn = self._ahead[who] = max(now - self._credit, self._free, *behind)
        for each in self._promised:
            self._promised[each] += self._interval
        self._next = max(self._next, turn) + self._interval
        return turn


def take_turn(who: str, lines: Sequence[Line], *, ahead: bool = False) -> float:
    """Return 0 when it is this one's turn in all of the lines, and use it up; else in how many seconds it will be."""
    wait = max(each.reserve(who, ahead=ahead) for each in lines)
    if wait <= 0:
        for each in lines:
            each.take(who)
    return wait
