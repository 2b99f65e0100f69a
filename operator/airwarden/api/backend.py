"""`AirflowSecretBackend`: one store, how to log in to it, and who may be given what from it.

Owned by the platform team; read by `airwarden.domain.guardrails` and the store's provider.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from airwarden.api.azure import AzureKeyVault, Scope
from airwarden.api.binding import AccountMode
from airwarden.api.conditions import Condition, StatusModel
from airwarden.api.database_role import ConnectionName, UserPattern
from airwarden.api.fenced import Fenced
from airwarden.api.fields import Duration, Model, Namespace, Unique, cel_text, rule, schema
from airwarden.api.logins import Login, WorkloadLogin
from airwarden.api.metadata import Metadata
from airwarden.api.people import AdmittedGroup
from airwarden.api.references import MAX_NAME
from airwarden.api.rotating import Rotation, apart_rules, check_apart
from airwarden.api.rotation_job import TemplateName
from airwarden.api.texts import (
    Address,
    KeyPrefix,
    LabelName,
    LabelValue,
    MountName,
    RolePrefix,
    RuleName,
    TaskAddress,
    VaultNamespace,
)
from airwarden.api.tls import TLS, CABundleReference

_SOME_NAMESPACE = "names or selector must be given: a rule for no namespace admits nothing"
_EMPTY_SELECTOR = (
    "an empty selector is refused, since elsewhere in Kubernetes it means every namespace: name at least one label"
)
_VAULT_MISSING = "vault must be given for type Vault, and for no other"
_AZURE_MISSING = "azureKeyVault must be given for type AzureKeyVault, and for no other"
_ROTATES_VAULT = "rotation can be given for type Vault only"
_VAULT_PREFIX = "each of allow[].keyPrefixes must end with a slash for type Vault"
_AZURE_PREFIX = (
    "each of allow[].keyPrefixes must be lower-case letters, digits and dashes and end with a dash for type "
    "AzureKeyVault: a namespace may hold a dash too, so {namespace} says nothing there"
)
_FENCED_MISSING = "vault.fenced must be given with mode Fenced, and only then"
_FENCED_BY_KUBERNETES = (
    "mode Fenced needs workloadLogin.method Kubernetes: "
    "only that method tells Vault the namespace of an account, by which the admin's policy fences it"
)
_MAKE_NEW = "is immutable; make a new backend instead"
_OWN_APP_ROLE = (
    "login.appRole.mount must differ from workloadLogin.appRole.mount: "
    "the operator may write every role there, and must not be able to rewrite its own"
)

_NAME = (
    f"metadata.name must have at most {MAX_NAME} characters and no dot: "
    "it is the last part of the names of policies and roles in the stores"
)


class BackendType(StrEnum):
    """Which system the backend is. A type stands here when it works, not before."""

    VAULT = "Vault"
    AZURE_KEY_VAULT = "AzureKeyVault"


class Operation(StrEnum):
    """What a namespace may have done to its keys."""

    READ = "Read"
    ROTATE_GENERATE = "RotateGenerate"
    ROTATE_NATIVE = "RotateNative"
    ROTATE_JOB = "RotateJob"
    ROTATE_REVOKE = "RotateRevoke"


class KV(Model):
    """The key-value engine that holds static secrets."""

    mount: MountName
    """Mount of the engine."""
    version: Literal[1, 2] = 2
    """Version of the engine."""


class VaultBackend(Model):
    """A HashiCorp Vault."""

    address: Address
    """URL without path, for example https://vault.example:8200."""
    workload_addresses: Annotated[
        tuple[TaskAddress, ...], Field(max_length=8, json_schema_extra=schema(list_type="atomic"))
    ] = ()
    """Where tasks reach this Vault, tried in order. Default: address."""
    namespace: VaultNamespace = ""
    """Vault Enterprise namespace. Immutable."""
    mode: Literal["Roles", "Fenced"] = "Roles"
    """Roles: one ACL policy and one auth role per binding. Fenced: metadata of the account's alias, and no policy."""
    fenced: Fenced | None = None
    """Settings of mode Fenced; given exactly then."""
    tls: TLS = TLS()
    """How Vault's certificate is checked."""
    login: Login
    """How the operator logs in."""
    kv: KV
    """The key-value engine. Its mount is immutable."""
    workload_login: WorkloadLogin
    """How tasks log in. Method and mount are immutable."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule("self.kv.mount == oldSelf.kv.mount", f"vault.kv.mount {_MAKE_NEW}"),
            rule(
                "self.workloadLogin.method == oldSelf.workloadLogin.method",
                f"vault.workloadLogin.method {_MAKE_NEW}, and move the bindings to it",
            ),
            rule(
                "!has(self.login.appRole) || !has(self.workloadLogin.appRole)"
                " || self.login.appRole.mount != self.workloadLogin.appRole.mount",
                _OWN_APP_ROLE,
            ),
            rule(
                "(has(self.__namespace__) ? self.__namespace__ : '') == "
                "(has(oldSelf.__namespace__) ? oldSelf.__namespace__ : '')",
                f"vault.namespace {_MAKE_NEW}",
            ),
            rule("(self.mode == 'Fenced') == has(self.fenced)", _FENCED_MISSING),
            rule("self.mode != 'Fenced' || self.workloadLogin.method == 'Kubernetes'", _FENCED_BY_KUBERNETES),
        )
    )

    @model_validator(mode="after")
    def _settings_of_mode(self) -> Self:
        if (self.mode == "Fenced") != (self.fenced is not None):
            raise ValueError(_FENCED_MISSING)
        if self.fenced is not None and self.workload_login.kubernetes is None:
            raise ValueError(_FENCED_BY_KUBERNETES)
        return self

    @model_validator(mode="after")
    def _own_mount(self) -> Self:
        own, tasks = self.login.app_role, self.workload_login.app_role
        if own is not None and tasks is not None and own.mount == tasks.mount:
            raise ValueError(_OWN_APP_ROLE)
        return self


class Requests(Model):
    """How hard the operator may press the store."""

    timeout: Duration | None = None
    """Longest wait for one answer. Default: the store's own; Vault: 5s."""
    max_concurrent: Annotated[int | None, Field(ge=1, le=64)] = None
    """Requests under way at once. Default: the store's own; Vault: 16."""
    per_second: Annotated[int | None, Field(ge=1, le=5000)] = None
    """Requests a second, over all bindings. Default: the store's own; Vault: 500."""


class LabelSelector(Model):
    """Namespaces by label. An empty selector is refused: elsewhere it means all."""

    match_labels: Annotated[
        dict[LabelName, LabelValue],
        Field(max_length=8, default_factory=dict),
    ]
    """Labels that the namespace must all carry; at least one."""

    model_config = ConfigDict(
        json_schema_extra=schema(rule("has(self.matchLabels) && size(self.matchLabels) > 0", _EMPTY_SELECTOR))
    )

    @model_validator(mode="after")
    def _labels_given(self) -> Self:
        if not self.match_labels:
            raise ValueError(_EMPTY_SELECTOR)
        return self


class Namespaces(Model):
    """Which namespaces a rule speaks of: by name or by label, either matches."""

    names: Annotated[tuple[Namespace, ...], Field(max_length=64), Unique()] = ()
    """Names of namespaces."""
    selector: LabelSelector | None = None
    """Labels of namespaces."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule("(has(self.names) && size(self.names) > 0) || has(self.selector)", _SOME_NAMESPACE)
        )
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.names and self.selector is None:
            raise ValueError(_SOME_NAMESPACE)
        return self


class DynamicRule(Model):
    """Which roles of one secrets engine a namespace may read or have rotated."""

    engine: MountName
    """Mount of the secrets engine."""
    role_prefixes: Annotated[tuple[RolePrefix, ...], Field(min_length=1, max_length=8), Unique()]
    """Prefixes of role names, each ending with a dot: {namespace}. or a literal one, or both."""
    connections: Annotated[tuple[ConnectionName, ...], Field(max_length=8), Unique()] = ()
    """Connections for which rotations may declare static roles. Default: none."""
    usernames: Annotated[tuple[UserPattern, ...], Field(max_length=8), Unique()] = ()
    """Database users that they may declare, exact or with a trailing *. Default: none."""
    roots: Annotated[tuple[ConnectionName, ...], Field(max_length=4), Unique()] = ()
    """Connections whose own user may be rotated. Default: none."""


class SessionRule(Model):
    """Limits on the logins of tasks."""

    max_ttl: Annotated[Duration, Field(alias="maxTTL")] = "1h"
    """Longest login that a binding may ask for."""
    required: bool = True
    """Refuse where the store cannot keep to the limit."""


class AllowRule(Model):
    """What some namespaces may be given. A secret needs one rule that admits it wholly."""

    name: RuleName
    """Name of the rule, shown where it admits or refuses."""
    namespaces: Namespaces
    """Which namespaces the rule speaks of."""
    key_prefixes: Annotated[tuple[KeyPrefix, ...], Field(max_length=8), Unique()] = ()
    """Prefixes of keys, each ending with the store's separator. Vault: a slash, and {namespace} may stand as the whole
    first segment. AzureKeyVault: a dash, and no {namespace}."""
    dynamic: Annotated[tuple[DynamicRule, ...], Field(max_length=8), Unique(("engine",))] = ()
    """Roles of secrets engines."""
    operations: Annotated[tuple[Operation, ...], Field(min_length=1, max_length=8), Unique()] = (Operation.READ,)
    """What may be done: Read; RotateGenerate, RotateNative, RotateJob, RotateRevoke: rotations of that strategy run."""
    job_templates: Annotated[tuple[TemplateName, ...], Field(max_length=16), Unique()] = ()
    """Which templates of the rotation namespace rotations of strategy Job may run; none without them."""
    service_accounts: Annotated[tuple[AccountMode, ...], Field(min_length=1, max_length=4), Unique()] = (
        AccountMode.MANAGED,
    )
    """Which kinds of accounts may carry the access: Managed, External."""
    session: SessionRule = SessionRule()
    """Limits on the logins of tasks."""
    max_lifetime: Duration | None = None
    """How far ahead access.notAfter may lie; then it must be given. Default: access need not end."""
    orphan: bool = False
    """Whether bindings may ask for deletionPolicy Orphan: access that stays when they go. Not for access that ends."""


class DriftPolicy(StrEnum):
    """What becomes of something that was changed in the store from outside."""

    CORRECT = "Correct"
    REPORT = "Report"


class AdoptPolicy(StrEnum):
    """What becomes of an object without a mark that stands in the store under a binding's name."""

    NEVER = "Never"
    IF_IDENTICAL = "IfIdentical"


class Drift(Model):
    """How often the store is compared with the bindings, and what becomes of a difference."""

    policy: DriftPolicy = DriftPolicy.CORRECT
    """Correct sets right what was changed from outside. Report leaves it, and the binding is not Ready meanwhile.

    What is declared acts under both: edits, tightened rules and deletions.
    """
    interval: Duration | None = None
    """Time between two checks of one binding, spread over the interval. Default: the store's own; Vault: 10m."""


_SLASHED = "p.endsWith('/')"
_DASHED = "^[0-9a-z][0-9a-z-]*-$"


def _all_prefixes(test: str) -> str:
    return f"!has(self.allow) || self.allow.all(r, !has(r.keyPrefixes) || r.keyPrefixes.all(p, {test}))"


class BackendSpec(Model):
    """A store, how to log in, and the guardrails."""

    type: Annotated[
        BackendType,
        Field(json_schema_extra=schema(rule("self == oldSelf", f"type {_MAKE_NEW}"))),
    ]
    """Which system the store is. Immutable."""
    vault: VaultBackend | None = None
    """Settings of a Vault."""
    azure_key_vault: AzureKeyVault | None = None
    """Settings of an Azure Key Vault."""
    requests: Requests = Requests()
    """How hard the operator may press the store."""
    allow: Annotated[tuple[AllowRule, ...], Field(max_length=32), Unique(("name",))] = ()
    """The guardrails. What no rule admits is refused; without rules that is everything."""
    groups: Annotated[tuple[AdmittedGroup, ...], Field(max_length=64), Unique(("provider", "value"))] = ()
    """Groups that bindings may let read (people). Default: none."""
    adopt: AdoptPolicy = AdoptPolicy.NEVER
    """What becomes of an object without a mark under a binding's name.

    Never: it is a conflict. IfIdentical: it becomes the binding's when it is what would be written but for the mark;
    it is released with the binding, not deleted.
    """
    drift: Drift = Drift()
    """How often the store is compared with the bindings, and what becomes of a difference."""
    rotation: Rotation | None = None
    """Lets rotations write new values, with a login of their own. Default: nothing in this store is rotated."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule("(self.type == 'Vault') == has(self.vault)", _VAULT_MISSING),
            rule("(self.type == 'AzureKeyVault') == has(self.azureKeyVault)", _AZURE_MISSING),
            rule("!has(self.rotation) || self.type == 'Vault'", _ROTATES_VAULT),
            rule(f"self.type != 'Vault' || {_all_prefixes(_SLASHED)}", _VAULT_PREFIX),
            rule(f"self.type != 'AzureKeyVault' || {_all_prefixes(f'p.matches({cel_text(_DASHED)})')}", _AZURE_PREFIX),
            *apart_rules(),
        )
    )

    @model_validator(mode="after")
    def _settings_of_type(self) -> Self:
        if (self.type is BackendType.VAULT) != (self.vault is not None):
            raise ValueError(_VAULT_MISSING)
        if (self.type is BackendType.AZURE_KEY_VAULT) != (self.azure_key_vault is not None):
            raise ValueError(_AZURE_MISSING)
        if self.rotation is not None and self.vault is None:
            raise ValueError(_ROTATES_VAULT)
        return self

    @model_validator(mode="after")
    def _prefixes_of_type(self) -> Self:
        prefixes = [prefix for each in self.allow for prefix in each.key_prefixes]
        if self.vault is not None and not all(each.endswith("/") for each in prefixes):
            raise ValueError(_VAULT_PREFIX)
        if self.vault is None and not all(re.fullmatch(_DASHED.strip("^$"), each) for each in prefixes):
            raise ValueError(_AZURE_PREFIX)
        return self

    @property
    def store(self) -> VaultBackend | AzureKeyVault:
        """The settings of the store, whichever type it has."""
        found = self.vault or self.azure_key_vault
        if found is None:
            raise ValueError(_VAULT_MISSING)
        return found

    @property
    def known_groups(self) -> Mapping[tuple[str, str], str]:
        """Provider and value of each admitted group, and what the store knows it by; empty where nothing says."""
        vault = self.type is BackendType.VAULT
        return {
            (each.provider, each.value): (each.vault_group_id or "") if vault else each.value for each in self.groups
        }

    @property
    def grants_keys(self) -> bool:
        """Whether the store gives each key by itself, and not all that it holds at once."""
        return self.azure_key_vault is None or self.azure_key_vault.scope is Scope.SECRET

    @property
    def ca_bundle_ref(self) -> CABundleReference | None:
        """Where the certificates are that the store's is checked against; None for those of the image."""
        if self.azure_key_vault is not None:
            return self.azure_key_vault.ca_bundle_ref
        return self.vault.tls.ca_bundle_ref if self.vault is not None else None

    @model_validator(mode="after")
    def _rotation_apart(self) -> Self:
        if self.vault is not None and self.rotation is not None:
            check_apart(self.rotation, self.vault.login, self.vault.workload_login)
        return self


class StoreIdentity(StatusModel):
    """Which store answered."""

    id: Annotated[str, Field(max_length=256)] = ""
    """The store's own id; Vault: its cluster_id."""
    version: Annotated[str, Field(max_length=64)] = ""
    """Version that the store reports."""


class BindingCounts(StatusModel):
    """How many bindings use the backend."""

    total: int = 0
    """Bindings that name the backend or still hold something in it."""
    ready: int = 0
    """Those of them that are Ready."""
    orphans: int = 0
    """Names in the store that no binding owns."""


class Orphan(StatusModel):
    """What a binding left in the store that is there no more, or no longer uses the backend."""

    name: Annotated[str, Field(max_length=576)]
    """Namespace and name of the binding, as namespace/name; where one account has it, as namespace/name/account."""
    first_seen: Annotated[str, Field(max_length=64)]
    """When a sweep first saw it, RFC 3339. The grace counts from then."""


class BackendStatus(StatusModel):
    """What Airwarden last saw of the store."""

    observed_generation: int = 0
    """Generation of the spec that the status speaks of."""
    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=16, json_schema_extra=schema(list_type="map", list_map_keys=["type"]))
    ] = ()
    """Ready, Reachable, Authorized, Swept; while they apply Reconciling, Stalled, ClockSkew and ForeignRoles."""
    store: StoreIdentity = StoreIdentity()
    """Which store answered."""
    capabilities: Annotated[
        tuple[Annotated[str, Field(max_length=64)], ...],
        Field(max_length=16, json_schema_extra=schema(list_type="set")),
    ] = ()
    """What the store can do here: Static, Dynamic, SessionTTL; where its admin lets the operator look, ForeignRoleScan,
    in mode Fenced Sweep, and SweepFormer for what the other mode left."""
    missing_permissions: Annotated[
        tuple[Annotated[str, Field(max_length=512)], ...],
        Field(max_length=32, json_schema_extra=schema(list_type="set")),
    ] = ()
    """Paths on which the operator's login lacks rights, with the capabilities that lack."""
    bindings: BindingCounts = BindingCounts()
    """How many bindings use the backend."""
    orphans: Annotated[
        tuple[Orphan, ...],
        Field(max_length=64, json_schema_extra=schema(list_type="atomic")),
    ] = ()
    """What in the store has no binding, the oldest first; bindings.orphans counts them all."""

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of that type, or None."""
        return next((each for each in self.conditions if each.type == kind), None)


class AirflowSecretBackend(Model):
    """A secret store, how Airwarden logs in to it, and which namespaces may be given what.

    Owned by the platform team. What no allow rule admits is refused.
    """

    api_version: Literal["airwarden.dev/v1alpha1"] = "airwarden.dev/v1alpha1"
    kind: Literal["AirflowSecretBackend"] = "AirflowSecretBackend"
    metadata: Metadata
    spec: BackendSpec
    """What is declared: a store, how to log in to it, and the guardrails."""
    status: BackendStatus | None = None
    """What Airwarden last saw of the store. Written by Airwarden alone."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule(f"size(self.metadata.name) <= {MAX_NAME} && !self.metadata.name.contains('.')", _NAME)
        )
    )

    @model_validator(mode="after")
    def _plain_name(self) -> Self:
        if len(self.metadata.name) > MAX_NAME or "." in self.metadata.name:
            raise ValueError(_NAME)
        return self
