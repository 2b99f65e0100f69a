"""Values that flow through the pipeline: grants, resources, what was observed, operations.

A grant is what a binding may have in one store, in no store's language. The store's provider renders
it into resources; `airwarden.domain.diff` compares those with what was observed and orders operations.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from airwarden.domain.owner import Owner

FieldValue = str | int | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class StaticSecret:
    """One secret that lies in the store under a key."""

    key: str


@dataclass(frozen=True, slots=True, order=True)
class DynamicCredentials:
    """Credentials of one role of a secrets engine: new with each lease, or those of a static role."""

    engine: str
    role: str
    kind: Literal["Dynamic", "Static"]


Readable = StaticSecret | DynamicCredentials


@dataclass(frozen=True, slots=True)
class Session:
    """Lifetimes of a task's login, in whole seconds."""

    ttl: int
    max_ttl: int


@dataclass(frozen=True, slots=True)
class Grant:
    """What one binding may read in one store: already admitted by the guardrails, nothing to add."""

    backend: str
    owner: Owner
    account: str
    readable: frozenset[Readable]
    session: Session
    people: frozenset[str] = frozenset()
    """Groups that may read as well, as the store knows them."""
    for_people: frozenset[Readable] = frozenset()
    """What those may read."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a resource is: unique within one binding. An empty backend is the cluster itself."""

    backend: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" in {self.backend}" if self.backend else "")


@dataclass(frozen=True, slots=True)
class Resource:
    """One object as it should be: normalised fields, compared with what was observed."""

    address: Address
    fields: Mapping[str, FieldValue]
    scope: str = ""
    """Fingerprint of the secrets that it opens, noted in the store when an object is adopted."""
    opens: Readable | None = None
    """The one secret that it opens, where the store has an object for each."""

    @property
    def digest(self) -> str:
        """Fingerprint of the fields, stable over runs; no secret is part of it."""
        text = json.dumps({key: self.fields[key] for key in sorted(self.fields)}, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Claim(StrEnum):
    """Whose an observed object is, by what it says itself."""

    OURS = "Ours"
    UNMARKED = "Unmarked"
    FOREIGN = "Foreign"
    RELEASED = "Released"
    """It was this owner's, and the owner has let it go."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """What the store notes of objects that were there before us: which kinds, and which secrets they opened then."""

    scope: str
    kinds: frozenset[str]

    def holds(self, resource: Resource) -> bool:
        """Tell whether the object is still what was found: only then it is others' to keep."""
        return resource.address.kind in self.kinds and self.scope == resource.scope


@dataclass(frozen=True, slots=True)
class Observed:
    """One object as the store has it. ``fields`` None means absent: the store said so, it was not guessed."""

    address: Address
    fields: Mapping[str, FieldValue] | None
    claim: Claim = Claim.UNMARKED
    id: str = ""
    adoption: Adoption | None = None
    as_marked: Mapping[str, FieldValue] | None = None
    """What an unmarked object would be with our mark on it; None when that cannot be said."""
    own_writing: bool = False
    """Whether it reads, whole, as something that we once wrote for this owner."""
    held_by: str = ""
    """What stands in the way of an object that is not ours, where the store can say more than its mark does."""
    shared: bool = False
    """Whether another binding made it, and it is just what this one would make: there can be only one."""

    @property
    def absent(self) -> bool:
        """True when the store said that there is no such object."""
        return self.fields is None


class Action(StrEnum):
    """What an operation does."""

    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"
    ADOPT = "Adopt"
    """Put our mark on an object that is what we would write but for the mark."""
    RELEASE = "Release"
    """Leave the object as declared, with our mark taken off."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One write. ``resource`` is None for a deletion; ``observed`` is what the write was decided upon."""

    action: Action
    address: Address
    resource: Resource | None
    observed: Observed
    adoption: Adoption | None = None
    """What ADOPT notes in the store."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """An object under our name that is not ours, and so is never written or deleted."""

    address: Address
    message: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What `diff` decided for one store, in the order in which it must be done."""

    operations: tuple[Operation, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    drifted: frozenset[Address] = frozenset()
    present: Mapping[Address, Observed] = field(default_factory=dict)
    """Desired and found equal: nothing to write."""
    gone: frozenset[Address] = frozenset()
    """Recorded or derived, not desired, and absent: nothing left to remove."""
    former: frozenset[Address] = frozenset()
    """Left by another mode of the same store, and to be removed."""
    outgrown: bool = False
    """Whether what is left gives more than is granted now: it then goes first, else once the new is read back."""
    reported: Mapping[Address, str] = field(default_factory=dict)
    """Changed from outside and left as it is, since the backend only reports drift: what differs, without values."""
    adopted: frozenset[Address] = frozenset()
    """Desired, and found in the store before us: released with the binding, not deleted."""
