"""What a store says of a secret that is rotated: where it stands, never what it holds.

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
