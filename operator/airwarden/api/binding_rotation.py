"""`spec.rotation` of a binding: one rotation for each of its secrets, said once.

Part of `airwarden.api.binding`; turned into rotations by `airwarden.domain.rotation.sugar`.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from airwarden.api.fields import Duration, Model
from airwarden.api.rotation import Cron, Generate, TimeZone, Window


class BindingStrategy(StrEnum):
    """How the new values come to be. A strategy stands here when it works for bindings, not before."""

    GENERATE = "Generate"


class ConnectionField(StrEnum):
    """Which part of a connection gets the new value."""

    PASSWORD = "Password"  # noqa: S105 - the name of a field
    URI = "URI"


class BindingRotation(Model):
    """Rotates each secret of the binding that has a key, by an AirflowSecretRotation of its own."""

    strategy: BindingStrategy = BindingStrategy.GENERATE
    """Generate: Airwarden makes a value and writes it as a new version."""
    connections: ConnectionField = ConnectionField.PASSWORD
    """Where connections have their password: Password is the field password, URI the password within conn_uri.

    Variables and configs have theirs in the field value.
    """
    generate: Generate = Generate()
    """How a value is made."""
    schedule: Cron | None = None
    """When to rotate. Without one, only on demand."""
    time_zone: TimeZone = "UTC"
    """Zone in which schedule and window are read."""
    window: Window | None = None
    """Times in which scheduled runs may begin. Default: at any time."""
    jitter: Duration | None = None
    """Spreads the runs over so long after their moment, each always at its own place."""
    starting_deadline: Duration | None = None
    """A scheduled run that could not begin for so long is missed. Default: it is made up for, however late."""
    max_age: Duration | None = None
    """A value older than this shows as overdue, whoever rotates it."""
    keep_versions: Annotated[int | None, Field(ge=2, le=100)] = None
    """How many versions the store keeps. Default: what the store has."""
    suspend: bool = False
    """Begin no run. The suspend of the binding does the same."""
