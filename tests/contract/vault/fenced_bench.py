"""A real Vault in mode Fenced, set up by the printed script, and the grants and attacks of the tests on it.

Used by `test_fenced.py` and `test_fence_attacks.py`. Cluster, mounts and roles are its own, so that the tests
of mode Roles beside it share nothing with it but the server.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Action, Grant, Operation, Readable, Session, StaticSecret
from airwarden.providers.ports import Written
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.fenced.store import FencedStore
from airwarden.providers.vault.opening import open_store
from airwarden.providers.vault.setup import OperatorAccount, VaultSetup, vault_setup
from plane.control_plane import Plane
from plane.errors import PlaneHTTPError
from plane.vault_admin import login, token_reviewer_jwt

CLUSTER = "c2"
NAMESPACE, OTHER, UNLISTED = "fenced-team", "fenced-other", "fenced-unlisted"
OPERATOR = OperatorAccount("fenced-operator", "airwarden")
BACKEND = "fenced-vault"
KV, AUTH, ENGINE = "fenced-airflow", "fenced-kubernetes", "fenced-database"
ROLE, OPERATOR_ROLE = "fenced-tasks", "fenced-airwarden"
SLOTS = {"own": 8, "shared": 3, "dynamic": 3}


def backend_of(address: str, **vault: object) -> AirflowSecretBackend:
    """Return a fenced backend that allows both namespaces their own trees, the shared one and dynamic roles."""
    return AirflowSecretBackend.model_validate(
        {
            "metadata": {"name": BACKEND},
            "spec": {
                "type": "Vault",
                "requests": {"timeout": "2s"},
                "vault": {
                    "address": address,
                    "mode": "Fenced",
                    "fenced": {"role": ROLE, "engine": ENGINE, "slots": SLOTS},
                    "login": {"kubernetes": {"mount": AUTH, "role": OPERATOR_ROLE}},
                    "kv": {"mount": KV},
                    "workloadLogin": {"kubernetes": {"mount": AUTH, "audience": "vault"}},
                    **vault,
                },
                "allow": [
                    {
                        "name": "own",
                        "namespaces": {"names": [NAMESPACE, OTHER]},
                        "keyPrefixes": ["{namespace}/", "shared/"],
                        "session": {"maxTTL": "30m", "required": False},
                    }
                ],
            },
        }
    )


def printed(address: str, options: ModeOptions | None = None, **vault: object) -> VaultSetup:
    """Return what `airwarden vault-setup` prints for the backend."""
    backend = backend_of(address, **vault)
    return vault_setup(backend, cluster=CLUSTER, operator=OPERATOR, enable_kv=True, options=options)


@dataclass(frozen=True)
class FencedBench:
    """A prepared Vault, the operator's token file, and what a task and a thief can do with it."""

    plane: Plane
    folder: Path

    @classmethod
    def prepare(cls, plane: Plane, folder: Path) -> FencedBench:
        """Make namespaces and the operator's account, and run the printed script twice, as an admin may."""
        for namespace in (NAMESPACE, OTHER, UNLISTED, OPERATOR.namespace):
            plane.create_namespace(namespace)
        plane.api.create_service_account(OPERATOR.namespace, OPERATOR.name)
        (folder / "tokens").mkdir()
        token = plane.service_account_token(OPERATOR.namespace, OPERATOR.name, "vault")
        (folder / "tokens" / "vault").write_text(token)
        (folder / "reviewer.jwt").write_text(token_reviewer_jwt(plane, "fenced-reviewer"))
        made = cls(plane, folder)
        for _ in range(2):
            made.run(printed(plane.vault_address))
        return made

    def run(self, setup: VaultSetup) -> None:
        """Run a printed script with the vault command."""
        environment = {
            "PATH": f"{self.plane.binaries.vault.parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "VAULT_ADDR": self.plane.vault_address,
            "VAULT_TOKEN": self.plane.vault_token,
            "KUBERNETES_HOST": self.plane.api_url,
            "KUBERNETES_CA_FILE": str(self.plane.ca_path),
            "TOKEN_REVIEWER_JWT_FILE": str(self.folder / "reviewer.jwt"),
        }
        done = subprocess.run(["sh"], input=setup.script, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def open(self, **vault: object) -> FencedStore:
        """Return a store on this Vault."""
        address = str(vault.pop("address", self.plane.vault_address))
        backend = backend_of(address, **vault)
        opened = open_store(backend, cluster=CLUSTER, token_directory=self.folder / "tokens", ca_pem=None)
        assert isinstance(opened, FencedStore)
        return opened

    @property
    def accessor(self) -> str:
        """The accessor of the tasks' mount."""
        return str(self.plane.vault.request("GET", f"sys/auth/{AUTH}")["data"]["accessor"])

    def steal(self) -> str:
        """Return a Vault token of the operator."""
        return login(self.plane, OPERATOR_ROLE, (self.folder / "tokens" / "vault").read_text(), AUTH)

    def log_in(self, account: str, namespace: str = NAMESPACE) -> str:
        """Log in as a task does, making the account if need be; return the Vault token."""
        self.plane.api.create_service_account(namespace, account)
        return login(self.plane, ROLE, self.plane.service_account_token(namespace, account, "vault"), AUTH)

    def fill(self, name: str, metadata: Mapping[str, str], token: str | None = None, **more: Any) -> None:
        """Write an alias's metadata by hand."""
        body = {"name": name, "mount_accessor": self.accessor, "custom_metadata": dict(metadata), **more}
        self.plane.vault.request("POST", "identity/entity-alias", body, token=token)

    def alias(self, name: str) -> Any:
        """Return an alias with its metadata; None when there is none."""
        body = {"alias_name": name, "alias_mount_accessor": self.accessor}
        found = self.plane.vault.request("POST", "identity/lookup/entity", body, accept=(200, 204))
        listed = (found.get("data") or {}).get("aliases") or []
        return next((each for each in listed if each["name"] == name), None)

    def capabilities(self, token: str, paths: list[str]) -> dict[str, list[str]]:
        """Ask Vault what a token may do."""
        return dict(self.plane.vault.request("POST", "sys/capabilities", {"token": token, "paths": paths})["data"])

    def refused(self, method: str, path: str, body: Any, token: str) -> bool:
        """Tell whether Vault denies a request; any other failure is raised."""
        try:
            self.plane.vault.request(method, path, body, token=token)
        except PlaneHTTPError as error:
            if error.status == 403 and "permission denied" in error.text:
                return True
            raise
        return False


def grant(binding: str, *readable: Readable, account: str = "", namespace: str = NAMESPACE) -> Grant:
    """Return a grant; without secrets that of one key of the namespace."""
    name = account or binding
    items = frozenset(readable or (StaticSecret(f"{namespace}/connections/{binding}"),))
    return Grant(BACKEND, Owner(CLUSTER, namespace, binding, BACKEND, name), name, items, Session(900, 1800))


async def create(store: FencedStore, wanted: Grant) -> Written:
    """Observe and write what the grant needs, as the reconciler does for a new binding."""
    (resource,) = store.render(wanted)
    seen = await store.observe(wanted.owner, [resource.address], known=False)
    action = Action.CREATE if seen[resource.address].absent else Action.UPDATE
    return await store.apply(Operation(action, resource.address, resource, seen[resource.address]))


async def remove(store: FencedStore, owner: Owner) -> Written:
    """Empty the owner's slots."""
    (address,) = store.addresses(owner)
    seen = await store.observe(owner, [address], known=True)
    return await store.apply(Operation(Action.DELETE, address, None, seen[address]))
