"""What the operator's login needs in Azure, as the setup prints it and the checks compare it. Pure.

Called by `airwarden.providers.azure.checking` and `airwarden.providers.azure.setup`.
"""

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any, Final

from airwarden.providers.azure.connection import Place

_ASSIGNMENTS: Final = (
    "Microsoft.Authorization/roleAssignments/read",
    "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.Authorization/roleAssignments/delete",
)
_VAULT: Final = ("Microsoft.KeyVault/vaults/read", "Microsoft.Authorization/permissions/read")
_DIAGNOSTICS: Final = tuple(f"Microsoft.Insights/diagnosticSettings/{verb}" for verb in ("read", "write", "delete"))
_IDENTITY: Final = "Microsoft.ManagedIdentity/userAssignedIdentities"
_CREDENTIALS: Final = tuple(f"{_IDENTITY}/federatedIdentityCredentials/{verb}" for verb in ("read", "write", "delete"))
_MAKES: Final = tuple(f"{_IDENTITY}/{verb}" for verb in ("write", "delete"))


def at_vault(place: Place) -> tuple[str, ...]:
    """Return the actions that are needed at the vault."""
    return (*_ASSIGNMENTS, *_VAULT, *(_DIAGNOSTICS if place.diagnostics is not None else ()))


def at_identities(place: Place) -> tuple[str, ...]:
    """Return the actions that are needed in the resource group of the identities."""
    return (
        f"{_IDENTITY}/read",
        "Microsoft.Authorization/permissions/read",
        *_CREDENTIALS,
        *(_MAKES if place.location else ()),
    )


def needed(place: Place) -> dict[str, tuple[str, ...]]:
    """Return the actions by the scope at which they are needed."""
    group = f"/subscriptions/{place.identity_subscription}/resourceGroups/{place.identity_group}"
    return {place.vault_id: at_vault(place), group: at_identities(place)}


def looking() -> tuple[str, ...]:
    """Return the actions in the subscription without which the operator only says less."""
    return (
        "Microsoft.Authorization/roleAssignmentsUsageMetrics/read",
        "Microsoft.KeyVault/vaults/read",
        "Microsoft.KeyVault/deletedVaults/read",
    )


def permitted(action: str, held: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether some role permits an action; Azure's ``*`` also stands for several parts of a path."""
    return any(
        _matches(action, each.get("actions") or ()) and not _matches(action, each.get("notActions") or ())
        for each in held
    )


def _matches(action: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(action.lower(), str(each).lower()) for each in patterns)
