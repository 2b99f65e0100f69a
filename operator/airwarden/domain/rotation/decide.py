"""What is done next for one rotation: from what is declared, recorded and found to one step, without doing it.

All that must outlive a crash is in the status, and the store's version decides the rest: a run is recorded with the
version that it replaces before its first write, and that write holds only for this version. So the same run can be
taken up again at any point, and no moment of the schedule is rotated for twice. Pure. Called by
`airwarden.reconcile.rotations`.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from airwarden.api.fields import moment, moment_text, seconds
from airwarden.api.reasons import Reason
from airwarden.api.rotation import REQUEST, AirflowSecretRotation, RotationStatus, RunState
from airwarden.domain.rotation import roles, timetable
from airwarden.domain.rotation.facts import Facts, RoleFacts, SecretFacts, SecretState
from airwarden.domain.rotation.schedule import Schedule
from airwarden.domain.rotation.steps import (
    Adjust,
    End,
    Obstacle,
    Record,
    Rest,
    Result,
    Situation,
    Start,
    Step,
    Write,
    conflict,
)
from airwarden.domain.rotation.timetable import Begin, ClockWentBack, Missed, Timetable, Wait

__all__ = [
    "Adjust",
    "End",
    "Obstacle",
    "Record",
    "Rest",
    "Result",
    "Situation",
    "Start",
    "Step",
    "Write",
    "conflict",
    "decide",
    "handled",
    "hindrance",
    "requested",
    "schedule_text",
    "timetable_of",
    "written",
]
_LONGEST_WORD: Final = 256


def decide(situation: Situation) -> Step:
    """Return the next step. Begins nothing that is on record as done, and never writes over a newer version."""
    status = situation.status
    if status.run is not None:
        return _resume(status.run, situation)
    if situation.obstacle is not None:
        return Rest(obstacle=situation.obstacle)
    if situation.rotation.spec.suspend:
        return Rest(obstacle=hindrance(situation))
    due: RunState | Step = _due(situation)
    if isinstance(due, Rest) and due.obstacle is None and situation.rotation.spec.declared:
        due = roles.tended(situation) or _run("Declaration", None, "", situation)
    return _begin(due, situation) if isinstance(due, RunState) else due


def timetable_of(rotation: AirflowSecretRotation, now: datetime) -> Timetable | None:
    """Return when the rotation runs; None where the operator keeps no schedule.

    Raises InvalidSchedule for what makes no sense.
    """
    spec = rotation.spec
    roles.wanted(spec)
    if spec.schedule is None or spec.declared:
        return None
    window = spec.window
    table = Timetable(
        Schedule.read(spec.schedule, spec.time_zone),
        rotation.metadata.uid,
        _duration(spec.jitter),
        timetable.Window(Schedule.read(window.opens, spec.time_zone), _duration(window.duration)) if window else None,
        _duration(spec.starting_deadline) if spec.starting_deadline is not None else None,
    )
    timetable.check(table, now)
    return table


def schedule_text(rotation: AirflowSecretRotation) -> str:
    """Return the schedule as the status records it."""
    spec = rotation.spec
    return f"{spec.schedule} {spec.time_zone}" if spec.schedule is not None and not spec.declared else ""


def handled(rotation: AirflowSecretRotation, now: datetime) -> datetime:
    """Return up to when the schedule is done with: at first the creation, after an edit of the schedule the edit.

    An edit would otherwise be due at once for a moment of the new schedule that passed before anybody wanted it.
    """
    status = rotation.status or RotationStatus()
    if status.observed_generation == 0:
        return rotation.metadata.creation_timestamp or now
    if status.schedule == schedule_text(rotation) and (recorded := _moment(status.handled_slot)) is not None:
        return recorded
    return now


def requested(rotation: AirflowSecretRotation) -> str:
    """Return the word that asks for a run and has had none yet; empty when there is none."""
    word = rotation.metadata.annotations.get(REQUEST, "").strip()[:_LONGEST_WORD]
    known = rotation.status.handled_request if rotation.status is not None else ""
    return word if word != known else ""


def hindrance(situation: Situation) -> Obstacle | None:
    """Return why a run that were due now could not be done; None when it could."""
    if situation.obstacle is not None:
        return situation.obstacle
    if situation.facts is None:
        return situation.fault
    return _against(situation.facts, situation)


def _due(situation: Situation) -> RunState | Rest | End:
    """Return the run that is due now, or what there is to do instead."""
    rotation, table = situation.rotation, situation.table
    word = requested(rotation)
    turn = timetable.turn(table, handled(rotation, situation.now), situation.now) if table is not None else Wait(None)
    if word:
        return _run("Request", turn.slot if isinstance(turn, Begin) else None, word, situation)
    match turn:
        case Begin(slot):
            return _run("Schedule", slot, "", situation)
        case Missed(slot, due):
            return End(
                _run("Schedule", slot, "", situation),
                Result.MISSED,
                Reason.RUN_MISSED,
                f"the run due at {moment_text(due)} could not begin within startingDeadline: "
                f"annotate the rotation with {REQUEST} to make up for it",
            )
        case ClockWentBack(slot):
            return Rest(clock_back=slot, obstacle=hindrance(situation))
        case Wait(until):
            return Rest(until, hindrance(situation))


def _begin(run: RunState, situation: Situation) -> Step:
    facts, fault = situation.facts, situation.fault
    if facts is None:
        lasting = fault is not None and not fault.passing
        return End(run, Result.FAILED, fault.reason, fault.message) if fault and lasting else Rest(obstacle=fault)
    if isinstance(facts, RoleFacts):
        return roles.begin(run, facts, situation.rotation)
    if (foreign := _foreign(facts, situation)) is not None:
        return Rest(obstacle=foreign)
    if facts.mark is not None and (facts.mark.owner, facts.mark.run) == (situation.owner, run.id):
        # The record of this very run was lost or is not seen yet: its id follows from the run before it.
        return _succeeded(run, facts.version)
    if (complaint := _complaint(facts, situation.rotation)) is not None:
        return End(run, Result.FAILED, complaint.reason, complaint.message)
    return Start(run.model_copy(update={"base_version": facts.version}))


def _resume(run: RunState, situation: Situation) -> Step:
    facts = situation.facts
    if facts is None:
        return Rest(obstacle=situation.obstacle or situation.fault)
    if isinstance(facts, RoleFacts):
        over = roles.resumed(run, facts, situation)
    elif facts.version != run.base_version:
        over = _after_write(run, facts, situation)
    elif (complaint := _complaint(facts, situation.rotation)) is not None:
        over = End(run, Result.FAILED, complaint.reason, complaint.message)
    else:
        obstacle = situation.obstacle or _foreign(facts, situation)
        over = Rest(obstacle=obstacle) if obstacle is not None else None
    if over is not None:
        return over
    window = situation.table.window if situation.table is not None else None
    if run.cause == "Schedule" and window is not None and (opening := window.opening(situation.now)) > situation.now:
        return Rest(opening)
    return Write(_with_newest(run, situation))


def _with_newest(run: RunState, situation: Situation) -> RunState:
    """Return the run, also for what became due while it waited for its write: one value is enough for both."""
    if not run.slot or situation.table is None:
        return run
    turn = timetable.turn(situation.table, handled(situation.rotation, situation.now), situation.now)
    if not isinstance(turn, Begin) or moment_text(turn.slot) <= run.slot:
        return run
    return run.model_copy(update={"slot": moment_text(turn.slot)})


def _after_write(run: RunState, facts: SecretFacts, situation: Situation) -> Step:
    """Return what the run comes to when its base is no longer the newest version: nothing is written any more."""
    if facts.version > run.base_version:
        made = run.base_version + 1
        if facts.mark is not None and (facts.mark.owner, facts.mark.run) == (situation.owner, run.id):
            return _succeeded(run, made)
        if facts.version == made and facts.state is SecretState.PRESENT and not situation.moved:
            return Record(run, made)
    elif facts.state is SecretState.ABSENT:
        complaint = _unusable(facts.state, situation.rotation)
        return End(run, Result.FAILED, complaint.reason, complaint.message)
    return End(
        run,
        Result.SUPERSEDED,
        Reason.SUPERSEDED,
        f"somebody else made version {facts.version} of the secret meanwhile: it stands, and nothing was overwritten",
    )


def written(run: RunState, version: int) -> End:
    """Return the end of a run whose version is made and recorded in the store."""
    return _succeeded(run, version)


def _succeeded(run: RunState, version: int) -> End:
    return End(run, Result.SUCCEEDED, Reason.ROTATED, f"version {version} has a new value", version)


def _run(cause: str, slot: datetime | None, word: str, situation: Situation) -> RunState:
    """Return a run for what is due. Its id follows from what it is for and from the run before it.

    So a second process that does not see the record of the first one makes the same run, not another one.
    """
    text = moment_text(slot) if slot is not None else ""
    chain = "\n".join((situation.rotation.metadata.uid, cause, word or text, situation.status.last_run.id))
    return RunState.model_validate(
        {
            "id": hashlib.sha256(chain.encode()).hexdigest()[:16],
            "cause": cause,
            "slot": text,
            "request": word,
            "started": moment_text(situation.now),
            "baseVersion": 0,
        }
    )


def _against(facts: Facts, situation: Situation) -> Obstacle | None:
    """Return what the store's own state has against a run."""
    if isinstance(facts, RoleFacts):
        return roles.complaint(facts, situation.rotation)
    return _foreign(facts, situation) or _complaint(facts, situation.rotation)


def _complaint(facts: SecretFacts, rotation: AirflowSecretRotation) -> Obstacle | None:
    """Return why the secret as it stands cannot be rotated."""
    if facts.state is not SecretState.PRESENT:
        return _unusable(facts.state, rotation)
    if rotation.spec.field not in facts.fields:
        return Obstacle(
            Reason.FIELD_MISSING,
            f"secret {rotation.spec.key} has no field {rotation.spec.field}: "
            "add it by hand, or make a rotation for a field that is there",
        )
    return None


_UNUSABLE: Final = {
    SecretState.ABSENT: (Reason.SECRET_ABSENT, "is not there: write its first version, or correct the key"),
    SecretState.DELETED: (Reason.SECRET_DELETED, "has a deleted version: undelete it, or write a new one"),
    SecretState.DESTROYED: (Reason.SECRET_DESTROYED, "has a destroyed version: write a new one"),
}


def _unusable(state: SecretState, rotation: AirflowSecretRotation) -> Obstacle:
    reason, what = _UNUSABLE[state]
    return Obstacle(reason, f"secret {rotation.spec.key} {what}")


def _foreign(facts: SecretFacts, situation: Situation) -> Obstacle | None:
    """Return what to say when the store's metadata names another living owner of the secret's rotation."""
    if facts.mark is None or facts.mark.owner == situation.owner:
        return None
    cluster, _, name = facts.mark.owner.partition("/")
    if cluster != situation.owner.partition("/")[0]:
        return Obstacle(
            Reason.ROTATION_CONFLICT,
            f"the secret's custom metadata says that rotation {name} of cluster {cluster} rotates it: delete this one, "
            "or, if that one is gone for good, take airwarden.dev/owner out of the metadata",
        )
    return conflict((name,)) if name in situation.rivals else None


def _duration(text: str | None) -> timedelta:
    return timedelta(seconds=seconds(text)) if text else timedelta()


def _moment(text: str) -> datetime | None:
    try:
        return moment(text).astimezone(UTC)
    except ValueError:
        return None
