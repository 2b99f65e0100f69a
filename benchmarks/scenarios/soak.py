"""Churn for a long time: memory and open sockets must stay flat."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from benchmarks import accounting
from benchmarks.maths import slope
from benchmarks.objects import binding, collection
from benchmarks.result import Measured
from benchmarks.scenarios.edit import change
from benchmarks.stage import Stage

NAMESPACE: Final = "bench-many"
_CHANGES_A_SECOND: Final = 15.0
_POPULATION: Final = 300
_SAMPLE_EVERY: Final = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What the kernel said at one time."""

    seconds: float
    rss_mb: float
    sockets: int


@dataclass(frozen=True, slots=True)
class Soak:
    """Creates, edits and deletes bindings in turn, with a few hundred alive, and takes samples."""

    minutes: float

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return "soak"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"{self.minutes:.0f} minutes of churn"

    async def run(self, stage: Stage) -> Measured:
        """Churn and sample; the first third is left for memory to find its level."""
        await stage.start_operator()
        await stage.set_interval("30s")
        end = time.monotonic() + 60 * self.minutes
        churn = asyncio.create_task(_churn(stage, end))
        samples = await _samples(stage, end)
        changes = await churn
        await stage.settle()
        settled = samples[len(samples) // 3 :]
        details = {
            "minutes": self.minutes,
            "changes": changes,
            "passes": await stage.passes(),
            "rss_mb_first": samples[0].rss_mb,
            "rss_mb_settled": settled[0].rss_mb,
            "rss_mb_last": settled[-1].rss_mb,
            "rss_mb_per_hour": _per_hour([(each.seconds, each.rss_mb) for each in settled]),
            "sockets_first": samples[0].sockets,
            "sockets_most": max(each.sockets for each in samples),
            "sockets_last": samples[-1].sockets,
            "ready_at_the_end": stage.watcher.ready[NAMESPACE],
            "present_at_the_end": stage.watcher.present[NAMESPACE],
            "rss_mb": [round(each.rss_mb, 1) for each in samples],
        }
        return Measured({}, details)


async def _churn(stage: Stage, end: float) -> int:
    """Create, edit and delete until the end; return how many changes were made."""
    began, made, first = time.monotonic(), 0, 0
    number = 0
    while time.monotonic() < end:
        await stage.cluster.create(collection(NAMESPACE), binding(NAMESPACE, f"b{number:06d}"))
        await change(stage, NAMESPACE, f"b{(first + number) // 2:06d}", "edited")
        made += 2
        number += 1
        if number - first > _POPULATION:
            await stage.cluster.delete(f"{collection(NAMESPACE)}/b{first:06d}")
            made, first = made + 1, first + 1
        await asyncio.sleep(max(0.0, began + made / _CHANGES_A_SECOND - time.monotonic()))
    return made


async def _samples(stage: Stage, end: float) -> list[Sample]:
    began, found = time.monotonic(), []
    while time.monotonic() < end:
        pid = stage.operator.pid
        seconds = time.monotonic() - began
        found.append(Sample(seconds, accounting.rss_mb(pid), accounting.open_sockets(pid)))
        stage.progress.move(int(seconds), int(end - began))
        await asyncio.sleep(min(_SAMPLE_EVERY, max(0.1, end - time.monotonic())))
    return found


def _per_hour(points: list[tuple[float, float]]) -> float | None:
    found = slope(points)
    return None if found is None else 3600 * found
