"""How to reach one Azure tenant and log in to it, and where a backend's things are.

Made by `airwarden.providers.azure.opening`; used by everything beside it. Nothing here is secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airwarden.api.azure import AzureLoginMethod, Diagnostics, Scope


@dataclass(frozen=True, slots=True)
class Connection:
    """One tenant, as the backend describes it."""

    backend: str
    """Name of the backend, for messages."""
    tenant: str
    authority: str
    resource_manager: str
    method: AzureLoginMethod
    client_id: str
    file: Path | None
    """What the login needs: a token, a certificate or a secret. Read anew for each login."""
    timeout: float
    """Seconds to wait for a connection, and then for an answer."""
    max_concurrent: int
    per_second: int
    ca_pem: str | None
    """Certificates to trust; None means those of the operating system."""

    @property
    def scope(self) -> str:
        """What tokens are asked for."""
        return f"{self.resource_manager}/.default"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a backend's things are, and what they are made with."""

    cluster: str
    backend: str
    vault_id: str
    """ARM id of the vault, in lower case."""
    subscription: str
    """Of the vault."""
    vault_name: str
    vault_url: str
    """Where tasks read it."""
    role: str
    """GUID of the role that is assigned."""
    scope: Scope
    identity_subscription: str
    identity_group: str
    location: str
    """Region in which identities are made; empty where none are."""
    existing: Mapping[tuple[str, str], str]
    """Name of the identity that was made by others, in lower case as Azure compares it, by namespace and account."""
    issuer: str
    per_namespace: int
    """Role assignments that the bindings of one namespace may have."""
    diagnostics: Diagnostics | None
    list_age: float
    """Seconds that a shared list may be old from which something is written."""
    drift_age: float
    """The same when what is recorded is checked: the interval of the checks, so that all share one list in it."""

    @property
    def side(self) -> str:
        """What a pause that is asked for at the vault, or at what is assigned there, concerns."""
        return f"subscription {self.subscription}"

    @property
    def identity_side(self) -> str:
        """The same of the identities: another service, perhaps in another subscription."""
        return f"Microsoft.ManagedIdentity in subscription {self.identity_subscription}"

    @property
    def identities_scope(self) -> str:
        """ARM id of the resource group of the identities."""
        return f"/subscriptions/{self.identity_subscription}/resourceGroups/{self.identity_group}"

    @property
    def identities_id(self) -> str:
        """ARM id below which the identities are."""
        return (
            f"/subscriptions/{self.identity_subscription}/resourceGroups/{self.identity_group}"
            "/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
        )
