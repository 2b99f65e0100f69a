"""What a store says of a secret or database role that is rotated: where it stands, never what it holds.

Made by the rotating side of a store's provider; judged by `airwarden.domain.rotation`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SecretState(StrEnum):
    """Whether the secret's current version can be read."""

    PRESENT = "Present"
    ABSENT = "Absent"
    DELETED = "Deleted"
    DESTROYED = "Destroyed"


@dataclass(frozen=True, slots=True)
class RunMark:
    """What the secret's metadata says of the last run."""

    owner: str
    """The rotation, as cluster/namespace/name."""
    run: str
    """The run's id."""
    rotated: str
    """When it was rotated, RFC 3339."""


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """One look at a secret. No value is in it, ever."""

    state: SecretState
    version: int = 0
    """The current one."""
    made: datetime | None = None
    """When that version was made, by whomever."""
    fields: frozenset[str] = frozenset()
    """Names of the top-level fields."""
    mark: RunMark | None = None
    """What the last run of a rotation left; None when there was none."""
    kept: int = 0
    """How many versions of it the store keeps; 0 leaves that to the mount."""


@dataclass(frozen=True, slots=True)
class RoleSettings:
    """What a static role is for, and by what the store rotates it."""

    connection: str
    username: str
    period: int = 0
    """Seconds; 0 where a schedule is set."""
    schedule: str = ""
    """Five fields, in the store's own zone."""
    window: int = 0
    """Seconds in which a scheduled rotation may begin; 0 for no limit."""


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """One look at a role or connection of a database engine. No password is in it, ever."""

    present: bool
    revision: str = ""
    """Moves with each rotation, whoever asks for it. Empty where the store does not tell."""
    made: datetime | None = None
    """When the store last rotated it."""
    settings: RoleSettings | None = None
    """Of a static role."""
    twins: tuple[str, ...] = ()
    """Other static roles of the engine for the same user, as far as the login may see them."""


Facts = SecretFacts | RoleFacts
