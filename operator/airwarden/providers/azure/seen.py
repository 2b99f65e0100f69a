"""What Azure shows of a key vault and of those who may use it, and what a role lets its holder do. Pure.

Read by `airwarden.providers.azure.looking` and `airwarden.providers.azure.vault`, judged by `airwarden doctor`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from airwarden.providers.azure.rights import permitted
from airwarden.providers.azure.rows import Row

_READS: Final = (
    "Microsoft.KeyVault/vaults/secrets/getSecret/action",
    "Microsoft.KeyVault/vaults/secrets/backup/action",
)
"""Data actions by which values leave a vault: a backup can be restored where its holder may read."""
_GRANTS: Final = (
    "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.Authorization/roleAssignmentScheduleRequests/write",
    "Microsoft.Authorization/roleDefinitions/write",
)
"""Actions by which somebody gives themselves more: a role, one for a time, or more in a role that they have."""


@dataclass(frozen=True, slots=True)
class State:
    """What Azure says of the vault."""

    rbac: bool
    restricted: str
    """How its network is closed; empty when it is open."""
    soft_delete: bool = True
    purge_protection: bool = True
    for_templates: bool = False
    """Whether deployments of templates get secrets, whatever the roles of who deploys say of reading."""


@dataclass(frozen=True, slots=True)
class Given:
    """A role assignment with its condition."""

    row: Row
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Definition:
    """A role, as it is now: a custom one is whatever somebody made of it."""

    name: str
    permissions: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read what Azure answers."""
        properties = body.get("properties") or {}
        return cls(str(properties.get("roleName") or ""), tuple(properties.get("permissions") or ()))

    @property
    def reads(self) -> bool:
        """Whether its data actions let values of secrets out. What one part excludes, another may give."""
        data = [
            {"actions": each.get("dataActions"), "notActions": each.get("notDataActions")} for each in self.permissions
        ]
        return any(permitted(action, data) for action in _READS)

    @property
    def grants(self) -> bool:
        """Whether its holder can give access, to themselves also."""
        return any(permitted(action, self.permissions) for action in _GRANTS)

    @property
    def actions(self) -> frozenset[str]:
        """All actions and data actions that are named, in lower case: what is excluded again counts too."""
        return frozenset(
            str(action).lower()
            for each in self.permissions
            for action in (*(each.get("actions") or ()), *(each.get("dataActions") or ()))
        )


@dataclass(frozen=True, slots=True)
class Named:
    """An identity in the resource group of the identities."""

    name: str
    """In lower case, as Azure compares it."""
    principal: str
    client: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Audit:
    """Where the vault's audit log goes."""

    anywhere: bool
    """Whether it goes anywhere at all."""
    as_declared: bool
    """Whether it goes where the backend asks for; also where it asks for nothing."""
