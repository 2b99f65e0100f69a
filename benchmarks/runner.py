"""Runs groups of scenarios one after another and puts together what they found.

Called by `__main__`. A scenario that fails costs its own figures and those of the rest of its group,
which would meet a plane in an unknown state; the other groups still run.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
from requests import RequestException

from benchmarks.errors import BenchmarkError
from benchmarks.machine import busy_percent, commit, machine, versions
from benchmarks.maths import ratio
from benchmarks.plan import Group
from benchmarks.progress import Progress
from benchmarks.result import Measured, Result
from benchmarks.scenarios.new import HEADLINE
from benchmarks.sizes import Sizes
from benchmarks.stage import open_stage
from plane.errors import PlaneError

_FAILURES = (BenchmarkError, PlaneError, aiohttp.ClientError, RequestException, TimeoutError)


@dataclass(frozen=True, slots=True)
class Finished:
    """A run's result and what went wrong, by scenario."""

    result: Result
    failures: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """What kind of run it is, for the record."""

    name: str
    sizes: Sizes | None = None
    words: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return what stands in the result."""
        sizes = {"sizes": asdict(self.sizes)} if self.sizes is not None else {}
        return {"kind": self.name, **({"only": list(self.words)} if self.words else {}), **sizes}


def run(groups: Sequence[Group], kind: Kind, progress: Progress) -> Finished:
    """Run everything and return what was found."""
    busy = busy_percent()
    began = time.monotonic()
    found: dict[str, Measured] = {}
    failures: dict[str, str] = {}
    about: dict[str, Any] = {"commit": commit(), "date": _now(), "machine": machine(), "versions": {}}
    for group in groups:
        about["versions"] = asyncio.run(_group(group, progress, found, failures)) or about["versions"]
    seconds = round(time.monotonic() - began)
    about["runs"] = [
        {
            **kind.record(),
            "date": about["date"],
            "seconds": seconds,
            "machine_busy_percent_before": busy,
            "failures": dict(failures),
        }
    ]
    return Finished(with_ratio(Result.of(about, found)), failures)


async def _group(
    group: Group, progress: Progress, found: dict[str, Measured], failures: dict[str, str]
) -> dict[str, str]:
    current = group[0].name
    progress.begin("starting a plane")
    stated: dict[str, str] = {}
    try:
        async with open_stage(progress) as stage:
            stated = await asyncio.to_thread(versions, stage.plane)
            for each in group:
                current = each.name
                progress.begin(each.title)
                found[current] = await each.run(stage)
                progress.end()
    except _FAILURES as error:
        failures[current] = str(error) or type(error).__name__
        progress.end(f"failed: {failures[current]}")
    return stated


def with_ratio(result: Result) -> Result:
    """Return the result with the ratio to the floor, when both the floor and the 1,000 were measured in this run."""
    floor = result.scenarios.get("floor", {}).get("per_second")
    ours = result.scenarios.get(f"new-{HEADLINE}", {}).get("per_second")
    found = ratio(floor, ours)
    return replace(result, figures={**result.figures, "floor_ratio": None if found is None else round(found, 2)})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
