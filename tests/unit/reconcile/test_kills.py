"""The process ends, or one request fails, at every single request of a life: nothing leaks, and all heals.

The life is: create, edit, tighten, delete. At each of its requests the process is killed before the
request acts or after it acted but before its answer is seen, and a new process goes on; or the request
fails once and the same process goes on. In the end the world is what it is in an undisturbed life.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from airwarden.domain.errors import AirwardenError, ClusterFailed, Unreachable
from unit.reconcile.fake_cluster import Killed, When
from unit.reconcile.fakes import Bench

ACTS: dict[str, Callable[[Bench], None]] = {
    "create": lambda bench: bench.declare("team/db"),
    "edit": lambda bench: bench.declare("team/db", "team/more", access={"session": {"ttl": "10m"}}),
    "tighten": Bench.tighten,
    "delete": Bench.delete,
}


async def prepared(act: str) -> Bench:
    """Return a settled world right before an act of the life."""
    bench = Bench()
    for name, each in ACTS.items():
        if name == act:
            break
        each(bench)
        await bench.settle()
    bench.journal.lines.clear()
    return bench


def requests_of(act: str) -> list[str]:
    """Return the requests of one act in an undisturbed life."""

    async def live() -> list[str]:
        bench = await prepared(act)
        ACTS[act](bench)
        await bench.look()
        return list(bench.journal.lines)

    return asyncio.run(live())


POINTS = [(act, number, line) for act in ACTS for number, line in enumerate(requests_of(act), 1)]
NAMED = [f"{act}-{number}-{line.split(' /', maxsplit=1)[0].replace(' ', '_')}" for act, number, line in POINTS]


def test_the_points_cover_all_acts_and_both_servers() -> None:
    assert {act for act, _, _ in POINTS} == set(ACTS)
    assert any("Create Role" in line for _, _, line in POINTS)
    assert any("finalizer off" in line for _, _, line in POINTS)
    assert len(POINTS) >= 20


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("act", "number"), [point[:2] for point in POINTS], ids=NAMED)
async def test_a_kill_at_this_request_and_a_restart_end_as_an_undisturbed_life(
    act: str, number: int, when: When
) -> None:
    wanted = await prepared(act)
    ACTS[act](wanted)
    await wanted.settle()

    bench = await prepared(act)
    ACTS[act](bench)
    bench.journal.fail_at, bench.journal.when, bench.journal.error = number, when, Killed()
    with pytest.raises(Killed):
        await bench.look()
    bench.restart()
    await bench.settle()
    assert bench.world() == wanted.world()
    await remove_everything(bench)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("act", "number"), [point[:2] for point in POINTS], ids=NAMED)
async def test_one_failure_at_this_request_ends_as_an_undisturbed_life(act: str, number: int, when: When) -> None:
    wanted = await prepared(act)
    ACTS[act](wanted)
    await wanted.settle()

    bench = await prepared(act)
    ACTS[act](bench)
    line = next(line for name, place, line in POINTS if (name, place) == (act, number))
    in_cluster = line.startswith(("GET", "POST", "PATCH", "APPLY", "DELETE", "EVENT"))
    bench.journal.fail_at, bench.journal.when = number, when
    bench.journal.error = ClusterFailed("no answer") if in_cluster else Unreachable("no answer")
    with contextlib.suppress(AirwardenError):
        await bench.look()
    await bench.settle()
    assert bench.world() == wanted.world()
    await remove_everything(bench)


async def remove_everything(bench: Bench) -> None:
    """Delete the binding if it is still there: nothing may be left anywhere."""
    if any("airflowsecretbindings" in path for path in bench.api.objects):
        bench.delete()
        await bench.settle()
    assert bench.api.objects == {}
    assert bench.store.contents == {}
