"""Puts one operator together and runs it until it is told to stop.

Called by `airwarden run`. Everything is handed on by value; nothing here decides anything.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any

import kopf
import structlog

from airwarden import __version__
from airwarden.handlers.registry import kopf_settings, register, register_login
from airwarden.providers.kubernetes.accounts import Accounts
from airwarden.providers.kubernetes.api import KubernetesApi
from airwarden.providers.kubernetes.config_maps import ConfigMaps
from airwarden.providers.kubernetes.events import EventPoster
from airwarden.providers.kubernetes.jobs import Jobs
from airwarden.providers.kubernetes.live import LiveObjects
from airwarden.providers.kubernetes.objects import ObjectWriter
from airwarden.providers.kubernetes.rotations import Rotations
from airwarden.providers.kubernetes.surroundings import SurroundingsReader
from airwarden.providers.kubernetes.task_pods import TaskPods
from airwarden.providers.opening import Opening
from airwarden.reconcile import claims
from airwarden.reconcile.account_sweep import AccountSweep
from airwarden.reconcile.backends import Backends
from airwarden.reconcile.background import Background
from airwarden.reconcile.binding_maps import BindingMaps
from airwarden.reconcile.binding_rotations import BindingRotations, RotationsTools
from airwarden.reconcile.bindings import BindingReconciler, Tools
from airwarden.reconcile.cache import Cache
from airwarden.reconcile.candidate_sweep import CandidateSweep
from airwarden.reconcile.engine import Engine
from airwarden.reconcile.environment_engine import EnvironmentEngine
from airwarden.reconcile.environments import EnvironmentReconciler, EnvironmentTools
from airwarden.reconcile.gaps import LookBack
from airwarden.reconcile.job_sweep import JobSweep
from airwarden.reconcile.job_watch import JobWatch
from airwarden.reconcile.locks import Locks
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.priming import prime
from airwarden.reconcile.probe import ProbeTools
from airwarden.reconcile.rotation_cache import RotationCache
from airwarden.reconcile.rotation_engine import RotationEngine
from airwarden.reconcile.rotation_jobs import JobRuns
from airwarden.reconcile.rotation_metrics import RotationMetrics
from airwarden.reconcile.rotations import RotationReconciler, RotationTools
from airwarden.reconcile.rotators import Rotators
from airwarden.reconcile.sweep import SweepTools
from airwarden.settings import Settings
from airwarden.telemetry import Ports

log = structlog.get_logger("airwarden")


def _now() -> datetime:
    return datetime.now(UTC)


def assemble(
    settings: Settings, api: KubernetesApi, metrics: Metrics
) -> tuple[Engine, RotationEngine, EnvironmentEngine, ProbeTools]:
    """Return the engines with all their parts, not yet started, and what the probes need."""
    cache = Cache()
    opening = Opening(api, settings.cluster, settings.namespace, settings.token_directory, metrics.requests_left)
    backends = Backends(
        opening.open,
        lambda name: engine.backend_failing(name),  # noqa: PLW0108 - engine comes below
        lambda runtime: claims.tell(runtime, settings.cluster, cache, _now),
    )
    writer = ObjectWriter(api)
    locks = Locks()
    sweeps = SweepTools(backends, LiveObjects(api), locks, metrics, _now, settings.sweep_interval, settings.sweep_grace)
    rotation_cache = RotationCache()
    tools = Tools(
        cluster=settings.cluster,
        cache=cache,
        backends=backends,
        writer=writer,
        accounts=Accounts(api),
        events=EventPoster(api),
        metrics=metrics,
        clock=_now,
        rotations=BindingRotations(RotationsTools(settings.cluster, rotation_cache, Rotations(api), _now)),
        maps=BindingMaps(ConfigMaps(api)),
        locks=locks,
    )
    engine = Engine(settings.cluster, cache, backends, BindingReconciler(tools), metrics, clock=_now)
    rotations = _rotations(settings, api, tools, opening, rotation_cache)
    rotations.tell(engine.see_rotation)

    def recovered(name: str) -> None:
        engine.backend_recovered(name)
        rotations.backend_recovered(name)

    probe_tools = ProbeTools(cache, backends, writer, metrics, recovered, _now, engine.backend_barred, sweeps)
    return engine, rotations, _environments(settings, api, tools), probe_tools


def _environments(settings: Settings, api: KubernetesApi, shared: Tools) -> EnvironmentEngine:
    """Return the engine of environments, which knows bindings, accounts and backends from that of bindings."""
    tools = EnvironmentTools(
        cluster=settings.cluster,
        cache=shared.cache,
        backends=shared.backends,
        writer=shared.writer,
        config_maps=ConfigMaps(api),
        events=shared.events,
        metrics=shared.metrics,
        task_pods=TaskPods(api) if settings.see_task_pods else None,
        interval=settings.environment_interval,
        clock=_now,
    )
    return EnvironmentEngine(shared.cache, shared.backends, EnvironmentReconciler(tools), clock=_now)


def _rotations(
    settings: Settings,
    api: KubernetesApi,
    shared: Tools,
    opening: Opening,
    cache: RotationCache,
) -> RotationEngine:
    """Return the engine of rotations, which knows backends and namespaces from that of bindings."""
    rotators = Rotators(opening.open_rotator)
    metrics = RotationMetrics(shared.metrics.registry, _now)
    made = Jobs(api, settings.rotation_namespace) if settings.rotation_namespace else None
    tools = RotationTools(
        cluster=settings.cluster,
        cache=cache,
        surroundings=shared.cache,
        backends=shared.backends,
        rotators=rotators,
        writer=shared.writer,
        events=EventPoster(api),
        metrics=metrics,
        clock=_now,
        jobs=JobRuns(made, _now),
    )
    return RotationEngine(cache, shared.backends, rotators, RotationReconciler(tools), metrics, clock=_now)


def tell_loop_fault(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell what asyncio holds for a fault of its loop, but not what it says of watches that are closed with it.

    kopf leaves a watch open that was cut off between two events. asyncio then closes its nested generators side by
    side, which one of them refuses, with a traceback. Nothing is lost by that: the process ends.
    """
    if "asyncgen" in context:
        log.debug("a watch was closed with the process")
        return
    loop.default_exception_handler(context)


async def run(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT. All logins at the stores are revoked before it ends.

    Raises BackgroundEnded when work ended that goes on as long as the operator.
    """
    asyncio.get_running_loop().set_exception_handler(tell_loop_fault)
    kubeconfig = str(settings.kubeconfig) if settings.kubeconfig is not None else None
    api = await KubernetesApi.connect(kubeconfig, settings.kubernetes_timeout)
    metrics = Metrics()
    engine, rotations, environments, probe_tools = assemble(settings, api, metrics)

    def stalled_seconds() -> float:
        return max(each.stalled_seconds() for each in (engine, rotations, environments))

    ports = Ports(metrics, lambda: engine.live, stalled_seconds)
    reader = SurroundingsReader(api)
    look_back = LookBack(engine, rotations, environments, reader)
    registry = kopf.OperatorRegistry()
    register(registry, engine, rotations, environments, look_back.listed)
    register_login(registry, kubeconfig)

    account_sweep = AccountSweep(settings.cluster, probe_tools.sweeps, Accounts(api))
    candidate_sweep = CandidateSweep(settings.cluster, probe_tools.backends, rotations.rotators, reader.rotation, _now)
    over = asyncio.Event()
    background = Background(over)

    @kopf.on.startup(registry=registry, id="start")
    async def start(**_: Any) -> None:
        engine.start(probe_tools)
        environments.go_live()
        background.start("look back", look_back.run())
        background.start("sweep accounts", account_sweep.run())
        background.start("sweep candidates", candidate_sweep.run())
        if settings.rotation_namespace:
            made = Jobs(api, settings.rotation_namespace)
            background.start("watch jobs", JobWatch(made, rotations).run())
            background.start("sweep jobs", JobSweep(made, reader.rotation, _now).run())

    @kopf.on.cleanup(registry=registry, id="stop")
    async def stop(**_: Any) -> None:
        background.cancel()
        await asyncio.gather(*(each.stop(settings.shutdown_seconds) for each in (engine, rotations, environments)))
        log.info("stopped")

    try:
        # Before the cluster is listed: an API server that is down at the start must not fail the liveness probe.
        port = await ports.start(settings)
        log.info("started", version=__version__, cluster=settings.cluster, namespace=settings.namespace, port=port)
        await prime(engine, rotations, environments, reader)
        await kopf.operator(
            registry=registry, settings=kopf_settings(), standalone=True, clusterwide=True, stop_flag=over
        )
        background.check()
    finally:
        await ports.stop()
        await api.close()
