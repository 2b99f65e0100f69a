"""Vault in mode Fenced, as `airwarden.reconcile` sees it: an implementation of `providers.ports.Store`.

The operator writes no policy and no role: it fills the slots of a managed account's alias, one idempotent
request that acts on live tokens at once. What mode Roles left is read and removed through that mode's store.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from airwarden.domain.errors import AirwardenError
from airwarden.domain.fence import Fence
from airwarden.domain.holdings import Holding
from airwarden.domain.identity import Expected
from airwarden.domain.keys import KeyGrammar
from airwarden.domain.logins import ForeignLogins
from airwarden.domain.owner import Owner
from airwarden.domain.resources import (
    Action,
    Address,
    Claim,
    FieldValue,
    Grant,
    Observed,
    Operation,
    Readable,
    Resource,
)
from airwarden.domain.sessions import SessionRange
from airwarden.domain.task_access import TaskAccess
from airwarden.providers.concurrency import SingleFlight
from airwarden.providers.ports import FOREIGN_ROLE_SCAN, Health, Written
from airwarden.providers.vault import people
from airwarden.providers.vault.checking import check_rights
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.connection import Connection
from airwarden.providers.vault.fenced import checking, slots
from airwarden.providers.vault.fenced.aliases import ALIAS, LIST, Aliases
from airwarden.providers.vault.foreign import probe_path, read_foreign_logins
from airwarden.providers.vault.identity import Identity
from airwarden.providers.vault.store import Layout, VaultStore, key_grammar
from airwarden.providers.vault.task_access import task_access


class FencedStore:
    """The filled slots of one cluster's bindings in one Vault."""

    drift_interval: float = 600.0
    sessions: SessionRange | None = None
    alone: frozenset[str] = frozenset()
    effect_lag: float = 0.0
    releases: bool = False
    takes_people: bool = False

    def __init__(
        self,
        connection: Connection,
        layout: Layout,
        fence: Fence,
        clock: Callable[[], float] = time.monotonic,
        client: VaultClient | None = None,
    ) -> None:
        self._roles = VaultStore(connection, layout, clock, client)
        self.client: VaultClient = self._roles.client
        self.layout = layout
        self.fence: Fence | None = fence
        self.settings: object = (connection, layout, fence)
        self.grammar: KeyGrammar = key_grammar(layout.kv_version)
        self._slots = fence
        self._aliases = Aliases(self.client, layout.backend, layout.auth_mount)
        self._proven = False
        self._proving = SingleFlight(self._prove)

    def render(self, grant: Grant) -> tuple[Resource, ...]:
        """Return the one alias whose metadata gives exactly the grant."""
        fields: dict[str, FieldValue] = dict(slots.metadata(grant, self._slots))
        address = Address(self.layout.backend, ALIAS, f"{grant.owner.namespace}/{grant.account}")
        return (Resource(address, fields),)

    def task_access(self, owner: Owner) -> TaskAccess:
        """Return how tasks read here: all under the admin's one role. Who they are, their account says."""
        del owner
        layout = self.layout
        kv = (layout.kv_mount, layout.kv_version)
        return task_access(self.client.connection, layout.form, layout.auth_mount, self._slots.role, kv)

    def addresses(self, owner: Owner, others: Iterable[Address] = ()) -> tuple[Address, ...]:  # noqa: ARG002 - one follows from the owner
        """Return the address of the owner's alias. Raises ValueError when its account is not known."""
        return (self._aliases.address(owner),)

    def former(self, owner: Owner) -> tuple[Address, ...]:
        """Return the policy and the role that mode Roles gave the owner, and what let people in."""
        return self._roles.addresses(owner, people.addresses(self.layout.backend, owner))

    async def observe(self, owner: Owner, addresses: Iterable[Address], *, known: bool) -> Mapping[Address, Observed]:
        """Return what Vault has at each of the owner's addresses, those of mode Roles included.

        Raises ValueError for an address that the owner cannot have.
        """
        asked = tuple(addresses)
        own = self._aliases.address(owner) if owner.account else None
        others = [each for each in asked if each != own]
        found = dict(await self._roles.observe(owner, others, known=known))
        if own is not None and own in asked:
            found[own] = await self._aliases.observe(owner)
        return found

    async def apply(self, operation: Operation) -> Written:
        """Fill or empty one alias, or remove what mode Roles left."""
        if operation.address.kind != ALIAS:
            if operation.action is not Action.DELETE:
                raise ValueError(
                    f"{operation.action} of {operation.address} in mode Fenced: nothing but aliases is written"
                )
            return await self._roles.apply(operation)
        if operation.action is not Action.DELETE and not self._proven:
            try:
                await self._proving.join()
            except AirwardenError:
                await self._take_back(operation)
                raise
        return await self._aliases.apply(operation)

    def annotations(self, owner: Owner) -> Mapping[str, str]:  # noqa: ARG002 - none, whoever it is
        """Return none: a projected token is all that a login at Vault needs."""
        return {}

    def readable(self, observed: Mapping[Address, Observed]) -> frozenset[Readable]:
        """Return what the observed alias, and what mode Roles left, let the account read."""
        found = set(self._roles.readable({key: each for key, each in observed.items() if key.kind != ALIAS}))
        for address, each in observed.items():
            if address.kind == ALIAS:
                namespace = address.name.split("/")[0]
                found |= slots.readable(each.fields or {}, namespace)
        return frozenset(found)

    def expect(self, expected: Expected) -> None:
        """Use no other Vault than the one meant. Whose the cluster's name is, this mode cannot mark: see the docs."""
        address = self.client.connection.address
        self.client.identity = Identity(self.layout.cluster, expected, address, marked=False)

    async def identify(self) -> None:
        """Ask Vault which it is."""
        await self._roles.identify()

    def narrowed(self, grant: Grant, observed: Mapping[Address, Observed]) -> Grant | None:
        """Return the part of the grant that the alias, or what mode Roles left, gives already."""
        own = {key: each for key, each in observed.items() if key.kind == ALIAS and each.claim is Claim.OURS}
        readable = self.readable(own) & grant.readable
        if all(address in observed for address in self._roles.addresses(grant.owner)):
            former = self._roles.narrowed(grant, {key: each for key, each in observed.items() if key.kind != ALIAS})
            readable |= former.readable if former is not None else frozenset()
        return replace(grant, readable=readable) if readable else None

    async def holdings(self) -> frozenset[Holding]:
        """Return every filled alias of our cluster, each account for itself. Forbidden without the right."""
        return frozenset(Holding.of(each) for each in await self._aliases.owners(self.layout.cluster))

    async def former_holdings(self) -> frozenset[Holding]:
        """Return the policies and roles that mode Roles left.

        Only where the marker of that mode says that the cluster's name is ours: this mode writes none, and the names
        alone could be those of another cluster. Raises ClusterIDConflict when they are.
        """
        if not await self.client.owns_cluster_name():
            return frozenset()
        found = await self._roles.holdings()
        return frozenset(Holding.of(each.owner, each.present or self._roles.addresses(each.owner)) for each in found)

    async def check(self) -> Health:
        """Ask Vault for its health and our rights, and whether the admin's role and policy stand as printed."""
        needed = checking.needed_rights(self.layout.auth_mount, self._slots, self.layout.cluster)
        scan = (probe_path(self.layout.auth_mount), ("read",), FOREIGN_ROLE_SCAN)
        former = checking.former_rights(self.layout.auth_mount, self.layout.form, self.layout.cluster)
        optional = ((LIST, ("list",), checking.SWEEP), *former, scan)
        health = await check_rights(self.client, needed, checking.CAPABILITIES, optional)
        if not health.missing_permissions:
            self._proven = False
            await self._aliases.accessor(anew=True)
            await self._proving.join()
        return health

    async def foreign_logins(self) -> ForeignLogins:
        """Return the roles beside the fence's own on the mount where tasks log in."""
        layout, own = self.layout, frozenset({self._slots.role.lower()})
        return await read_foreign_logins(self.client, layout.auth_mount, layout.cluster, own)

    async def close(self) -> None:
        """Revoke the login and close all connections."""
        await self._roles.close()

    async def _take_back(self, operation: Operation) -> None:
        """Take away what is no longer granted, when nothing may be added: a removal needs no proof of the fence."""
        address, fields = operation.address, operation.observed.fields
        if operation.resource is None or fields is None:
            return
        namespace = address.name.split("/")[0]
        kept = slots.narrowed(fields, operation.resource.fields, namespace)
        if slots.readable(kept, namespace) != slots.readable(fields, namespace):
            await self._aliases.apply(replace(operation, resource=Resource(address, kept)))

    async def _prove(self) -> None:
        layout, fence = self.layout, self._slots
        accessor = await self._aliases.accessor()
        wanted = slots.policy_text(fence, mount=layout.kv_mount, version=layout.kv_version, accessor=accessor)
        name = checking.policy_name(layout.cluster, fence.role)
        await checking.prove_fence(self.client, layout.auth_mount, fence.role, name, wanted)
        self._proven = True
