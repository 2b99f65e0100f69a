"""What was deleted while no watch told of it is found: accounts made again, access of lost bindings taken away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from airwarden.domain.errors import ClusterFailed
from airwarden.providers.kubernetes.api import Absent, Json
from airwarden.providers.kubernetes.objects import rotation_path
from airwarden.reconcile.engine import Engine
from airwarden.reconcile.gaps import LookBack, Pace
from airwarden.reconcile.metrics import Metrics
from unit.reconcile.environment_fakes import MAIN, EnvironmentBench
from unit.reconcile.fakes import KEY, Bench
from unit.reconcile.rotation_fakes import WAREHOUSE, RotationBench

ACCOUNT = "/api/v1/namespaces/team/serviceaccounts/billing"


async def until(holds: Callable[[], bool]) -> None:
    """Let all that can go on go on, until something holds."""
    for _ in range(10_000):
        await asyncio.sleep(0)
        if holds():
            return
    raise AssertionError("it never held")


class Cluster:
    """Reads what the fake cluster has, and can fail, lack what is there, or not serve a kind."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.error: Exception | None = None
        self.looks = 0
        self.hide_bindings = False

    async def backends(self) -> AsyncIterator[Json]:
        self.looks += 1
        for body in self._bench.backend_bodies.values():
            yield body

    async def namespaces(self) -> AsyncIterator[Json]:
        yield {"metadata": {"name": "team"}}

    async def accounts(self) -> AsyncIterator[Json]:
        for path, body in self._bench.api.objects.items():
            if "/serviceaccounts/" in path:
                yield body

    async def bindings(self) -> AsyncIterator[Json]:
        if self.error is not None:
            raise self.error
        for path, body in self._bench.api.objects.items():
            if "airflowsecretbindings" in path and not self.hide_bindings:
                yield {"metadata": body["metadata"]}

    async def rotations(self) -> AsyncIterator[Json]:
        for path, body in self._bench.api.objects.items():
            if "airflowsecretrotations" in path:
                yield body

    async def environments(self) -> AsyncIterator[Json]:
        for path, body in self._bench.api.objects.items():
            if "airflowenvironments" in path:
                yield body

    async def has_binding(self, namespace: str, name: str) -> bool:
        return any(path.endswith(f"/{namespace}/airflowsecretbindings/{name}") for path in self._bench.api.objects)


class Seat:
    """An engine that has settled one binding, on a cluster whose watches tell nothing any more."""

    def __init__(self) -> None:
        self.rotations = RotationBench()
        self.bench = self.rotations.bench
        self.cluster = Cluster(self.bench)
        bench = self.bench
        self.engine = Engine("c1", bench.cache, bench.backends, bench.reconciler, Metrics(), clock=bench.clock)
        self.environments = EnvironmentBench(bench)
        self.look_back = LookBack(
            self.engine,
            self.rotations.engine,
            self.environments.engine,
            self.cluster,
            Pace(first=0.0, gathering=0.0, longest=3600.0),
        )

    async def settle(self) -> None:
        """Declare the binding, and let the watches tell of it for the last time."""
        self.bench.declare("team/db")
        for _ in range(2):
            self.engine.see_binding("ADDED", self.bench.binding)
            await self.rest()
        account = self.bench.account()
        assert account is not None
        self.engine.see_account("ADDED", account)

    async def rest(self) -> None:
        """Let everything that is queued be done."""
        await until(lambda: self.engine.idle)


@pytest.fixture
async def seat() -> AsyncIterator[Seat]:
    """Return a settled engine."""
    made = Seat()
    await made.settle()
    yield made
    await made.engine.stop(0)
    await made.rotations.engine.stop(0)
    await made.environments.engine.stop(0)


async def test_an_environment_that_went_unseen_is_forgotten_and_maps_nothing(seat: Seat) -> None:
    seat.environments.declare()
    seat.environments.engine.know_environment(seat.environments.body)
    assert seat.bench.cache.environments.environment(MAIN) is not None
    await seat.look_back.look()
    assert seat.bench.cache.environments.environment(MAIN) is not None
    del seat.bench.api.objects[seat.environments.path]
    await seat.look_back.look()
    assert seat.bench.cache.environments.environment(MAIN) is None


async def test_a_rotation_that_went_unseen_is_forgotten_and_rotates_nothing(seat: Seat) -> None:
    seat.rotations.declare()
    await seat.rotations.rest()
    body = seat.bench.api.objects.pop(rotation_path(*WAREHOUSE))
    await seat.look_back.look()
    assert seat.rotations.engine.known_rotations() == {}
    seat.rotations.cache.learn(body)
    assert seat.rotations.engine.known_rotations() == {WAREHOUSE: "uid-warehouse"}


async def test_an_account_that_went_unseen_is_made_again(seat: Seat) -> None:
    del seat.bench.api.objects[ACCOUNT]
    await seat.look_back.look()
    await seat.rest()
    assert seat.bench.account() is not None


async def test_a_binding_that_went_unseen_leaves_nothing(seat: Seat) -> None:
    del seat.bench.api.objects[next(path for path in seat.bench.api.objects if "airflowsecretbindings" in path)]
    await seat.look_back.look()
    await seat.rest()
    assert seat.bench.store.contents == {}
    assert seat.bench.account() is None
    assert seat.engine.known_bindings() == {}


async def test_what_is_there_is_left_alone(seat: Seat) -> None:
    before = seat.bench.world()
    seat.bench.journal.lines.clear()
    await seat.look_back.look()
    await seat.rest()
    assert seat.bench.world() == before
    assert seat.bench.journal.lines == []


async def test_a_list_that_lacks_a_binding_which_is_there_takes_nothing_away(seat: Seat) -> None:
    seat.cluster.hide_bindings = True
    before = seat.bench.world()
    await seat.look_back.look()
    await seat.rest()
    assert seat.bench.world() == before
    assert set(seat.engine.known_bindings()) == {KEY}


@pytest.mark.parametrize("error", [ClusterFailed("no answer"), Absent("no such kind")], ids=["no answer", "not served"])
async def test_a_list_that_fails_says_nothing_and_is_asked_for_again(seat: Seat, error: Exception) -> None:
    before = seat.bench.world()
    del seat.bench.api.objects[ACCOUNT]
    seat.cluster.error = error
    running = asyncio.create_task(seat.look_back.run())
    await until(lambda: seat.cluster.looks >= 3)
    assert seat.bench.account() is None
    seat.cluster.error = None
    await until(lambda: seat.bench.account() is not None)
    running.cancel()
    await seat.rest()
    assert seat.bench.world() == before


async def test_after_a_look_the_next_one_waits_until_something_comes_by_a_list(seat: Seat) -> None:
    running = asyncio.create_task(seat.look_back.run())
    for _ in range(100):
        await asyncio.sleep(0)
    assert seat.cluster.looks == 1
    seat.look_back.listed()
    await until(lambda: seat.cluster.looks == 2)
    running.cancel()
