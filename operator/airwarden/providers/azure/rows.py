"""Role assignments as rows, and the names that Airwarden gives them. Pure.

Called by `airwarden.providers.azure.assignments` and `airwarden.providers.azure.store`.
"""

import uuid
from dataclasses import dataclass
from typing import Any, Final

_NAMES: Final = uuid.UUID("6b0b7a0e-5d0c-4c39-9d0a-2f4d1f0a7c51")
"""Airwarden's own name space of UUIDs: nobody else derives these names."""


@dataclass(frozen=True, slots=True)
class Row:
    """One role assignment. Scopes, ids and names are in lower case: Azure compares them so."""

    name: str
    scope: str
    role: str
    """GUID of the role: its full id differs by where it is read."""
    principal: str
    principal_type: str
    description: str

    @classmethod
    def of(cls, found: Any) -> "Row":
        """Read what Azure's client returns."""
        return cls(
            name=str(found.name).lower(),
            scope=str(found.scope).lower().rstrip("/"),
            role=str(found.role_definition_id).rsplit("/", 1)[-1].lower(),
            principal=str(found.principal_id).lower(),
            principal_type=str(found.principal_type or ""),
            description=str(found.description or ""),
        )

    @property
    def id(self) -> str:
        """ARM id."""
        return f"{self.scope}/providers/Microsoft.Authorization/roleAssignments/{self.name}"

    @property
    def triple(self) -> tuple[str, str, str]:
        """What no two assignments share."""
        return self.scope, self.principal, self.role

    @property
    def is_named_by_us(self) -> bool:
        """Whether its name is the one that Airwarden, of whatever cluster, derives for what it gives."""
        return self.name in {name_of(*self.triple), name_of(*self.triple, again=True)}


def name_of(scope: str, principal: str, role: str, *, again: bool = False) -> str:
    """Return the name of an assignment; ``again`` for one whose name Azure still holds for something else."""
    parts = [scope.lower(), principal.lower(), role.lower(), *(["again"] if again else [])]
    return str(uuid.uuid5(_NAMES, "-".join(parts)))
