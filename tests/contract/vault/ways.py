"""The ways to log in besides the usual one, each with what `airwarden vault-setup` prints for it, run as printed.

Each of the operator's is paired with one of the tasks'. Used by the contract tests beside this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.setup import VaultSetup, vault_setup
from airwarden.providers.vault.store import VaultStore
from contract.vault.bench import AUTH, CLUSTER, OPERATOR, Bench, backend_of
from plane.json_client import Json
from plane.printed import run_script

ROLE_ID: Final = "contract-operator"
JWT_MOUNT, APP_ROLE_MOUNT = "contract-jwt", "contract-approle"


@dataclass(frozen=True)
class Pair:
    """How the operator logs in, and how tasks do."""

    login: Json
    workload: Json
    login_path: str
    """The path of Vault that a login asks."""


WAYS: Final[Mapping[str, Pair]] = {
    "AppRole": Pair(
        {
            "method": "AppRole",
            "appRole": {"mount": "contract-ops-approle", "roleID": ROLE_ID, "secretIDFile": "secret-id"},
        },
        {"method": "JWT", "jwt": {"mount": JWT_MOUNT, "audience": "vault"}},
        "auth/contract-ops-approle/login",
    ),
    "JWT": Pair(
        {"method": "JWT", "jwt": {"mount": "contract-ops-jwt", "role": "contract-airwarden"}},
        {"method": "AppRole", "appRole": {"mount": APP_ROLE_MOUNT, "secretIDTTL": "1h", "secretIDUses": 2}},
        "auth/contract-ops-jwt/login",
    ),
    "TokenFile": Pair(
        {"method": "TokenFile", "tokenFile": {"name": "vault-token"}},
        {"method": "Kubernetes", "kubernetes": {"mount": AUTH, "audience": "vault"}},
        "auth/token/lookup-self",
    ),
}


@dataclass(frozen=True)
class Way:
    """One pair, set up."""

    bench: Bench
    pair: Pair
    setup: VaultSetup

    @property
    def mount(self) -> str:
        """Mount where the operator logs in; empty for a token from a file."""
        return self.setup.role_mount

    @property
    def file(self) -> Path:
        """The file that the operator reads at each login."""
        names = {"AppRole": "secret-id", "JWT": "vault", "TokenFile": "vault-token"}
        return self.bench.tokens / names[self.pair.login["method"]]

    def open(self, **vault: object) -> VaultStore:
        """Return a store that logs in this way."""
        return self.bench.open(**{"login": self.pair.login, "workloadLogin": self.pair.workload, **vault})

    def logins(self, mark: int) -> int:
        """Return how many log-ins Vault saw since the mark in its audit log."""
        return sum(each.path == self.pair.login_path for each in self.bench.plane.vault.audit.entries(mark))

    def renew_proof(self) -> str:
        """Put a new secret-id or token into the file, as its keeper does; return what stood there."""
        before = self.file.read_text()
        if self.pair.login["method"] == "JWT":
            self.file.write_text(self.bench.plane.service_account_token(OPERATOR.namespace, OPERATOR.name, "vault"))
        else:
            run_script(self.bench.plane, self.setup.script, **files(self.bench.tokens))
        return before


def files(tokens: Path) -> dict[str, str]:
    """Return where the scripts shall write what they make."""
    return {"SECRET_ID_FILE": str(tokens / "secret-id"), "TOKEN_FILE": str(tokens / "vault-token"), "TOKEN_TTL": "15m"}


def set_up(bench: Bench, name: str, keys_url: str) -> Way:
    """Run the printed script of one pair, twice: the second time nothing must go wrong."""
    pair = WAYS[name]
    backend = backend_of(bench.plane.vault_address, login=pair.login, workloadLogin=pair.workload)
    setup = vault_setup(
        backend, cluster=CLUSTER, operator=OPERATOR, options=ModeOptions(policy=f"contract-operator-{name.lower()}")
    )
    # The tasks' keys come from a file and the operator's from a page, so that both are tried.
    page = {"JWKS_URL": keys_url, "KUBERNETES_CA_FILE": ""}
    file = {"JWT_PUBLIC_KEYS_FILE": str(bench.plane.data_dir / "pki" / "kubernetes" / "service-account.pub")}
    for _ in range(2):
        run_script(bench.plane, setup.script, **files(bench.tokens), **(page if name == "JWT" else file))
    return Way(bench, pair, setup)
