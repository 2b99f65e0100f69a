"""Takes a run of strategy Job from its record to its end, step by step, over as many passes as its Jobs need.

What is done next is decided in `airwarden.domain.rotation.jobs`; here it is done. A pass ends where a Job runs: its end
wakes the rotation (`airwarden.reconcile.job_watch`), and at the latest its deadline does. Called by
`airwarden.reconcile.rotations`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from airwarden.api.fields import moment_text, seconds
from airwarden.api.reasons import Reason
from airwarden.api.rotation import AirflowSecretRotation, RotationStatus, RunState
from airwarden.api.rotation_job import RotationJob
from airwarden.domain.errors import (
    AirwardenError,
    ClusterFailed,
    ClusterForbidden,
    JobNotOwned,
    NamespaceTerminating,
    NotRotatable,
    ObjectGone,
    ObjectRejected,
    Rejected,
    TemplateMissing,
    TemplateUnfit,
    VersionGone,
    VersionMoved,
)
from airwarden.domain.rotation import jobs
from airwarden.domain.rotation import report as reports
from airwarden.domain.rotation.decide import End, Obstacle, Rest, Result, Situation
from airwarden.domain.rotation.facts import RunMark
from airwarden.domain.rotation.handover import Handover, Subject, subject_of
from airwarden.domain.rotation.jobs import Finish, JobEnd, Outcome, Prepare, Promote, Restore, Watch
from airwarden.providers.kubernetes.job_body import JobOrder
from airwarden.providers.kubernetes.jobs import Jobs
from airwarden.providers.ports import Rotator

log = structlog.get_logger("airwarden.rotation_jobs")
_Step = Prepare | Promote | Restore | Finish
Keep = Callable[[AirflowSecretRotation, RotationStatus], Awaitable[AirflowSecretRotation]]
Failed = Callable[[AirwardenError, str], Awaitable[Obstacle]]


@dataclass(frozen=True, slots=True)
class Hands:
    """What a pass lends: how a status is kept, how a failure of the store is noted, and the store itself."""

    keep: Keep
    failed: Failed
    rotator: Rotator | None


class JobRuns:
    """Runs of strategy Job."""

    def __init__(self, made: Jobs | None, clock: Callable[[], datetime]) -> None:
        self._jobs = made
        self._clock = clock

    async def obstacle(self, rotation: AirflowSecretRotation) -> Obstacle | None:
        """Return why the cluster could run no Job for the rotation now; None when it could, or need not."""
        job, run = rotation.spec.job, (rotation.status or RotationStatus()).run
        if job is None:
            return None
        if self._jobs is None:
            return Obstacle(
                Reason.JOBS_NOT_ENABLED,
                "the operator has no rotation namespace, so it runs no Jobs: have the platform team set one "
                "(AIRWARDEN_ROTATION_NAMESPACE)",
            )
        if not jobs.needs_templates(run):
            return None
        wanted = jobs.templates_of(job, run)
        try:
            for name in wanted:
                await self._jobs.template(name)
        except (TemplateMissing, TemplateUnfit) as error:
            return Obstacle(error.reason, error.message)
        except ClusterForbidden as error:
            return jobs.stuck(error.message)
        return None

    async def advance(self, found: Situation, hands: Hands) -> tuple[Situation, Rest | End]:
        """Take steps until a Job runs, something hinders, or the run is over; return what they came to."""
        while True:
            run = found.status.run
            if run is None:
                raise TypeError("only a run that is on record goes on")
            step = jobs.decide_job(found, run)
            after: RunState | Rest | End
            if isinstance(step, Watch):
                after = await self._watched(found, run)  # the Secret goes also while the store is away
            elif hands.rotator is None or found.fault is not None:
                return found, Rest(obstacle=found.obstacle or found.fault)
            elif isinstance(step, Rest | End):
                after = step
            else:
                after = await self._attempt(step, found, hands, hands.rotator)
            if isinstance(after, End) and not isinstance(step, Watch):
                after = await self._discard(found, run) or after
            if isinstance(after, Rest | End):
                return found, after
            found = await self._record(found, hands, after)
            if isinstance(step, Prepare):
                return found, await self._let_run(found, after)

    async def abandon(self, found: Situation, hands: Hands) -> tuple[Situation, Rest | End]:
        """End a run whose rotation is no longer by Job: its Job and Secret go, and nothing is promoted."""
        run = found.status.run
        if run is None:
            raise TypeError("only a run that is on record is abandoned")
        if (stuck := await self._discard(found, run)) is not None:
            return found, stuck
        if not jobs.state(run).version:
            return found, jobs.abandoned(run)
        # The store has the candidate already: it is nobody's any more.
        if hands.rotator is None or found.fault is not None:
            return found, Rest(obstacle=found.obstacle or found.fault)
        try:
            await hands.rotator.candidates.clear(found.owner)
        except AirwardenError as error:
            return found, Rest(obstacle=await hands.failed(error, "removing a candidate"))
        seen = jobs.unverified(run, "the strategy was changed") if jobs.may_have_job(run) else run
        return found, jobs.finished(seen)

    async def _discard(self, found: Situation, run: RunState) -> Rest | None:
        """Take away what the cluster may have of a run that ends; return why it cannot be done."""
        if self._jobs is None or not jobs.may_have_job(run):
            return None
        try:
            await self._jobs.discard(_order(found.rotation, run))
        except ClusterForbidden as error:
            return Rest(obstacle=jobs.stuck(error.message))
        return None

    async def _watched(self, found: Situation, run: RunState) -> RunState | Rest | End:
        try:
            return await self._watch(found, run)
        except (ClusterForbidden, JobNotOwned) as error:
            return Rest(obstacle=_in_cluster(error))

    async def _attempt(self, step: _Step, found: Situation, hands: Hands, rotator: Rotator) -> RunState | Rest | End:
        """Do one step; return what is to be recorded, or what the run comes to. Raises when the cluster fails."""
        try:
            return await self._do(step, found, rotator)
        except (ClusterForbidden, JobNotOwned, TemplateMissing, TemplateUnfit) as error:
            return Rest(obstacle=_in_cluster(error))
        except NotRotatable as error:
            return End(step.run, Result.FAILED, error.reason, error.message)
        except VersionMoved as error:
            return jobs.moved(step.run, gone=isinstance(error, VersionGone))
        except (ClusterFailed, NamespaceTerminating, ObjectGone, ObjectRejected):
            raise
        except AirwardenError as error:
            if isinstance(error, Rejected) and isinstance(step, Promote | Restore):
                return jobs.refused(step.run, error.message)
            return Rest(obstacle=await hands.failed(error, "staging or promoting a candidate"))

    async def _do(self, step: _Step, found: Situation, rotator: Rotator) -> RunState | Rest | End:
        run = step.run
        subject = subject_of(found.rotation, found.owner, run)
        match step:
            case Prepare():
                return await self._prepare(found, run, subject, rotator)
            case Promote():
                version = await rotator.candidates.promote(subject)
                await self._mark(found, run, rotator)
                return jobs.promoted(run, version)
            case Restore():
                return jobs.restored(run, await rotator.candidates.restore(subject, jobs.state(run).version))
            case Finish():
                await rotator.candidates.clear(subject.owner)
                return jobs.finished(run)

    async def _prepare(self, found: Situation, run: RunState, subject: Subject, rotator: Rotator) -> RunState:
        made, order = self._made(), _order(found.rotation, run)
        template = await made.template(order.template)
        values = await self._values(run, subject, rotator)
        outcome = await made.make(template, order)
        if outcome.end is JobEnd.HELD:
            await made.hand_over(order, outcome.uid, values)
        return jobs.let_run(run, found.rotation, values.user, self._clock())

    async def _values(self, run: RunState, subject: Subject, rotator: Rotator) -> Handover:
        at = jobs.state(run)
        if at.stage == "Change":
            return await rotator.candidates.hand_over(subject)
        return await rotator.candidates.stored(subject, at.version if at.stage == "Verify" else subject.base)

    async def _let_run(self, found: Situation, run: RunState) -> Rest:
        """Let the Job run that is on record as running."""
        order = _order(found.rotation, run)
        outcome = await self._made().look(order)
        if outcome.end is JobEnd.HELD:
            log.info("job runs", **_named(found.rotation), run=run.id, job=order.name, stage=jobs.state(run).stage)
            await self._made().let_run(order, outcome.uid)
        return Rest()

    async def _watch(self, found: Situation, run: RunState) -> RunState | Rest | End:
        made, order, now = self._made(), _order(found.rotation, run), self._clock()
        outcome = await made.look(order)
        if outcome.end is JobEnd.HELD and not jobs.overran(run, now):
            # Recorded as running, and killed before it was let run.
            await made.let_run(order, outcome.uid)
            return Rest()
        if outcome.end in (JobEnd.HELD, JobEnd.RUNNING):
            if not jobs.overran(run, now):
                return Rest()
            await made.end(order.name, outcome.uid)
            outcome = Outcome(JobEnd.TIMED_OUT)
        await made.withdraw(order.name)
        log.info("job ended", **_named(found.rotation), run=run.id, job=order.name, end=outcome.end.value)
        return jobs.watched(run, outcome, _job(found), now)

    async def _mark(self, found: Situation, run: RunState, rotator: Rotator) -> None:
        spec, mark = found.rotation.spec, RunMark(found.owner, run.id, moment_text(self._clock()))
        try:
            await rotator.mark(spec.key or "", mark, spec.keep_versions)
        except AirwardenError as error:
            if error.retryable and not isinstance(error, VersionMoved):
                raise
            log.warning("run not recorded in the store", **_named(found.rotation), run=run.id, error=error.message)

    async def _record(self, found: Situation, hands: Hands, run: RunState) -> Situation:
        status = reports.started(found, run)
        return replace(found, rotation=await hands.keep(found.rotation, status))

    def _made(self) -> Jobs:
        if self._jobs is None:
            raise ClusterForbidden("the operator has no rotation namespace any more")
        return self._jobs


def _order(rotation: AirflowSecretRotation, run: RunState) -> JobOrder:
    metadata, job = rotation.metadata, rotation.spec.job
    return JobOrder(
        jobs.job_name(rotation, run),
        metadata.namespace,
        metadata.name,
        rotation.spec.key or "",
        run.id,
        seconds(job.timeout) if job is not None else 0,
        jobs.template_of(job, run),
    )


def _in_cluster(error: AirwardenError) -> Obstacle:
    return jobs.stuck(error.message) if isinstance(error, ClusterForbidden) else Obstacle(error.reason, error.message)


def _job(found: Situation) -> RotationJob:
    job = found.rotation.spec.job
    if job is None:
        raise TypeError("a run of strategy Job has a Job")
    return job


def _named(rotation: AirflowSecretRotation) -> dict[str, str]:
    return {"namespace": rotation.metadata.namespace, "rotation": rotation.metadata.name}
