"""`AirflowSecretBinding`: who may read what, from which store, for how long.

Written by binding authors in their own namespace; read by `airwarden.domain.desired`.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from airwarden.api.binding_rotation import BindingRotation
from airwarden.api.conditions import Status
from airwarden.api.dags import ConnectionParts, DagClaim, EnvironmentReference
from airwarden.api.fields import (
    DURATION,
    Duration,
    Model,
    ObjectName,
    Unique,
    cel_text,
    none_of,
    rule,
    schema,
    seconds,
)
from airwarden.api.metadata import Metadata
from airwarden.api.people import Person
from airwarden.api.references import MAX_NAME, BackendReference
from airwarden.api.texts import AirflowID, FieldName, Key, Moment, MountName, RoleName

MAX_SECRETS = 64
_TTL_ORDER = "ttl must not be longer than maxTTL"
_PLACE = "exactly one of key and dynamic must be given"
_ONLY_CONNECTIONS = "connection may be given for type Connection only"
_MAPPED = "environmentRef and dags must be given together: the one says which Airflow, the other which of its DAGs"
_FIXED = "environmentRef is immutable; make a new binding instead"
_NAME_LENGTH = (
    f"metadata.name must have at most {MAX_NAME} characters: "
    "it becomes a label value, and part of the names of policies and roles in the stores"
)


class SecretType(StrEnum):
    """What Airflow calls the secret; together with the id it names one lookup."""

    CONNECTION = "Connection"
    VARIABLE = "Variable"
    CONFIG = "Config"


class AccountMode(StrEnum):
    """Who owns the service account."""

    MANAGED = "Managed"
    EXTERNAL = "External"


class DeletionPolicy(StrEnum):
    """What becomes of the access when the binding is deleted."""

    DELETE = "Delete"
    ORPHAN = "Orphan"


class DynamicKind(StrEnum):
    """Which credentials of the engine are read: new ones per lease, or those of a static role."""

    DYNAMIC = "Dynamic"
    STATIC = "Static"


class ServiceAccount(Model):
    """The account that the bound DAGs run under. It belongs to this binding alone."""

    name: Annotated[
        ObjectName,
        none_of(
            ("default",),
            "the account default is shared by every pod that names none; name an account of the binding's own",
        ),
    ]
    """Name of the account in the binding's namespace. Immutable: tasks are bound to it."""
    mode: AccountMode = AccountMode.MANAGED
    """Managed: Airwarden creates the account and removes it with the binding. External: the account is somebody
    else's, is never written, and carries the label airwarden.dev/allow-binding with the binding's name. Immutable."""


class DynamicSecret(Model):
    """Credentials that the store makes or rotates itself."""

    engine: MountName
    """Mount of the secrets engine, for example database."""
    role: RoleName
    """Role of the engine. The backend's allow rules give the prefixes a namespace may use."""
    kind: DynamicKind = DynamicKind.DYNAMIC
    """Dynamic reads new credentials with a lease; Static reads those of a static role."""


class SecretItem(Model):
    """One secret, under the id by which Airflow asks for it."""

    type: SecretType
    """Connection, Variable or Config: which of Airflow's lookups this answers."""
    id: AirflowID
    """The Airflow id, for example the conn_id: letters, digits, underscore, dot and dash."""
    backend_ref: BackendReference
    """The store that holds the secret."""
    key: Key | None = None
    """Where the secret lies, in the store's own grammar.

    Vault: the path below the mount, without data/, for example airflow-prod/connections/warehouse.
    """
    dynamic: DynamicSecret | None = None
    """Credentials made by the store, instead of a key."""
    field: FieldName | None = None
    """The one field of the secret that holds the whole value. Default: a Connection takes all fields, others value."""
    connection: ConnectionParts | None = None
    """Of a Connection: parts that are not secret and that the store does not hold, such as the host."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule("has(self.key) != has(self.dynamic)", _PLACE),
            rule("!has(self.connection) || self.type == 'Connection'", _ONLY_CONNECTIONS),
        )
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.key is None) == (self.dynamic is None):
            raise ValueError(_PLACE)
        if self.connection is not None and self.type is not SecretType.CONNECTION:
            raise ValueError(_ONLY_CONNECTIONS)
        return self


class Session(Model):
    """How long one login of a task lasts at the store."""

    ttl: Duration | None = None
    """First lifetime of a login; renewable up to maxTTL. Default: maxTTL."""
    max_ttl: Annotated[Duration | None, Field(alias="maxTTL")] = None
    """Longest lifetime of a login. Default: what the backend's allow rule permits. More is refused."""

    # What is no duration is passed over here: its own rule refuses it, and duration() would only add an error to that.
    model_config = ConfigDict(
        json_schema_extra=schema(
            rule(
                "!has(self.ttl) || !has(self.maxTTL)"
                f" || [self.ttl, self.maxTTL].exists(t, size(t) < 2 || !t.matches({cel_text(DURATION)}))"
                " || duration(self.ttl) <= duration(self.maxTTL)",
                _TTL_ORDER,
            )
        )
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.ttl and self.max_ttl and seconds(self.ttl) > seconds(self.max_ttl):
            raise ValueError(_TTL_ORDER)
        return self


class Access(Model):
    """Limits on the access that the binding gives."""

    not_after: Moment | None = None
    """When all access ends, in UTC. Logins get shorter as it nears; an edit can move it.

    A backend's allow rule may require it and say how far ahead it may lie (maxLifetime).
    """
    session: Session = Session()
    """How long one login of a task lasts at the store."""


class BindingSpec(Model):
    """What is declared."""

    environment_ref: EnvironmentReference | None = None
    """The Airflow whose DAGs run under the account. Immutable. Default: none; the account is all that is made."""
    dags: Annotated[tuple[DagClaim, ...], Field(max_length=16), Unique(("bundle",))] = ()
    """Which of its DAGs. Those that two bindings claim go to neither. Given exactly with environmentRef."""
    service_account: Annotated[
        ServiceAccount,
        Field(
            json_schema_extra=schema(
                rule("self.name == oldSelf.name", "serviceAccount.name is immutable; make a new binding instead"),
                rule("self.mode == oldSelf.mode", "serviceAccount.mode is immutable; make a new binding instead"),
            )
        ),
    ]
    """The Kubernetes account that carries the access."""
    secrets: Annotated[
        tuple[SecretItem, ...],
        Field(min_length=1, max_length=MAX_SECRETS),
        Unique(("type", "id")),
    ]
    """The secrets that the account may read, and nothing else. One entry per type and id."""
    access: Access = Access()
    """Limits on the access."""
    rotation: BindingRotation | None = None
    """Makes an AirflowSecretRotation for each secret with a key. What may be rotated, the backend's allow rules say.

    Items of one key share one. Default: none is made; rotations that others made of these secrets stay theirs.
    """
    people: Annotated[tuple[Person, ...], Field(max_length=4, json_schema_extra=schema(list_type="atomic"))] = ()
    """Groups that may read the binding's own secrets as well, where the backends list them; not in mode Fenced."""
    suspend: bool = False
    """While true nothing is added. What is removed, expires or becomes less allowed still goes at once."""
    deletion_policy: DeletionPolicy = DeletionPolicy.DELETE
    """Delete takes the access away with the binding. Orphan leaves what the backend's allow rules permit to leave."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule("has(self.environmentRef) == (has(self.dags) && size(self.dags) > 0)", _MAPPED),
            rule("has(self.environmentRef) == has(oldSelf.environmentRef)", _FIXED),
            rule(
                "!has(self.environmentRef) || !has(oldSelf.environmentRef)"
                " || self.environmentRef == oldSelf.environmentRef",
                _FIXED,
            ),
        )
    )

    @model_validator(mode="after")
    def _mapped_whole(self) -> Self:
        if (self.environment_ref is None) != (not self.dags):
            raise ValueError(_MAPPED)
        return self


class AirflowSecretBinding(Model):
    """Lets one service account read a list of secrets from the stores that hold them.

    Airwarden turns it into a policy, a role and the account, and removes them with the binding.
    """

    api_version: Literal["airwarden.dev/v1alpha1"] = "airwarden.dev/v1alpha1"
    kind: Literal["AirflowSecretBinding"] = "AirflowSecretBinding"
    metadata: Metadata
    spec: BindingSpec
    """What is declared: an account, and the secrets that it may read."""
    status: Status | None = None
    """What Airwarden last saw and did. Written by Airwarden alone."""

    model_config = ConfigDict(json_schema_extra=schema(rule(f"size(self.metadata.name) <= {MAX_NAME}", _NAME_LENGTH)))

    @model_validator(mode="after")
    def _short_name(self) -> Self:
        if len(self.metadata.name) > MAX_NAME:
            raise ValueError(_NAME_LENGTH)
        return self
