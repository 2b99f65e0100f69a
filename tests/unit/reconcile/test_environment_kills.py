"""The process ends, or one request fails, at every request of an environment's life: nothing leaks, and all heals.

The life is: create, a binding comes, another bundle, a binding goes, delete. What is left in the end is what an
undisturbed life leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import Callable

import pytest

from airwarden.domain.errors import AirwardenError, ClusterFailed
from unit.reconcile.environment_fakes import EnvironmentBench
from unit.reconcile.fake_cluster import Killed, When

_OTHER = [{"name": "other", "namespaces": ["team"]}]
ACTS: dict[str, Callable[[EnvironmentBench], None]] = {
    "create": EnvironmentBench.declare,
    "bind": lambda bench: bench.bind("billing", "billing_*"),
    "rebundle": lambda bench: bench.declare(bundles=_OTHER),
    "back": EnvironmentBench.declare,
    "unbind": lambda bench: bench.unbind("billing"),
    "delete": EnvironmentBench.delete,
}


async def prepared(act: str) -> EnvironmentBench:
    """Return a settled world right before an act of the life."""
    bench = EnvironmentBench()
    for name, each in ACTS.items():
        if name == act:
            break
        each(bench)
        await bench.settle()
    bench.journal.lines.clear()
    return bench


def world(bench: EnvironmentBench) -> str:
    """Return all that counts in the end: no times, uids or versions."""
    status = copy.deepcopy(bench.api.objects.get(bench.path, {}).get("status", {}))
    for each in status.get("conditions", ()):
        each.pop("lastTransitionTime")
    return json.dumps({"paths": sorted(bench.api.objects), "maps": bench.maps, "status": status}, sort_keys=True)


def requests_of(act: str) -> list[str]:
    """Return the requests of one act in an undisturbed life."""

    async def live() -> list[str]:
        bench = await prepared(act)
        ACTS[act](bench)
        await bench.look()
        return list(bench.journal.lines)

    return asyncio.run(live())


async def undisturbed(act: str) -> str:
    """Return the world after an act that nothing disturbed."""
    bench = await prepared(act)
    ACTS[act](bench)
    await bench.settle()
    return world(bench)


POINTS = [(act, number, line) for act in ACTS for number, line in enumerate(requests_of(act), 1)]
NAMED = [f"{act}-{number}-{line.split(' /', maxsplit=1)[0].replace(' ', '_')}" for act, number, line in POINTS]


def test_the_points_cover_the_whole_life() -> None:
    assert {act for act, _, _ in POINTS} == set(ACTS)
    assert {line.split()[0] for _, _, line in POINTS} == {"GET", "POST", "PATCH", "DELETE", "EVENT"}
    assert len(POINTS) >= 25


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("act", "number", "line"), POINTS, ids=NAMED)
async def test_killed_there_the_next_process_finishes(act: str, number: int, line: str, when: When) -> None:
    bench = await prepared(act)
    ACTS[act](bench)
    bench.journal.fail_at, bench.journal.when, bench.journal.error = number, when, Killed()
    with contextlib.suppress(Killed):
        await bench.look()
    assert bench.journal.lines[-1] == line
    bench.journal.error = None
    bench.restart()
    await bench.settle()
    assert world(bench) == await undisturbed(act)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("act", "number", "line"), POINTS, ids=NAMED)
async def test_failed_there_the_same_process_finishes(act: str, number: int, line: str, when: When) -> None:
    bench = await prepared(act)
    ACTS[act](bench)
    bench.journal.fail_at, bench.journal.when, bench.journal.error = number, when, ClusterFailed("no answer")
    with contextlib.suppress(AirwardenError):
        await bench.look()
    bench.journal.error = None
    await bench.settle()
    assert world(bench) == await undisturbed(act)


@pytest.mark.parametrize(("act", "number", "line"), POINTS, ids=NAMED)
async def test_what_was_made_is_on_record_wherever_the_process_ends(act: str, number: int, line: str) -> None:
    bench = await prepared(act)
    ACTS[act](bench)
    bench.journal.fail_at, bench.journal.when, bench.journal.error = number, "after", Killed()
    with contextlib.suppress(Killed):
        await bench.look()
    recorded = {each["name"] for each in bench.api.objects.get(bench.path, {}).get("status", {}).get("rendered", ())}
    assert set(bench.maps) <= recorded
