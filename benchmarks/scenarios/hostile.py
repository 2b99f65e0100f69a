"""A hostile tenant: bindings that no rule admits, and one that is edited all the time. Others must not feel it."""

import asyncio
import itertools
import time
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks.cluster import together
from benchmarks.maths import percentile
from benchmarks.objects import binding, collection, names
from benchmarks.result import Measured
from benchmarks.scenarios.edit import change
from benchmarks.scenarios.paced import ready_seconds
from benchmarks.stage import Stage

HOSTILE: Final = "bench-hostile"
OTHERS: Final = "bench-paced"
_EDITS_A_SECOND: Final = 20.0
_OTHERS_A_SECOND: Final = 5.0
_RESTLESS: Final = "restless"


@dataclass(frozen=True, slots=True)
class Hostile:
    """Measures others' latency first in peace, then beside the hostile tenant."""

    count: int
    seconds: float

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return "hostile"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"others beside {self.count:,} bindings that no rule admits, and one edited 20 times a second"

    async def run(self, stage: Stage) -> Measured:
        """Create others' bindings at a steady rate, twice."""
        await stage.start_operator()
        each = max(10, int(self.seconds * _OTHERS_A_SECOND))
        calm = await ready_seconds(stage, OTHERS, names(each, "calm"), _OTHERS_A_SECOND)
        meter, began = stage.meter(), time.monotonic()
        over = asyncio.Event()
        tasks = [asyncio.create_task(self._flood(stage)), asyncio.create_task(_edit_on(stage, over))]
        try:
            beside = await ready_seconds(stage, OTHERS, names(each, "beside"), _OTHERS_A_SECOND)
        finally:
            over.set()
            _, edits = await asyncio.gather(*tasks)
        await stage.settle()
        usage = meter.read()
        details = {
            "refused_bindings": stage.watcher.refused[HOSTILE],
            "edits": edits,
            "seconds": time.monotonic() - began,
            "others": each,
            "others_ready_seconds_p50_calm": percentile(calm, 0.5),
            "others_ready_seconds_p99_calm": percentile(calm, 0.99),
            "others_ready_seconds_p50": percentile(beside, 0.5),
            "others_ready_seconds_p99": percentile(beside, 0.99),
            "patches_per_refused_binding": usage.patches(HOSTILE, frozenset(names(self.count))) / self.count,
            "patches_per_edit_of_one": usage.patches(HOSTILE, frozenset({_RESTLESS})) / edits if edits else None,
            "cpu_percent": 100 * usage.cpu_seconds / usage.seconds,
        }
        return Measured({}, details)

    async def _flood(self, stage: Stage) -> int:
        """Create bindings for keys of another namespace's tree."""

        async def one(name: str) -> float:
            body = binding(HOSTILE, name, key=f"somebody-else/{name}")
            return await stage.cluster.create(collection(HOSTILE), body)

        return len(await together((partial(one, each) for each in names(self.count)), in_flight=8))


async def _edit_on(stage: Stage, over: asyncio.Event) -> int:
    """Edit one binding at a steady rate until told to stop; return how often."""
    await stage.cluster.create(collection(HOSTILE), binding(HOSTILE, _RESTLESS))
    began = time.monotonic()
    for number in itertools.count(1):
        await change(stage, HOSTILE, _RESTLESS, str(number % 2))
        await asyncio.sleep(max(0.0, began + number / _EDITS_A_SECOND - time.monotonic()))
        if over.is_set():
            return number
    raise AssertionError("not reached")
