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
    return run.job if run.job is not None else _first(run)


def template_of(job: RotationJob, run: RunState) -> str:
    """Return the template of the run's present Job."""
    return job.template if state(run).stage == "Change" else job.verify


def needs_templates(run: RunState | None) -> bool:
    """Tell whether the run, or one to come, has still to make a Job."""
    return run is None or (state(run).stage in _JOBS and not state(run).deadline)


def decide_job(situation: Situation, run: RunState) -> JobStep:
    """Return the next step of a run that is on record."""
    at = state(run)
    if at.stage in _WRITES:
        return _WRITES[at.stage](run)
    if at.deadline:
        return Watch(run)
    if at.stage == "Change":
        return _may_change(situation, run)
    job = situation.rotation.spec.job
    if job is None or not job.verify:
        return Finish(run)  # nobody wants it verified any more
    if situation.obstacle is not None and situation.obstacle.reason in _NO_JOBS:
        return Rest(obstacle=situation.obstacle)
    return Prepare(run)


_WRITES: Final[Mapping[str, type[Finish | Promote | Restore]]] = {
    "Promote": Promote,
    "Restore": Restore,
    "Finish": Finish,
}
_NO_JOBS: Final = {Reason.JOBS_NOT_ENABLED, Reason.TEMPLATE_MISSING, Reason.TEMPLATE_UNFIT, Reason.CLUSTER_FORBIDDEN}


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
    deadline = moment_text(now + timedelta(seconds=seconds(job.timeout)))
    if state(run).stage != "Change":
        return _with(run, deadline=deadline)
    switch = user if job.users else ""
    return _with(run, deadline=deadline, part=rotation.spec.part.value, switch=switch, user_field=job.user_field)


def overran(run: RunState, now: datetime) -> bool:
    """Tell whether the Job should have ended, and been seen to, long ago."""
    return now > moment(state(run).deadline) + GRACE


def watched(run: RunState, outcome: Outcome, job: RotationJob, now: datetime) -> RunState | End:
    """Return what a Job's end makes of the run: its next record, or its end."""
    at = state(run)
    passed = outcome.end is JobEnd.SUCCEEDED
    if at.stage == "Change":
        return _stage(run, "Promote") if passed else _tried(run, outcome, job, now)
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


def promoted(run: RunState, version: int, job: RotationJob) -> RunState:
    """Return the record after the store got the candidate."""
    return _stage(_with(run, version=version), "Verify" if job.verify else "Finish")


def restored(run: RunState, version: int) -> RunState:
    """Return the record after the store got the former value back; version 0: somebody else wrote meanwhile."""
    says = (
        f". The former value works, and is written back as version {version}"
        if version
        else ". The former value works, but somebody else made a newer version of the secret, which stands"
    )
    return _stage(_with(run, trouble=_cut(state(run).trouble + says)), "Finish")


def finished(run: RunState, job: RotationJob) -> End:
    """Return the end of a run whose candidate is gone."""
    at = state(run)
    if at.reason:
        return End(run, Result.FAILED, Reason.VERIFY_FAILED, at.trouble)
    tried = ", and another tried it" if job.verify else ""
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


def superseded(run: RunState) -> End:
    """Return the end of a run whose secret somebody else wrote meanwhile."""
    at = state(run)
    told = "somebody else wrote the secret meanwhile: that version stands, and nothing was overwritten"
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
        return f"try {at.attempt} follows at {at.not_before}: {at.trouble}"
    return f"the run that began at {run.started} goes on"


def _tried(run: RunState, outcome: Outcome, job: RotationJob, now: datetime) -> RunState | End:
    """Return the next try after a Job failed, or the end of the run after the last."""
    at = state(run)
    reason, told = _REASONS[outcome.end], _told(run, outcome, job)
    if at.attempt >= job.attempts:
        left = "the store keeps the old value, and the candidate stays staged for the next run"
        return End(run, Result.FAILED, reason, _cut(f"{told}; {left}"))
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (at.attempt - 1))
    again = JobState(
        stage=at.stage,
        attempt=at.attempt + 1,
        not_before=moment_text(now + timedelta(seconds=pause)),
        reason=reason.word,
        trouble=_cut(told),
    )
    return _named(run.model_copy(update={"job": again}))


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


def _first(run: RunState) -> JobState:
    return JobState(stage="Change", job=_name(run, "Change", 1))


def _stage(run: RunState, stage: str) -> RunState:
    """Return the record of another stage's beginning."""
    changes: dict[str, Any] = {"stage": stage, "attempt": 1, "deadline": "", "not_before": ""}
    if stage == "Promote":
        changes |= {"reason": "", "trouble": ""}  # what an earlier try met counts no more
    changed = _with(run, **changes)
    return _named(changed) if stage in _JOBS else changed


def _named(run: RunState) -> RunState:
    at = state(run)
    return _with(run, job=_name(run, at.stage, at.attempt))


def _with(run: RunState, **changes: Any) -> RunState:
    return run.model_copy(update={"job": state(run).model_copy(update=changes)})


def _name(run: RunState, stage: str, attempt: int) -> str:
    """Return the name of the one Job of a try: the same for every process that takes the run up."""
    told = hashlib.sha256(f"{run.id}\n{stage}\n{attempt}".encode()).hexdigest()
    return f"airwarden-{told[:20]}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TROUBLE else text[: _LONGEST_TROUBLE - 1] + "…"


def stuck(message: str) -> Obstacle:
    """Return what to say when the cluster does not let the operator make or see Jobs."""
    return Obstacle(Reason.CLUSTER_FORBIDDEN, f"{message}: apply manifests/rotation-jobs to the cluster", passing=True)
