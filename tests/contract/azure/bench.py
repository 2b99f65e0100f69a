"""A vault, an identity of the operator with what azure-setup grants, and a store that logs in as it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.diff import Terms, diff
from airwarden.domain.identity import Expected
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Action, Address, Changes, Grant, Resource, Session, StaticSecret
from airwarden.providers.azure.identities import NotYet
from airwarden.providers.azure.opening import open_store, place_of, settings
from airwarden.providers.azure.setup import granted
from airwarden.providers.azure.store import AzureStore
from contract.azure.issuer import Issuer
from stand_ins.azure.limits import Rate
from stand_ins.azure.roles import Role
from stand_ins.azure.stand_in import GROUP, LOCATION, AzureStandIn

CLUSTER: Final = "c1"
UID: Final = "11111111-aaaa-bbbb-cccc-222222222222"
VAULT: Final = "kv-one"
ISSUER: Final = "https://cluster.example/tasks"
OPERATOR: Final = "system:serviceaccount:airwarden-system:airwarden"


@dataclass
class Bench:
    """One backend on the stand-in."""

    azure: AzureStandIn
    folder: Path
    name: str = "kv"
    cluster: str = CLUSTER
    uid: str = UID
    limits: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Spacing is one test's business; for the others the stand-in's minute is a moment.
        self.azure.limit(credentials=Rate(1000, 1000))
        self.azure.credential_writes_take = 0.0
        self.operator = self.azure.add_identity(f"operator-{self.cluster}-{self.name}")
        self.folder.mkdir(exist_ok=True)
        issuer = Issuer(f"https://{self.cluster}.example")
        self.azure.trust_issuer(issuer.url, issuer.keys)
        self.azure.federate(self.operator, issuer.url, OPERATOR)
        self.issuer = issuer
        self.token = self.folder / "azure"
        self.token.write_text(issuer.token(OPERATOR, expires=time.time() + 86400))

    def body(self, **changes: Any) -> dict[str, Any]:
        """Return the backend as the API server has it; ``changes`` are of its azureKeyVault."""
        azure = {
            "tenantID": self.azure.tenant,
            "vault": {
                "subscriptionID": self.azure.subscription,
                "resourceGroup": GROUP,
                "name": VAULT,
                "url": self.azure.vault_url(VAULT) if VAULT in self.vaults() else "https://kv-one.vault.test",
            },
            "identities": {"subscriptionID": self.azure.subscription, "resourceGroup": GROUP, "location": LOCATION},
            "issuer": ISSUER,
            "login": {"clientID": self.operator.client_id, "file": "azure"},
            "authority": self.azure.authority,
            "resourceManager": self.azure.url,
            **changes,
        }
        rule = {
            "name": "own",
            "namespaces": {"names": ["team"]},
            "keyPrefixes": ["airflow-"],
            "session": {"required": False},
        }
        return {
            "metadata": {"name": self.name, "uid": "b-1"},
            "spec": {"type": "AzureKeyVault", "azureKeyVault": azure, "allow": [rule]},
        }

    def vaults(self) -> list[str]:
        """Return the names of the vaults that there are."""
        with self.azure.world() as world:
            return list(world.vaults)

    def backend(self, **changes: Any) -> AirflowSecretBackend:
        """Return the same as the operator reads it."""
        return AirflowSecretBackend.model_validate(self.body(**changes))

    def allow(self, **changes: Any) -> None:
        """Grant the operator what azure-setup prints, and nothing else."""
        backend = self.backend(**changes)
        for each in granted(place_of(backend, settings(backend), self.cluster)):
            role = Role(str(uuid.uuid4()), each.name, each.actions, built_in=False)
            self.azure.grant(
                self.operator.principal_id, self.azure.add_role(role).id, each.scope, condition=each.condition
            )

    def open(self, clock: Callable[[], float] | None = None, **changes: Any) -> AzureStore:
        """Return a store with the operator's login; its ``clock`` is the stand-in's unless one is given."""
        backend = self.backend(**changes)
        store = open_store(
            backend,
            cluster=self.cluster,
            token_directory=self.folder,
            ca_pem=self.ca,
            told=self.told,
            clock=clock or self.azure.clock.now,
        )
        store.expect(Expected.of(backend, self.uid))
        return store

    @property
    def ca(self) -> str:
        """The stand-in's certificate authority."""
        return Path(self.azure.ca_pem).read_text()

    def told(self, backend: str, limit: str, left: int) -> None:
        """Remember what an answer said of a limit."""
        self.limits[backend, limit] = left

    def grant(
        self, *keys: str, binding: str = "billing", account: str = "billing", people: tuple[str, ...] = ()
    ) -> Grant:
        """Return what a binding may read, and groups with it."""
        owner = Owner(self.cluster, "team", binding, self.name, account=account)
        readable = frozenset(StaticSecret(each) for each in keys)
        session = Session(3600, 3600)
        return Grant(
            self.name, owner, account, readable, session, frozenset(people), readable if people else frozenset()
        )


async def changes(
    store: AzureStore, wanted: Grant, recorded: Mapping[Address, str] | None = None, *, known: bool = True
) -> Changes:
    """Return what the reconciler would do."""
    resources = store.render(wanted)
    return await _changes(store, wanted.owner, resources, recorded or {}, known=known)


async def _changes(
    store: AzureStore,
    owner: Owner,
    resources: tuple[Resource, ...],
    recorded: Mapping[Address, str],
    *,
    known: bool,
) -> Changes:
    order = store.addresses(owner, [*(each.address for each in resources), *recorded])
    seen = await store.observe(owner, order, known=known)
    return diff(resources, seen, recorded, order, Terms(str(owner), alone=store.alone))


async def create(bench: Bench, store: AzureStore, wanted: Grant) -> dict[Address, str]:
    """Make it so, as the reconciler does, and return what its record would be."""
    resources = store.render(wanted)
    found = await _changes(store, wanted.owner, resources, {}, known=False)
    assert not found.conflicts, found.conflicts
    await write(bench, store, found)
    return {each.address: each.digest for each in resources}


async def write(bench: Bench, store: AzureStore, found: Changes) -> None:
    """Do the operations; whoever must wait for its turn finds that the time has passed."""
    for each in found.operations:
        try:
            await store.apply(each)
        except NotYet as error:
            bench.azure.clock.advance(error.retry_after or 0.0)
            await store.apply(each)


async def remove(
    bench: Bench, store: AzureStore, owner: Owner, recorded: Mapping[Address, str]
) -> list[tuple[Action, str]]:
    """Take everything away, as the reconciler does."""
    found = await _changes(store, owner, (), recorded, known=True)
    await write(bench, store, found)
    return [(each.action, each.address.kind) for each in found.operations]


def addressed(found: Changes) -> list[tuple[Action, str]]:
    """Return actions and kinds, in order."""
    return [(each.action, each.address.kind) for each in found.operations]


Opening = Callable[..., AzureStore]
