"""What is done next for a run of strategy Job: the part of the state machine between its record and its end.

The store gets a candidate only after a Job has brought the target to it, and keeps the old value until then. Each step
that must not be taken twice is recorded before it is taken, in ``status.run.job``; all others can be repeated, since
names of Jobs follow from the run and a candidate is made once. Pure; called by `airwarden.reconcile.rotation_jobs`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from airwarden.api.fields import moment, moment_text, seconds
from airwarden.api.reasons import Reason
from airwarden.api.rotation import AirflowSecretRotation, RunState
from airwarden.api.rotation_job import JobState, RotationJob
from airwarden.domain.rotation.decide import End, Obstacle, Rest, Result, Situation, hindrance
from airwarden.domain.rotation.facts import SecretFacts, SecretState

GRACE: Final = timedelta(seconds=30)
"""How long after its deadline a Job may take to be seen to have ended."""
_FIRST_PAUSE: Final = 10.0
_LONGEST_PAUSE: Final = 600.0
_JOBS: Final = {"Change", "Verify", "VerifyFormer"}
_LONGEST_TROUBLE: Final = 900
MOST_LOST: Final = 3
"""How often a try is repeated whose Job went before its end was seen: then it counts."""


class JobEnd(StrEnum):
    """How a Job stands in the cluster."""

    ABSENT = "Absent"
    HELD = "Held"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TIMED_OUT = "TimedOut"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one look at a Job found."""

    end: JobEnd
    uid: str = ""
    told: str = ""
    """What the cluster says of a failure: reasons and an exit code, no output."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Stage the candidate, make the Job and hand the values over; then record that it may run, and let it run."""

    run: RunState


@dataclass(frozen=True, slots=True)
class Watch:
    """Look how the Job stands."""

    run: RunState


@dataclass(frozen=True, slots=True)
class Promote:
    """Write the candidate over the run's base version, and over no other."""

    run: RunState


@dataclass(frozen=True, slots=True)
class Restore:
    """Write the former value over the version that holds the candidate, and over no other."""

    run: RunState


@dataclass(frozen=True, slots=True)
class Finish:
    """Take the candidate away: the store has it as a version, or nobody needs it."""

    run: RunState


JobStep = Prepare | Watch | Promote | Restore | Finish | Rest | End


def state(run: RunState) -> JobState:
    """Return how far the run is; a new one begins with its first try."""
    return run.job if run.job is not None else JobState(stage="Change")


def begun(run: RunState) -> RunState:
    """Return the record of a run's beginning: from then on it is known to be by Job."""
    return _with(run)


def job_name(rotation: AirflowSecretRotation, run: RunState) -> str:
    """Return the name of the one Job of a try, and of its Secret: the same for every process that takes the run up.

    It follows from whose run it is, never from a name in the status: whoever could write one could have it deleted.
    """
    at, metadata = state(run), rotation.metadata
    told = "\n".join((metadata.namespace, metadata.name, run.id, at.stage, str(at.attempt)))
    return f"airwarden-{hashlib.sha256(told.encode()).hexdigest()[:20]}"


def may_have_job(run: RunState) -> bool:
    """Tell whether the cluster may have a Job of the run, and its Secret."""
    return state(run).stage in _JOBS


def template_of(job: RotationJob | None, run: RunState) -> str:
    """Return the template of the run's present Job: the one on record, whatever was edited since."""
    at = state(run)
    if at.stage == "Change":
        return at.template or (job.template if job is not None else "")
    return at.verify


def templates_of(job: RotationJob | None, run: RunState | None) -> tuple[str, ...]:
    """Return the templates that the run under way, or one to come, may still make a Job of: a rule must permit each."""
    if run is None or (state(run).stage == "Change" and not state(run).template):
        return job.templates if job is not None else ()
    at = state(run)
    wanted = {"Change": (at.template, at.verify), "Verify": (at.verify,), "VerifyFormer": (at.verify,)}
    return tuple(each for each in wanted.get(at.stage, ()) if each)


def needs_templates(run: RunState | None) -> bool:
    """Tell whether the run, or one to come, has still to make a Job."""
    return run is None or (state(run).stage in _JOBS and not state(run).deadline)


def decide_job(situation: Situation, run: RunState) -> JobStep:
    """Return the next step of a run that is on record."""
    at, job = state(run), situation.rotation.spec.job
    if at.stage in _WRITES:
        unfit = at.stage == "Promote" and not _fits(at, job)
        return _unfit(run) if unfit else _WRITES[at.stage](run)
    if at.deadline:
        return Watch(run)
    if at.stage == "Change":
        return _may_change(situation, run) if _fits(at, job) else _unfit(run)
    return _may_verify(situation, run)


_WRITES: Final[Mapping[str, type[Finish | Promote | Restore]]] = {
    "Promote": Promote,
    "Restore": Restore,
    "Finish": Finish,
}
_NO_JOBS: Final = {Reason.JOBS_NOT_ENABLED, Reason.TEMPLATE_MISSING, Reason.TEMPLATE_UNFIT, Reason.CLUSTER_FORBIDDEN}


def _fits(at: JobState, job: RotationJob | None) -> bool:
    """Tell whether the spec still says that the user on record takes turns: a record alone names nobody."""
    if not at.switch:
        return True
    return job is not None and at.switch in job.users and at.user_field == job.user_field


def _unfit(run: RunState) -> End:
    told = "job.users or job.userField no longer has the user whose password the run changes: nothing was written. "
    stays = "The target may have the candidate, which stays staged: ask for a run, or set the target's value by hand"
    return End(run, Result.FAILED, Reason.JOB_GONE, told + stays)


def _may_verify(situation: Situation, run: RunState) -> JobStep:
    """Return whether a Job may try a value now. The store has it by then: what is refused is left out, and said so."""
    at, job, obstacle = state(run), situation.rotation.spec.job, situation.obstacle
    if job is None or not job.verify or not at.verify:
        return Finish(unverified(run, "nobody wants it verified any more"))
    if obstacle is not None:
        if obstacle.passing or obstacle.reason in _NO_JOBS:
            return Rest(obstacle=obstacle)
        return Finish(unverified(run, obstacle.message))
    if at.not_before and moment(at.not_before) > situation.now:
        return Rest()
    return Prepare(run)


def _may_change(situation: Situation, run: RunState) -> JobStep:
    """Return whether a Job may change the target now."""
    at, facts = state(run), situation.facts
    if not isinstance(facts, SecretFacts):
        return Rest(obstacle=situation.obstacle or situation.fault)
    if facts.version != run.base_version or facts.state is SecretState.ABSENT:
        return superseded(run)
    if (obstacle := hindrance(situation)) is not None:
        passes = obstacle == situation.obstacle or obstacle.reason is Reason.ROTATION_CONFLICT
        return Rest(obstacle=obstacle) if passes else End(run, Result.FAILED, obstacle.reason, obstacle.message)
    if at.not_before and moment(at.not_before) > situation.now:
        return Rest()
    window = situation.table.window if situation.table is not None else None
    if at.attempt == 1 and run.cause == "Schedule" and window is not None:
        opening = window.opening(situation.now)
        if opening > situation.now:
            return Rest(opening)
    return Prepare(run)


def let_run(run: RunState, rotation: AirflowSecretRotation, user: str, now: datetime) -> RunState:
    """Return the record of a Job that is about to be let run for a user's value."""
    job = rotation.spec.job
    if job is None:
        raise ValueError("a rotation without a Job lets none run")
    deadline, name = moment_text(now + timedelta(seconds=seconds(job.timeout))), job_name(rotation, run)
    if state(run).stage != "Change" or state(run).part:
        return _with(run, deadline=deadline, job=name)
    return _with(
        run,
        deadline=deadline,
        job=name,
        part=rotation.spec.part.value,
        switch=user if job.users else "",
        user_field=job.user_field,
        template=job.template,
        verify=job.verify,
    )


def overran(run: RunState, now: datetime) -> bool:
    """Tell whether the Job should have ended, and been seen to, long ago."""
    return now > moment(state(run).deadline) + GRACE


def watched(run: RunState, outcome: Outcome, job: RotationJob, now: datetime) -> RunState | End:
    """Return what a Job's end makes of the run: its next record, or its end."""
    at = state(run)
    passed = outcome.end is JobEnd.SUCCEEDED
    if at.stage == "Change":
        return _stage(run, "Promote") if passed else _tried(run, outcome, job, now)
    if outcome.end is JobEnd.ABSENT:
        told = _told(run, outcome, job)
        return _again(run, now) if at.lost < MOST_LOST else _stage(unverified(run, told), "Finish")
    if at.stage == "Verify":
        if passed:
            return _stage(run, "Finish")
        what = f"the store has the new value as version {at.version}, and the Job that tried it failed: "
        failed = _with(run, reason=Reason.VERIFY_FAILED.word, trouble=_cut(what + _told(run, outcome, job)))
        return _stage(failed, "VerifyFormer")
    if passed:
        return _stage(run, "Restore")
    stands = f". The former value fails as well, so version {at.version} stands: find out what the target has"
    return _stage(_with(run, trouble=_cut(at.trouble + stands)), "Finish")


def promoted(run: RunState, version: int) -> RunState:
    """Return the record after the store got the candidate."""
    return _stage(_with(run, version=version), "Verify" if state(run).verify else "Finish")


def unverified(run: RunState, why: str) -> RunState:
    """Return the record of a value that stands although no Job tried it, or the former one."""
    at = state(run)
    told = f"{at.trouble}. The former value was not tried, so version {at.version} stands" if at.reason else "not tried"
    return _with(run, trouble=_cut(f"{told}: {why}"))


def restored(run: RunState, version: int) -> RunState:
    """Return the record after the store got the former value back."""
    return _not_so(run, f"and is written back as version {version}")


def not_restored(run: RunState, why: str) -> RunState:
    """Return the record of a former value that works and that the store did not take, or does not have."""
    return _not_so(run, f"but {why}: version {state(run).version}, or a newer one, stands")


def _not_so(run: RunState, says: str) -> RunState:
    return _stage(_with(run, trouble=_cut(f"{state(run).trouble}. The former value works, {says}")), "Finish")


def moved(run: RunState, *, gone: bool) -> RunState | End:
    """Return what a version makes of the run that is not as it was on record; ``gone``: the store has it no more."""
    at = state(run)
    if at.stage == "Restore":
        why = f"the store keeps version {run.base_version} no more" if gone else "somebody else wrote the secret"
        return not_restored(run, why)
    if at.stage in _JOBS and at.version:
        return _stage(unverified(run, "the store does not keep a version any more that the Job needs"), "Finish")
    return superseded(run, gone=gone)


def refused(run: RunState, why: str) -> RunState | End:
    """Return what a write makes of the run that the store will never take."""
    if state(run).stage == "Restore":
        return not_restored(run, f"the store refuses it ({why})")
    told = f"the store refuses the candidate: {why}. The target has it, and it stays staged: mend what the store says"
    return End(run, Result.FAILED, Reason.BACKEND_REJECTED, _cut(told))


def finished(run: RunState) -> End:
    """Return the end of a run whose candidate is gone."""
    at = state(run)
    if at.reason:
        return End(run, Result.FAILED, Reason.VERIFY_FAILED, at.trouble)
    tried = f"; it is {at.trouble}" if at.trouble else ", and another tried it" if at.verify else ""
    message = f"version {at.version} has a new value: a Job brought the target to it{tried}"
    return End(run, Result.SUCCEEDED, Reason.ROTATED, message, at.version)


def abandoned(run: RunState) -> End:
    """Return the end of a run whose rotation is no longer by Job: nothing of it is promoted."""
    return End(
        run,
        Result.FAILED,
        Reason.JOB_GONE,
        "the strategy was changed while the run was under way: the target may have the candidate, which stays staged. "
        "Set the strategy to Job again and ask for a run, or set the target's value by hand",
    )


def superseded(run: RunState, *, gone: bool = False) -> End:
    """Return the end of a run whose secret somebody else wrote meanwhile, or deleted a version of."""
    at = state(run)
    told = "somebody else wrote the secret meanwhile: that version stands, and nothing was overwritten"
    if gone:
        told = f"the store does not keep version {run.base_version} of the secret any more: nothing was overwritten"
    if at.stage != "Change" or at.attempt > 1:
        told += (
            ". The target may have the candidate instead, which stays staged: ask for a run, which brings target and "
            "store to the candidate, or set the target's value by hand"
        )
    return End(run, Result.SUPERSEDED, Reason.SUPERSEDED, told)


def wakes(run: RunState | None) -> tuple[datetime, ...]:
    """Return when the run must be looked at although nothing is heard of its Job."""
    if run is None or run.job is None:
        return ()
    found = []
    if run.job.deadline:
        found.append(moment(run.job.deadline) + GRACE + timedelta(seconds=1))
    if run.job.not_before:
        found.append(moment(run.job.not_before) + timedelta(seconds=1))
    return tuple(found)


def outlook(run: RunState) -> str:
    """Return what a run that nothing hinders waits for."""
    at = state(run)
    if at.deadline:
        return f"Job {at.job} runs, until {at.deadline} at the latest"
    if at.not_before:
        return f"try {at.attempt} follows at {at.not_before}" + (f": {at.trouble}" if at.trouble else "")
    return f"the run that began at {run.started} goes on"


def _tried(run: RunState, outcome: Outcome, job: RotationJob, now: datetime) -> RunState | End:
    """Return the next try after a Job failed, or the end of the run after the last."""
    at = state(run)
    reason, told = _REASONS[outcome.end], _told(run, outcome, job)
    if outcome.end is JobEnd.ABSENT and at.lost < MOST_LOST:
        return _with(_again(run, now), reason=reason.word, trouble=_cut(told))  # it may have done all: nothing failed
    if at.attempt >= job.attempts:
        left = "the store keeps the old value, and the candidate stays staged for the next run"
        return End(run, Result.FAILED, reason, _cut(f"{told}; {left}"))
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (at.attempt - 1))
    not_before = moment_text(now + timedelta(seconds=pause))
    changes = {"attempt": at.attempt + 1, "deadline": "", "not_before": not_before}
    return _with(run, **changes, reason=reason.word, trouble=_cut(told))


def _again(run: RunState, now: datetime) -> RunState:
    """Return the record of the same try once more, after its Job went without its end being seen."""
    not_before = moment_text(now + timedelta(seconds=_FIRST_PAUSE))
    return _with(run, deadline="", not_before=not_before, lost=state(run).lost + 1)


_REASONS: Final = {
    JobEnd.FAILED: Reason.JOB_FAILED,
    JobEnd.TIMED_OUT: Reason.JOB_TIMED_OUT,
    JobEnd.ABSENT: Reason.JOB_GONE,
}


def _told(run: RunState, outcome: Outcome, job: RotationJob) -> str:
    name = state(run).job
    if outcome.end is JobEnd.TIMED_OUT:
        return f"Job {name} did not end within {job.timeout}"
    if outcome.end is JobEnd.ABSENT:
        return f"Job {name} was deleted before its end was seen"
    return f"Job {name} failed: {outcome.told or 'the cluster does not say why'}"


def _stage(run: RunState, stage: str) -> RunState:
    """Return the record of another stage's beginning."""
    changes: dict[str, Any] = {"stage": stage, "attempt": 1, "deadline": "", "not_before": "", "lost": 0}
    if stage == "Promote":
        changes |= {"reason": "", "trouble": ""}  # what an earlier try met counts no more
    return _with(run, **changes)


def _with(run: RunState, **changes: Any) -> RunState:
    return run.model_copy(update={"job": state(run).model_copy(update=changes)})


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TROUBLE else text[: _LONGEST_TROUBLE - 1] + "…"


def stuck(message: str) -> Obstacle:
    """Return what to say when the cluster does not let the operator make or see Jobs."""
    return Obstacle(Reason.CLUSTER_FORBIDDEN, f"{message}: apply manifests/rotation-jobs to the cluster", passing=True)
