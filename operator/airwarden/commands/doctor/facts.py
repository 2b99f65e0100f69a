"""What the checks judge: the cluster and the stores as the caller may see them. No secret value is among it.

Collected by `cluster` and `stores` beside this module; each part is `Unknown` where the caller may not look.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AccountMode, AirflowSecretBinding
from airwarden.api.environment import AirflowEnvironment
from airwarden.api.metadata import Metadata
from airwarden.api.rotation import AirflowSecretRotation
from airwarden.commands.caller import Listing
from airwarden.domain.logins import Account as AccountName
from airwarden.domain.logins import ForeignLogins
from airwarden.domain.resources import FieldValue
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.seen import Audit, Definition, Given, Named, State
from airwarden.providers.kubernetes.accounts import Account
from airwarden.providers.kubernetes.api import Json


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something could not be looked at; why, or what right it needs."""

    needs: str


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """One RoleBinding or ClusterRoleBinding."""

    object: str
    role: str
    accounts: frozenset[AccountName] = frozenset()
    """Service accounts that it names."""
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class TokenSecret:
    """A Secret that holds a token of an account which never expires. Its value was not read."""

    namespace: str
    name: str
    account: str


@dataclass(frozen=True, slots=True)
class RotationFacts:
    """The operator's login for rotations, as the caller's token may see it."""

    policy_name: str
    policy: str | Unknown | None
    """Text of its policy; None when there is none."""
    role: Mapping[str, FieldValue] | Unknown | None


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """One store as the caller's token may see it."""

    address: str
    logins: ForeignLogins | Unknown
    names: frozenset[str] | Unknown
    """Names of policies and roles under our cluster's prefix, of any backend."""
    audit_devices: int | Unknown
    operator_policy_name: str
    operator_policy: str | Unknown | None
    """Text of the operator's policy; None when there is none."""
    operator_role: Mapping[str, FieldValue] | Unknown | None
    rotation: RotationFacts | None = None
    """None for a backend without a login for rotations."""
    made: Mapping[str, datetime] | Unknown = field(default_factory=dict)
    """When the newest version of each secret was made that was asked for."""


@dataclass(frozen=True, slots=True)
class KeyVaultFacts:
    """One key vault as the caller's login to Azure may see it."""

    place: Place
    uid: str
    """Of the cluster: it stands in each mark."""
    client: str
    """Client id of the operator."""
    state: State | Unknown
    given: tuple[Given, ...] | Unknown
    """Role assignments at the vault, below it and above it."""
    definitions: Mapping[str, Definition] | Unknown
    """Roles by GUID."""
    identities: tuple[Named, ...] | Unknown
    audit: Audit | Unknown
    operator: str | Unknown
    """Object id of the operator's principal."""
    operator_given: tuple[Given, ...] | Unknown
    """What it is given at the resource group of the identities, also as a member of a group."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that was collected."""

    cluster: str
    operator_namespace: str
    namespace: str
    """The only namespace that was asked for; empty for all."""
    bindings: Listing[AirflowSecretBinding]
    backends: Listing[AirflowSecretBackend] | Unknown
    all_backends: frozenset[str] | Unknown
    """Names of all backends, also of those that were not asked for."""
    bound: frozenset[AccountName]
    """Namespace and name of each binding that was there before or after the stores were looked at."""
    namespaces: Mapping[str, Metadata] | Unknown
    accounts: tuple[Account, ...] | Unknown
    token_secrets: tuple[TokenSecret, ...] | Unknown
    role_grants: tuple[RoleGrant, ...] | Unknown
    kinds: Mapping[str, Json | None] | Unknown
    """The CustomResourceDefinitions of ours by file; None for one that is not installed."""
    stores: Mapping[str, StoreFacts | KeyVaultFacts | Unknown] = field(default_factory=dict)
    rotations: Listing[AirflowSecretRotation] | Unknown = field(default_factory=lambda: Listing(()))
    older_than: timedelta | None = None
    """From which age on a secret that nothing rotates is told; None for never."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    environments: Listing[AirflowEnvironment] | Unknown = field(default_factory=lambda: Listing(()))
    named_accounts: Mapping[AccountName, bool | Unknown] = field(default_factory=dict)
    """Whether each account is there that an environment names."""

    @property
    def managed(self) -> frozenset[AccountName]:
        """Every managed account: those that bindings of mode Managed name, and those that carry our labels.

        What an External account may do elsewhere is its owner's matter.
        """
        named = {
            (each.metadata.namespace, each.spec.service_account.name)
            for each in self.bindings.items
            if each.spec.service_account.mode is AccountMode.MANAGED
        }
        labelled = () if isinstance(self.accounts, Unknown) else self.accounts
        return frozenset(named | {(each.namespace, each.name) for each in labelled})
