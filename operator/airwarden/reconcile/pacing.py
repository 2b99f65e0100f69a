"""How often one binding may be looked at because of what somebody does to it.

An author who edits a binding many times a second would otherwise take the operator's and the API server's time
from everybody else. What is put off is not lost: the pass that comes sees the newest state. Called by
`airwarden.reconcile.engine`.
"""

from collections.abc import Callable
from typing import Final

from airwarden.reconcile.queue import Key

_INTERVAL: Final = 1.0
"""Seconds between two passes over one binding that goes on changing."""
_BURST: Final = 5
"""Passes that may follow each other at once, so that a person at work never waits."""


class Pacing:
    """Spaces the passes over each key: some at once, then one a second.

    The generic cell rate algorithm: one moment per key, up to which its passes are spoken for.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._spoken_for: dict[Key, float] = {}

    def begun(self, key: Key) -> None:
        """Note that a pass over the key begins."""
        now = self._clock()
        self._spoken_for[key] = max(now, self._spoken_for.get(key, now)) + _INTERVAL

    def wait(self, key: Key) -> float:
        """Return for how many seconds the next pass must be put off; 0 when it may begin now."""
        until = self._spoken_for.get(key)
        if until is None:
            return 0.0
        now = self._clock()
        if until <= now:
            del self._spoken_for[key]
            return 0.0
        return max(0.0, until - now - (_BURST - 1) * _INTERVAL)

    def forget(self, key: Key) -> None:
        """Drop what is known of a key that is gone."""
        self._spoken_for.pop(key, None)
