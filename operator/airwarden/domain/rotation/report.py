"""From a step that was taken to the rotation's status, and to what is told of it.

Pure: a status that says the same as before is equal to it, so that it is not written again. Called by
`airwarden.reconcile.rotations`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from airwarden.api.conditions import Condition
from airwarden.api.fields import moment, moment_text, seconds
from airwarden.api.reasons import Reason
from airwarden.api.rotation import AirflowSecretRotation, LastRun, RotationStatus, RunState
from airwarden.domain.outage import same_outage
from airwarden.domain.report import Verdict, condition, conditions
from airwarden.domain.rotation import jobs, roles, timetable
from airwarden.domain.rotation.decide import handled, hindrance, requested, schedule_text
from airwarden.domain.rotation.facts import RoleFacts
from airwarden.domain.rotation.steps import End, Obstacle, Rest, Result, Situation
from airwarden.domain.rotation.timetable import Begin, ClockWentBack, Missed, Wait

_WORST: Final = {Result.FAILED.value, Result.MISSED.value}


@dataclass(frozen=True, slots=True)
class News:
    """One Event."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def started(situation: Situation, run: RunState) -> RotationStatus:
    """Return the status that records a run before its first write."""
    status = _grounded(situation).model_copy(update={"run": run, "phase": "Rotating"})
    if not (warning := roles.makes(situation)):
        return status
    verdict = Verdict(False, Reason.PASSWORD_CHANGES, warning, working=True)
    kept = tuple(each for each in status.conditions if each.type in {"Healthy", "Suspended"})
    generation, now = situation.rotation.metadata.generation, moment_text(situation.now)
    return status.model_copy(update={"conditions": conditions(status.conditions, verdict, generation, now) + kept})


def report(situation: Situation, step: Rest | End, rule: str) -> RotationStatus:
    """Return the status after a step; ``rule`` is the allow rule that admits the rotation, empty for none."""
    previous = situation.status
    if (
        isinstance(step, Rest)
        and step.obstacle is not None
        and step.obstacle == situation.fault
        and _may_wait(situation)
    ):
        return _aged(situation)
    status = _seen(_grounded(situation), situation)
    obstacle = step.obstacle if isinstance(step, Rest) else None
    if isinstance(step, End):
        status = _ended(status, step, situation)
        situation = replace(situation, rotation=situation.rotation.model_copy(update={"status": status}))
        obstacle = hindrance(situation)
    status = status.model_copy(update={"rule": rule, "next": _next(situation, step, obstacle)})
    status = status.model_copy(update={"phase": _phase(situation.rotation, status, obstacle)})
    shown = (*_readiness(situation, status, previous, obstacle), _healthy(situation, status, previous))
    return status.model_copy(update={"conditions": (*shown, *_suspended(situation, previous))})


def invalid(previous: RotationStatus, generation: int, message: str, now: str) -> RotationStatus:
    """Return the status of a rotation that does not hold to its schema: nothing is done for it."""
    verdict = Verdict(False, Reason.INVALID_SPEC, message)
    healthy = tuple(each for each in previous.conditions if each.type == "Healthy")
    shown = conditions(previous.conditions, verdict, generation, now) + healthy
    return previous.model_copy(
        update={"observed_generation": generation, "conditions": shown, "phase": "Refused", "next": ""}
    )


def blocked(previous: RotationStatus, generation: int, message: str, now: str) -> RotationStatus:
    """Return the status of a rotation that is deleted and whose declared role cannot be removed yet."""
    verdict = Verdict(False, Reason.DELETION_BLOCKED, message, working=True)
    healthy = tuple(each for each in previous.conditions if each.type == "Healthy")
    shown = conditions(previous.conditions, verdict, generation, now) + healthy
    return previous.model_copy(update={"observed_generation": generation, "conditions": shown, "next": ""})


def news(before: RotationStatus, after: RotationStatus) -> Iterator[News]:
    """Yield what is told of the way from one status to the next: each run's end, and each transition."""
    if after.last_run != before.last_run:
        sort: Literal["Normal", "Warning"] = "Warning" if after.last_run.result in _WORST else "Normal"
        yield News(sort, after.last_run.reason, f"{after.last_run.result}: {after.last_run.message}")
    ready, was = after.condition("Ready"), before.condition("Ready")
    if ready is not None and (was is None or (was.status, was.reason) != (ready.status, ready.reason)):
        yield News("Normal" if ready.status == "True" else "Warning", ready.reason, ready.message)
    healthy, was = after.condition("Healthy"), before.condition("Healthy")
    if healthy is None or healthy.status == "True" or (was is not None and was.reason == healthy.reason):
        return
    if healthy.reason in {Reason.OVERDUE.word, Reason.CLOCK_WENT_BACK.word, Reason.ROTATION_LATE.word}:
        yield News("Warning", healthy.reason, healthy.message)


def turns(rotation: AirflowSecretRotation, status: RotationStatus, now: datetime) -> datetime | None:
    """Return when the rotation must be looked at although nobody changes anything; None for never."""
    moments = [_time(status.next), *roles.looks(rotation, status), *jobs.wakes(status.run)]
    if (made := _time(status.version_time)) is not None and rotation.spec.max_age is not None:
        moments.append(made + timedelta(seconds=seconds(rotation.spec.max_age) + 1))
    return min((each for each in moments if each is not None and each > now), default=None)


def is_overdue(rotation: AirflowSecretRotation, status: RotationStatus, now: datetime) -> bool:
    """Tell whether the value is older than maxAge, whoever made it."""
    made = _time(status.version_time)
    if made is None or rotation.spec.max_age is None:
        return False
    return now - made > timedelta(seconds=seconds(rotation.spec.max_age))


def _may_wait(situation: Situation) -> bool:
    """Tell whether an outage changes nothing: nothing is due, and what was said last still holds."""
    status = situation.status
    if status.observed_generation != situation.rotation.metadata.generation or status.run is not None:
        return False
    ready = status.condition("Ready")
    return ready is not None and not _is_due(situation)


def _is_due(situation: Situation) -> bool:
    rotation, now = situation.rotation, situation.now
    if rotation.spec.suspend:
        return False
    if requested(rotation):
        return True
    table = situation.table
    return table is not None and isinstance(timetable.turn(table, handled(rotation, now), now), Begin | Missed)


def _grounded(situation: Situation) -> RotationStatus:
    """Return the status with what all else counts from."""
    rotation = situation.rotation
    if rotation.spec.declared:
        return situation.status.model_copy(update={"observed_generation": rotation.metadata.generation})
    counted = moment_text(handled(rotation, situation.now)) if rotation.spec.schedule is not None else ""
    return situation.status.model_copy(
        update={
            "observed_generation": rotation.metadata.generation,
            "schedule": schedule_text(rotation),
            "handled_slot": counted,
        }
    )


def _seen(status: RotationStatus, situation: Situation) -> RotationStatus:
    """Return the status with the version that was found. The time of one that is known stays as it was told first."""
    facts = situation.facts
    if isinstance(facts, RoleFacts):
        return _seen_role(status, facts, situation)
    if facts is None or facts.version == status.observed_version:
        return status
    made = moment_text(facts.made) if facts.made is not None else ""
    return status.model_copy(update={"observed_version": facts.version, "version_time": made})


def _seen_role(status: RotationStatus, facts: RoleFacts, situation: Situation) -> RotationStatus:
    """Return the status with what the store says of the role, and with a rotation that it did by itself."""
    changes: dict[str, object] = {}
    if (plan := roles.pushed(facts, situation.rotation)) is not None:
        changes["schedule"] = plan
    if facts.revision != status.observed_revision:
        made = moment_text(facts.made) if facts.made is not None else ""
        changes |= {"observed_revision": facts.revision, "version_time": made}
    if status.run is None and (last := roles.by_store(status, facts, situation.rotation)) is not None:
        changes |= {"last_run": last, "last_success": last.time}
    return status.model_copy(update=changes)


def _ended(status: RotationStatus, end: End, situation: Situation) -> RotationStatus:
    run, now = end.run, moment_text(situation.now)
    last = LastRun(
        id=run.id,
        cause=run.cause,
        time=now,
        result=end.result.value,
        reason=end.reason.word,
        message=end.message,
        version=end.version,
    )
    changes: dict[str, object] = {"run": None, "last_run": last}
    if run.slot and run.slot > status.handled_slot:
        changes["handled_slot"] = run.slot
    if run.request:
        changes["handled_request"] = run.request
        if (ahead := _time(status.handled_slot)) is not None and ahead > situation.now + timetable.SKEW:
            # The clock went back: a person who asks for a run has looked, and the schedule counts from now.
            changes["handled_slot"] = now
    if end.result is Result.SUCCEEDED:
        changes["last_success"] = now
        if end.version > status.observed_version:
            changes |= {"observed_version": end.version, "version_time": now}
        if isinstance(situation.facts, RoleFacts) and not situation.facts.revision:
            changes["version_time"] = now  # the store does not tell when
    return status.model_copy(update=changes)


def _next(situation: Situation, step: Rest | End, obstacle: Obstacle | None) -> str:
    rotation, now, table = situation.rotation, situation.now, situation.table
    if rotation.spec.declared:
        return _next_by_store(situation)
    if table is None or rotation.spec.suspend or (obstacle is not None and obstacle == situation.obstacle):
        return ""
    if isinstance(step, Rest) and rotation.status is not None and rotation.status.run is not None:
        return moment_text(step.until) if step.until is not None else rotation.status.next
    match timetable.turn(table, handled(rotation, now), now):
        case Wait(until):
            return moment_text(until) if until is not None else ""
        case Begin(_, due) | Missed(_, due):
            return moment_text(due)
        case ClockWentBack():
            return ""


def _next_by_store(situation: Situation) -> str:
    facts = situation.facts
    if not isinstance(facts, RoleFacts):
        return situation.status.next
    due = roles.due(situation.rotation, facts)
    return moment_text(due) if due is not None else ""


def _phase(rotation: AirflowSecretRotation, status: RotationStatus, obstacle: Obstacle | None) -> str:
    if status.run is not None:
        return "Rotating"
    if obstacle is not None and not obstacle.passing:
        return "Refused"
    if rotation.spec.suspend:
        return "Suspended"
    return "Waiting" if rotation.spec.schedule is not None or rotation.spec.declared else "OnDemand"


def _readiness(
    situation: Situation, status: RotationStatus, previous: RotationStatus, obstacle: Obstacle | None
) -> tuple[Condition, ...]:
    """Return Ready, and while they apply Reconciling and Stalled."""
    rotation = situation.rotation
    if obstacle is None:
        verdict = Verdict(True, Reason.READY, _outlook(rotation, status))
    else:
        obstacle = _steadied(obstacle, previous)
        verdict = Verdict(False, obstacle.reason, obstacle.message, working=obstacle.passing)
    return conditions(previous.conditions, verdict, rotation.metadata.generation, moment_text(situation.now))


def _steadied(obstacle: Obstacle, previous: RotationStatus) -> Obstacle:
    """Return an outage in the words in which it was first said: it shows several faces, and each would be a write."""
    said = previous.condition("Ready")
    if not obstacle.passing or said is None or said.status == "True" or not same_outage(obstacle.reason, said.reason):
        return obstacle
    return Obstacle(_reason(said.reason), said.message, passing=True)


def _outlook(rotation: AirflowSecretRotation, status: RotationStatus) -> str:
    """Return what is to come for a rotation that nothing hinders."""
    if status.run is not None and status.run.job is not None:
        return jobs.outlook(status.run)
    if status.run is not None:
        return f"the run that began at {status.run.started} goes on when its window opens"
    if rotation.spec.suspend:
        return "nothing would hinder a run, but suspend is true"
    if status.next and rotation.spec.declared:
        return f"the store rotates next at {status.next}"
    if status.next:
        return f"the next run is due at {status.next}"
    return "runs are on demand only" if rotation.spec.schedule is None else "no further run is due by the schedule"


def _aged(situation: Situation) -> RotationStatus:
    """Return the status in an outage in which nothing is due: only the value's age goes on."""
    previous = situation.status
    healthy = _healthy(situation, previous, previous)
    shown = tuple(healthy if each.type == "Healthy" else each for each in previous.conditions)
    return previous.model_copy(update={"conditions": shown})


def _healthy(situation: Situation, status: RotationStatus, previous: RotationStatus) -> Condition:
    told = _health(situation, status)
    generation, now = situation.rotation.metadata.generation, moment_text(situation.now)
    return condition(previous.condition("Healthy"), "Healthy", told.ready, told, generation, now)


def _suspended(situation: Situation, previous: RotationStatus) -> tuple[Condition, ...]:
    if not situation.rotation.spec.suspend:
        return ()
    words = "no run begins while spec.suspend is true; one under way is finished"
    if situation.rotation.spec.declared:
        words += "; the store goes on rotating by the schedule that it has"
    said = Verdict(True, Reason.SUSPENDED, words)
    generation, now = situation.rotation.metadata.generation, moment_text(situation.now)
    return (condition(previous.condition("Suspended"), "Suspended", True, said, generation, now),)


def _health(situation: Situation, status: RotationStatus) -> Verdict:
    rotation, now = situation.rotation, situation.now
    ahead = _time(status.handled_slot)
    if ahead is not None and ahead > now + timetable.SKEW:
        return Verdict(
            False,
            Reason.CLOCK_WENT_BACK,
            f"runs are on record up to {status.handled_slot}, which is ahead of the operator's clock: nothing runs by "
            "the schedule before then; a run on demand sets it right",
        )
    if is_overdue(rotation, status, now):
        return Verdict(
            False, Reason.OVERDUE, f"the value is of {status.version_time}, and maxAge is {rotation.spec.max_age}"
        )
    if _is_late(situation, status):
        return Verdict(
            False,
            Reason.ROTATION_LATE,
            f"the store should have rotated the role at {status.next} and has not: look at its log",
        )
    if status.last_run.result in _WORST:
        return Verdict(
            False, _reason(status.last_run.reason), f"the last run did not succeed: {status.last_run.message}"
        )
    return Verdict(True, Reason.HEALTHY, "the value is not too old, and no run failed")


def _is_late(situation: Situation, status: RotationStatus) -> bool:
    """Tell whether the store is late; of one that gives no answer, what was last seen holds."""
    if isinstance(situation.facts, RoleFacts):
        return roles.is_late(situation.rotation, status, situation.now)
    said = situation.status.condition("Healthy")
    return said is not None and said.reason == Reason.ROTATION_LATE.word


def _reason(word: str) -> Reason:
    """Return the reason of a word; one of a newer release is read as unknown."""
    return next((each for each in Reason if each.word == word), Reason.UNKNOWN)


def _time(text: str) -> datetime | None:
    try:
        return moment(text).astimezone(UTC)
    except ValueError:
        return None
