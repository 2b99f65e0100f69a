"""A real Vault with what the operator would write for a few bindings, and the maps that it would render for them.

Used by the contract tests beside this module. Policies come from the operator's own rendering, so that a task needs
no right that a binding does not give.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_airwarden.sessions import Session
from airflow_airwarden.settings import Settings
from airwarden.domain.owner import Owner
from airwarden.domain.resources import DynamicCredentials, Readable, StaticSecret
from airwarden.providers.vault.policy import render, rules_for
from plane.audit import VaultRequest
from plane.control_plane import Plane
from plane.postgres_server import ADMIN, DATABASE, PostgresServer
from plane.vault_admin import prepare_store, write_kubernetes_role, write_policy, write_secret

NAMESPACE = "provider-team"
KV, KV1, AUTH, ENGINE = "provider-kv", "provider-kv1", "provider-kubernetes", "provider-db"
MAKE_USER = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"


@dataclass(frozen=True)
class Bound:
    """One binding with its account, its role and its token's file."""

    plane: Plane
    name: str
    token_file: Path
    folder: Path
    secrets: tuple[dict[str, Any], ...]
    kv: dict[str, Any]
    canary: str = field(repr=False)

    def store(self, *addresses: str, **changes: Any) -> dict[str, Any]:
        """The store as a map has it."""
        login = {"method": "Kubernetes", "mount": AUTH, "role": self.name, "tokenFile": str(self.token_file)}
        found = addresses or (self.plane.vault_address,)
        return {"type": "Vault", "addresses": list(found), "kv": self.kv, "login": login, **changes}

    def map_path(self, *addresses: str, store: dict[str, Any] | None = None, **changes: Any) -> Path:
        """Write the map, put in its place in one step as the kubelet does."""
        body = {
            "version": 1,
            "binding": f"{NAMESPACE}/{self.name}",
            "environment": "airflow/main",
            "unboundIDs": "FallThrough",
            "cacheTTLSeconds": 60,
            "stores": {"vault": store or self.store(*addresses)},
            "secrets": list(self.secrets),
            **changes,
        }
        path, new = self.folder / f"{self.name}.json", self.folder / f"{self.name}.new"
        new.write_text(json.dumps(body))
        new.rename(path)
        return path

    def session(self, *addresses: str, settings: dict[str, Any] | None = None, **changes: Any) -> Session:
        """Open what one process has."""
        return Session(Settings(str(self.map_path(*addresses, **changes)), **(settings or {})))

    def write(self, values: dict[str, str], item: int = 0) -> None:
        """Write one of the binding's secrets."""
        version = int(self.kv["version"])
        write_secret(self.plane, self.secrets[item]["key"], values, mount=self.kv["mount"], version=version)

    def requests(self, mark: int) -> list[VaultRequest]:
        """What the binding's account asked since a mark, logins with it."""
        return [
            each
            for each in self.plane.vault.audit.entries(mark)
            if each.metadata.get("role") == self.name or each.path == f"auth/{AUTH}/login"
        ]


@dataclass(frozen=True)
class ProviderBench:
    """The prepared Vault."""

    plane: Plane
    folder: Path

    @classmethod
    def prepare(cls, plane: Plane, folder: Path) -> ProviderBench:
        """Make mounts, login method and namespace."""
        prepare_store(plane, kv_mount=KV, auth_mount=AUTH, reviewer="provider-reviewer")
        prepare_store(plane, kv_mount=KV1, kv_version=1, auth_mount=AUTH, reviewer="provider-reviewer")
        plane.create_namespace(NAMESPACE)
        return cls(plane, folder)

    def bind(self, name: str, *items: dict[str, Any], version: int = 2, **role: Any) -> Bound:
        """Write what a Ready binding has in Vault; its one connection has a password that no output may show."""
        mount = KV if version == 2 else KV1
        wanted = items or ({"type": "Connection", "id": "warehouse", "store": "vault", "key": f"{NAMESPACE}/{name}"},)
        owner = Owner("c1", NAMESPACE, name, "vault")
        write_policy(self.plane, name, render(owner, rules_for(_readable(wanted), mount=mount, version=version)))
        write_kubernetes_role(self.plane, name, namespace=NAMESPACE, account=name, policy=name, auth_mount=AUTH, **role)
        self.plane.api.create_service_account(NAMESPACE, name)
        token_file = self.folder / f"{name}.jwt"
        token_file.write_text(self.jwt(name))
        canary = f"canary{secrets.token_hex(12)}"
        bound = Bound(self.plane, name, token_file, self.folder, wanted, {"mount": mount, "version": version}, canary)
        if not items:
            bound.write({"conn_type": "postgres", "host": "db", "login": "svc", "password": canary, "port": "5432"})
        return bound

    def jwt(self, account: str) -> str:
        """A new token of an account, as the kubelet projects it."""
        return self.plane.service_account_token(NAMESPACE, account, "vault", 600)


def _readable(items: Sequence[dict[str, Any]]) -> list[Readable]:
    return [
        StaticSecret(each["key"])
        if "key" in each
        else DynamicCredentials(
            each["dynamic"]["engine"], each["dynamic"]["role"], each["dynamic"].get("kind", "Dynamic")
        )
        for each in items
    ]


def connect_database(plane: Plane, postgres: PostgresServer) -> None:
    """Have Vault make users of the tests' PostgreSQL."""
    plane.vault.request("POST", f"sys/mounts/{ENGINE}", {"type": "database"})
    config = {
        "plugin_name": "postgresql-database-plugin",
        "allowed_roles": "*",
        "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{postgres.address}/{DATABASE}?sslmode=disable",
        "username": ADMIN,  # who alone may change the password of a user that somebody else made
        "password": postgres.password,
    }
    plane.vault.request("POST", f"{ENGINE}/config/pg", config)


def database_role(plane: Plane, name: str, ttl: str, longest: str) -> dict[str, Any]:
    """Make a role whose users live that long; return the item of a map that reads it."""
    statements = {"creation_statements": [MAKE_USER], "db_name": "pg", "default_ttl": ttl, "max_ttl": longest}
    plane.vault.request("POST", f"{ENGINE}/roles/{name}", statements)
    return {
        "type": "Connection",
        "id": "reporting",
        "store": "vault",
        "dynamic": {"engine": ENGINE, "role": name, "kind": "Dynamic"},
        "connection": {"conn_type": "postgres", "host": "127.0.0.1", "schema": DATABASE},
    }
