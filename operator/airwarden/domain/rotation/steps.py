"""The words in which it is said what is done next for a rotation, and everything that this depends on.

Used by `airwarden.domain.rotation.decide` and `airwarden.domain.rotation.roles`, which decide, and by those that do
and report it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from airwarden.api.reasons import Reason
from airwarden.api.rotation import AirflowSecretRotation, RotationStatus, RunState
from airwarden.domain.rotation.facts import Facts, RoleSettings
from airwarden.domain.rotation.timetable import Timetable


class Result(StrEnum):
    """How a run ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    MISSED = "Missed"
    SUPERSEDED = "Superseded"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why no run can begin."""

    reason: Reason
    message: str
    passing: bool = False
    """Whether it is tried again although nobody changes anything."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that the next step depends on."""

    rotation: AirflowSecretRotation
    owner: str
    """The rotation as the store's metadata names it, ``cluster/namespace/name``."""
    now: datetime
    table: Timetable | None
    """When it runs; None without a schedule, or with one that cannot be read."""
    obstacle: Obstacle | None = None
    """What the guardrails, the backend or another rotation say against it."""
    facts: Facts | None = None
    """What the store says of the secret or role; None when it was not asked or gave no answer."""
    fault: Obstacle | None = None
    """Why the store gave no answer."""
    rivals: frozenset[str] = field(default_factory=frozenset)
    """Other rotations of this cluster for the same key in any backend, as ``namespace/name``."""
    moved: bool = False
    """The run's only write was refused, because the secret had another version already."""
    reports_drift: bool = False
    """Whether the backend leaves what was changed in the store from outside as it is."""

    @property
    def status(self) -> RotationStatus:
        """The status, also of a rotation that has none yet."""
        return self.rotation.status or RotationStatus()


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do for now."""

    until: datetime | None = None
    """When there will be; None when that does not depend on time."""
    obstacle: Obstacle | None = None
    """Why nothing can be done."""
    clock_back: datetime | None = None
    """The moment on record that is ahead of the clock, if that is why."""


@dataclass(frozen=True, slots=True)
class Start:
    """Record the run; then write."""

    run: RunState


@dataclass(frozen=True, slots=True)
class Write:
    """Write a new value over the run's base version, and over no other."""

    run: RunState


@dataclass(frozen=True, slots=True)
class Record:
    """The value is written: say so in the store's metadata of the secret."""

    run: RunState
    version: int


@dataclass(frozen=True, slots=True)
class End:
    """The run is over: what it was for is done with."""

    run: RunState
    result: Result
    reason: Reason
    message: str
    version: int = 0
    """Version that it made."""


@dataclass(frozen=True, slots=True)
class Adjust:
    """Set right how the store rotates a declared role. Its password stays."""

    settings: RoleSettings
    found: RoleSettings
    """What the store has."""
    edited: bool
    """Whether the rotation was edited, and not the store."""


Step = Rest | Start | Write | Record | End | Adjust


def conflict(others: Iterable[str]) -> Obstacle | None:
    """Return what to say when other rotations, as ``namespace/name``, are for the same secret."""
    named = ", ".join(sorted(others))
    if not named:
        return None
    return Obstacle(
        Reason.ROTATION_CONFLICT,
        f"the secret has more than one rotation, and none of them runs: delete this one or {named}",
    )
