"""A key vault of the stand-in with what the operator would make for a few bindings, and the maps that it would render.

Used by the contract tests beside this module. The issuer is the tests' own, so that no control plane is needed;
tests/e2e has a real one.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_airwarden.readers.key_vault import KeyVaultReader
from airflow_airwarden.readers.key_vault_http import Clock
from airflow_airwarden.sessions import Session
from airflow_airwarden.settings import Settings
from contract.azure.issuer import Issuer
from stand_ins.azure.messages import Logged
from stand_ins.azure.roles import SECRETS_USER
from stand_ins.azure.stand_in import AzureStandIn
from stand_ins.azure.world import Identity

NAMESPACE = "provider-team"
VAULT = "kv-tasks"
STORE = "kv"


def subject(account: str) -> str:
    """Return whose token an account's is."""
    return f"system:serviceaccount:{NAMESPACE}:{account}"


@dataclass
class StillClock:
    """A clock that stands still but for sleeping, which takes no time; a test may have something happen meanwhile."""

    slept: list[float] = field(default_factory=list)
    meanwhile: dict[int, Any] = field(default_factory=dict)
    """By the number of the sleep, from 1."""

    def clock(self) -> Clock:
        """Return it as readers ask for it; the time of day is the machine's."""
        return Clock(monotonic=lambda: sum(self.slept), wall=time.time, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        happens = self.meanwhile.get(len(self.slept))
        if happens is not None:
            happens()


@dataclass(frozen=True)
class Bound:
    """One binding with its identity and its token's file."""

    bench: KeyVaultBench
    name: str
    identity: Identity
    token_file: Path
    secrets: tuple[dict[str, Any], ...]
    canary: str = field(repr=False)

    def store(self, **changes: Any) -> dict[str, Any]:
        """The store as a map has it."""
        azure = self.bench.azure
        return {
            "type": "AzureKeyVault",
            "vaultURL": azure.vault_url(VAULT),
            "authority": azure.authority,
            "tenantID": azure.tenant,
            "tls": {"caFile": str(azure.ca_pem)},
            "login": {
                "method": "WorkloadIdentity",
                "clientID": self.identity.client_id,
                "tokenFile": str(self.token_file),
            },
            **changes,
        }

    def map_path(self, *, store: dict[str, Any] | None = None, **changes: Any) -> Path:
        """Write the map, put in its place in one step as the kubelet does."""
        body = {
            "version": 1,
            "binding": f"{NAMESPACE}/{self.name}",
            "environment": "airflow/main",
            "unboundIDs": "FallThrough",
            "cacheTTLSeconds": 60,
            "stores": {STORE: store or self.store()},
            "secrets": list(self.secrets),
            **changes,
        }
        path, new = self.bench.folder / f"{self.name}.json", self.bench.folder / f"{self.name}.new"
        new.write_text(json.dumps(body))
        new.rename(path)
        return path

    def session(self, *, settings: dict[str, Any] | None = None, **changes: Any) -> Session:
        """Open what one process has; it is closed after the test."""
        opened = Session(Settings(str(self.map_path(**changes)), **(settings or {})))
        self.bench.opened.append(opened)
        return opened

    def reader(self, clock: StillClock, **settings: Any) -> KeyVaultReader:
        """Open the reader alone, on a clock of the test's; it is closed after the test."""
        from airflow_airwarden.map_file import parse_map

        found = parse_map(self.map_path().read_bytes(), "map").stores[STORE]
        opened = KeyVaultReader(found, Settings(**settings), clock.clock())  # type: ignore[arg-type]
        self.bench.opened.append(opened)
        return opened

    def grant(self, key: str) -> str:
        """Let the binding read a secret; return the assignment's name."""
        azure = self.bench.azure
        with azure.world() as world:
            scope = f"{world.vaults[VAULT].id}/secrets/{key}"
        return azure.grant(self.identity.principal_id, SECRETS_USER, scope).name

    def federate(self) -> None:
        """Let the binding's account log in as its identity."""
        self.bench.azure.federate(self.identity, self.bench.issuer.url, subject(self.name))


@dataclass
class KeyVaultBench:
    """The prepared vault."""

    azure: AzureStandIn
    folder: Path
    issuer: Issuer
    opened: list[Session | KeyVaultReader] = field(default_factory=list)

    @classmethod
    def prepare(cls, azure: AzureStandIn, folder: Path) -> KeyVaultBench:
        """Make the vault and have Entra know the issuer."""
        azure.add_vault(VAULT)
        issuer = Issuer()
        azure.trust_issuer(issuer.url, issuer.keys)
        return cls(azure, folder, issuer)

    def bind(self, name: str, *items: dict[str, Any]) -> Bound:
        """Make what a Ready binding has in Azure; its one connection has a password that no output may show."""
        key = f"airflow-{name}"
        wanted = items or ({"type": "Connection", "id": "warehouse", "store": STORE, "key": key},)
        token_file = self.issuer.write(self.folder / f"{name}.jwt", subject(name))
        canary = f"canary{secrets.token_hex(12)}"
        bound = Bound(self, name, self.azure.add_identity(name), token_file, wanted, canary)
        bound.federate()
        for each in wanted:
            bound.grant(each["key"])
        if not items:
            self.azure.set_secret(VAULT, key, f"postgres://svc:{canary}@db:5432/app")
        return bound

    def asked(self) -> list[str]:
        """Return method and path of each request since the start, Entra's as one word."""
        return ["login" if each.service == "entra" else f"{each.method} {each.path}" for each in self.requests()]

    def requests(self) -> list[Logged]:
        """Return each request to Entra or to a vault."""
        return [each for each in self.azure.requests() if each.service in {"entra", "vault"}]

    def close(self) -> None:
        """Close what was opened."""
        for each in self.opened:
            each.close()
