"""A real Vault, set up as `airwarden vault-setup` prints it, and the backends, grants and calls of the tests on it.

Used by the contract tests beside this module. The operator under test logs in by Kubernetes auth with
exactly the printed policy. Each test takes bindings with names of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Action, Address, Grant, Operation, Readable, Resource, Session, StaticSecret
from airwarden.providers.ports import Written
from airwarden.providers.vault.opening import open_store
from airwarden.providers.vault.setup import OperatorAccount, VaultSetup
from airwarden.providers.vault.store import VaultStore
from plane.control_plane import Plane

CLUSTER = "c1"
NAMESPACE = "contract-team"
OPERATOR = OperatorAccount("contract-operator", "airwarden")
BACKEND = "contract-vault"
KV, AUTH = "contract-airflow", "contract-kubernetes"


@dataclass(frozen=True)
class Bench:
    """A prepared Vault, the operator's token file, and how to make backends for it."""

    plane: Plane
    setup: VaultSetup
    tokens: Path

    def backend(self, **vault: object) -> AirflowSecretBackend:
        """Return a backend object; ``vault`` replaces settings of the same name."""
        return backend_of(str(vault.pop("address", self.plane.vault_address)), **vault)

    def open(self, **vault: object) -> VaultStore:
        """Return a store on this Vault."""
        ca_pem = vault.pop("ca_pem", None)
        assert ca_pem is None or isinstance(ca_pem, str)
        opened = open_store(self.backend(**vault), cluster=CLUSTER, token_directory=self.tokens, ca_pem=ca_pem)
        assert isinstance(opened, VaultStore)
        return opened


def backend_of(address: str, **vault: object) -> AirflowSecretBackend:
    """Return a backend with the rule that the tests' namespace needs."""
    requests = vault.pop("requests", {"timeout": "2s"})
    return AirflowSecretBackend.model_validate(
        {
            "metadata": {"name": BACKEND},
            "spec": {
                "type": "Vault",
                "requests": requests,
                "vault": {
                    "address": address,
                    "login": {"kubernetes": {"mount": AUTH, "role": "contract-airwarden"}},
                    "kv": {"mount": KV},
                    "workloadLogin": {"kubernetes": {"mount": AUTH, "audience": "vault"}},
                    **vault,
                },
                "allow": [
                    {
                        "name": "own",
                        "namespaces": {"names": [NAMESPACE]},
                        "keyPrefixes": ["{namespace}/"],
                        "session": {"maxTTL": "30m"},
                    }
                ],
            },
        }
    )


def grant(binding: str, *readable: Readable, account: str = "billing", ttl: int = 900) -> Grant:
    """Return a grant of the tests' namespace."""
    items = frozenset(readable or (StaticSecret(f"{NAMESPACE}/connections/{binding}"),))
    return Grant(BACKEND, Owner(CLUSTER, NAMESPACE, binding, BACKEND), account, items, Session(ttl, 1800))


async def create(store: VaultStore, wanted: Grant) -> tuple[Resource, ...]:
    """Observe and write what the grant needs, as the reconciler does for a new binding."""
    resources = store.render(wanted)
    seen = await store.observe(wanted.owner, [each.address for each in resources], known=False)
    for each in resources:
        written = await store.apply(Operation(Action.CREATE, each.address, each, seen[each.address]))
        assert written == Written()
    return resources


async def remove(store: VaultStore, owner: Owner, addresses: Iterable[Address] = ()) -> None:
    """Remove what the owner has, in the store's order."""
    wanted = tuple(addresses) or store.addresses(owner)
    seen = await store.observe(owner, wanted, known=True)
    for each in wanted:
        await store.apply(Operation(Action.DELETE, each, None, seen[each]))
