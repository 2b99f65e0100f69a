"""The part of a backend that describes an Azure Key Vault: where it is, how to log in, whose identities tasks use.

Used by `airwarden.api.backend`; read by the Azure provider. No secret stands in any of it: what is secret lies in
files that the operator alone can read, and these name the files.
"""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from airwarden.api.fields import Model, Namespace, ObjectName, Unique, matches, rule, schema
from airwarden.api.texts import FileName
from airwarden.api.tls import CABundleReference

SECRETS_USER: Final = "4633458b-17de-408a-b874-0445c86b69e6"
"""The built-in role Key Vault Secrets User: it reads values of secrets and nothing else."""
_FIXED: Final = (
    "tenantID",
    "issuer",
    "roleID",
    "vault.subscriptionID",
    "vault.resourceGroup",
    "vault.name",
    "identities.subscriptionID",
    "identities.resourceGroup",
)
_PUBLIC: Final = "https://management.azure.com"
_NEEDS_URL: Final = "vault.url must be given for another cloud: without it tasks would ask the public one"
_IMMUTABLE: Final = "tenantID, issuer, roleID, place of vault and identities are immutable; make a new one"

Guid = Annotated[
    str,
    StringConstraints(max_length=36),
    matches(
        r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        "must be a GUID in lower case",
    ),
]
ResourceName = Annotated[
    str,
    StringConstraints(max_length=128),
    matches(r"^[A-Za-z0-9_(][A-Za-z0-9_().-]*$", "must be the name of an Azure resource, without slashes"),
]
VaultName = Annotated[
    str,
    StringConstraints(max_length=24),
    matches(r"^[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$", "must be the name of a key vault, not its URL"),
]
HTTPSAddress = Annotated[
    str,
    StringConstraints(max_length=512),
    matches(r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?$", "must be https:// and a host, perhaps a port, and no path"),
]
Issuer = Annotated[
    str,
    StringConstraints(max_length=600),
    matches(
        r"^https://[A-Za-z0-9._~/:%@-]+$", "must be the https URL of the issuer, exactly as in the cluster's tokens"
    ),
]
ResourceID = Annotated[
    str,
    StringConstraints(max_length=512),
    matches(
        r"^/subscriptions/[A-Za-z0-9_().-]+(/[A-Za-z0-9_().-]+)+$",
        "must be the id of an Azure resource, beginning with /subscriptions/",
    ),
]


class Scope(StrEnum):
    """What one role assignment speaks of."""

    SECRET = "Secret"  # noqa: S105 - a word
    VAULT = "Vault"


class AzureLoginMethod(StrEnum):
    """How the operator logs in to Entra."""

    WORKLOAD_IDENTITY = "WorkloadIdentity"
    MANAGED_IDENTITY = "ManagedIdentity"
    CLIENT_CERTIFICATE = "ClientCertificate"
    CLIENT_SECRET = "ClientSecret"  # noqa: S105 - a word


_NEEDS_FILE: Final = "file must be given for every method but ManagedIdentity"


class AzureLogin(Model):
    """The operator's own login."""

    method: AzureLoginMethod = AzureLoginMethod.WORKLOAD_IDENTITY
    """WorkloadIdentity: a projected token. ManagedIdentity: the node's. Or a certificate or secret from a file."""
    client_id: Annotated[Guid, Field(alias="clientID")]
    """Client id of the operator's identity or application."""
    file: FileName | None = None
    """File of the operator's token directory: the projected token, the PEM certificate with its key, or the secret."""

    model_config = ConfigDict(
        json_schema_extra=schema(rule("(self.method == 'ManagedIdentity') != has(self.file)", _NEEDS_FILE))
    )

    @model_validator(mode="after")
    def _file_given(self) -> Self:
        if (self.method is AzureLoginMethod.MANAGED_IDENTITY) == (self.file is not None):
            raise ValueError(_NEEDS_FILE)
        return self


class KeyVault(Model):
    """Where the vault is."""

    subscription_id: Annotated[Guid, Field(alias="subscriptionID")]
    """Subscription of the vault."""
    resource_group: ResourceName
    """Resource group of the vault."""
    name: VaultName
    """Name of the vault."""
    url: HTTPSAddress | None = None
    """Where tasks read it. Default: https://<name>.vault.azure.net."""


class ExistingIdentity(Model):
    """An identity of one account that others made. Airwarden never deletes it."""

    namespace: Namespace
    """Namespace of the binding."""
    service_account: ObjectName
    """Name of the binding's account."""
    name: ResourceName
    """Name of the user-assigned identity."""


_ONE_ACCOUNT: Final = "an identity can be of one account: two would read each other's secrets"


class Identities(Model):
    """Where the user-assigned identities are by which tasks log in, one a binding."""

    subscription_id: Annotated[Guid, Field(alias="subscriptionID")]
    """Subscription of the identities."""
    resource_group: ResourceName
    """Resource group of the identities; where Airwarden makes them, one for nothing else."""
    location: Annotated[str, StringConstraints(max_length=64), matches("^[a-z0-9]+$", "must be a region")] | None = None
    """Region in which Airwarden makes identities. Default: it makes none."""
    existing: Annotated[
        tuple[ExistingIdentity, ...], Field(max_length=128), Unique(("namespace", "serviceAccount"))
    ] = ()
    """Identities that are there already, by the account that uses them."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule(
                "!has(self.existing) || self.existing.all(x, self.existing.exists_one(y, x.name == y.name))",
                _ONE_ACCOUNT,
            )
        )
    )

    @model_validator(mode="after")
    def _one_account_each(self) -> Self:
        if len({each.name.lower() for each in self.existing}) < len(self.existing):
            raise ValueError(_ONE_ACCOUNT)
        return self


class EventHub(Model):
    """An event hub that gets the log."""

    authorization_rule_id: Annotated[ResourceID, Field(alias="authorizationRuleID")]
    """Authorization rule of its namespace."""
    name: ResourceName
    """Name of the event hub."""


_ONE_SINK: Final = "at least one of workspaceID, storageAccountID and eventHub must be given"


class Diagnostics(Model):
    """Where the vault's audit log goes, for as long as any binding uses the backend."""

    workspace_id: Annotated[ResourceID | None, Field(alias="workspaceID")] = None
    """A Log Analytics workspace."""
    storage_account_id: Annotated[ResourceID | None, Field(alias="storageAccountID")] = None
    """A storage account."""
    event_hub: EventHub | None = None
    """An event hub."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule("has(self.workspaceID) || has(self.storageAccountID) || has(self.eventHub)", _ONE_SINK)
        )
    )

    @model_validator(mode="after")
    def _one_sink(self) -> Self:
        if self.workspace_id is None and self.storage_account_id is None and self.event_hub is None:
            raise ValueError(_ONE_SINK)
        return self


class AzureKeyVault(Model):
    """An Azure Key Vault in RBAC mode."""

    tenant_id: Annotated[Guid, Field(alias="tenantID")]
    """Entra tenant of all of it."""
    vault: KeyVault
    """The vault."""
    identities: Identities
    """The identities by which tasks log in."""
    issuer: Issuer
    """The cluster's issuer of tokens, which Entra must be able to reach."""
    scope: Scope = Scope.SECRET
    """Secret: a role assignment for each secret. Vault: one for the whole vault, with every secret in it."""
    role_id: Annotated[Guid, Field(alias="roleID")] = SECRETS_USER
    """GUID of the role that is assigned. Default: Key Vault Secrets User."""
    assignments_per_namespace: Annotated[int, Field(ge=1, le=4000)] = 400
    """Most role assignments of one namespace. What is there stays."""
    login: AzureLogin
    """How the operator logs in."""
    diagnostics: Diagnostics | None = None
    """Where the vault's AuditEvent log goes. Default: nowhere."""
    ca_bundle_ref: CABundleReference | None = None
    """Certificates to trust, where a proxy or another cloud has its own."""
    authority: HTTPSAddress = "https://login.microsoftonline.com"
    """Entra's address, for another cloud."""
    resource_manager: HTTPSAddress = _PUBLIC
    """Azure Resource Manager's address, for another cloud."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule(" && ".join(f"self.{each} == oldSelf.{each}" for each in _FIXED), _IMMUTABLE),
            rule(f"self.resourceManager == '{_PUBLIC}' || has(self.vault.url)", _NEEDS_URL),
        )
    )

    @model_validator(mode="after")
    def _url_of_another_cloud(self) -> Self:
        if self.resource_manager != _PUBLIC and self.vault.url is None:
            raise ValueError(_NEEDS_URL)
        return self

    @property
    def vault_id(self) -> str:
        """ARM id of the vault, in lower case: Azure tells names apart without regard to case."""
        vault = self.vault
        return (
            f"/subscriptions/{vault.subscription_id}/resourcegroups/{vault.resource_group}"
            f"/providers/microsoft.keyvault/vaults/{vault.name}"
        ).lower()

    @property
    def vault_url(self) -> str:
        """Where tasks read the vault."""
        return self.vault.url or f"https://{self.vault.name}.vault.azure.net"
