"""The role definitions that the stand-in knows: Azure's built-in ones that matter here, and what a test adds.

Actions are for Resource Manager, data actions for the data plane of Key Vault. Only those that the stand-in can
be asked for are listed of a built-in role, so a listing is shorter than Azure's own; none is wider.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
SECRETS_OFFICER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
VAULT_READER = "21090545-7ca7-4776-b22c-e363652d74d2"
VAULT_ADMINISTRATOR = "00482a5a-887f-4fb3-b363-3b7fe8e74483"
DATA_ACCESS_ADMINISTRATOR = "8b54135c-b56d-4d72-a534-26097cfdc8d8"
CERTIFICATE_USER = "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
ACCESS_ADMINISTRATOR = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
RBAC_ADMINISTRATOR = "f58310d9-a9f6-439a-9e8d-f62e7b41a168"
IDENTITY_CONTRIBUTOR = "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59"
MONITORING_CONTRIBUTOR = "749f88d5-cbae-40b8-bcfc-e573ddc772fa"

GET_SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
SET_SECRET = "Microsoft.KeyVault/vaults/secrets/setSecret/action"
READ_METADATA = "Microsoft.KeyVault/vaults/secrets/readMetadata/action"


@dataclass(frozen=True)
class Role:
    """One role definition."""

    id: str
    """The GUID alone."""
    name: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    condition: str = ""
    """Holds for every assignment of the role, beside the assignment's own."""
    scopes: tuple[str, ...] = ("/",)
    built_in: bool = True

    def permits(self, action: str) -> bool:
        """Tell whether the role has this action of Resource Manager."""
        return _matches(action, self.actions) and not _matches(action, self.not_actions)

    def permits_data(self, action: str) -> bool:
        """Tell whether the role has this data action."""
        return _matches(action, self.data_actions) and not _matches(action, self.not_data_actions)


def _matches(action: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


_VAULT_SIGHT = (
    "Microsoft.Authorization/*/read",
    "Microsoft.KeyVault/deletedVaults/read",
    "Microsoft.KeyVault/locations/*/read",
    "Microsoft.KeyVault/vaults/*/read",
)
_VAULT_ROLES = f"{VAULT_ADMINISTRATOR}, {CERTIFICATE_USER}, {SECRETS_OFFICER}, {SECRETS_USER}, {VAULT_READER}"
_ONLY_VAULT_ROLES = (
    "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR "
    "(@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {"
    + _VAULT_ROLES
    + "})) AND ((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) OR "
    "(@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {"
    + _VAULT_ROLES
    + "}))"
)

BUILT_IN: tuple[Role, ...] = (
    Role(SECRETS_USER, "Key Vault Secrets User", data_actions=(GET_SECRET, READ_METADATA)),
    Role(
        SECRETS_OFFICER,
        "Key Vault Secrets Officer",
        _VAULT_SIGHT,
        data_actions=("Microsoft.KeyVault/vaults/secrets/*",),
    ),
    Role(
        VAULT_READER, "Key Vault Reader", _VAULT_SIGHT, data_actions=("Microsoft.KeyVault/vaults/*/read", READ_METADATA)
    ),
    Role(VAULT_ADMINISTRATOR, "Key Vault Administrator", _VAULT_SIGHT, data_actions=("Microsoft.KeyVault/vaults/*",)),
    Role(
        DATA_ACCESS_ADMINISTRATOR,
        "Key Vault Data Access Administrator",
        (
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "Microsoft.Authorization/*/read",
            "Microsoft.Resources/subscriptions/read",
            "Microsoft.KeyVault/vaults/*/read",
        ),
        condition=_ONLY_VAULT_ROLES,
    ),
    Role(
        CERTIFICATE_USER,
        "Key Vault Certificate User",
        data_actions=("Microsoft.KeyVault/vaults/certificates/read", GET_SECRET),
    ),
    Role(OWNER, "Owner", ("*",)),
    Role(
        CONTRIBUTOR,
        "Contributor",
        ("*",),
        ("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"),
    ),
    Role(READER, "Reader", ("*/read",)),
    Role(ACCESS_ADMINISTRATOR, "User Access Administrator", ("*/read", "Microsoft.Authorization/*")),
    Role(
        RBAC_ADMINISTRATOR,
        "Role Based Access Control Administrator",
        (
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "*/read",
        ),
    ),
    Role(
        IDENTITY_CONTRIBUTOR,
        "Managed Identity Contributor",
        ("Microsoft.ManagedIdentity/userAssignedIdentities/*", "Microsoft.Authorization/*/read"),
    ),
    Role(
        MONITORING_CONTRIBUTOR,
        "Monitoring Contributor",
        (
            "*/read",
            "Microsoft.Insights/DiagnosticSettings/*",
            "Microsoft.OperationalInsights/workspaces/sharedKeys/action",
        ),
    ),
)
