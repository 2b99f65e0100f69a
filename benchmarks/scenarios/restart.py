"""A restart with everything handled: how long until all was looked at, and that nothing is written."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.result import Measured
from benchmarks.scenarios.steady import wait_passes
from benchmarks.stage import Stage

NAMESPACE = "bench-many"
HEADLINE = 5000
_IDLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Restart:
    """Stops the operator and starts it again."""

    count: int

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return "restart"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"restart with {self.count:,} bindings"

    async def run(self, stage: Stage) -> Measured:
        """Restart, wait for one pass over each, then for a while in which nothing is due."""
        await stage.ensure(NAMESPACE, self.count)
        await stage.stop_operator()
        present, flaps = sum(stage.watcher.present.values()), len(stage.watcher.flaps)
        meter = stage.meter()
        began = await stage.start_operator()
        listed = time.monotonic() - began
        await wait_passes(stage, present)
        seconds = time.monotonic() - began
        await stage.settle()
        usage = meter.read(stage.operator.pid)
        idle = stage.meter()
        await asyncio.sleep(_IDLE_SECONDS)
        resting = idle.read()
        figures = {"patches_restart": usage.patches() / present}
        if self.count == HEADLINE:
            figures["restart_seconds_5000"] = seconds
        details = {
            "bindings": present,
            "seconds": seconds,
            "seconds_until_listed": listed,
            "cpu_ms_per_binding": 1000 * usage.cpu_seconds / present,
            "vault_reads": usage.vault_reads(),
            "vault_writes": usage.vault_writes(),
            "patches": usage.patches(),
            "ready_flaps": len(stage.watcher.flaps) - flaps,
            "rss_mb": stage.rss_mb(),
            "idle_cpu_percent": 100 * resting.cpu_seconds / resting.seconds,
        }
        return Measured(figures, details)
