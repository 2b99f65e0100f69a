"""Runs groups of scenarios one after another and puts together what they found.

Called by `__main__`. A scenario that fails costs its own figures; the second one of a group ends the group,
since the plane is then in an unknown state. The other groups still run.
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
from benchmarks.machine import Bystanders, commit, machine, versions
from benchmarks.maths import ratio, rounded
from benchmarks.plan import Group
from benchmarks.progress import Progress
from benchmarks.result import Measured, Result
from benchmarks.scenarios import Scenario
from benchmarks.scenarios.new import HEADLINE
from benchmarks.sizes import Sizes
from benchmarks.stage import Stage, open_stage
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
    others = Bystanders()
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
            "commit": about["commit"],
            "date": about["date"],
            "scenarios": list(found),
            "seconds": seconds,
            "others_busy_percent": others.percent(),
            "failures": dict(failures),
        }
    ]
    return Finished(with_ratio(Result.of(about, found)), failures)


async def _group(
    group: Group, progress: Progress, found: dict[str, Measured], failures: dict[str, str]
) -> dict[str, str]:
    progress.begin("starting a plane")
    current, stated = group[0].name, dict[str, str]()
    try:
        async with open_stage(progress) as stage:
            stated = await asyncio.to_thread(versions, stage.plane)
            for each in group:
                current = each.name
                await _one(each, stage, found, failures)
    except _FAILURES as error:
        failures[current] = _said(error)
        progress.end(f"failed: {failures[current]}")
    return stated


async def _one(scenario: Scenario, stage: Stage, found: dict[str, Measured], failures: dict[str, str]) -> None:
    """Run one scenario. What it could not measure costs its own figures; anything worse ends its group."""
    stage.progress.begin(scenario.title)
    try:
        found[scenario.name] = await scenario.run(stage)
    except BenchmarkError as error:
        if stage.disturbed:
            raise
        stage.disturbed = True
        failures[scenario.name] = _said(error)
        stage.progress.end(f"failed: {error}")
    else:
        stage.progress.end()


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def with_ratio(result: Result) -> Result:
    """Return the result with the ratio to the floor, when both the floor and the 1,000 were measured in this run."""
    floor = result.scenarios.get("floor", {}).get("per_second")
    ours = result.scenarios.get(f"new-{HEADLINE}", {}).get("per_second")
    return replace(result, figures={**result.figures, "floor_ratio": rounded(ratio(floor, ours))})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
