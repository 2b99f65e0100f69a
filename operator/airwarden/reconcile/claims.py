"""Which bindings may have a thing that several of them can declare: asked when one of them lets go of it.

From memory alone, so that a pass over one binding knows of the others what their own passes would. Given to stores in
which one object may be of several bindings, when they are opened.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from airwarden.api.binding import AccountMode, AirflowSecretBinding
from airwarden.api.conditions import Status
from airwarden.domain import record as records
from airwarden.domain.desired import Plan, Surroundings, plan
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address
from airwarden.providers.kubernetes import accounts
from airwarden.providers.ports import SharesObjects
from airwarden.reconcile.backends import Runtime
from airwarden.reconcile.binding_maps import environment_of
from airwarden.reconcile.cache import Cache, Entry
from airwarden.reconcile.on_record import OnRecord


@dataclass(frozen=True, slots=True)
class Declared:
    """What the bindings of one backend declare at this moment, and have on their records."""

    cluster: str
    cache: Cache
    runtime: Runtime
    clock: Callable[[], datetime]
    records: OnRecord

    def on_record(self, namespace: str) -> AbstractSet[str]:
        """Return what a namespace's bindings have on record of what they may share with others."""
        return self.records.of(namespace)

    def declaring(self, ending: str) -> tuple[Owner, ...]:
        """Return the bindings, in order, that have something on record whose name ends so, and may keep it.

        Only what is on a record is found again by its binding, whatever happens next: so nobody else may inherit.
        """
        found: list[Owner] = []
        for key in self.cache.using_backend(self.runtime.name):
            entry = self.cache.bindings.get(key)
            if entry is None or entry.deleting or ending.encode() not in entry.text:
                continue
            if any(each.name.endswith(ending) for each in self._may_keep(entry)):
                found.append(Owner(self.cluster, *key, self.runtime.name, account=entry.account))
        return tuple(found)

    def groups(self) -> frozenset[str]:
        """Return the groups of people that the backend lists, as the store knows them."""
        return frozenset(self.runtime.backend.spec.known_groups.values())

    def _may_keep(self, entry: Entry) -> frozenset[Address]:
        """Return what a binding has on record here and declares; all of it where that cannot be judged now."""
        raw, owner = entry.load(), Owner(self.cluster, *entry.key, account=entry.account)
        recorded = records.derived(records.recorded(Status.model_validate(raw["status"])), owner, entry.account)
        here = frozenset(each for each in recorded if each.backend == self.runtime.name)
        try:
            binding = AirflowSecretBinding.model_validate(raw)
        except ValidationError:
            return here
        if binding.spec.suspend:
            here = frozenset(each for each in here if recorded[each])  # what was never written, it never had
        if not self._has_account(binding, owner, made=accounts.address(owner.account) in recorded):
            return frozenset()
        wanted = self._plan(binding, frozenset(each.backend for each in recorded))
        if self.runtime.name in wanted.held:
            return here
        grant = wanted.grants.get(self.runtime.name)
        resources = self.runtime.store.render(grant) if grant is not None else ()
        return here & {each.address for each in resources}

    def _has_account(self, binding: AirflowSecretBinding, owner: Owner, *, made: bool) -> bool:
        """Tell whether the account is the binding's: with another's a pass takes everything away.

        One that was ``made`` for it and is out of sight (removed, or without its labels) a pass makes or sets right,
        and takes nothing. Should it be somebody else's by now, that pass lets go of what was inherited meanwhile.
        """
        known = self.cache.accounts.get((owner.namespace, owner.account))
        if binding.spec.service_account.mode is AccountMode.EXTERNAL:
            return accounts.is_allowed(known, owner, owner.account)
        uid = records.recorded_id(binding.status, accounts.address(owner.account))
        if known is None:
            return made and not binding.spec.suspend  # which makes none
        return accounts.is_ours(known, owner, uid)

    def _plan(self, binding: AirflowSecretBinding, recorded: frozenset[str]) -> Plan:
        namespace = self.cache.namespaces.get(binding.metadata.namespace)
        around = Surroundings(
            cluster=self.cluster,
            backends={self.runtime.name: self.runtime.view()},
            namespace_labels=namespace.labels if namespace is not None else None,
            recorded=recorded,
            environment=environment_of(self.cache, binding),
            now=self.clock(),
        )
        return plan(binding, around)


def tell(runtime: Runtime, cluster: str, cache: Cache, clock: Callable[[], datetime]) -> None:
    """Let a store that was just opened know of all bindings, if one object of it may be of several."""
    store = runtime.store
    if isinstance(store, SharesObjects):
        store.share(Declared(cluster, cache, runtime, clock, OnRecord(cluster, cache, runtime.name, store)))
