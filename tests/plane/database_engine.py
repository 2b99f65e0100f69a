"""Vault's database engine in front of a PostgreSQL of the tests, as a platform team sets it up by hand.

Used by the tests of rotations of database roles.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import sql

from plane.postgres_server import DATABASE, PostgresServer
from plane.vault_server import VaultServer

CREATES: Final = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
_numbers = itertools.count(1)


@dataclass
class DatabaseEngine:
    """One mount of the engine, with a connection whose user may make and change others."""

    vault: VaultServer
    postgres: PostgresServer
    mount: str
    connection: str = "main"
    root: str = field(default_factory=lambda: f"vault_root_{next(_numbers)}")

    def enable(self) -> None:
        """Mount the engine and connect it."""
        self.vault.request("POST", f"sys/mounts/{self.mount}", {"type": "database"})
        self.connect(self.connection, self.root)

    def connect(self, name: str, root: str) -> str:
        """Make a connection with a user of its own for Vault; return the user's first password."""
        password = self.postgres.make_user(root, may_make_users=True)
        with self.postgres.connect() as admin:
            # PostgreSQL 16 and later ask for it: the user did not make those whom it shall change.
            admin.execute(sql.SQL("ALTER ROLE {} WITH SUPERUSER").format(sql.Identifier(root)))
        url = f"postgresql://{{{{username}}}}:{{{{password}}}}@{self.postgres.address}/{DATABASE}"
        self.vault.request(
            "POST",
            f"{self.mount}/config/{name}",
            {
                "plugin_name": "postgresql-database-plugin",
                "connection_url": url,
                "allowed_roles": ["*"],
                "username": root,
                "password": password,
            },
        )
        return password

    def user(self, name: str) -> str:
        """Make a database user; return the password."""
        return self.postgres.make_user(name)

    def rename(self, user: str, name: str) -> None:
        """Give a database user another name, so that nothing can be changed about the former one."""
        with self.postgres.connect() as admin:
            admin.execute(sql.SQL("ALTER ROLE {} RENAME TO {}").format(sql.Identifier(user), sql.Identifier(name)))

    def static_role(self, name: str, user: str, connection: str = "", **fields: Any) -> None:
        """Make a static role by hand."""
        body = {"db_name": connection or self.connection, "username": user, "rotation_period": 86400, **fields}
        if "rotation_schedule" in fields:
            del body["rotation_period"]
        self.vault.request("POST", f"{self.mount}/static-roles/{name}", body)

    def dynamic_role(self, name: str, life: str = "1h", longest: str = "2h") -> None:
        """Make a role that makes users."""
        body = {"db_name": self.connection, "creation_statements": [CREATES], "default_ttl": life, "max_ttl": longest}
        self.vault.request("POST", f"{self.mount}/roles/{name}", body)

    def lease(self, name: str) -> dict[str, str]:
        """Read credentials of a dynamic role."""
        return dict(self.vault.request("GET", f"{self.mount}/creds/{name}")["data"])

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a static role as Vault has it; None when there is none."""
        answer = self.vault.request("GET", f"{self.mount}/static-roles/{name}", accept=(200, 404))
        return dict(answer["data"]) if answer.get("data") else None

    def served(self, name: str) -> dict[str, Any]:
        """Return what readers of a static role get."""
        return dict(self.vault.request("GET", f"{self.mount}/static-creds/{name}")["data"])

    def password(self, name: str) -> str:
        """Return the password that Vault serves."""
        return str(self.served(name)["password"])
