"""The stand-in's clock and its limits on requests, both in the test's hands.

Azure's limits are token buckets: so many at once, so many more each second. The numbers here are those that
Azure documents; a test narrows them to see what its client does, and moves the clock instead of waiting.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from stand_ins.azure.messages import Refused


class Clock:
    """The time as the stand-in sees it: the machine's, moved on by the test."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """Return seconds since 1970."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._ahead += seconds


@dataclass(frozen=True)
class Rate:
    """So many requests at once, and so many more each second."""

    capacity: float
    per_second: float


READS = Rate(250, 25)
WRITES = Rate(200, 10)
DELETES = Rate(200, 10)
GLOBAL_FACTOR = 15
"""All principals of a subscription together may send this many times what one may."""
CREDENTIAL_WRITES = Rate(1, 0.25)
"""Of the federated credentials of one identity. The documented rate; Azure names no burst, so there is none here."""
IDENTITY_WRITES = Rate(2, 2)
"""Of identities and their credentials in one subscription. The documented rate; the burst is what a second refills."""
VAULT_READS = Rate(4000, 400)
"""Secrets of one vault: 4,000 in 10 seconds."""


class Buckets:
    """How much of each limit is left, by a key of the caller's choice."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._levels: dict[tuple[str, ...], tuple[float, float]] = {}

    def take(self, key: tuple[str, ...], rate: Rate) -> int:
        """Take one and return how many are left; `Refused` with 429 and Retry-After when there is none."""
        now = self._clock.now()
        level, at = self._levels.get(key, (rate.capacity, now))
        level = min(rate.capacity, level + (now - at) * rate.per_second)
        if level < 1:
            self._levels[key] = (level, now)
            raise too_many((1 - level) / rate.per_second)
        self._levels[key] = (level - 1, now)
        return math.floor(level - 1)


def too_many(seconds: float) -> Refused:
    """Return Resource Manager's word for too many requests."""
    wait = max(1, math.ceil(seconds))
    return Refused(
        429,
        "TooManyRequests",
        f"The request is being throttled as the limit has been reached. Retry after {wait} seconds.",
        headers={"Retry-After": str(wait)},
    )
