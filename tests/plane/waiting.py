"""Waits for a condition with a deadline; the only place of this package's start-up that sleeps.

Called by the servers of the plane, and by tests that wait for something outside of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from plane.errors import PlaneError

T = TypeVar("T")


def wait_for(what: str, check: Callable[[], T | None], deadline: float, interval: float = 0.05) -> T:
    """Return the first truthy answer of `check`; PlaneError after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise PlaneError(f"{what}: not within {deadline:.0f} s")
        time.sleep(interval)
