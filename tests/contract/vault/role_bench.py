"""A real Vault with a real PostgreSQL behind its database engine, and a login for rotations as vault-setup prints it.

Used by `test_database_roles.py`. Each test takes database users and roles with names of its own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.database_role import DatabaseRole
from airwarden.domain.identity import Expected
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.rotation.opening import open_rotator
from airwarden.providers.vault.rotation.rotator import VaultRotator
from airwarden.providers.vault.setup import vault_setup
from contract.vault.bench import AUTH, CLUSTER, NAMESPACE, OPERATOR, Bench, backend_of
from plane.database_engine import DatabaseEngine
from plane.postgres_server import PostgresServer
from plane.printed import run_script
from plane.vault_admin import login

ROLE: Final = "contract-roles"
MOUNT: Final = "contract-database"
OWN: Final = f"airwarden.{CLUSTER}.{NAMESPACE}."
UID: Final = "11111111-2222-3333-4444-666666666666"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class RoleBench:
    """A prepared Vault and engine."""

    bench: Bench
    engine: DatabaseEngine
    tokens: dict[str, str] = field(default_factory=dict)

    @classmethod
    def prepare(cls, bench: Bench, postgres: PostgresServer) -> RoleBench:
        """Set up the engine by hand, and the login by the printed script."""
        engine = DatabaseEngine(bench.plane.vault, postgres, MOUNT)
        engine.enable()
        engine.connect("spare", f"{engine.root}_spare")
        made = cls(bench, engine)
        setup = vault_setup(
            made.backend(login={"kubernetes": {"mount": AUTH, "role": "contract-airwarden-roles"}}),
            cluster=CLUSTER,
            operator=OPERATOR,
            options=ModeOptions(policy="contract-roles"),
        )
        run_script(bench.plane, setup.script)
        return made

    def backend(self, **vault: Any) -> AirflowSecretBackend:
        """Return a backend whose one rule gives the tests' namespace every operation on database roles."""
        body = backend_of(str(vault.pop("address", self.bench.plane.vault_address)), **vault).model_dump(
            by_alias=True, mode="json", exclude_none=True
        )
        body["spec"]["rotation"] = {"login": {"kubernetes": {"mount": AUTH, "role": ROLE}}}
        body["spec"]["allow"][0] |= {
            "operations": ["Read", "RotateNative", "RotateRevoke"],
            "dynamic": [
                {
                    "engine": MOUNT,
                    "rolePrefixes": ["{namespace}.", "airwarden.c1.{namespace}."],
                    "connections": ["main"],
                    "usernames": ["{namespace}_*"],
                    "roots": ["spare"],
                }
            ],
        }
        return AirflowSecretBackend.model_validate(body)

    def open(self, **vault: Any) -> VaultRotator:
        """Return the rotating side."""
        backend = self.backend(**vault)
        expected = Expected.of(backend, UID, claims=False)
        return open_rotator(backend, expected, cluster=CLUSTER, token_directory=self.bench.tokens, ca_pem=None)

    def fresh_user(self) -> tuple[str, str]:
        """Make a database user that the namespace may declare; return name and password."""
        name = f"{NAMESPACE}_{next(_numbers)}"
        return name, self.engine.user(name)

    def status(self, method: str, path: str, body: Any = None) -> int:
        """Return what Vault answers to one request with a token of the login for rotations."""
        if "token" not in self.tokens:
            jwt = (self.bench.tokens / "vault").read_text()
            self.tokens["token"] = login(self.bench.plane, ROLE, jwt, AUTH)
        answer = requests.request(
            method,
            f"{self.bench.plane.vault_address}/v1/{path}",
            json=body,
            headers={"X-Vault-Token": self.tokens["token"]},
            timeout=30,
        )
        return answer.status_code


def declared(user: str, name: str = "", **declare: str) -> DatabaseRole:
    """Return a declared static role of the user."""
    body = {"connection": "main", "username": user, **declare}
    return DatabaseRole.model_validate(
        {"engine": MOUNT, "name": f"{OWN}{name or user}", "kind": "Static", "declare": body}
    )


def role(name: str, kind: str = "Static") -> DatabaseRole:
    """Return a role that an admin made."""
    return DatabaseRole.model_validate({"engine": MOUNT, "name": name, "kind": kind})
