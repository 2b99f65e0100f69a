"""Runs of database roles: what the store says of its own last rotation takes the place of a version.

A run is recorded with the store's word on the last rotation before it; once that word is another one, the run is over
and is not done again. Where the store has no such word (the user of a connection, leases), a run whose answer was lost
is done once more, which harms nobody. A declared role has the store's own schedule: here it is made, kept as declared,
and its rotations are seen. Pure. Called by `airwarden.domain.rotation.decide` and `airwarden.domain.rotation.report`.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from airwarden.api.database_role import DatabaseKind, DatabaseRole
from airwarden.api.fields import duration_text, moment, moment_text, seconds
from airwarden.api.reasons import Reason
from airwarden.api.rotation import AirflowSecretRotation, LastRun, RotationSpec, RotationStatus, RunState
from airwarden.domain.rotation.facts import RoleFacts, RoleSettings
from airwarden.domain.rotation.schedule import InvalidSchedule, Schedule
from airwarden.domain.rotation.steps import Adjust, End, Obstacle, Rest, Result, Situation, Start, Step
from airwarden.domain.rotation.timetable import Timetable

SETTLES: Final = timedelta(seconds=15)
"""How long after its time a rotation by the store is looked for: Vault begins what is due every five seconds."""
LATE: Final = timedelta(minutes=5)
"""How long after its time a rotation by the store is late."""
_DONE: Final = {
    DatabaseKind.STATIC: "the store gave {name} a new password",
    DatabaseKind.ROOT: "the store gave the user of connection {name} a new password, which only the store knows",
    DatabaseKind.DYNAMIC: "all leases of role {name} have ended",
}


def wanted(spec: RotationSpec) -> RoleSettings | None:
    """Return how the store shall have a declared role; None for another rotation.

    Raises InvalidSchedule for a schedule that the store would read otherwise, or not at all.
    """
    role = spec.database_role
    if role is None or role.declare is None:
        return None
    declared = role.declare
    return RoleSettings(
        declared.connection,
        declared.username,
        seconds(declared.period) if declared.period is not None else 0,
        store_schedule(spec.schedule) if spec.schedule is not None else "",
        seconds(spec.starting_deadline) if spec.starting_deadline is not None else 0,
    )


def store_schedule(text: str) -> str:
    """Return a schedule as Vault understands it: five fields, in UTC. Raises InvalidSchedule."""
    fields = Schedule.read(text, "UTC").text
    _, _, day, _, weekday = fields.split()
    terms = [each.partition("/") for each in weekday.split(",")]
    if any("7" in term.split("-") or (step and term.isalnum()) for term, _, step in terms):
        raise InvalidSchedule(
            f"schedule {text!r} has a day of week {weekday!r}, which Vault reads otherwise: write Sunday as 0, and "
            "steps with a star or a range, such as 1-5/2"
        )
    if "*" not in (day, weekday) and "*" in day + weekday:
        raise InvalidSchedule(
            f"schedule {text!r} limits both the day of month and the day of week, one of them by a step, which Vault "
            "reads otherwise: limit one of them"
        )
    return fields


def named(role: DatabaseRole) -> str:
    """Return a target in words."""
    if role.kind is DatabaseKind.ROOT:
        return f"the user of connection {role.name} of engine {role.engine}"
    return f"{'static' if role.kind is DatabaseKind.STATIC else 'dynamic'} role {role.name} of engine {role.engine}"


def makes(situation: Situation) -> str:
    """Return what has to be said before the run's write, because it makes a declared role; empty when it does not."""
    settings, facts = wanted(situation.rotation.spec), situation.facts
    if settings is None or not isinstance(facts, RoleFacts) or facts.present:
        return ""
    return (
        f"the declared role is about to be made: database user {settings.username} of connection {settings.connection} "
        "gets a new password at once, and whoever logs in with the old one is refused; the store alone has the new one"
    )


def complaint(facts: RoleFacts, rotation: AirflowSecretRotation) -> Obstacle | None:
    """Return why the role as it stands cannot be rotated."""
    settings = wanted(rotation.spec)
    if not facts.present:
        if settings is None:
            return _absent(rotation)
        return _shared(facts, settings)
    found = facts.settings
    if settings is None or found is None:
        return None
    if (found.connection, found.username) != (settings.connection, settings.username):
        return Obstacle(
            Reason.DECLARED_OTHERWISE,
            f"{_name(rotation)} stands in the store for user {found.username} of connection {found.connection}, and "
            f"not for {settings.username} of {settings.connection}, which the store never changes: remove it there by "
            "hand if nobody needs it, or declare a role of another name",
        )
    return _shared(facts, settings)


def begin(run: RunState, facts: RoleFacts, rotation: AirflowSecretRotation) -> Step:
    """Return the step that begins a run which is due."""
    against = complaint(facts, rotation)
    if against is None:
        return Start(run.model_copy(update={"base_revision": facts.revision}))
    if against.reason is Reason.DATABASE_ROLE_ABSENT:
        return End(run, Result.FAILED, against.reason, against.message)
    return Rest(obstacle=against)


def resumed(run: RunState, facts: RoleFacts, situation: Situation) -> Step | None:
    """Return what a run that is on record comes to; None when its write is still to be done."""
    rotation = situation.rotation
    if facts.present and facts.revision != run.base_revision:
        return succeeded(run, rotation)
    against = complaint(facts, rotation)
    if against is not None and against.reason is Reason.DATABASE_ROLE_ABSENT:
        return End(run, Result.FAILED, against.reason, against.message)
    obstacle = situation.obstacle or against
    return Rest(obstacle=obstacle) if obstacle is not None else None


def succeeded(run: RunState, rotation: AirflowSecretRotation) -> End:
    """Return the end of a run that the store did, or is found to have done."""
    role = rotation.spec.database_role
    if role is None:
        raise TypeError("only a database role's run ends so")
    return End(run, Result.SUCCEEDED, Reason.ROTATED, _DONE[role.kind].format(name=role.name))


def tended(situation: Situation) -> Step | None:
    """Return what a declared role needs when nothing is asked for and nothing stands against it; None to make it."""
    facts, settings = situation.facts, wanted(situation.rotation.spec)
    if not isinstance(facts, RoleFacts) or settings is None:
        return Rest(obstacle=situation.fault)
    if not facts.present:
        return None
    if facts.settings is None or facts.settings == settings:
        return Rest(due(situation.rotation, facts))
    edited = situation.status.schedule != plan(settings)
    if situation.reports_drift and not edited:
        return Rest(
            due(situation.rotation, facts),
            Obstacle(
                Reason.DRIFTED,
                f"the store rotates the role {plan(facts.settings)}, and not {plan(settings)} as declared, and the "
                "backend's drift.policy leaves it so: set it right by hand",
            ),
        )
    return Adjust(settings, facts.settings, edited)


def plan(settings: RoleSettings) -> str:
    """Return by what the store rotates, in words; the status keeps what the store was last found to have."""
    if settings.period:
        return f"every {duration_text(settings.period)}"
    within = f" within {duration_text(settings.window)}" if settings.window else ""
    return f"by {settings.schedule} UTC{within}"


def pushed(facts: RoleFacts, rotation: AirflowSecretRotation) -> str | None:
    """Return the plan that the store is found to have taken over; None when it has another one."""
    settings = wanted(rotation.spec)
    return plan(settings) if settings is not None and facts.settings == settings else None


def due(rotation: AirflowSecretRotation, facts: RoleFacts) -> datetime | None:
    """Return when the store rotates a declared role next; None when that cannot be said."""
    if not rotation.spec.declared or facts.made is None or facts.settings is None:
        return None
    if facts.settings.period:
        return facts.made + timedelta(seconds=facts.settings.period)
    try:
        return next(Schedule.read(facts.settings.schedule, "UTC").after(facts.made), None)
    except InvalidSchedule:
        return None


def by_store(status: RotationStatus, facts: RoleFacts, rotation: AirflowSecretRotation) -> LastRun | None:
    """Return a rotation that the store did by itself since the last look; None when there was none."""
    known = status.observed_revision
    if not rotation.spec.declared or not known or facts.revision in {"", known} or facts.made is None:
        return None
    return LastRun(
        id=hashlib.sha256(facts.revision.encode()).hexdigest()[:16],
        cause="Store",
        time=moment_text(facts.made),
        result=Result.SUCCEEDED.value,
        reason=Reason.ROTATED.word,
        message="the store rotated the role by itself",
    )


def is_late(rotation: AirflowSecretRotation, status: RotationStatus, now: datetime) -> bool:
    """Tell whether the store has let the time of its next rotation pass."""
    following = _moment(status.next)
    return rotation.spec.declared and following is not None and now > following + LATE


def looks(rotation: AirflowSecretRotation, status: RotationStatus) -> tuple[datetime, ...]:
    """Return when to look for a rotation by the store."""
    following = _moment(status.next)
    if not rotation.spec.declared or following is None:
        return ()
    return (following + SETTLES, following + LATE + timedelta(seconds=1))


def shown_table(rotation: AirflowSecretRotation) -> Timetable | None:
    """Return the store's own schedule for a calendar; None where the store has none. Raises InvalidSchedule."""
    settings = wanted(rotation.spec)
    if settings is None or not settings.schedule:
        return None
    return Timetable(Schedule.read(settings.schedule, "UTC"), rotation.metadata.uid)


def schedule_shown(spec: RotationSpec) -> str:
    """Return in words when a rotation runs."""
    role = spec.database_role
    if role is not None and role.declare is not None and role.declare.period is not None:
        return f"every {role.declare.period}"
    return f"{spec.schedule} {spec.time_zone}" if spec.schedule is not None else "on demand"


def target_shown(spec: RotationSpec) -> str:
    """Return the key, or engine and name of the role."""
    role = spec.database_role
    return f"{role.engine}/{role.name}" if role is not None else spec.key or ""


def _shared(facts: RoleFacts, settings: RoleSettings) -> Obstacle | None:
    if not facts.twins:
        return None
    return Obstacle(
        Reason.ROTATION_CONFLICT,
        f"user {settings.username} of connection {settings.connection} has another static role in the store, "
        f"{', '.join(facts.twins)}: each rotation of one makes the password of the other wrong; remove one of them",
    )


def _absent(rotation: AirflowSecretRotation) -> Obstacle:
    return Obstacle(
        Reason.DATABASE_ROLE_ABSENT,
        f"{_name(rotation)} is not there: have the store's administrator make it, correct databaseRole.name, or "
        "declare it",
    )


def _name(rotation: AirflowSecretRotation) -> str:
    role = rotation.spec.database_role
    return named(role) if role is not None else ""


def _moment(text: str) -> datetime | None:
    try:
        return moment(text).astimezone(UTC)
    except ValueError:
        return None
