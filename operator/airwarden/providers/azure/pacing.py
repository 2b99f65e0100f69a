"""Places in a line for writes that Azure wants one after another and far apart.

Nobody waits here: who comes too early is told when to come back. Removals go ahead of everything else, so that whoever
asks for much that is new holds up no end of access. Namespaces take turns, and who does not come back holds up nobody,
so that no namespace can hold up another. Used by `airwarden.providers.azure.identities`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 120.0
"""Seconds after which whoever waits is asked to come back, whatever its turn: those ahead may have gone by then."""
_LATE: Final = 2.0
"""Seconds after which whoever was to come is not waited for. It keeps its place."""
_KEPT: Final = 300.0
"""Seconds for which the place of one that did not come is kept, and after which a namespace counts as new."""
_SOON: Final = 0.01
"""Seconds by which two may miss each other that were told the same moment."""


@dataclass(slots=True)
class _Place:
    namespace: str
    due: float
    """When it was told to come."""
    missed: bool = False
    """It did not come: others do not wait for it."""


class Line:
    """Turns ``interval`` seconds apart, but for the first few after a rest."""

    def __init__(self, interval: float, clock: Callable[[], float], burst: int = 1) -> None:
        self._interval = interval
        self._credit = (burst - 1) * interval
        self._clock = clock
        self._free = 0.0
        """When the next write may be, whoever's it is."""
        self._makers: dict[str, _Place] = {}
        self._removers: dict[str, _Place] = {}
        self._served: dict[str, float] = {}
        """When a namespace had its last turn, taken or missed."""

    def reserve(self, who: str, namespace: str = "", *, ahead: bool = False) -> float:
        """Keep a place for this one, and return in how many seconds it should come again; 0 when it is its turn.

        One that goes ``ahead`` waits for others that do alone.
        """
        now = self._clock()
        self._forget(now)
        if ahead:
            self._makers.pop(who, None)
        waiting = self._removers if ahead or who in self._removers else self._makers
        place = waiting.setdefault(who, _Place(namespace, now))
        place.due, place.missed = now, False
        first = max(self._free, now - self._credit)
        wait = first + self._interval * self._before(who, waiting, now + _SOON) - now
        if wait <= 0:
            return 0.0
        return min(LONGEST, max(wait, first + self._interval * self._before(who, waiting, math.inf) - now))

    def expect(self, who: str, wait: float) -> None:
        """Take note of when one that was told to wait comes again: other lines may have put it off further."""
        for waiting in (self._makers, self._removers):
            if who in waiting:
                waiting[who].due = self._clock() + wait

    def take(self, who: str) -> None:
        """Use up the place: the next turn is an interval from now at the earliest, unless there was a rest."""
        now = self._clock()
        maker, remover = self._makers.pop(who, None), self._removers.pop(who, None)
        held = maker or remover
        if held is not None:
            self._served[held.namespace] = now
        after = max(self._free, now - self._credit) if held is not None else now - self._credit
        self._free = max(self._free, after + self._interval)

    def _before(self, who: str, waiting: dict[str, _Place], until: float) -> int:
        """Return how many go before this one, of those that are to come by then: one of each namespace by turns."""
        count = sum(_comes(each, until) for each in self._removers.values()) if waiting is self._makers else 0
        counts: dict[str, int] = {}
        own, mine = waiting[who].namespace, 0
        for each, place in waiting.items():
            if each == who:
                mine = counts.setdefault(own, 0)
            elif _comes(place, until):
                counts[place.namespace] = counts.get(place.namespace, 0) + 1
        turns = sorted(counts, key=lambda namespace: self._served.get(namespace, -math.inf))
        mine_at = turns.index(own)
        others = ((number, counts[each]) for number, each in enumerate(turns) if each != own)
        return count + mine + sum(min(many, mine + (number < mine_at)) for number, many in others)

    def _forget(self, now: float) -> None:
        """Wait no more for those that did not come: for their namespaces that was a turn."""
        for waiting in (self._makers, self._removers):
            for each, place in [found for found in waiting.items() if found[1].due + _LATE < now]:
                if not place.missed:
                    place.missed = True
                    self._served[place.namespace] = now
                if place.due + _KEPT < now:
                    del waiting[each]
        for each in [each for each, at in self._served.items() if at + _KEPT < now]:
            del self._served[each]


def _comes(place: _Place, until: float) -> bool:
    return not place.missed and place.due <= until


def take_turn(who: str, lines: Sequence[Line], namespace: str = "", *, ahead: bool = False) -> float:
    """Return 0 when it is this one's turn in all of the lines, and use it up; else in how many seconds it will be."""
    wait = max(each.reserve(who, namespace, ahead=ahead) for each in lines)
    for each in lines:
        if wait <= 0:
            each.take(who)
        else:
            each.expect(who, wait)
    return wait
