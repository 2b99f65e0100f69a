"""When environments are looked at: gathered, spaced, after everything is known, and again when something changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from airwarden.domain.errors import ClusterFailed
from airwarden.providers.kubernetes.api import Json
from airwarden.reconcile import environment_engine
from airwarden.reconcile.engine import Engine
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.priming import prime
from unit.reconcile.environment_fakes import BILLING, MAIN, EnvironmentBench
from unit.reconcile.rotation_fakes import RotationBench


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in range(15_000):
        if holds():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it never held")


class Seat:
    """An engine with quick pauses on one environment."""

    def __init__(self) -> None:
        self.bench = EnvironmentBench()
        self.engine = self.bench.engine

    def see(self) -> None:
        """Let the engine hear of the environment as the cluster has it."""
        self.engine.see_environment("MODIFIED", self.bench.body)

    @property
    def writes(self) -> int:
        """How often the map of bundle billing was written after it was made."""
        return self.bench.journal.lines.count(f"PATCH {BILLING} data")

    async def settled(self) -> None:
        """Wait until nothing is under way or gathered."""
        await until(lambda: "status" in self.bench.body and self.engine.idle)
        await until(lambda: self.bench.condition() == ("True", "Ready"))


@pytest.fixture
async def seat(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seat]:
    """Return a live engine that has settled one environment."""
    monkeypatch.setattr(environment_engine, "GATHERING", 0.05)
    monkeypatch.setattr(environment_engine, "SPACING", 0.1)
    made = Seat()
    made.bench.declare()
    made.engine.go_live()
    made.see()
    await made.settled()
    yield made
    await made.engine.stop(1)


async def test_before_all_is_known_nothing_is_looked_at_and_then_everything_is() -> None:
    seat = Seat()
    seat.bench.declare()
    seat.engine.know_environment(seat.bench.body)
    seat.bench.bind("billing", "billing_*")
    assert seat.engine._timers._handles == {}
    seat.engine.go_live()
    assert set(seat.engine._timers._handles) == {MAIN}
    await seat.settled()
    assert seat.bench.mapped() == {"team/billing": ["billing_*"]}
    await seat.engine.stop(1)


async def test_bindings_that_come_together_cost_few_writes_and_none_is_forgotten(seat: Seat) -> None:
    begun = time.monotonic()
    for number in range(300):
        seat.bench.bind(f"b{number:03}", f"dag_{number:03}")
        await asyncio.sleep(0)
    await until(lambda: len(seat.bench.mapped()) == 300)
    assert seat.writes <= 2 + (time.monotonic() - begun) / environment_engine.SPACING


async def test_what_happens_during_a_pass_is_seen_to_in_another(seat: Seat) -> None:
    seat.bench.bind("first", "first")
    await until(lambda: seat.engine._lanes.running(MAIN) or seat.writes > 0)
    seat.bench.bind("second", "second")
    await until(lambda: set(seat.bench.mapped()) == {"team/first", "team/second"})


async def test_an_account_that_comes_later_maps_its_binding(seat: Seat) -> None:
    seat.bench.bind("late", "late", account=False)
    await until(lambda: seat.bench.status["bindings"] == {"total": 1, "mapped": 0})
    seat.bench.bind("late", "late")
    seat.engine.see_account("team", "late")
    await until(lambda: "team/late" in seat.bench.mapped())


async def test_a_backend_that_changed_has_all_environments_looked_at(seat: Seat) -> None:
    before = seat.engine._begun[MAIN]
    seat.engine.see_backend()
    await until(lambda: seat.engine._begun[MAIN] > before)


async def test_its_own_writes_wake_nobody(seat: Seat) -> None:
    begun = seat.engine._begun[MAIN]
    await until(lambda: seat.engine.idle)
    seat.see()
    assert seat.engine._timers.when(MAIN) > asyncio.get_running_loop().time() + 1
    assert seat.engine._begun[MAIN] == begun


async def test_a_pass_that_fails_is_tried_again(seat: Seat) -> None:
    seat.bench.bind("billing", "billing_*")
    seat.bench.journal.fail_at = len(seat.bench.journal.lines) + 1
    seat.bench.journal.error = ClusterFailed("no answer", retry_after=0.01)
    await until(lambda: len(seat.bench.journal.lines) >= seat.bench.journal.fail_at)
    seat.bench.journal.error = None
    await until(lambda: seat.bench.mapped() == {"team/billing": ["billing_*"]})


async def test_an_environment_that_is_gone_is_forgotten(seat: Seat) -> None:
    seat.bench.delete()
    seat.see()
    await until(lambda: seat.bench.path not in seat.bench.api.objects)
    seat.engine.see_environment("DELETED", {"metadata": {"namespace": "airflow", "name": "main"}})
    assert seat.engine.known_environments() == {}
    assert seat.bench.maps == {}


class Cluster:
    """Lists what a fake cluster has, for the start."""

    def __init__(self, bench: EnvironmentBench) -> None:
        self._bench = bench
        self.listed: list[str] = []

    async def nothing(self) -> AsyncIterator[Json]:
        for each in list[Json]():
            yield each

    backends = namespaces = accounts = rotations = nothing

    async def environments(self) -> AsyncIterator[Json]:
        if self._bench.path in self._bench.api.objects:
            yield self._bench.body

    async def whole_bindings(self) -> AsyncIterator[Json]:
        self.listed.append("bindings")
        for body in self._bench.bindings.values():
            yield body


async def test_and_where_groups_of_people_may_be_let_in_which_others_may_share() -> None:
    bench = EnvironmentBench()
    body = bench.bench.backend_bodies["vault"]
    body["spec"]["groups"] = [{"provider": "entra", "value": "analysts", "vaultGroupID": "1"}]
    bench.restart()
    within, rotations, cluster = bench.bench, RotationBench(), Cluster(bench)
    engine = Engine("c1", within.cache, within.backends, within.reconciler, Metrics(), clock=within.clock)
    await prime(engine, rotations.engine, bench.engine, cluster)
    assert cluster.listed == ["bindings"]


@pytest.mark.parametrize("declared", [True, False])
async def test_all_bindings_are_known_before_the_first_pass_where_there_is_an_environment(*, declared: bool) -> None:
    bench = EnvironmentBench()
    bench.bind("billing", "billing_*")
    bodies = dict(bench.bindings)
    if declared:
        bench.declare()
    bench.bindings = {}
    bench.restart()
    bench.bindings = bodies
    rotations = RotationBench()
    within = bench.bench
    engine = Engine("c1", within.cache, within.backends, within.reconciler, Metrics(), clock=within.clock)
    cluster = Cluster(bench)
    await prime(engine, rotations.engine, bench.engine, cluster)
    assert cluster.listed == (["bindings"] if declared else [])
    assert set(within.cache.environments.asking(MAIN)) == ({("team", "billing")} if declared else set())
    assert within.cache.environments.environment(MAIN) is None or declared
