"""One control plane made ready for measuring: installed, with a backend, a watch, and an operator to start.

Made by `runner`, one for each group of scenarios, so that no scenario meets what another has left behind
unless it means to. Everything on it ends with it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from benchmarks import accounting
from benchmarks.cluster import Cluster, together
from benchmarks.errors import BenchmarkError
from benchmarks.meter import Meter
from benchmarks.objects import BACKEND_PATH, NAMESPACES, backend, binding, collection, names
from benchmarks.progress import Progress
from benchmarks.watcher import Watcher
from plane.control_plane import ControlPlane, Plane
from plane.operator import START_DEADLINE, OperatorProcess, Options, install, set_up_vault
from plane.vault_admin import prepare_store
from plane.waiting import wait_for

SLOWEST: Final = 8.0
"""Bindings a second below which a scenario is given up."""
_LOOKS: Final = 20
_LOOK_EVERY: Final = 0.5
_CALM: Final = 0.25
"""Share of a core below which the servers count as idle: a fresh API server publishes its new kinds for seconds."""
_SETTLING: Final = 1.0
"""Seconds after the last event until everything is in the accounts: Events posted, counters written."""


@dataclass
class Stage:
    """A plane with all that the scenarios act on."""

    plane: Plane
    cluster: Cluster
    watcher: Watcher
    progress: Progress
    disturbed: bool = False
    """A scenario has failed on this plane."""
    _operator: OperatorProcess | None = None

    # The operator.

    @property
    def operator(self) -> OperatorProcess:
        """The operator that runs."""
        if self._operator is None:
            raise BenchmarkError("no operator was started")
        return self._operator

    async def start_operator(self) -> float:
        """Start the operator, unless it runs, and wait until it has listed the cluster; return when it was started."""
        began = time.monotonic()
        if self._operator is None:
            self._operator = OperatorProcess(self.plane, Options(log_level="info", fresh=True))
            await asyncio.to_thread(self._operator.start, wait=False)
            await asyncio.to_thread(wait_for, "the operator is ready", self._operator.ready, START_DEADLINE)
        return began

    async def stop_operator(self) -> None:
        """Stop the operator, if it runs."""
        operator, self._operator = self._operator, None
        if operator is not None:
            await asyncio.to_thread(operator.stop)

    def meter(self) -> Meter:
        """Begin to count."""
        running = self._operator is not None and self._operator.running
        return Meter(self.plane, self.operator.pid if running else None)

    def rss_mb(self) -> float:
        """Return the operator's resident memory."""
        return accounting.rss_mb(self.operator.pid)

    async def settle(self) -> None:
        """Wait until what follows the last event has been done too."""
        await asyncio.sleep(_SETTLING)

    async def metrics(self) -> Mapping[str, float]:
        """Return the operator's own counters, by name and label values."""
        text = await asyncio.to_thread(self.operator.metrics)
        return {
            " ".join((sample.name, *sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def passes(self) -> float:
        """Return how many passes the operator has ended."""
        found = await self.metrics()
        return sum(value for name, value in found.items() if name.startswith("airwarden_reconcile_passes_total"))

    async def waiting(self) -> float:
        """Return how many bindings wait for a pass."""
        return (await self.metrics()).get("airwarden_bindings_waiting", 0.0)

    # Bindings.

    async def create(self, namespace: str, wanted: list[str]) -> dict[str, float]:
        """Create bindings, many at once; return when each was sent."""

        async def one(name: str) -> tuple[str, float]:
            return name, await self.cluster.create(collection(namespace), binding(namespace, name))

        return dict(await together(partial(one, each) for each in wanted))

    async def ensure(self, namespace: str, count: int) -> list[str]:
        """Return the names of so many Ready bindings; those that are missing are made."""
        wanted = names(count)
        await self.start_operator()
        missing = [each for each in wanted if self.watcher.ready_at(namespace, each) is None]
        await self.create(namespace, missing)
        await self.wait_ready(namespace, count)
        return wanted

    async def wait_ready(self, namespace: str, count: int) -> None:
        """Wait until so many bindings of a namespace are Ready, and show how many are."""
        watcher = self.watcher

        def reached() -> bool:
            self.progress.move(watcher.ready[namespace], count)
            return watcher.ready[namespace] >= count

        await watcher.wait(f"{count} bindings in {namespace} are Ready", reached, deadline(count))

    async def set_interval(self, interval: str) -> None:
        """Change the drift interval; bindings that already wait for a check keep their time until the next start."""
        await self.cluster.merge(BACKEND_PATH, {"spec": {"drift": {"interval": interval}}})


def deadline(count: int) -> float:
    """Return for how long so many bindings may take."""
    return 60 + count / SLOWEST


@asynccontextmanager
async def open_stage(progress: Progress) -> AsyncIterator[Stage]:
    """Start a plane, prepare it, and end it afterwards."""
    control = ControlPlane()
    plane = await asyncio.to_thread(control.start)
    try:
        await asyncio.to_thread(_prepare, plane)
        async with Cluster(plane) as cluster:
            stage = Stage(plane, cluster, Watcher(cluster), progress)
            await stage.watcher.start()
            await _wait_calm(plane)
            try:
                yield stage
            finally:
                # The operator first: a watch that broke raises here, and must not leave the operator behind.
                try:
                    await stage.stop_operator()
                finally:
                    await stage.watcher.stop()
    finally:
        await asyncio.to_thread(control.stop)


async def _wait_calm(plane: Plane) -> None:
    """Wait until the servers have digested the installation, or for as long as that is worth waiting."""
    pids = [each.pid for each in (plane.api.apiserver, plane.api.controllers, plane.vault.process)]
    before = None
    for _ in range(_LOOKS):
        now = sum(accounting.cpu_seconds(pid) for pid in pids if pid is not None)
        if before is not None and now - before < _CALM * _LOOK_EVERY:
            return
        before = now
        await asyncio.sleep(_LOOK_EVERY)


def _prepare(plane: Plane) -> None:
    prepare_store(plane)
    install(plane)
    for name in NAMESPACES:
        plane.create_namespace(name)
    declared = backend(plane.vault_address)
    set_up_vault(plane, declared)
    plane.api.apply(declared)
