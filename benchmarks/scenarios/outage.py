"""Vault is down for a while: what is written meanwhile, and how soon all is well afterwards."""

import asyncio
import time
from dataclasses import dataclass
from functools import partial

from benchmarks.cluster import together
from benchmarks.result import Measured
from benchmarks.scenarios.edit import change, wait_generations
from benchmarks.stage import Stage, deadline

NAMESPACE = "bench-many"


@dataclass(frozen=True, slots=True)
class Outage:
    """Stops Vault, edits some bindings, waits, and starts Vault again."""

    count: int
    edits: int
    seconds: float

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return "outage"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"Vault down for {self.seconds:.0f} s, {self.edits} of {self.count:,} bindings edited"

    async def run(self, stage: Stage) -> Measured:
        """Count the writes to edited and to other bindings, then the seconds of the recovery."""
        wanted = await stage.ensure(NAMESPACE, self.count)
        edited = wanted[: self.edits]
        vault = stage.plane.vault
        await asyncio.to_thread(vault.stop)
        meter, flaps = stage.meter(), len(stage.watcher.flaps)
        made = await together(partial(change, stage, NAMESPACE, each, "in-outage") for each in edited)
        await asyncio.sleep(self.seconds)
        during, flaps = meter.read(), len(stage.watcher.flaps) - flaps
        meter = stage.meter()
        await asyncio.to_thread(vault.start)
        back = time.monotonic()
        generations = {name: generation for name, (_, generation) in zip(edited, made, strict=True)}
        ready = await wait_generations(stage, NAMESPACE, generations, deadline(self.count))
        await stage.settle()
        after = meter.read()
        touched = frozenset(edited)
        patches = during.patches(NAMESPACE, touched)
        details = {
            "bindings": self.count,
            "edits": len(edited),
            "seconds": self.seconds,
            "patches_on_others": during.patches() - patches,
            "backend_patches": during.backend_patches(),
            "others_not_ready": flaps,
            "cpu_percent": 100 * during.cpu_seconds / during.seconds,
            "recovery_seconds": max(ready) - back,
            "patches_in_recovery": after.patches(NAMESPACE, touched) / len(edited),
            "logins_in_recovery": sum(each.path.endswith("/login") for each in after.vault),
        }
        return Measured({"patches_outage": patches / len(edited)}, details)
