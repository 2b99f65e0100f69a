"""Steady state: what drift checks cost when nothing has drifted."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
from benchmarks.objects import CALM
from benchmarks.result import Measured
from benchmarks.stage import Stage, deadline

NAMESPACE = "bench-many"


@dataclass(frozen=True, slots=True)
class Steady:
    """Shortens the drift interval and watches for a while."""

    count: int
    interval: int
    seconds: float

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return "steady"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"{self.count:,} bindings checked every {self.interval} s, for {self.seconds:.0f} s"

    async def run(self, stage: Stage) -> Measured:
        """Start the operator with the short interval, wait for one check of each, then count."""
        await stage.ensure(NAMESPACE, self.count)
        await stage.set_interval(f"{self.interval}s")
        await stage.stop_operator()
        await stage.start_operator()
        await wait_passes(stage, sum(stage.watcher.present.values()))
        meter, passes = stage.meter(), await stage.passes()
        await asyncio.sleep(self.seconds)
        usage, passes = meter.read(), await stage.passes() - passes
        memory = stage.rss_mb()
        await stage.set_interval(CALM)
        await stage.stop_operator()  # the next one starts with the long interval
        figures = {
            "vault_reads_per_drift_check": usage.vault_reads() / passes,
            "vault_writes_per_drift_check": usage.vault_writes() / passes,
            "patches_steady": usage.patches() / passes,
        }
        details = {
            "bindings": self.count,
            "interval_seconds": self.interval,
            "checks": passes,
            "checks_per_second": passes / usage.seconds,
            "cpu_ms_per_check": 1000 * usage.cpu_seconds / passes,
            "rss_mb": memory,
            "backend_patches": usage.backend_patches(),
            "requests": usage.kinds(),
        }
        return Measured(figures, details)


async def wait_passes(stage: Stage, count: int) -> None:
    """Wait until an operator that was just started has looked at each of so many bindings."""
    end = time.monotonic() + deadline(count)
    while (done := await stage.passes()) < count:
        if time.monotonic() > end:
            raise BenchmarkError(f"only {done:.0f} of {count} bindings were looked at in {deadline(count):.0f} s")
        stage.progress.move(int(done), count)
        await asyncio.sleep(0.1)
