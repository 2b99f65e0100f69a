"""New bindings, all at once: how many a second, how long each waits, what each costs."""

import time
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
from benchmarks.maths import percentile
from benchmarks.objects import names
from benchmarks.result import Measured
from benchmarks.stage import Stage

NAMESPACE = "bench-many"
HEADLINE = 1000
"""The number of bindings for which the budgets of design section 10 are written."""
_MEMORY = {1000: "rss_mb_1000", 10_000: "rss_mb_10000"}


@dataclass(frozen=True, slots=True)
class New:
    """Creates bindings as fast as the API server takes them, with the operator running."""

    count: int

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return f"new-{self.count}"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"{self.count:,} new bindings"

    async def run(self, stage: Stage) -> Measured:
        """Create them, wait until all are Ready, and count."""
        await stage.start_operator()
        await stage.settle()
        memory_before = stage.rss_mb()
        meter = stage.meter()
        sent = await stage.create(NAMESPACE, names(self.count))
        created = time.monotonic()
        await stage.wait_ready(NAMESPACE, self.count)
        ready = {name: _ready_at(stage, name) for name in sent}
        await stage.settle()
        usage = meter.read()
        waited = [ready[name] - sent[name] for name in sent]
        first = min(sent.values())
        figures = {
            "bindings_per_second": self.count / (max(ready.values()) - first),
            "ready_seconds_p50": percentile(waited, 0.5) or 0.0,
            "ready_seconds_p99": percentile(waited, 0.99) or 0.0,
            "operator_cpu_ms_per_binding": 1000 * usage.cpu_seconds / self.count,
            "vault_requests_per_new_binding": len(usage.vault) / self.count,
            "patches_new": usage.patches(NAMESPACE) / self.count,
        }
        memory = stage.rss_mb()
        details = {
            "bindings": self.count,
            "per_second": figures["bindings_per_second"],
            "cpu_ms_per_binding": figures["operator_cpu_ms_per_binding"],
            "ready_seconds_p50": figures["ready_seconds_p50"],
            "ready_seconds_p99": figures["ready_seconds_p99"],
            "rss_mb": memory,
            "rss_mb_before": memory_before,
            "creation_seconds": created - first,
            "servers_cpu_ms_per_binding": {name: 1000 * used / self.count for name, used in usage.servers.items()},
            "backend_patches": usage.backend_patches(),
            "requests": usage.kinds(),
        }
        shown = figures if self.count == HEADLINE else {}
        if self.count in _MEMORY:
            shown = {**shown, _MEMORY[self.count]: memory}
        return Measured(shown, details)


def _ready_at(stage: Stage, name: str) -> float:
    found = stage.watcher.ready_at(NAMESPACE, name)
    if found is None:
        raise BenchmarkError(f"binding {name} was never seen Ready")
    return found
