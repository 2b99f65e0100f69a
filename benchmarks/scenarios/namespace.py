"""A namespace with many bindings is deleted: it must go, and leave nothing behind."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
from benchmarks.objects import names
from benchmarks.result import Measured
from benchmarks.scenarios.delete import left_in_vault
from benchmarks.stage import Stage, deadline

NAMESPACE = "bench-going"


@dataclass(frozen=True, slots=True)
class Namespace:
    """Fills a namespace and deletes it."""

    count: int

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return "namespace"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"deletion of a namespace with {self.count:,} bindings"

    async def run(self, stage: Stage) -> Measured:
        """Delete the namespace and wait until the API server has none of that name."""
        await stage.ensure(NAMESPACE, self.count)
        began, end = time.monotonic(), time.monotonic() + deadline(self.count)
        meter, path = stage.meter(), f"/api/v1/namespaces/{NAMESPACE}"
        await stage.cluster.delete(path)
        watcher = stage.watcher
        await watcher.wait("all its bindings are gone", lambda: not watcher.present[NAMESPACE], deadline(self.count))
        bindings_gone = time.monotonic() - began
        while await stage.cluster.get(path) is not None:
            if time.monotonic() > end:
                raise BenchmarkError(f"namespace {NAMESPACE} is still there after {deadline(self.count):.0f} s")
            await asyncio.sleep(0.1)
        details = {
            "bindings": self.count,
            "seconds_until_bindings_gone": bindings_gone,
            "seconds_until_namespace_gone": time.monotonic() - began,
            "left_in_vault": left_in_vault(stage, NAMESPACE, frozenset(names(self.count))),
            "patches_per_binding": meter.read().patches(NAMESPACE) / self.count,
        }
        return Measured({}, details)
