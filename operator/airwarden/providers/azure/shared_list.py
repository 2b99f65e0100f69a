"""A list in Azure that many bindings share for a while, with what was written since.

Azure shows a write in its lists some seconds late: until then what was written stands in for what the list has, so that
no drift is seen in what was just written. Called by `airwarden.providers.azure.assignments` and
`airwarden.providers.azure.identities`.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Generic, TypeVar

from airwarden.providers.concurrency import SingleFlight

T = TypeVar("T")
FRESH: Final = 5.0
"""Seconds that a list may be old from which something new is concluded to be absent."""
LAG: Final = 10.0
"""Seconds for which Azure's lists may not show a write."""
DOUBT: Final = 120.0
"""Seconds for which a list alone is no proof that what was tried to be written is not there."""


class SharedList(Generic[T]):
    """Things by name, as Azure had them some seconds ago, together with what was written since."""

    def __init__(self, fetch: Callable[[], Awaitable[dict[str, T]]], clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._items: dict[str, T] = {}
        self._asked: float | None = None
        self._written: dict[str, tuple[float, T | None]] = {}
        self._tried: dict[str, float] = {}
        self._begun = clock()
        self._asking = SingleFlight(self._ask)

    async def items(self, age: float) -> dict[str, T]:
        """Return all of them, from a list that is at most ``age`` seconds old."""
        if self._asked is None or self._clock() - self._asked > age:
            await self._asking.join()
        now = self._clock()
        asked = self._asked or 0.0
        self._written = {
            name: (at, item) for name, (at, item) in self._written.items() if now - at < LAG or at >= asked
        }
        return self.seen()

    def seen(self) -> dict[str, T]:
        """Return all of them as they were last listed or written, without a request."""
        found = {**self._items, **{name: item for name, (_, item) in self._written.items() if item is not None}}
        gone = {name for name, (_, item) in self._written.items() if item is None}
        return {name: item for name, item in found.items() if name not in gone}

    @property
    def listed(self) -> tuple[Mapping[str, T], Mapping[str, T | None]]:
        """The last list, one object until there is a new one, and what was written since: None for what is gone."""
        return self._items, {name: item for name, (_, item) in self._written.items()}

    def note(self, name: str, item: T | None) -> None:
        """Remember what was written or looked at, or None for what was removed."""
        self._written[name] = (self._clock(), item)

    def was_removed(self, name: str) -> bool:
        """Tell whether this process removed it so short a time ago that Azure may still show it."""
        at, item = self._written.get(name, (-math.inf, None))
        return item is None and self._clock() - at < LAG

    def trying(self, name: str) -> None:
        """Remember, before the request, that something is about to be written: its answer may get lost."""
        now = self._clock()
        self._tried = {each: at for each, at in self._tried.items() if now - at < DOUBT}
        self._tried[name] = now

    def settled(self, name: str) -> None:
        """Forget that a write of this name was tried: it was refused, or is undone."""
        self._tried.pop(name, None)

    def doubts(self, name: str, within: float = DOUBT) -> bool:
        """Tell whether a write of this name was tried a short time ago, so that only a look at it tells its absence.

        Within `LAG` seconds not even that does: Azure may not show it yet.
        """
        return name in self._tried and self._clock() - self._tried[name] < within

    @property
    def is_young(self) -> bool:
        """Whether another process may have written a short time ago what the lists do not show yet."""
        return self._clock() - self._begun < DOUBT

    async def _ask(self) -> None:
        asked = self._clock()
        self._items, self._asked = await self._fetch(), asked
