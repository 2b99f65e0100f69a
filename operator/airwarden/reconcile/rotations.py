"""One pass over one rotation: look, decide, and take the steps, each recorded so that a crash repeats none.

What is done next is decided in `airwarden.domain.rotation.decide`; here it is done. Called by
`airwarden.reconcile.rotation_engine`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

import structlog
from pydantic import ValidationError

from airwarden.api import FINALIZER
from airwarden.api.fields import moment, moment_text
from airwarden.api.metadata import Metadata
from airwarden.api.reasons import Reason
from airwarden.api.rotation import AirflowSecretRotation, RotationStatus, Strategy
from airwarden.domain.errors import (
    AirwardenError,
    NotRotatable,
    Sealed,
    Throttled,
    Unreachable,
    VersionMoved,
)
from airwarden.domain.rotation import report as reports
from airwarden.domain.rotation import roles
from airwarden.domain.rotation.decide import decide, hindrance, timetable_of, written
from airwarden.domain.rotation.facts import Facts, RunMark
from airwarden.domain.rotation.jobs import begun
from airwarden.domain.rotation.schedule import InvalidSchedule
from airwarden.domain.rotation.steps import (
    Adjust,
    End,
    Obstacle,
    Record,
    Rest,
    Result,
    Situation,
    Start,
    Write,
)
from airwarden.domain.rotation.timetable import Timetable
from airwarden.providers.kubernetes.events import Event, EventPoster
from airwarden.providers.kubernetes.objects import ObjectWriter, rotation_path
from airwarden.reconcile.backends import Backends
from airwarden.reconcile.cache import Cache
from airwarden.reconcile.queue import Key
from airwarden.reconcile.rotation_access import Access, Gate
from airwarden.reconcile.rotation_cache import RotationCache, RotationEntry
from airwarden.reconcile.rotation_jobs import Hands, JobRuns
from airwarden.reconcile.rotation_metrics import RotationMetrics
from airwarden.reconcile.rotation_release import Blocked, RotationRelease
from airwarden.reconcile.rotation_roles import adjust_role, looked_at, rotate_role
from airwarden.reconcile.rotation_verdicts import Verdicts
from airwarden.reconcile.rotators import Rotators
from airwarden.reconcile.wording import complaints

log = structlog.get_logger("airwarden.rotations")

_OUTAGE: Final = (Unreachable, Sealed, Throttled)
_INTERVAL: Final = 600.0


@dataclass(frozen=True, slots=True)
class Following:
    """When to look again."""

    kind: Literal["never", "again", "retry", "check"]
    after: float | None = None
    """Seconds: the interval of checks; what the other side asked for, for a retry."""
    waiting: str = ""
    """Backend that is down; its recovery is the time to look again."""
    turn: datetime | None = None
    """When something is due or changes by itself."""
    state: tuple[object, ...] | None = None
    """The state that the pass has seen to, its own writes included."""


NEVER: Final = Following("never")


@dataclass(frozen=True, slots=True)
class RotationTools:
    """What a pass needs of the world."""

    cluster: str
    cache: RotationCache
    surroundings: Cache
    backends: Backends
    rotators: Rotators
    writer: ObjectWriter
    events: EventPoster
    metrics: RotationMetrics
    clock: Callable[[], datetime]
    jobs: JobRuns


class RotationReconciler:
    """Takes rotations from what is due to what is done."""

    def __init__(self, tools: RotationTools) -> None:
        self._tools = tools
        self._gate = Gate(tools.cluster, tools.cache, tools.surroundings, tools.backends, tools.rotators, tools.writer)
        self._release = RotationRelease(tools.cluster, tools.cache, tools.backends, tools.rotators, self.verdicts)
        self._retry_after: dict[Key, float | None] = {}
        """Of the pass under way: what the store asked for when it failed."""
        self._written: dict[Key, RotationEntry] = {}
        """The rotation as the last write of the pass under way left it."""

    @property
    def verdicts(self) -> Verdicts:
        """What the rules say of rotations."""
        return self._gate.verdicts

    async def reconcile(self, key: Key) -> Following:
        """Do one pass. Raises AirwardenError when the cluster itself fails, so that the pass is repeated."""
        entry = self._tools.cache.rotations.get(key)
        if entry is None:
            return NEVER
        if entry.deleting:
            # Values stay as they are, and so does the mark in the store's metadata; only a declared role goes.
            return await self._let_go(entry) if entry.held else NEVER
        raw = entry.load()
        try:
            rotation = AirflowSecretRotation.model_validate(raw)
        except ValidationError as error:
            return await self._say_invalid(entry, raw, error)
        try:
            following = await self._pass(rotation)
        finally:
            self._retry_after.pop(key, None)
            last = self._written.pop(key, entry)
        # What was said of the rotation during the pass is not seen to: it asks for another one.
        return replace(following, state=last.state)

    async def _pass(self, rotation: AirflowSecretRotation) -> Following:
        now = self._tools.clock()
        table, unreadable = _timetable(rotation, now)
        access = await self._gate.access(rotation, unreadable)
        if access.obstacle is None:
            access = replace(access, obstacle=await self._tools.jobs.obstacle(rotation))
        facts, fault = None, access.fault
        if access.rotator is not None:
            facts, fault = await self._look(rotation, access)
        found = Situation(
            rotation,
            f"{self._tools.cluster}/{rotation.metadata.namespace}/{rotation.metadata.name}",
            now,
            table,
            access.obstacle,
            facts,
            fault,
            self._gate.rivals(rotation, access),
            reports_drift=access.runtime is not None and access.runtime.reports_drift,
        )
        found = await self._hold(found)
        found, step = await self._take(found, access)
        before = found.status
        after = reports.report(found, step, access.rule)
        if after != before:
            rotation = await self._keep(found.rotation, after)
        self._measure(rotation, step, now)
        if after.last_run.cause == "Store" and after.last_run != before.last_run:
            self._tools.metrics.by_store((rotation.metadata.namespace, rotation.metadata.name))
        for each in reports.news(before, after):
            await self._tell(rotation.metadata, each.type, each.reason, each.message)
        return self._following(replace(found, rotation=rotation), step, access)

    async def _take(self, found: Situation, access: Access) -> tuple[Situation, Rest | End]:
        """Take steps until there is nothing more to do; return what they came to."""
        under_way = found.status.run
        if under_way is not None and under_way.job is not None and not _by_job(found):
            return await self._tools.jobs.abandon(found, self._hands(found.rotation, access))
        step = decide(found)
        if isinstance(step, Start | Write) and (used := await self._gate.in_use_now(found.rotation)) is not None:
            return replace(found, obstacle=used), Rest(obstacle=used)
        fresh = isinstance(step, Start)
        if isinstance(step, Start) and _by_job(found):
            step = Start(begun(step.run))
        if isinstance(step, Start):
            log.info("run begins", **_named(found.rotation), run=step.run.id, cause=step.run.cause)
            rotation = await self._keep(found.rotation, reports.started(found, step.run))
            if warning := roles.makes(found):
                await self._tell(rotation.metadata, "Warning", Reason.PASSWORD_CHANGES.word, warning)
            found, step = replace(found, rotation=rotation), Write(step.run)
        if _by_job(found) and found.status.run is not None:
            return await self._tools.jobs.advance(found, self._hands(found.rotation, access))
        if isinstance(step, Write):
            found, step = await self._write(found, step, access, fresh=fresh)
        if isinstance(step, Record):
            found, step = await self._record(found, step, access)
        if isinstance(step, Adjust):
            found, step = await self._adjust(found, step, access)
        return found, step

    def _hands(self, rotation: AirflowSecretRotation, access: Access) -> Hands:
        async def failed(error: AirwardenError, doing: str) -> Obstacle:
            return await self._failed(rotation, error, access, doing)

        return Hands(self._keep, failed, access.rotator)

    async def _look(self, rotation: AirflowSecretRotation, access: Access) -> tuple[Facts | None, Obstacle | None]:
        rotator, runtime = access.rotator, access.runtime
        if rotator is None or runtime is None:
            return None, access.fault
        try:
            # While the store counts as down its probe asks for all.
            runtime.breaker.guard()
            facts = await looked_at(rotator, rotation.spec)
        except AirwardenError as error:
            return None, await self._failed(rotation, error, access, "looking at the secret")
        runtime.note_answer()
        return facts, None

    async def _write(
        self, found: Situation, step: Write, access: Access, *, fresh: bool
    ) -> tuple[Situation, Rest | End | Record]:
        rotation, spec = found.rotation, found.rotation.spec
        if access.rotator is None:
            raise TypeError("a run is only decided upon after a look")
        if spec.key is None or spec.field is None:
            return await self._rotate_role(found, step, access)
        try:
            version = await access.rotator.write(spec.key, spec.field, spec.part, spec.generate, step.run.base_version)
        except VersionMoved as error:
            return await self._moved(found, access, error, fresh=fresh)
        except AirwardenError as error:
            if isinstance(error, NotRotatable) or not error.retryable:
                return found, End(step.run, Result.FAILED, error.reason, error.message)
            return _hindered(found, await self._failed(rotation, error, access, "writing a new value"))
        return found, Record(step.run, version)

    async def _moved(
        self, found: Situation, access: Access, error: VersionMoved, *, fresh: bool
    ) -> tuple[Situation, Rest | End | Record]:
        """Look again after the secret had another version: it is somebody else's, or of an earlier try of this run."""
        facts, fault = await self._look(found.rotation, access)
        found = replace(found, facts=facts, fault=fault, moved=fresh)
        step = decide(found)
        if isinstance(step, Start | Write | Adjust):
            return _hindered(found, Obstacle(error.reason, error.message, passing=True))
        return found, step

    async def _record(self, found: Situation, step: Record, access: Access) -> tuple[Situation, Rest | End]:
        rotation = found.rotation
        mark = RunMark(found.owner, step.run.id, moment_text(self._tools.clock()))
        if access.rotator is None:
            raise TypeError("a run is only decided upon after a look")
        try:
            await access.rotator.mark(rotation.spec.key or "", mark, rotation.spec.keep_versions)
        except AirwardenError as error:
            if error.retryable and not isinstance(error, VersionMoved):
                return _hindered(found, await self._failed(rotation, error, access, "recording the run in the store"))
            log.warning("run not recorded in the store", **_named(rotation), run=step.run.id, error=error.message)
        return found, written(step.run, step.version)

    async def _rotate_role(self, found: Situation, step: Write, access: Access) -> tuple[Situation, Rest | End]:
        """Have the store rotate or make the role, and look at what it then says of it."""
        rotation = found.rotation
        try:
            await rotate_role(access.rotator, found)
        except AirwardenError as error:
            # A role that is declared has to come to be, whatever is mended meanwhile: its run goes on.
            if not error.retryable and step.run.cause != "Declaration":
                return found, End(step.run, Result.FAILED, error.reason, error.message)
            failure = await self._failed(rotation, error, access, "rotating the role")
            return _hindered(found, replace(failure, passing=True))
        facts, fault = await self._look(rotation, access)
        if fault is not None:
            return _hindered(found, fault)
        return replace(found, facts=facts), roles.succeeded(step.run, rotation)

    async def _adjust(self, found: Situation, step: Adjust, access: Access) -> tuple[Situation, Rest | End]:
        """Set right by what the store rotates a declared role, and look at what it then says."""
        rotation = found.rotation
        try:
            await adjust_role(access.rotator, rotation.spec, step)
        except AirwardenError as error:
            failure = await self._failed(rotation, error, access, "setting the role right")
            return _hindered(found, replace(failure, passing=True))
        if not step.edited:
            told = f"the store rotated the role {roles.plan(step.found)}; it does so {roles.plan(step.settings)} again"
            await self._tell(rotation.metadata, "Warning", Reason.DRIFT_CORRECTED.word, told)
        facts, fault = await self._look(rotation, access)
        found = replace(found, facts=facts, fault=fault)
        again = decide(found)
        if isinstance(again, Rest):
            return found, again
        return _hindered(found, Obstacle(Reason.PENDING, "the role changed again meanwhile", passing=True))

    async def _hold(self, found: Situation) -> Situation:
        """Put our finalizer on a rotation that declares a role, before anything of it is written."""
        rotation = found.rotation
        metadata = rotation.metadata
        if not rotation.spec.declared or FINALIZER in metadata.finalizers or found.facts is None:
            return found
        if hindrance(found) is not None:
            return found
        body = await self._tools.writer.add_finalizer(rotation_path(metadata.namespace, metadata.name), metadata)
        self._written[metadata.namespace, metadata.name] = self._tools.cache.learn(body)
        held = rotation.model_copy(update={"metadata": Metadata.model_validate(body["metadata"])})
        return replace(found, rotation=held)

    async def _let_go(self, entry: RotationEntry) -> Following:
        """Remove what a rotation declared that is being deleted; then let it go."""
        raw = entry.load()
        metadata, path = Metadata.model_validate(raw["metadata"]), rotation_path(*entry.key)
        try:
            told = await self._release.remove(entry)
        except Blocked as error:
            previous = RotationStatus.model_validate(raw["status"])
            status = reports.blocked(previous, entry.generation, str(error), moment_text(self._tools.clock()))
            if status != previous:
                await self._tools.writer.write_status(path, metadata.uid, status, version=metadata.resource_version)
            return Following("retry")
        if told:
            await self._tell(metadata, "Normal", Reason.ROLE_RELEASED.word, told)
        await self._tools.writer.remove_finalizer(path, metadata)
        return NEVER

    async def _failed(
        self, rotation: AirflowSecretRotation, error: AirwardenError, access: Access, doing: str
    ) -> Obstacle:
        """Note a failure of the store; return it as users see it."""
        key = (rotation.metadata.namespace, rotation.metadata.name)
        self._retry_after[key] = error.retry_after
        if access.runtime is not None and isinstance(error, _OUTAGE):
            # A refused login of rotations says nothing of the store: it must not hold bindings back.
            access.runtime.note_failure(error)
        await self._tools.rotators.refresh(rotation.spec.backend_ref.name)
        log.warning("store failed", **_named(rotation), doing=doing, reason=error.reason.word, error=error.message)
        return Obstacle(error.reason, f"{doing}: {error.message}", passing=error.retryable)

    async def _keep(self, rotation: AirflowSecretRotation, status: RotationStatus) -> AirflowSecretRotation:
        """Write the status, unless the object changed meanwhile; return the rotation as it then is."""
        metadata = rotation.metadata
        path = rotation_path(metadata.namespace, metadata.name)
        body = await self._tools.writer.write_status(path, metadata.uid, status, version=metadata.resource_version)
        self._written[metadata.namespace, metadata.name] = self._tools.cache.learn(body)
        return rotation.model_copy(
            update={"status": status, "metadata": Metadata.model_validate(body["metadata"])},
        )

    async def _say_invalid(self, entry: RotationEntry, raw: Mapping[str, object], error: ValidationError) -> Following:
        metadata = Metadata.model_validate(raw["metadata"])
        previous = RotationStatus.model_validate(raw["status"])
        message = f"the rotation does not hold to its schema, and nothing runs: {complaints(error)}"
        status = reports.invalid(previous, entry.generation, message, moment_text(self._tools.clock()))
        if status != previous:
            path = rotation_path(*entry.key)
            body = await self._tools.writer.write_status(path, metadata.uid, status, version=metadata.resource_version)
            entry = self._tools.cache.learn(body)
        return Following("never", state=entry.state)

    def _measure(self, rotation: AirflowSecretRotation, step: Rest | End, now: datetime) -> None:
        metadata, status = rotation.metadata, rotation.status or RotationStatus()
        key = (metadata.namespace, metadata.name)
        self._tools.metrics.seen(key, status, overdue=reports.is_overdue(rotation, status, now))
        if isinstance(step, End):
            took = max(0.0, (self._tools.clock() - moment(step.run.started)).total_seconds())
            self._tools.metrics.ended(key, step.result.value, took)

    def _following(self, found: Situation, step: Rest | End, access: Access) -> Following:
        rotation = found.rotation
        key = (rotation.metadata.namespace, rotation.metadata.name)
        turn = reports.turns(rotation, rotation.status or RotationStatus(), found.now)
        following = Following("check", _INTERVAL, turn=turn)
        # What a run by Job was judged by may not be what is declared by now: that is said in another pass.
        by_job = isinstance(step, End) and step.run.job is not None
        if by_job or (isinstance(step, End) and not isinstance(decide(replace(found, obstacle=access.obstacle)), Rest)):
            return replace(following, kind="again", after=0.0)
        if access.runtime is not None:
            following = replace(following, after=access.runtime.drift_interval)
        obstacle = step.obstacle if isinstance(step, Rest) else None
        if obstacle is not None and obstacle.passing:
            down = access.runtime.name if access.runtime is not None and access.runtime.breaker.open else ""
            following = replace(following, kind="retry", after=self._retry_after.get(key), waiting=down)
        return following

    async def _tell(self, metadata: Metadata, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        log.info("told", namespace=metadata.namespace, rotation=metadata.name, reason=reason, detail=message)
        event = Event("AirflowSecretRotation", metadata, kind, reason, message)
        try:
            await self._tools.events.post(event, moment_text(self._tools.clock()))
        except AirwardenError as error:
            log.warning("event lost", namespace=metadata.namespace, rotation=metadata.name, error=error.message)


def _by_job(found: Situation) -> bool:
    """Tell whether a Job changes the target before the store has the new value."""
    return found.rotation.spec.strategy is Strategy.JOB


def _hindered(found: Situation, fault: Obstacle) -> tuple[Situation, Rest]:
    return replace(found, fault=fault), Rest(obstacle=fault)


def _named(rotation: AirflowSecretRotation) -> dict[str, str]:
    return {"namespace": rotation.metadata.namespace, "rotation": rotation.metadata.name}


def _timetable(rotation: AirflowSecretRotation, now: datetime) -> tuple[Timetable | None, Obstacle | None]:
    try:
        return timetable_of(rotation, now), None
    except InvalidSchedule as error:
        return None, Obstacle(Reason.INVALID_SCHEDULE, str(error))
