"""For how long work has waited without progress: what the liveness probe asks.

Used by `airwarden.reconcile.engine` and `airwarden.reconcile.rotation_engine`, each for its own lanes.
"""

import time

from airwarden.reconcile.backends import Backends
from airwarden.reconcile.queue import Lanes


class Stall:
    """Measures the time since something was last got done, or a store was last heard of."""

    def __init__(self, lanes: Lanes, backends: Backends) -> None:
        self._lanes = lanes
        self._backends = backends
        self._progress = time.monotonic()

    def work_comes(self) -> None:
        """Note that something is about to be queued."""
        if self._lanes.idle:
            # Time in which nothing waited is not time without progress.
            self._progress = time.monotonic()

    def pass_ended(self) -> float:
        """Note the end of a pass; return when that was, on the monotonic clock."""
        self._progress = time.monotonic()
        return self._progress

    def seconds(self) -> float:
        """Return for how long work has waited without a pass ending or a store being heard of; 0 when none waits.

        The time for which a store may rightly be waited for is not counted: one that hangs is no fault of ours.
        """
        if self._lanes.idle:
            return 0.0
        heard = max(self._progress, self._backends.heard)
        return max(0.0, time.monotonic() - heard - self._backends.patience())
