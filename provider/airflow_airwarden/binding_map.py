"""The map of one binding: which ids are bound, and where in which store each of them lies.

The operator renders one per binding, the executor mounts it into the binding's pods, and it holds nothing
secret. This module says what the values are; `map_file.py` reads them from the file. The format is described
in docs/reference/binding-map.md and, for machines, in `binding_map.schema.json` beside this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

VERSION = 1
"""Raised with each change that an older provider would misread; a provider reads its own version only."""


class SecretType(StrEnum):
    """Which of Airflow's lookups asks."""

    CONNECTION = "Connection"
    VARIABLE = "Variable"
    CONFIG = "Config"


class UnboundIDs(StrEnum):
    """What becomes of an id that the map does not hold; no store is asked in either case."""

    FALL_THROUGH = "FallThrough"
    """Airflow asks its next source."""
    REFUSE = "Refuse"


class DynamicKind(StrEnum):
    """How an engine's credentials are asked for."""

    DYNAMIC = "Dynamic"
    """New ones with a lease: GET <engine>/creds/<role>."""
    STATIC = "Static"
    """Those of a static role: GET <engine>/static-creds/<role>."""
    UPDATE = "Update"
    """By a call that changes something in the store: POST <engine>/<call>/<role>."""


@dataclass(frozen=True, slots=True)
class Key:
    """A static secret, in the store's own grammar."""

    key: str

    def __str__(self) -> str:
        return self.key


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Credentials that an engine makes."""

    engine: str
    role: str
    kind: DynamicKind
    call: str = ""
    """Of the kind Update alone: what stands between engine and role, for example issue."""
    parameters: tuple[tuple[str, str], ...] = ()
    """Of the kind Update alone: what is sent."""

    def __str__(self) -> str:
        calls = {DynamicKind.DYNAMIC: "creds", DynamicKind.STATIC: "static-creds"}
        return f"{self.engine}/{calls.get(self.kind, self.call)}/{self.role}"


Place = Key | Dynamic


@dataclass(frozen=True, slots=True)
class Secret:
    """One bound id and where it lies."""

    type: SecretType
    id: str
    store: str
    place: Place
    secret_field: str = ""
    """The one field that holds the whole value; empty: the payload's own form decides."""
    connection: tuple[tuple[str, str | int], ...] = ()
    """Parts of a connection that are not secret and that the store does not hold, such as a database's host."""
    connection_fields: tuple[tuple[str, str], ...] = ()
    """Which field of the connection takes which field of the store, where they differ."""


@dataclass(frozen=True, slots=True)
class Login:
    """How a task logs in to Vault with a projected token: Kubernetes and JWT are one call, on mounts of two types."""

    mount: str
    role: str
    token_file: str
    """The projected token; read again at each login, since the kubelet replaces it."""


@dataclass(frozen=True, slots=True)
class AppRoleLogin:
    """How a workload without a projected token logs in; both files are read again at each login."""

    mount: str
    role_id_file: str
    secret_id_file: str


@dataclass(frozen=True, slots=True)
class VaultStore:
    """A Vault, at one address or at several that are tried in order."""

    name: str
    addresses: tuple[str, ...]
    login: Login | AppRoleLogin
    namespace: str = ""
    ca_file: str = ""
    server_name: str = ""
    kv_mount: str = "airflow"
    kv_version: int = 2


@dataclass(frozen=True, slots=True)
class KeyVaultStore:
    """An Azure Key Vault, and the identity that tasks log in to Entra as, with a projected token."""

    name: str
    vault_url: str
    authority: str
    tenant: str
    client: str
    """Client id of the identity."""
    token_file: str
    """The projected token; read again at each login, since the kubelet replaces it."""
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class FileStore:
    """A JSON file of payloads by key, for a developer's machine."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class EnvironmentStore:
    """Environment variables whose names are this prefix and the key, for a developer's machine."""

    name: str
    prefix: str


Store = VaultStore | KeyVaultStore | FileStore | EnvironmentStore


@dataclass(frozen=True, slots=True)
class BindingMap:
    """All that a task may read."""

    binding: str
    """Namespace and name, with a slash between them: it names the binding in messages and audit lines."""
    environment: str
    unbound_ids: UnboundIDs
    cache_ttl: float
    """Seconds for which a static value may be kept in memory; 0: not at all."""
    stores: Mapping[str, Store] = field(default_factory=dict)
    secrets: Mapping[tuple[str, str], Secret] = field(default_factory=dict)
    """By type and id."""
    refused: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Why the binding does not give what it names, by type and id: bound all the same, so no other source is asked."""
