"""What Vault's key-value engine says of a secret, read into facts: its versions, its marks, the names of its fields.

An answer that makes no sense is a fault of the store, never an absent secret. Pure; called by
`airwarden.providers.vault.rotation.rotator`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from airwarden.api import GROUP
from airwarden.domain.errors import StoreFailed
from airwarden.domain.rotation.facts import RunMark, SecretState
from airwarden.providers.vault.answers import Answer
from airwarden.providers.vault.role import JSONValue

OWNER: Final = f"{GROUP}/owner"
RUN: Final = f"{GROUP}/run"
ROTATED: Final = f"{GROUP}/rotated"


@dataclass(frozen=True, slots=True)
class Versions:
    """What the metadata of a secret says."""

    current: int
    """0 for a secret that never had a version."""
    made: datetime | None
    mark: RunMark | None
    kept: int


def versions(answer: Answer, what: str) -> Versions | None:
    """Return what a read of ``metadata/`` says; None when there is no such secret. Raises StoreFailed."""
    if answer.absent:
        return None
    data = answer.data
    current = _count(data.get("current_version"), what)
    listed = data.get("versions")
    of_current = listed.get(str(current)) if isinstance(listed, Mapping) else None
    if current == 0:
        return Versions(0, None, None, 0)
    if not isinstance(of_current, Mapping):
        raise _senseless(what)
    return Versions(
        current=current,
        made=_moment(of_current.get("created_time"), what),
        mark=_mark(data.get("custom_metadata")),
        kept=_count(data.get("max_versions"), what),
    )


def state(answer: Answer) -> SecretState:
    """Return how the version is that a read of ``subkeys/`` was for."""
    if not answer.absent:
        return SecretState.PRESENT
    metadata = answer.data.get("metadata")
    if not isinstance(metadata, Mapping):
        return SecretState.ABSENT
    return SecretState.DESTROYED if metadata.get("destroyed") is True else SecretState.DELETED


def fields(answer: Answer, what: str) -> Mapping[str, bool]:
    """Return the names of a secret's top-level fields, and for each whether it holds an object.

    Vault shows no value there: null stands for each. Raises StoreFailed.
    """
    subkeys = answer.data.get("subkeys")
    if not isinstance(subkeys, Mapping):
        raise _senseless(what)
    return {name: isinstance(below, Mapping) for name, below in subkeys.items()}


def new_version(answer: Answer, what: str) -> int:
    """Return the version that a write made. Raises StoreFailed."""
    return _count(answer.data.get("version"), what, least=1)


def mark_fields(mark: RunMark) -> Mapping[str, str]:
    """Return the mark as it stands in the secret's metadata."""
    return {OWNER: mark.owner, RUN: mark.run, ROTATED: mark.rotated}


def _mark(found: JSONValue) -> RunMark | None:
    if not isinstance(found, Mapping):
        return None
    owner, run, rotated = (found.get(name) for name in (OWNER, RUN, ROTATED))
    if not isinstance(owner, str) or not owner:
        return None
    return RunMark(owner, run if isinstance(run, str) else "", rotated if isinstance(rotated, str) else "")


def _count(value: JSONValue, what: str, *, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _senseless(what)
    return value


def _moment(value: JSONValue, what: str) -> datetime:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise _senseless(what)
    return found.astimezone(UTC)


def _senseless(what: str) -> StoreFailed:
    # Nothing of the answer is repeated: it may be of another kind than the one that was asked for.
    return StoreFailed(f"Vault answered {what} with something else than a key-value engine says: is it a Vault?")
