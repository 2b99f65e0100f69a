"""What the executor knows of one bundle's DAG map, and whether that is fresh enough to decide by. Pure.

Filled by the thread of `map_watch.py`, asked by the scheduler's own thread in `identities.py`. Unknown is not absent:
a map that was not heard of for a minute is as unusable as none, since a binding may have been removed meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from airflow_airwarden.dag_map import DagMap, MapUnusable, parse_dag_map

FRESH: Final = 60.0
"""Seconds after which a map that nobody confirmed counts as unreadable."""
NOTHING_YET: Final = "it has not been read yet"


@dataclass(frozen=True, slots=True)
class _Known:
    """One consistent state; replaced as a whole, so that readers need no lock."""

    dag_map: DagMap | None
    why: str
    """Why there is no map to decide by."""
    confirmed: float
    """When it was last asked what the whole cluster agrees on."""
    trouble: str = ""
    """What went wrong since then."""
    text: str | None = None
    """What it was read from, so that the same text is not read twice."""


class MapView:
    """The map of one bundle as the API server last told it."""

    def __init__(self, environment: str, bundle: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._environment, self._bundle, self._clock = environment, bundle, clock
        self._known = _Known(None, NOTHING_YET, clock())

    def now(self) -> float:
        """Return the time of the view's clock, in seconds."""
        return self._clock()

    def saw(self, text: str | None, at: float) -> None:
        """Take what the cluster held, as of a time: the map's text, or None where there is no such map."""
        known = self._known
        if text is not None and text == known.text:
            self._known = replace(known, confirmed=at, trouble="")
            return
        if text is None:
            self._known = _Known(None, "it does not exist", at)
            return
        try:
            self._known = _Known(parse_dag_map(text, self._environment, self._bundle), "", at, text=text)
        except MapUnusable as unusable:
            self._known = _Known(None, str(unusable), at, text=text)

    def lost(self, trouble: str) -> None:
        """Note that the API server did not answer, or refused; what was seen stays good for its minute."""
        self._known = replace(self._known, trouble=trouble)

    def current(self) -> DagMap:
        """Return the map; MapUnusable when there is none to decide by."""
        known = self._known
        name = f"the DAG map of bundle {self._bundle!r} cannot be used"
        trouble = f" ({known.trouble})" if known.trouble else ""
        if known.dag_map is None:
            raise MapUnusable(f"{name}: {known.why}{trouble}")
        age = self._clock() - known.confirmed
        if age > FRESH:
            raise MapUnusable(f"{name}: it was last confirmed {age:.0f} s ago{trouble}")
        return known.dag_map
