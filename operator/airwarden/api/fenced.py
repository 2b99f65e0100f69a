"""The part of a Vault backend that mode Fenced needs: the admin's role, and how many slots its policy has.

Used by `airwarden.api.backend`; read by the Vault provider.
"""

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from airwarden.api.fields import Model, rule, schema
from airwarden.api.texts import MountName, RoleName

MAX_SLOTS: Final = 62
"""Vault keeps 64 keys of metadata at an alias; two of them are our mark and the engine."""
_TOO_MANY_SLOTS = f"own, shared and dynamic must not be more than {MAX_SLOTS} slots together"


class FencedSlots(Model):
    """How many secrets one binding can hold in mode Fenced, by kind. Vault keeps at most 62 beside our mark."""

    own: Annotated[int, Field(ge=1, le=62)] = 32
    """Keys below the namespace's own tree."""
    shared: Annotated[int, Field(ge=0, le=61)] = 8
    """Keys below shared/."""
    dynamic: Annotated[int, Field(ge=0, le=61)] = 8
    """Roles of the secrets engine, those beginning with the namespace and a dot."""


class Fenced(Model):
    """What the Vault admin set up once for mode Fenced, as airwarden vault-setup prints it."""

    role: RoleName
    """Role of the tasks' Kubernetes auth mount with which all tasks log in."""
    engine: MountName = "database"
    """Mount of the one secrets engine that dynamic secrets come from."""
    slots: FencedSlots = FencedSlots()
    """How many slots the admin's policy has. After a change apply what vault-setup prints again."""

    # Not a rule of the slots themselves: the API server would try it on their default, which is empty.
    model_config = ConfigDict(
        json_schema_extra=schema(
            rule(f"self.slots.own + self.slots.shared + self.slots.dynamic <= {MAX_SLOTS}", _TOO_MANY_SLOTS)
        )
    )

    @model_validator(mode="after")
    def _few_enough(self) -> Self:
        if self.slots.own + self.slots.shared + self.slots.dynamic > MAX_SLOTS:
            raise ValueError(_TOO_MANY_SLOTS)
        return self
