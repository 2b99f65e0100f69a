"""What the operator would decide now: its own pure code, asked with live objects by `plan` and `access`.

Nothing here sends anything to a store.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AirflowSecretBinding, SecretItem
from airwarden.api.environment import AirflowEnvironment
from airwarden.api.metadata import Metadata
from airwarden.api.reasons import Reason
from airwarden.commands.caller import Listing
from airwarden.domain import record as records
from airwarden.domain.desired import Held, Plan, Surroundings, common_items, plan
from airwarden.domain.environment.claims import Claimant, Key, decide
from airwarden.domain.environment.mapping import EnvironmentView
from airwarden.domain.errors import AirwardenError, ClusterForbidden, InvalidSettings
from airwarden.domain.identity import Expected
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address
from airwarden.providers.kubernetes.api import KubernetesApi
from airwarden.providers.opening import cluster_uid
from airwarden.providers.ports import Store
from airwarden.providers.vault.borrowed import BorrowedClient
from airwarden.providers.vault.opening import open_store
from airwarden.reconcile.backends import Runtime


@dataclass(frozen=True, slots=True)
class World:
    """What decisions depend on, beside the binding itself."""

    cluster: str
    backends: Mapping[str, Runtime | Held]
    namespaces: Mapping[str, Metadata]
    environments: Mapping[Key, AirflowEnvironment | Held] = field(default_factory=dict)
    """Those that are there, as far as the caller may read them."""
    others: tuple[AirflowSecretBinding, ...] = ()
    """Bindings that may claim the same DAGs."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def decide(self, binding: AirflowSecretBinding) -> Plan:
        """Return what the binding may have now."""
        recorded = self.recorded(binding)
        namespace = self.namespaces.get(binding.metadata.namespace)
        return plan(
            binding,
            Surroundings(
                cluster=self.cluster,
                backends={
                    name: each.view() if isinstance(each, Runtime) else each for name, each in self.backends.items()
                },
                namespace_labels=namespace.labels if namespace is not None else None,
                recorded=frozenset(address.backend for address in recorded),
                environment=self.environment(binding),
                now=self.now,
            ),
        )

    def environment(self, binding: AirflowSecretBinding) -> EnvironmentView | Held | None:
        """Return the environment that the binding names, as the operator would see it."""
        reference = binding.spec.environment_ref
        found = self.environments.get((reference.namespace, reference.name)) if reference is not None else None
        if found is None or isinstance(found, Held) or found.metadata.deletion_timestamp is not None:
            return found if isinstance(found, Held) else None
        key = (binding.metadata.namespace, binding.metadata.name)
        asking = {key: Claimant.of(binding)}
        for each in self.others:
            if each.spec.environment_ref == reference and each.metadata.deletion_timestamp is None:
                asking.setdefault((each.metadata.namespace, each.metadata.name), Claimant.of(each))
        namespace = self.namespaces.get(found.metadata.namespace)
        labels = namespace.labels if namespace is not None else None
        verdict = decide(found.spec, asking.values())[key]
        return EnvironmentView(found.metadata.namespace, found.metadata.name, found.spec, labels, verdict)

    def items(self, binding: AirflowSecretBinding) -> tuple[SecretItem, ...]:
        """Return the binding's secrets and those that its environment adds, in the order of the plan's decisions."""
        return (*binding.spec.secrets, *common_items(binding, self.environment(binding)))

    def digests(self, decided: Plan, backend: str) -> Mapping[Address, str]:
        """Return the digest of everything that the binding should have in one backend."""
        runtime, grant = self.backends.get(backend), decided.grants.get(backend)
        if grant is None or not isinstance(runtime, Runtime):
            return {}
        return {resource.address: resource.digest for resource in runtime.store.render(grant)}

    def recorded(self, binding: AirflowSecretBinding) -> Mapping[Address, str]:
        """Return the digests that the binding's status records, without forged entries."""
        owner = Owner(self.cluster, binding.metadata.namespace, binding.metadata.name)
        return records.derived(records.recorded(binding.status), owner, binding.spec.service_account.name)


def opened(
    backends: Listing[AirflowSecretBackend],
    cluster: str,
    stores: Mapping[str, Store] | None = None,
    uid: str = "",
) -> Mapping[str, Runtime | Held]:
    """Return the backends as the operator would have them, with the given stores or ones that are never asked.

    ``uid`` is the cluster's as `uid_of` returns it: the marks of some stores hold it.
    """
    found: dict[str, Runtime | Held] = {
        name: Held(Reason.BACKEND_INVALID, f"AirflowSecretBackend {name} cannot be read: {complaint}")
        for name, complaint in backends.unreadable.items()
    }
    for backend in backends.items:
        name = backend.metadata.name
        try:
            store = (stores or {}).get(name) or unasked_store(backend, cluster, uid)
        except AirwardenError as error:
            found[name] = Held(error.reason, f"backend {name} cannot be used: {error.message}")
            continue
        found[name] = Runtime(backend, store, lambda _: None)
    return found


def unasked_store(backend: AirflowSecretBackend, cluster: str, uid: str = "") -> Store:
    """Return the backend's store for its rendering and its grammar alone: it has no token, so it cannot be asked.

    Raises InvalidSettings for settings that cannot be used, or where the marks need a ``uid`` that is not known.
    """
    if backend.spec.azure_key_vault is not None:
        if not uid:
            raise InvalidSettings("its marks name the uid of namespace kube-system, which needs the right to get that")
        # Azure's clients take a second to load, which commands for other stores need not spend.
        from airwarden.providers.azure.opening import open_store as open_azure  # noqa: PLC0415

        nowhere = Path(os.devnull)
        store = open_azure(backend, cluster=cluster, token_directory=nowhere, ca_pem=None, told=lambda *_: None)
        store.expect(Expected.of(backend, uid, claims=False))
        return store
    client = partial(BorrowedClient, token="")
    return open_store(backend, cluster=cluster, token_directory=Path(os.devnull), ca_pem=None, client=client)


async def uid_of(api: KubernetesApi, backends: Iterable[AirflowSecretBackend]) -> str:
    """Return the cluster's uid where a store needs it; empty where none does, or the caller may not see it."""
    if all(each.spec.azure_key_vault is None for each in backends):
        return ""
    try:
        return await cluster_uid(api)
    except ClusterForbidden:
        return ""


async def closed(runtimes: Iterable[Runtime | Held]) -> None:
    """Let go of stores that were never asked."""
    for each in runtimes:
        if isinstance(each, Runtime):
            await each.store.close()
