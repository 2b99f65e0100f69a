"""One at a time for each binding: a pass over it and a sweep of what it left take turns.

Without that, a sweep could remove what a pass for a new binding of the same name has just written. Used by
`airwarden.reconcile.bindings` and `airwarden.reconcile.sweep`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from airwarden.reconcile.queue import Key


class Locks:
    """A lock for each binding that is worked on."""

    def __init__(self) -> None:
        self._locks: dict[Key, asyncio.Lock] = {}
        self._takers: Counter[Key] = Counter()

    @asynccontextmanager
    async def take(self, key: Key) -> AsyncIterator[None]:
        """Wait for the turn, and hold it."""
        self._takers[key] += 1
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                yield
        finally:
            self._takers[key] -= 1
            if not self._takers[key]:
                del self._takers[key]
                del self._locks[key]
