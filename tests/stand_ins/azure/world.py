"""The state behind the stand-in: subscriptions, vaults, identities, role assignments, diagnostic settings.

Changed by the services and by the test's own hand (`stand_in.py`), always under the stand-in's lock. Ids are
compared as Azure does, without regard to case, and shown as they were first written.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from stand_ins.azure.directory import Directory
from stand_ins.azure.history import History
from stand_ins.azure.limits import Buckets, Clock
from stand_ins.azure.messages import Json, Refused
from stand_ins.azure.roles import BUILT_IN, Role


@dataclass(frozen=True)
class Assignment:
    """A role given to a principal at a scope."""

    name: str
    scope: str
    role: str
    """GUID of the role definition."""
    principal: str
    principal_type: str
    description: str | None
    condition: str | None
    condition_version: str | None
    created: float
    updated: float
    created_by: str
    updated_by: str
    effective: float
    """When the data plane has heard of it."""

    @property
    def triple(self) -> tuple[str, str, str]:
        """What no two assignments may share."""
        return self.scope.lower(), self.principal, self.role


@dataclass(frozen=True)
class Credential:
    """A federated credential: whose tokens an identity takes for its own."""

    name: str
    issuer: str
    subject: str
    audiences: tuple[str, ...]
    effective: float
    """When the token endpoint has heard of it."""


@dataclass
class Identity:
    """A user-assigned managed identity."""

    name: str
    subscription: str
    group: str
    location: str
    principal_id: str
    client_id: str
    tags: dict[str, str] = field(default_factory=dict)
    credentials: dict[str, Credential] = field(default_factory=dict)
    """By lower-case name."""
    isolation: str = "None"

    @property
    def id(self) -> str:
        """Resource id."""
        return (
            f"/subscriptions/{self.subscription}/resourcegroups/{self.group}"
            f"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{self.name}"
        )


@dataclass
class Version:
    """One version of a secret."""

    id: str
    value: str = field(repr=False)
    created: float
    enabled: bool = True
    not_before: float | None = None
    expires: float | None = None


@dataclass
class Vault:
    """A key vault."""

    name: str
    subscription: str
    group: str
    location: str
    url: str
    """Where its data plane is, without a slash at the end."""
    rbac: bool = True
    firewalled: bool = False
    public: bool = True
    purge_protection: bool = False
    for_templates: bool = False
    """Whether deployments of templates may take secrets; the stand-in has no deployments, it only shows this."""
    deleted: float | None = None
    """When it was soft-deleted."""
    secrets: dict[str, list[Version]] = field(default_factory=dict)
    """By lower-case name, oldest version first."""

    @property
    def id(self) -> str:
        """Resource id."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/Microsoft.KeyVault/vaults/{self.name}"
        )


@dataclass
class Delays:
    """How long Azure takes until a change is seen, in seconds."""

    assignments: float = 0.0
    """A new role assignment, by the data plane."""
    removals: float = 0.0
    """A removed role assignment, by the data plane; its name is not free again before either."""
    credentials: float = 0.0
    """A federated credential, by the token endpoint."""
    principals: float = 0.0
    """A new object of the directory, by Resource Manager."""
    lists: float = 0.0
    """A write of a role assignment, identity or credential, by Resource Manager's lists."""
    reads: float = 0.0
    """The same, by a GET of the thing itself."""


@dataclass
class Quotas:
    """How much there may be."""

    assignments: int = 4000
    """Role assignments of a subscription."""
    credentials: int = 20
    """Federated credentials of an identity."""
    diagnostics: int = 5
    """Diagnostic settings of a resource."""


class World:
    """All of it."""

    def __init__(self, clock: Clock, tenant: str) -> None:
        self.clock, self.tenant = clock, tenant
        self.directory = Directory()
        self.buckets = Buckets(clock)
        self.delays, self.quotas = Delays(), Quotas()
        self.subscriptions: dict[str, dict[str, str]] = {}
        """Resource groups by lower-case name, by subscription."""
        self.vaults: dict[str, Vault] = {}
        """By lower-case name: it is unique in all of Azure."""
        self.identities: dict[str, Identity] = {}
        """By lower-case resource id."""
        self.attached: list[str] = []
        """Resource ids of the identities that the metadata endpoint gives tokens for, in lower case."""
        self.roles: dict[str, Role] = {role.id: role for role in BUILT_IN}
        self.assignments: dict[str, Assignment] = {}
        """By name: a GUID is unique in the tenant."""
        self.assignment_history, self.identity_history = History(clock), History(clock)
        self.credential_history = History(clock)
        """By lower-case resource id of the identity and name."""
        self.leaving: dict[str, tuple[Assignment, float]] = {}
        """Removed assignments that the data plane has not forgotten yet, and until when."""
        self.diagnostics: dict[str, dict[str, Json]] = {}
        """By lower-case resource id, then by lower-case name. They outlive the resource."""
        self.locks: set[str] = set()
        """Scopes that may not be deleted, in lower case."""
        self.page_size = 100
        self.missing_secret_scopes = True
        """Whether a role may be given on a secret that is not there: what Azure does is not known."""
        self.unknown_principals = True
        """Whether an id that the directory does not know is taken when its type is said: Azure does so, by design."""
        self.old_conflicts = False
        """Whether the conflict of two assignments leaves out which the other one is, as older replies did."""

    def vault_at(self, scope: str) -> Vault | None:
        """Return the vault that this scope is or lies in, deleted or not."""
        parts = scope.strip("/").split("/")
        if len(parts) < 8 or "/".join(parts[4:7]).lower() != "providers/microsoft.keyvault/vaults":
            return None
        vault = self.vaults.get(parts[7].lower())
        return vault if vault and scope_covers(vault.id, scope) else None

    def exists(self, scope: str) -> bool:
        """Tell whether there is such a scope: a subscription, resource group, vault, secret or identity."""
        parts = [part.lower() for part in scope.strip("/").split("/")]
        if not parts[0]:
            return True
        groups = self.subscriptions.get(parts[1]) if parts[0] == "subscriptions" and len(parts) > 1 else None
        if groups is None or (len(parts) > 3 and parts[3] not in groups):
            return False
        if len(parts) in {2, 4}:
            return True
        if parts[4:7] == ["providers", "microsoft.keyvault", "vaults"]:
            return self._vault_scope_exists(scope, parts)
        if parts[4:7] == ["providers", "microsoft.managedidentity", "userassignedidentities"]:
            return scope.lower().rstrip("/") in self.identities
        return False

    def _vault_scope_exists(self, scope: str, parts: list[str]) -> bool:
        vault = self.vault_at(scope)
        if vault is None or vault.deleted is not None:
            return False
        if len(parts) == 8:
            return True
        if len(parts) != 10 or parts[8] != "secrets":
            return False
        return self.missing_secret_scopes or parts[9] in vault.secrets

    def identity_of(self, client_id: str) -> Identity | None:
        """Return the managed identity of this client id."""
        return next((each for each in self.identities.values() if each.client_id == client_id.lower()), None)

    def remove_assignment(self, assignment: Assignment) -> None:
        """Forget an assignment, here at once and on the data plane after its delay."""
        self.assignment_history.note(assignment.name, assignment)
        del self.assignments[assignment.name]
        if self.delays.removals > 0:
            self.leaving[assignment.name] = (assignment, self.clock.now() + self.delays.removals)

    def still_leaving(self) -> list[Assignment]:
        """Return the removed assignments that still act."""
        now = self.clock.now()
        self.leaving = {name: (gone, until) for name, (gone, until) in self.leaving.items() if until > now}
        return [gone for gone, _ in self.leaving.values()]

    def delete_vault(self, name: str) -> None:
        """Soft-delete a vault: its role assignments go with it and do not come back with it."""
        vault = self.vaults[name.lower()]
        vault.deleted = self.clock.now()
        for assignment in list(self.assignments.values()):
            if scope_covers(vault.id, assignment.scope):
                del self.assignments[assignment.name]

    def fresh_guid(self) -> str:
        """Return a GUID."""
        return str(uuid.uuid4())


def scope_covers(upper: str, lower: str) -> bool:
    """Tell whether the one scope is the other or above it."""
    above, below = upper.lower().rstrip("/"), lower.lower().rstrip("/")
    return below == above or below.startswith(f"{above}/")


def subscription_of(scope: str) -> str:
    """Return the subscription of a scope in lower case; empty where it has none."""
    parts = scope.strip("/").split("/")
    return parts[1].lower() if len(parts) > 1 and parts[0].lower() == "subscriptions" else ""


def require_subscription(world: World, scope: str) -> None:
    """Refuse a subscription that is malformed or not there."""
    parts = scope.strip("/").split("/")
    if parts[0].lower() != "subscriptions" or len(parts) < 2:
        return
    if parts[1].lower() in world.subscriptions:
        return
    try:
        uuid.UUID(parts[1])
    except ValueError:
        raise Refused(
            400, "InvalidSubscriptionId", f"The provided subscription identifier '{parts[1]}' is malformed or invalid."
        ) from None
    raise Refused(404, "SubscriptionNotFound", f"The subscription '{parts[1]}' could not be found.")


def require_group(world: World, scope: str) -> None:
    """Refuse a resource group that is not there."""
    parts = scope.strip("/").split("/")
    if (
        len(parts) > 3
        and parts[2].lower() == "resourcegroups"
        and parts[3].lower() not in world.subscriptions.get(parts[1].lower(), {})
    ):
        raise Refused(404, "ResourceGroupNotFound", f"Resource group '{parts[3]}' could not be found.")
