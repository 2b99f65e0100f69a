"""A list of names that many bindings share for a few seconds.

It spares each new binding two reads: what is absent from the list needs none. Called by
`airwarden.providers.vault.store`, one for the policies and one for the roles.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from airwarden.providers.concurrency import SingleFlight

MAX_AGE: Final = 5.0


class SharedListing:
    """Names that a store had at most five seconds ago, together with those written since."""

    def __init__(
        self, fetch: Callable[[], Awaitable[frozenset[str]]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._names: frozenset[str] = frozenset()
        self._asked: float | None = None
        self._written: dict[str, float] = {}
        self._asking = SingleFlight(self._ask)

    async def has(self, name: str) -> bool:
        """Tell whether the store had the name. The age counts from when the store was asked."""
        if self._asked is None or self._clock() - self._asked > MAX_AGE:
            await self._asking.join()
        return name in self._names or name in self._written

    def note(self, name: str) -> None:
        """Remember that the name was just written, or may have been: it must not be held for absent."""
        self._written[name] = self._clock()

    async def _ask(self) -> None:
        asked = self._clock()
        names = await self._fetch()
        # A name written while the list was under way may be missing from it.
        self._written = {name: written for name, written in self._written.items() if written >= asked}
        self._names, self._asked = names, asked
