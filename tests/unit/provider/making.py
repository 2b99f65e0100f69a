"""Builds maps, whole and broken, places and readers for the provider's tests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_airwarden.binding_map import Dynamic, DynamicKind, Key, Place, Secret, SecretType
from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.ports import Ended, Reading, no_end

VAULT: dict[str, Any] = {
    "type": "Vault",
    "addresses": ["https://vault.example:8200"],
    "kv": {"mount": "airflow", "version": 2},
    "login": {"method": "Kubernetes", "mount": "kubernetes", "role": "billing", "tokenFile": "/var/run/token"},
}
APP_ROLE: dict[str, Any] = {"method": "AppRole", "roleIDFile": "/run/role-id", "secretIDFile": "/run/secret-id"}
KEY_VAULT: dict[str, Any] = {
    "type": "AzureKeyVault",
    "vaultURL": "https://kv.vault.azure.net",
    "authority": "https://login.microsoftonline.com",
    "tenantID": "11111111-2222-3333-4444-555555555555",
    "login": {
        "method": "WorkloadIdentity",
        "clientID": "AAAAAAAA-bbbb-cccc-dddd-eeeeeeeeeeee",
        "tokenFile": "/var/run/secrets/airwarden/kv/token",
    },
}
WAREHOUSE: dict[str, Any] = {
    "type": "Connection",
    "id": "warehouse",
    "store": "vault",
    "key": "airflow-prod/connections/warehouse",
}


Change = Callable[[dict[str, Any]], object]


def map_body(**changes: Any) -> dict[str, Any]:
    """A whole map with one store and one connection."""
    return {
        "version": 1,
        "binding": "airflow-prod/billing",
        "environment": "airflow/main",
        "unboundIDs": "FallThrough",
        "cacheTTLSeconds": 60,
        "stores": {"vault": VAULT},
        "secrets": [WAREHOUSE],
        **changes,
    }


def write_map(folder: Path, **changes: Any) -> Path:
    """The same in a file, put in its place in one step as the kubelet does."""
    path = folder / "binding.json"
    new = folder / f"new-{time.monotonic_ns()}"
    new.write_text(json.dumps(map_body(**changes)))
    new.rename(path)
    return path


def static(kind: str = "Connection", *, secret_field: str = "", **more: Any) -> Secret:
    return Secret(SecretType(kind), "warehouse", "vault", Key("a/b"), secret_field, **more)


def dynamic(kind: str = "Connection", **more: Any) -> Secret:
    return Secret(SecretType(kind), "reporting", "vault", Dynamic("database", "r", DynamicKind.DYNAMIC), **more)


@dataclass
class PlainReader:
    """A reader whose store is a mapping, and which counts."""

    values: Mapping[str, Mapping[str, object]]
    reads: list[str] = field(default_factory=list)
    closed: int = 0
    lease: str = ""
    good_until: Callable[[], float] = no_end
    hold: threading.Event | None = None
    reached: threading.Event = field(default_factory=threading.Event)

    def read(self, place: Place, correlation: str, deadline: float) -> Reading:
        self.reads.append(str(place))
        self.reached.set()
        if self.hold is not None:
            assert self.hold.wait(30)
        if str(place) not in self.values:
            raise LookupRefused(Reason.SECRET_ABSENT, f"nothing at {place}", "Write it")
        return Reading(self.values[str(place)], "7", self.lease, "request-1", "here", self.good_until)

    def identity(self) -> Mapping[str, str]:
        return {"namespace": "airflow-prod", "serviceAccount": "billing", "pod": "billing-1"}

    def maintain(self) -> float:
        return no_end()

    def close(self) -> list[Ended]:
        self.closed += 1
        return [Ended("vault", 1, "Revoked")]

    def counts(self) -> Mapping[str, int]:
        return {"requests": 1}


def change(path: str, value: object) -> Change:
    """A change of one place of the map; the value ... takes it away."""

    def act(body: dict[str, Any]) -> None:
        *way, last = path.split(".")
        part: Any = body
        for step in way:
            part = part[int(step)] if step.isdecimal() else part[step]
        if value is ...:
            del part[last]
        else:
            part[last] = value

    return act


def _login(**changes: str) -> dict[str, Any]:
    return {**KEY_VAULT, "login": {**KEY_VAULT["login"], **changes}}


WHOLE: list[dict[str, Any]] = [
    map_body(),
    {"version": 1, "binding": "ns/b", "secrets": []},
    map_body(secrets=[{**WAREHOUSE, "field": "uri", "connection": {"host": "db", "port": 5432}}]),
    map_body(secrets=[{**WAREHOUSE, "connectionFields": {"login": "user"}}]),
    map_body(stores={"vault": {**VAULT, "namespace": "team/airflow", "tls": {"caFile": "/ca.crt", "serverName": "v"}}}),
    map_body(stores={"vault": {**VAULT, "login": APP_ROLE}}),
    map_body(stores={"vault": {**VAULT, "login": {**APP_ROLE, "mount": "tasks-approle"}}}),
    map_body(stores={"vault": KEY_VAULT}, secrets=[{**WAREHOUSE, "key": "airflow-Warehouse-1"}]),
    map_body(
        stores={
            "vault": {
                **KEY_VAULT,
                "vaultURL": "https://localhost:1234",
                "tls": {"caFile": "/ca.pem"},
                "login": {key: text for key, text in KEY_VAULT["login"].items() if key != "method"},
            }
        },
        secrets=[],
    ),
    map_body(
        secrets=[
            {"type": "Connection", "id": "a", "store": "vault", "dynamic": {"engine": "db", "role": "ns.r"}},
            {
                "type": "Variable",
                "id": "b",
                "store": "vault",
                "dynamic": {"engine": "d", "role": "r", "kind": "Static"},
            },
            {
                "type": "Config",
                "id": "c",
                "store": "vault",
                "dynamic": {"engine": "p", "role": "r", "kind": "Update", "call": "issue", "parameters": {"a": "b"}},
            },
        ]
    ),
    map_body(refused=[{"type": "Connection", "id": "ledger", "reason": "KeyNotAllowed"}]),
    map_body(
        stores={"vault": {"type": "File", "path": "/x.json"}, "env": {"type": "Environment", "prefix": "DEV_"}},
    ),
]
"""Maps that are taken."""
FAULTS: list[tuple[str, Any, str]] = [
    ("binding", ..., "binding: it is missing"),
    ("binding", "../x", "binding: it has characters"),
    ("unboundIDs", "Allow", "unboundIDs: it is none of the known ones"),
    ("cacheTTLSeconds", -1, "cacheTTLSeconds: it is not between 0 and 3600"),
    ("cacheTTLSeconds", True, "cacheTTLSeconds: it is no int"),
    ("extra", 1, "extra: this version of the provider does not know it"),
    ("secrets", ..., "secrets: it is missing"),
    ("secrets", ["x"], "secrets[0]: it is no object"),
    ("secrets", [WAREHOUSE, WAREHOUSE], "secrets[1]: its type and id stand there twice"),
    ("refused", [{"type": "Variable", "id": "x"}], "refused[0].reason: it is missing"),
    ("refused", [{"type": "Variable", "id": "x", "reason": "a b"}], "refused[0].reason: it has characters"),
    ("refused", [{"type": "Variable", "id": "x/y", "reason": "A"}], "refused[0].id: it has characters"),
    ("refused", [{"type": "Secret", "id": "x", "reason": "A"}], "refused[0].type: it is none of the known ones"),
    ("refused", ["x"], "refused[0]: it is no object"),
    ("refused", [{"type": "Connection", "id": "warehouse", "reason": "A"}], "refused[0]: its type and id stand there"),
    ("refused", [{"type": "Config", "id": "x", "reason": "A", "y": 1}], "refused[0].y: this version of the provider"),
    ("secrets.0.type", "Secret", "secrets[0].type: it is none of the known ones"),
    ("secrets.0.id", "a/b", "secrets[0].id: it has characters"),
    ("secrets.0.id", "..", "secrets[0].id: it has characters"),
    ("secrets.0.store", "other", "secrets[0].store: no store of the map has this name"),
    ("secrets.0.key", ..., "secrets[0].key: exactly one of key and dynamic"),
    ("secrets.0.dynamic", {"engine": "d", "role": "r"}, "secrets[0].key: exactly one of key and dynamic"),
    ("secrets.0.key", "a/../b", "secrets[0].key: it has characters"),
    ("secrets.0.key", "a//b", "secrets[0].key: it has characters"),
    ("secrets.0.key", "a?version=1", "secrets[0].key: it has characters"),
    ("secrets.0.key", "a%2e%2e/b", "secrets[0].key: it has characters"),
    ("secrets.0.team", "x", "secrets[0].team: this version of the provider does not know it"),
    ("secrets.0.connection", {"password": "x"}, "secrets[0].connection.password: it is not known there"),
    ("secrets.0.connectionFields", {"user": "username"}, "secrets[0].connectionFields.user: it is not known there"),
    ("stores.vault.type", "Conjur", "stores.vault.type: this version of the provider has no reader for it"),
    ("stores.vault.addresses", [], "stores.vault.addresses: each must be"),
    ("stores.vault.addresses", ["https://user@vault"], "stores.vault.addresses: each must be"),
    ("stores.vault.addresses", ["https://vault/path"], "stores.vault.addresses: each must be"),
    ("stores.vault.login.method", "Token", "stores.vault.login.method: it is none of Kubernetes, JWT and AppRole"),
    ("stores.vault.login", {**APP_ROLE, "role": "r"}, "stores.vault.login.role: this version of the provider does not"),
    ("stores.vault.login", {**APP_ROLE, "secretIDFile": "secret-id"}, "stores.vault.login.secretIDFile: it is no abs"),
    ("stores.vault.login", {"method": "AppRole", "roleIDFile": "/r"}, "stores.vault.login.secretIDFile: it is missing"),
    ("stores.vault.login.secretIDFile", "/s", "stores.vault.login.secretIDFile: this version of the provider does not"),
    ("stores.vault.login.tokenFile", "token", "stores.vault.login.tokenFile: it is no absolute path"),
    ("stores.vault.login.role", ..., "stores.vault.login.role: it is missing"),
    ("stores.vault.kv.version", 3, "stores.vault.kv.version: it is neither 1 nor 2"),
    ("stores.vault.token", "x", "stores.vault.token: this version of the provider does not know it"),
    ("stores.vault", KEY_VAULT, "secrets[0].key: a key vault has no such names"),
    (
        "stores.vault",
        {**KEY_VAULT, "vaultURL": "http://kv.vault.azure.net"},
        "stores.vault.vaultURL: it has characters",
    ),
    ("stores.vault", {**KEY_VAULT, "vaultURL": "https://kv/secrets"}, "stores.vault.vaultURL: it has characters"),
    ("stores.vault", {**KEY_VAULT, "vaultURL": "https://.."}, "stores.vault.vaultURL: it has characters"),
    ("stores.vault", {**KEY_VAULT, "authority": "login.example"}, "stores.vault.authority: it has characters"),
    ("stores.vault", {**KEY_VAULT, "tenantID": "common"}, "stores.vault.tenantID: it has characters"),
    ("stores.vault", {**KEY_VAULT, "tenantID": ""}, "stores.vault.tenantID: it has characters"),
    ("stores.vault", {**KEY_VAULT, "audience": "x"}, "stores.vault.audience: this version of the provider does not"),
    ("stores.vault", {**KEY_VAULT, "tls": {"serverName": "x"}}, "stores.vault.tls.serverName: this version of the"),
    ("stores.vault", {**KEY_VAULT, "login": {}}, "stores.vault.login.clientID: it is missing"),
    ("stores.vault", _login(method="ManagedIdentity"), "stores.vault.login.method: it is not WorkloadIdentity"),
    ("stores.vault", _login(clientID="billing"), "stores.vault.login.clientID: it has characters"),
    ("stores.vault", _login(tokenFile="token"), "stores.vault.login.tokenFile: it is no absolute path"),
    ("stores.vault", _login(clientSecret="x"), "stores.vault.login.clientSecret: this version of the provider does"),
    ("stores.vault.tls", {"verify": False}, "stores.vault.tls.verify: this version of the provider does not know it"),
]
"""A place of the map, what is put there (... takes it away), and what is said of it."""
