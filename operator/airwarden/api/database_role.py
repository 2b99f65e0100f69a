"""The other target of a rotation: a role or the root user of a database engine, whose passwords the store makes.

Used by `airwarden.api.rotation`; the limits that come from Vault are in docs/rotation-native.md.
"""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import ConfigDict, StringConstraints, model_validator

from airwarden.api.fields import Check, Duration, Model, matches, rule, schema, seconds
from airwarden.api.texts import MountName, RoleName

_IMMUTABLE: Final = "is immutable: a rotation's record speaks of one role; make a new rotation instead"
_DECLARE_STATIC: Final = (
    "declare makes a static role: leave it out with kind Dynamic or Root, which the store's administrator sets up"
)
_DECLARED_PREFIX: Final = (
    "name must begin with airwarden.<cluster>.<namespace>. where declare is given: only what begins so is Airwarden's"
)
SHORTEST_PERIOD: Final = 5
"""Seconds; Vault refuses less."""
SHORTEST_WINDOW: Final = 3600
"""Seconds; Vault refuses less."""

DatabaseUser = Annotated[
    str,
    StringConstraints(max_length=128),
    matches(
        r"^[A-Za-z0-9_][A-Za-z0-9_.@$-]*$",
        "must be the name of a database user: letters, digits and _ . @ $ -, the first a letter, digit or underscore",
    ),
]
ConnectionName = Annotated[
    str,
    StringConstraints(max_length=64),
    matches(
        r"^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$",
        "must be a connection's name: letters, digits, and within them . _ -",
    ),
]
UserPattern = Annotated[
    str,
    StringConstraints(max_length=96),
    matches(
        r"^(\{namespace\}[_.@$][A-Za-z0-9_.@$-]*|[A-Za-z0-9_][A-Za-z0-9_.@$-]*)\*?$",
        "must be a database user, or its beginning and a trailing *; {namespace} only first, before one of _ . @ $ as "
        "in {namespace}_*",
    ),
]


class DatabaseKind(StrEnum):
    """What of the engine is rotated."""

    STATIC = "Static"
    DYNAMIC = "Dynamic"
    ROOT = "Root"


def _long_enough(text: str) -> bool:
    return seconds(text) >= SHORTEST_PERIOD


class Declare(Model):
    """A static role that Airwarden makes, keeps as declared, and removes with the rotation."""

    connection: ConnectionName
    """The engine's connection to the database."""
    username: DatabaseUser
    """The database user, who is there already. Vault gives the user a new password as soon as the role is made."""
    period: (
        Annotated[
            Duration,
            Check(
                "duration(self) >= duration('5s')", "must be at least 5s: the store takes no shorter one", _long_enough
            ),
        ]
        | None
    ) = None
    """Time between two rotations by the store; instead of the rotation's schedule."""


class DatabaseRole(Model):
    """A role of a database engine, or the user by which a connection of it logs in."""

    engine: MountName
    """Mount of the database engine."""
    name: RoleName
    """Name of the role; of the connection with kind Root."""
    kind: DatabaseKind
    """Static: the password of a static role. Dynamic: all leases of a role. Root: the user of a connection."""
    declare: Declare | None = None
    """With kind Static: Airwarden makes the role. Default: the store's administrator has made it."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule("!has(self.declare) || self.kind == 'Static'", _DECLARE_STATIC),
            rule("!has(self.declare) || self.name.startsWith('airwarden.')", _DECLARED_PREFIX),
            *(
                rule(f"self.{each} == oldSelf.{each}", f"databaseRole.{each} {_IMMUTABLE}")
                for each in ("engine", "name", "kind")
            ),
            rule(
                "has(self.declare) == has(oldSelf.declare) && (!has(self.declare) || "
                "(self.declare.connection == oldSelf.declare.connection"
                " && self.declare.username == oldSelf.declare.username))",
                f"databaseRole.declare, but for period, {_IMMUTABLE}",
            ),
        )
    )

    @model_validator(mode="after")
    def _declared_static(self) -> Self:
        if self.declare is not None and self.kind is not DatabaseKind.STATIC:
            raise ValueError(_DECLARE_STATIC)
        if self.declare is not None and not self.name.startswith("airwarden."):
            raise ValueError(_DECLARED_PREFIX)
        return self
