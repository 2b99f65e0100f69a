"""One pass over one environment: render its ConfigMaps, write those that differ, and say what holds.

What bindings claim is known without a request, so a pass in which nothing changed costs none between two looks at what
is there. Called by `airwarden.reconcile.environment_engine`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

import structlog

from airwarden.api.environment import AirflowEnvironment, EnvironmentStatus, Rendered
from airwarden.api.fields import moment_text
from airwarden.api.metadata import Metadata
from airwarden.api.reasons import Reason
from airwarden.domain.config_map import WantedMap, environment_labels
from airwarden.domain.environment import report as reports
from airwarden.domain.environment.asked import Asked
from airwarden.domain.environment.claims import Verdict
from airwarden.domain.environment.components import components_of
from airwarden.domain.environment.dag_map import MAP_KEY, map_name
from airwarden.domain.environment.fitting import Fitting, fit
from airwarden.domain.environment.guards import Guards
from airwarden.domain.environment.rendering import Rendering, Surroundings, render
from airwarden.domain.environment.sight import Sight, see
from airwarden.domain.errors import AirwardenError, ClusterForbidden, MapNotOwned, ObjectGone
from airwarden.domain.owner import Owner
from airwarden.domain.progress import Fault
from airwarden.domain.task_access import TaskAccess
from airwarden.providers.kubernetes import accounts
from airwarden.providers.kubernetes.config_maps import ConfigMaps, FoundMap
from airwarden.providers.kubernetes.events import EventPoster
from airwarden.providers.kubernetes.objects import ObjectWriter, environment_path
from airwarden.providers.kubernetes.task_pods import TaskPods
from airwarden.reconcile.backends import Backends, Runtime
from airwarden.reconcile.cache import Cache
from airwarden.reconcile.environment_statuses import EnvironmentStatuses
from airwarden.reconcile.environment_views import EnvironmentEntry
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.queue import Key
from airwarden.reconcile.slicing import in_steps

log = structlog.get_logger("airwarden.environments")
_NO_STORE: Final = TaskAccess({})
_GIVE: Final = "apply manifests/environment, and in each worker namespace what airwarden environment rights prints"
_FILLS_UP: Final = Fault(
    Reason.MAP_FILLS_UP,
    "the map has more than four fifths of what fits into a ConfigMap: claim DAGs by prefixes, or split the bundle",
)
_UNSEEN: Final = Sight(hidden=f"Airwarden was not told to look at task pods: {_GIVE}")


@dataclass(frozen=True, slots=True)
class EnvironmentTools:
    """What a pass needs of the world."""

    cluster: str
    cache: Cache
    backends: Backends
    writer: ObjectWriter
    config_maps: ConfigMaps
    events: EventPoster
    metrics: Metrics
    task_pods: TaskPods | None
    """None: the platform team did not say that task pods may be looked at."""
    interval: float
    """Seconds between two looks at what is there."""
    clock: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Following:
    """When to look again."""

    kind: Literal["never", "retry", "check"]
    after: float | None = None
    turn: datetime | None = None
    """When what is rendered changes by itself."""
    state: tuple[object, ...] | None = None
    """The state that the pass has seen to, its own writes included."""


NEVER: Final = Following("never")


@dataclass(slots=True)
class _Memory:
    """What this process knows of one environment's surroundings, until the next look."""

    looked: float
    generation: int
    maps: dict[str, FoundMap | None] = field(default_factory=dict)
    """By name; None for one that is not there."""
    sight: Sight = _UNSEEN
    pods_looked: bool = False


class EnvironmentReconciler:
    """Keeps the ConfigMaps of environments true."""

    def __init__(self, tools: EnvironmentTools) -> None:
        self._tools = tools
        self._memories: dict[Key, _Memory] = {}
        self._statuses = EnvironmentStatuses(
            tools.cache.environments, tools.writer, tools.events, tools.metrics, tools.clock
        )
        self._guards: tuple[float, Guards] | None = None
        """What guards marks on pods, and when that was looked at: the same for all environments."""

    def forget(self, key: Key) -> None:
        """Drop what is known of an environment that is gone."""
        self._drop(key)
        self._statuses.forget(key)

    def _drop(self, key: Key) -> None:
        """Have the next pass look at everything."""
        self._memories.pop(key, None)

    async def reconcile(self, key: Key) -> Following:
        """Do one pass. Raises AirwardenError when the cluster fails, so that the pass is repeated."""
        entry = self._tools.cache.environments.known.get(key)
        if entry is None:
            return NEVER
        if entry.deleting:
            return await self._let_go(entry) if entry.held else NEVER
        if entry.declared is None:
            return await self._say_invalid(entry)
        declared = entry.declared
        if not entry.held:
            metadata = Metadata.model_validate(entry.body["metadata"])
            body = await self._tools.writer.add_finalizer(environment_path(*key), metadata)
            entry = self._tools.cache.environments.learn(body)
            if entry.declared is None or entry.deleting:
                return Following("retry", 0.0)
            declared = entry.declared
        try:
            return await self._pass(entry, declared)
        except AirwardenError:
            self._drop(key)
            raise

    async def _pass(self, entry: EnvironmentEntry, environment: AirflowEnvironment) -> Following:
        memory = self._memory(entry)
        rendering = await in_steps(render(environment, await self._surroundings(entry.key, environment)))
        for name in self._names(environment, rendering):
            if name not in memory.maps:
                memory.maps[name] = await self._tools.config_maps.read(entry.key[0], name)
        fitting = await in_steps(fit(rendering, _texts(environment, memory.maps)))
        self._hold_there(entry.key)
        wanted = fitting.wanted
        stays, stuck = await self._remove_others(environment, wanted, memory.maps)
        recorded = await self._record(environment, wanted, stays, memory.maps, rendering)
        unmade = frozenset[str]()
        if recorded is None:
            # What must leave a map does not wait for a status that cannot be written; nothing is made without a record.
            unmade = _unrecorded(environment, wanted, memory.maps)
        else:
            environment = recorded
        rendered, faults = await self._write(fitting, memory.maps, unmade)
        sight = await self._sight(entry, environment, memory, rendering)
        fault = next(iter((*faults, *stuck)), None)
        status = reports.report(environment, rendering, (*rendered, *stays), fault, sight, self._now())
        last = await self._statuses.tell(environment, status)
        following = Following("check", self._tools.interval, rendering.turn, last)
        if fault is not None and fault.retryable:
            self._memories.pop(entry.key, None)
            return replace(following, kind="retry", after=fault.retry_after)
        return following

    def _memory(self, entry: EnvironmentEntry) -> _Memory:
        """Return what is known still, or nothing when it is time to look: at an edit, and once in an interval."""
        known, now = self._memories.get(entry.key), self._tools.monotonic()
        if known is None or known.generation != entry.generation or now - known.looked >= self._tools.interval:
            before = known.sight if known is not None else _UNSEEN
            known = self._memories[entry.key] = _Memory(now, entry.generation, sight=before)
        return known

    async def _surroundings(self, key: Key, environment: AirflowEnvironment) -> Surroundings:
        views = self._tools.cache.environments
        names = {each.backend_ref.name for each in environment.spec.common_secrets}
        names.update(*(each.backends for each in views.asking(key).values()))
        opened = {name: await self._tools.backends.reach(name) for name in sorted(names)}
        asking = dict(views.asking(key))

        def access(binding: Key, backend: str) -> TaskAccess | None:
            found = opened.get(backend)
            if found is None:
                return _NO_STORE
            # Some stores know by the account as whom its tasks log in.
            owner = Owner(self._tools.cluster, *binding, backend, account=asking[binding].claimant.account)
            return found.store.task_access(owner) if isinstance(found, Runtime) else None

        def verdict(binding: Key) -> Verdict | None:
            self._hold_there(key)
            return views.verdict(key, binding)

        self._hold_there(key)
        return Surroundings(
            asking=asking,
            verdict=verdict,
            has_account=self._has_account,
            access=access,
            now=self._tools.clock(),
        )

    def _hold_there(self, key: Key) -> None:
        """Raise ObjectGone for an environment that went meanwhile, or cannot be read any more: it maps nobody."""
        if self._tools.cache.environments.claims(key) is None:
            raise ObjectGone(f"environment {key[0]}/{key[1]} went meanwhile, or cannot be read any more")

    def _has_account(self, key: Key, asked: Asked) -> bool:
        """Tell whether the account is there and the binding's own, by its labels as they are watched."""
        name = asked.claimant.account
        found = self._tools.cache.accounts.get((key[0], name))
        owner = Owner(self._tools.cluster, *key)
        if asked.external:
            return accounts.is_allowed(found, owner, name)
        return found is not None and accounts.is_ours(found, owner, "")

    @staticmethod
    def _names(environment: AirflowEnvironment, rendering: Rendering) -> list[str]:
        """Return the names of all that is wanted or on record and could be ours."""
        prefix = f"airwarden.{environment.metadata.name}."
        recorded = environment.status.rendered if environment.status is not None else ()
        # A status may be written by others: it names nothing but what the environment could have.
        wanted = {name for _, name in rendering.names()}
        return sorted(wanted | {each.name for each in recorded if each.name.startswith(prefix)})

    async def _record(
        self,
        environment: AirflowEnvironment,
        wanted: Mapping[str, WantedMap],
        stays: Sequence[Rendered],
        found: Mapping[str, FoundMap | None],
        rendering: Rendering,
    ) -> AirflowEnvironment | None:
        """Record what is about to be made, before the first is, so that a crash leaves nothing unknown behind.

        What is gone by now leaves the record, which has no room for all bundles of two declarations. None is returned
        where the API server takes no such record.
        """
        status = environment.status or EnvironmentStatus()
        names = {each.name for each in wanted.values()}
        before = [each for each in status.rendered if each.name in names]
        unknown = _unrecorded(environment, wanted, found)
        new = [
            Rendered(name=each.name, content=content, reason=Reason.PENDING.word)
            for content, each in wanted.items()
            if each.name in unknown
        ]
        if not new:
            return environment
        recorded = reports.pending(environment, (*before, *stays, *new), rendering.components.digest, self._now())
        body = await self._statuses.write(environment.metadata, recorded)
        if body is None:
            return None
        metadata = Metadata.model_validate(body.body["metadata"])
        return environment.model_copy(update={"status": recorded, "metadata": metadata})

    async def _write(
        self, fitting: Fitting, found: dict[str, FoundMap | None], unmade: frozenset[str]
    ) -> tuple[list[Rendered], list[Fault]]:
        """Write what differs. DAG maps first: a scheduler that starts on its new variables finds them."""
        rendered, faults = [], list[Fault]()
        for content, each in sorted(
            fitting.wanted.items(), key=lambda item: (not item[0].startswith("dags/"), item[0])
        ):
            if each.name in unmade:
                continue
            fault = fitting.large.get(content)
            try:
                found[each.name] = await self._tools.config_maps.keep(each, found[each.name])
            except AirwardenError as error:
                found.pop(each.name)
                fault = Fault(error.reason, error.message, error.retryable, error.retry_after)
            faults += [fault] if fault is not None else []
            kept = found.get(each.name)
            said = fault or (_FILLS_UP if content in fitting.full else None)
            rendered.append(
                Rendered(
                    name=each.name,
                    content=content,
                    digest=each.digest if kept is not None else "",
                    reason=said.reason.word if said is not None else "",
                    message=said.message if said is not None else "",
                )
            )
        return sorted(rendered, key=lambda each: each.content), faults

    async def _remove_others(
        self, environment: AirflowEnvironment, wanted: Mapping[str, WantedMap], found: dict[str, FoundMap | None]
    ) -> tuple[list[Rendered], list[Fault]]:
        """Remove what is on record and no longer wanted; return what could not be, and why."""
        names = {each.name for each in wanted.values()}
        labels = environment_labels(environment.metadata.name)
        stays, faults = [], []
        for each in environment.status.rendered if environment.status is not None else ():
            there = found.pop(each.name, None) if each.name not in names else None
            if there is None:
                continue
            try:
                await self._tools.config_maps.remove(there, labels)
            except MapNotOwned as error:
                log.info("not removed", config_map=each.name, error=error.message)
            except AirwardenError as error:
                fault = Fault.of(error, doing=f"removing ConfigMap {each.name}")
                faults.append(fault)
                stays.append(each.model_copy(update={"reason": fault.reason.word, "message": fault.message}))
        return stays, faults

    async def _sight(
        self, entry: EnvironmentEntry, environment: AirflowEnvironment, memory: _Memory, rendering: Rendering
    ) -> Sight:
        """Look at task pods and at the policies, once a look: how many pods run changes all the time."""
        if self._tools.task_pods is None or memory.pods_looked:
            return memory.sight
        memory.pods_looked = True
        try:
            guards = await self._look_at_guards(self._tools.task_pods)
            pods = await self._tools.task_pods.pods(environment.spec.worker_namespaces)
        except ClusterForbidden as error:
            memory.sight = Sight(hidden=f"{error.message}: {_GIVE}")
        else:
            asking = self._tools.cache.environments.asking(entry.key)
            mapped = {key: asking[key].created for key in rendering.keys if key in asking}
            digest, others = rendering.components.digest, self._tools.cache.environments.working()
            memory.sight = see(pods, entry.key[1], digest, guards=guards, mapped=mapped, others=others)
        return memory.sight

    async def _look_at_guards(self, task_pods: TaskPods) -> Guards:
        """Look at the policies, once for all environments that are looked at in about the same time."""
        now = self._tools.monotonic()
        if self._guards is None or now - self._guards[0] >= self._tools.interval / 2:
            self._guards = (now, await task_pods.guards())
        return self._guards[1]

    async def _say_invalid(self, entry: EnvironmentEntry) -> Following:
        metadata = Metadata.model_validate(entry.body["metadata"])
        previous = EnvironmentStatus.model_validate(entry.body["status"])
        message = f"the environment does not hold to its schema, and nothing was changed: {entry.wrong}"
        status = reports.invalid(previous, entry.generation, message, self._now())
        if status != previous:
            entry = await self._statuses.write(metadata, status) or entry
        return Following("never", state=entry.state)

    async def _let_go(self, entry: EnvironmentEntry) -> Following:
        """Remove all ConfigMaps of an environment that is being deleted; then let it go."""
        metadata = Metadata.model_validate(entry.body["metadata"])
        previous = EnvironmentStatus.model_validate(entry.body["status"])
        fault = None
        for name in sorted(_derived(entry, previous)):
            try:
                found = await self._tools.config_maps.read(entry.key[0], name)
                if found is not None:
                    await self._tools.config_maps.remove(found, environment_labels(metadata.name))
            except MapNotOwned as error:
                log.info("not removed", config_map=name, error=error.message)
            except AirwardenError as error:
                fault = fault or Fault.of(error, doing=f"removing ConfigMap {name}")
        if fault is not None:
            status = reports.deleting(previous, entry.generation, fault, self._now())
            if status != previous:
                await self._statuses.write(metadata, status)
            return Following("retry", fault.retry_after)
        self.forget(entry.key)
        await self._tools.writer.remove_finalizer(environment_path(*entry.key), metadata)
        return NEVER

    def _now(self) -> str:
        return moment_text(self._tools.clock())


def _texts(environment: AirflowEnvironment, found: Mapping[str, FoundMap | None]) -> dict[str, str]:
    """Return the texts of the DAG maps that are there and this environment's."""
    labels = environment_labels(environment.metadata.name)
    return {
        name: each.data.get(MAP_KEY, "") for name, each in found.items() if each is not None and each.belongs(labels)
    }


def _unrecorded(
    environment: AirflowEnvironment, wanted: Mapping[str, WantedMap], found: Mapping[str, FoundMap | None]
) -> frozenset[str]:
    """Return the names of what is neither there nor on record."""
    known = {each.name for each in environment.status.rendered} if environment.status is not None else set()
    return frozenset(each.name for each in wanted.values() if each.name not in known and found[each.name] is None)


def _derived(entry: EnvironmentEntry, status: EnvironmentStatus) -> frozenset[str]:
    """Return the names of all that an environment could have: on its record, or by what it declares."""
    prefix = f"airwarden.{entry.key[1]}."
    recorded = {each.name for each in status.rendered if each.name.startswith(prefix)}
    if entry.declared is None:
        return frozenset(recorded)
    bundles = {map_name(entry.key[1], each.name) for each in entry.declared.spec.bundles}
    parts = {each.name for each in components_of(entry.declared).wanted.values()}
    return frozenset(recorded | bundles | parts)


def _key(environment: AirflowEnvironment) -> Key:
    return (environment.metadata.namespace, environment.metadata.name)
