"""`AirflowSecretBinding`: who may read what, from which store, for how long.

Written by binding authors in their own namespace; read by `airwarden.domain.desired`.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from airwarden.api.conditions import Status
from airwarden.api.fields import (
    AIRFLOW_ID,
    KEY,
    MOUNT,
    ROLE,
    Duration,
    Model,
    ObjectName,
    rule,
    schema,
    seconds,
)
from airwarden.api.metadata import Metadata

MAX_SECRETS = 64


class SecretType(StrEnum):
    """What Airflow calls the secret; together with the id it names one lookup."""

    CONNECTION = "Connection"
    VARIABLE = "Variable"
    CONFIG = "Config"


class AccountMode(StrEnum):
    """Who owns the service account."""

    MANAGED = "Managed"


class DynamicKind(StrEnum):
    """Which credentials of the engine are read: new ones per lease, or those of a static role."""

    DYNAMIC = "Dynamic"
    STATIC = "Static"


class BackendReference(Model):
    """Names an AirflowSecretBackend."""

    name: ObjectName
    """Name of the cluster-scoped AirflowSecretBackend."""


class ServiceAccount(Model):
    """The account that the bound DAGs run under. It belongs to this binding alone."""

    name: ObjectName
    """Name of the account in the binding's namespace. Immutable: tasks are bound to it."""
    mode: AccountMode = AccountMode.MANAGED
    """Managed: Airwarden creates the account and removes it with the binding."""


class DynamicSecret(Model):
    """Credentials that the store makes or rotates itself."""

    engine: Annotated[str, StringConstraints(pattern=MOUNT, min_length=1, max_length=128)]
    """Mount of the secrets engine, for example database."""
    role: Annotated[str, StringConstraints(pattern=ROLE, min_length=1, max_length=256)]
    """Role of the engine. The backend's allow rules give the prefixes a namespace may use."""
    kind: DynamicKind = DynamicKind.DYNAMIC
    """Dynamic reads new credentials with a lease; Static reads those of a static role."""


class SecretItem(Model):
    """One secret, under the id by which Airflow asks for it."""

    type: SecretType
    """Connection, Variable or Config: which of Airflow's lookups this answers."""
    id: Annotated[str, StringConstraints(pattern=AIRFLOW_ID, min_length=1, max_length=250)]
    """The Airflow id, for example the conn_id: letters, digits, underscore, dot and dash."""
    backend_ref: BackendReference
    """The store that holds the secret."""
    key: Annotated[str, StringConstraints(pattern=KEY, min_length=1, max_length=512)] | None = None
    """Where the secret lies, in the store's own grammar. Vault: the path below the mount, without data/."""
    dynamic: DynamicSecret | None = None
    """Credentials made by the store, instead of a key."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule("has(self.key) != has(self.dynamic)", "exactly one of key and dynamic must be given"),
            rule(
                "!has(self.key) || !self.key.split('/').exists(s, s == '.' || s == '..')",
                "key must not have . or .. as a segment",
                fieldPath=".key",
            ),
        )
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.key is None) == (self.dynamic is None):
            raise ValueError("exactly one of key and dynamic must be given")
        if self.key is not None and {".", ".."} & set(self.key.split("/")):
            raise ValueError("key must not have . or .. as a segment")
        return self


class Session(Model):
    """How long one login of a task lasts at the store."""

    ttl: Duration | None = None
    """First lifetime of a login; renewable up to maxTTL. Default: maxTTL."""
    max_ttl: Annotated[Duration | None, Field(alias="maxTTL")] = None
    """Longest lifetime of a login. Default: what the backend's allow rule permits. More is refused."""

    model_config = ConfigDict(
        json_schema_extra=schema(
            rule(
                "!has(self.ttl) || !has(self.maxTTL) || duration(self.ttl) <= duration(self.maxTTL)",
                "ttl must not be longer than maxTTL",
            )
        )
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.ttl and self.max_ttl and seconds(self.ttl) > seconds(self.max_ttl):
            raise ValueError("ttl must not be longer than maxTTL")
        return self


class Access(Model):
    """Limits on the access that the binding gives."""

    session: Session = Session()
    """How long one login of a task lasts at the store."""


class BindingSpec(Model):
    """What is declared."""

    service_account: Annotated[
        ServiceAccount,
        Field(
            json_schema_extra=schema(
                rule("self.name == oldSelf.name", "serviceAccount.name is immutable; make a new binding instead")
            )
        ),
    ]
    """The Kubernetes account that carries the access."""
    secrets: Annotated[
        tuple[SecretItem, ...],
        Field(
            min_length=1,
            max_length=MAX_SECRETS,
            json_schema_extra=schema(list_type="map", list_map_keys=["type", "id"]),
        ),
    ]
    """The secrets that the account may read, and nothing else. One entry per type and id."""
    access: Access = Access()
    """Limits on the access."""

    @model_validator(mode="after")
    def _unique(self) -> Self:
        seen = [(item.type, item.id) for item in self.secrets]
        if len(set(seen)) != len(seen):
            raise ValueError("each type and id may stand once in secrets")
        return self


class AirflowSecretBinding(Model):
    """Lets one service account read a list of secrets from the stores that hold them.

    Airwarden turns it into a policy, a role and the account, and removes them with the binding.
    """

    api_version: Literal["airwarden.dev/v1alpha1"] = "airwarden.dev/v1alpha1"
    kind: Literal["AirflowSecretBinding"] = "AirflowSecretBinding"
    metadata: Metadata
    spec: BindingSpec
    status: Status | None = None
