"""Vault in mode Roles, as `airwarden.reconcile` sees it: an implementation of `providers.ports.Store`.

A role has no room for an ownership mark, so role and policy are observed together: the policy's first
line says whose both are.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from airwarden.api.texts import PENDING
from airwarden.domain.errors import StoreFailed
from airwarden.domain.fence import Fence
from airwarden.domain.holdings import Holding
from airwarden.domain.identity import Expected
from airwarden.domain.keys import KeyGrammar
from airwarden.domain.logins import ForeignLogins
from airwarden.domain.owner import PREFIX, Owner
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
    Session,
    StaticSecret,
)
from airwarden.domain.sessions import PER_BINDING, SessionRange
from airwarden.domain.task_access import TaskAccess
from airwarden.providers.ports import Health, Written
from airwarden.providers.vault import marks, people, policy, role
from airwarden.providers.vault.checking import check_vault
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.connection import Connection
from airwarden.providers.vault.fenced import slots
from airwarden.providers.vault.fenced.aliases import ALIAS, Aliases
from airwarden.providers.vault.foreign import read_foreign_logins
from airwarden.providers.vault.identity import Identity
from airwarden.providers.vault.listing import SharedListing
from airwarden.providers.vault.role_forms import KubernetesForm, RoleForm
from airwarden.providers.vault.task_access import task_access
from airwarden.providers.vault.transport import Call

POLICY: Final = "VaultPolicy"
ROLE: Final = role.KIND
_POLICIES: Final = (POLICY, people.POLICY)
_LONGEST_KEY: Final = 512


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in the Vault things are."""

    cluster: str
    backend: str
    kv_mount: str
    kv_version: int
    auth_mount: str
    """Mount of the auth method where tasks log in."""
    form: RoleForm
    """The roles of that method."""
    lets_people_in: bool = False
    """Whether the backend names groups that are let in, so that the operator has the right to look for ours."""


class VaultStore:
    """The policies and roles of one cluster's bindings in one Vault."""

    drift_interval: float = 600.0
    sessions: SessionRange | None = PER_BINDING
    alone: frozenset[str] = frozenset({people.GROUP})
    effect_lag: float = 0.0
    releases: bool = True
    takes_people: bool = True
    fence: Fence | None = None

    def __init__(
        self,
        connection: Connection,
        layout: Layout,
        clock: Callable[[], float] = time.monotonic,
        client: VaultClient | None = None,
    ) -> None:
        self.client = client or VaultClient(connection, clock)
        self.layout = layout
        self.settings: object = (connection, layout)
        self.grammar: KeyGrammar = key_grammar(layout.kv_version)
        self._role_path = f"auth/{layout.auth_mount}/role"
        self._policies = SharedListing(lambda: self._names("sys/policies/acl"), clock)
        self._roles = SharedListing(lambda: self._names(self._role_path), clock)
        self._aliases = Aliases(self.client, layout.backend, layout.auth_mount)

    def expect(self, expected: Expected) -> None:
        """Use no other Vault than the one meant, and only where the cluster's name is ours."""
        self.client.identity = Identity(self.layout.cluster, expected, self.client.connection.address)

    async def identify(self) -> None:
        """Ask Vault which it is, and whose our cluster's name is here."""
        await self.client.health()
        await self.client.ensure_login()
        await self.client.prove()

    def render(self, grant: Grant) -> tuple[Resource, ...]:
        """Return the policy and the role that give exactly the grant, and then what lets people in."""
        name = grant.owner.name_in_store
        rules = policy.rules_for(grant.readable, mount=self.layout.kv_mount, version=self.layout.kv_version)
        scope = marks.scope_of(policy.secret_paths(rules))
        kv = self.layout.kv_mount, self.layout.kv_version
        return (
            Resource(Address(self.layout.backend, POLICY, name), {"policy": policy.render(grant.owner, rules)}, scope),
            Resource(Address(self.layout.backend, self.layout.form.kind, name), self.layout.form.desired(grant), scope),
            *people.render(grant, mount=kv[0], version=kv[1]),
        )

    def task_access(self, owner: Owner) -> TaskAccess:
        """Return how tasks of the owner read here: under the role that its grant makes."""
        layout = self.layout
        kv = (layout.kv_mount, layout.kv_version)
        return task_access(self.client.connection, layout.form, layout.auth_mount, owner.name_in_store, kv)

    def narrowed(self, grant: Grant, observed: Mapping[Address, Observed]) -> Grant | None:
        """Return the part of the grant that policy and role, or what mode Fenced left, give already.

        The policy must name the owner and be read back; without the role nobody can log in, so it alone gives nothing.
        """
        text, fields = (observed[address].fields for address in self._own(grant.owner))
        former = {key: each for key, each in observed.items() if key.kind == ALIAS and each.claim is Claim.OURS}
        readable, session = self.readable(former) & grant.readable, grant.session
        document = policy.parse(str((text or {}).get("policy", "")))
        if document is not None and document.owner == grant.owner and fields is not None:
            given = role.session_given(fields, self.layout.form.desired(grant))
            if given is not None:
                session = given
                readable |= policy.readable_of(
                    document.rules, grant.readable, mount=self.layout.kv_mount, version=self.layout.kv_version
                )
        mount, version = self.layout.kv_mount, self.layout.kv_version
        let_in, shown = people.narrowed(grant, observed, mount=mount, version=version)
        kept = replace(grant, readable=readable, session=session, people=let_in, for_people=shown & readable)
        return kept if readable else None

    def addresses(self, owner: Owner, others: Iterable[Address] = ()) -> tuple[Address, ...]:
        """Return the policy's address, whose removal cuts live tokens at once, then the role's.

        In between that of the people's policy, and last their group's, where either is among the others: a binding
        that lets nobody in costs no look for them.
        """
        own_policy, own_role = self._own(owner)
        let_in, group = people.addresses(self.layout.backend, owner)
        if {let_in, group}.isdisjoint(others):
            return own_policy, own_role
        return own_policy, let_in, own_role, group

    def _own(self, owner: Owner) -> tuple[Address, Address]:
        name = owner.name_in_store
        return Address(self.layout.backend, POLICY, name), Address(self.layout.backend, self.layout.form.kind, name)

    def former(self, owner: Owner) -> tuple[Address, ...]:
        """Return the alias whose slots mode Fenced filled."""
        if not owner.account:
            return ()  # a name in a list says nothing of the account: what mode Fenced left is found by its own sweep
        return (self._aliases.address(owner),)

    def readable(self, observed: Mapping[Address, Observed]) -> frozenset[Readable]:
        """Return what the observed policy, and what mode Fenced left, let the account read.

        A policy that is not one of ours gives nobody knows what: more than any grant.
        """
        found: set[Readable] = set()
        for address, each in observed.items():
            if address.kind == ALIAS:
                found |= slots.readable(each.fields or {}, address.name.split("/")[0])
            elif address.kind in _POLICIES and each.fields is not None:
                document = policy.parse(str(each.fields.get("policy", "")))
                found |= (
                    {StaticSecret("*")}
                    if document is None
                    else policy.readable(document, mount=self.layout.kv_mount, version=self.layout.kv_version)
                )
        return frozenset(found)

    async def observe(self, owner: Owner, addresses: Iterable[Address], *, known: bool) -> Mapping[Address, Observed]:
        """Return what Vault has at each of the owner's addresses.

        Raises ValueError for an address that the owner cannot have.
        """
        own_policy, own_role = self._own(owner)
        asked = tuple(addresses)
        aliases = {each for each in asked if each.kind == ALIAS and each in self.former(owner)}
        let_in = {each for each in asked if each in people.addresses(self.layout.backend, owner)}
        for address in asked:
            if address not in {own_policy, own_role, *aliases, *let_in}:
                raise ValueError(f"{address} is not an address of binding {owner}")
        found = {each: await self._aliases.observe(owner) for each in aliases}
        found |= {each: await self._of_people(each, owner, known=known) for each in sorted(let_in)}
        if len(found) == len(set(asked)):
            return found
        text, fields = await asyncio.gather(
            self._policy_text(owner.name_in_store, known=known),
            self._role_fields(owner, known=known, wanted=own_role in asked),
        )
        of_policy = _observed_policy(own_policy, owner, text)
        of_role = _observed_role(own_role, owner, fields, of_policy, self.layout.form)
        found |= {own_policy: of_policy, own_role: of_role}
        return {address: found[address] for address in asked}

    async def apply(self, operation: Operation) -> Written:
        """Write or remove one policy, role or group."""
        address = operation.address
        if address.kind == ALIAS and operation.action is Action.DELETE:
            return await self._aliases.apply(operation)
        path = self._path(address)
        if operation.action is Action.DELETE:
            answer = await self.client.request(Call("DELETE", path))
            return Written(warnings=answer.warnings)
        if operation.resource is None or operation.resource.address != address:
            raise ValueError(f"{operation.action} of {address} comes without its resource")
        fields = operation.resource.fields
        if address.kind == people.GROUP:
            group = people.body(fields, released=operation.action is Action.RELEASE)
            answer = await self.client.request(Call("POST", path, group))
            return Written(str(answer.data.get("id") or operation.observed.id), answer.warnings)
        if address.kind in _POLICIES:
            fields = {"policy": _policy_to_write(operation, str(fields["policy"]))}
        elif operation.action is Action.RELEASE and fields == operation.observed.fields:
            return Written()  # it is ours only by its policy
        # Noted before the write: after a time-out it may be there, and must not be held for absent.
        (self._policies if address.kind in _POLICIES else self._roles).note(address.name)
        body = dict(fields) if address.kind in _POLICIES else self.layout.form.body(fields)
        answer = await self.client.request(Call("POST", path, body))
        return Written(warnings=answer.warnings)

    def annotations(self, owner: Owner) -> Mapping[str, str]:  # noqa: ARG002 - none, whoever it is
        """Return none: a projected token is all that a login at Vault needs."""
        return {}

    async def holdings(self) -> frozenset[Holding]:
        """Return what every owner of our cluster has here as a policy or a role, also of other backends.

        From lists that are read anew, that of the groups only where the backend lets people in. What stands under our
        prefix without being the name of any owner is left out.
        """
        policies, roles = await asyncio.gather(
            self._names("sys/policies/acl", empty=False), self._names(self._role_path)
        )
        let_in = {people.owner_name(each) for each in policies if each.endswith(people.SUFFIX)}
        let_in |= await self._names(people.LIST) if self.layout.lets_people_in else set()
        names = {people.owner_name(each) for each in policies} | roles | let_in
        found = {name: each for name in names if (each := Owner.from_name(self.layout.cluster, name)) is not None}
        return frozenset(
            replace(Holding.of(each), present=self._everything(each)) if name in let_in else Holding.of(each)
            for name, each in found.items()
        )

    def _everything(self, owner: Owner) -> tuple[Address, ...]:
        return self.addresses(owner, people.addresses(self.layout.backend, owner))

    async def former_holdings(self) -> frozenset[Holding]:
        """Return the aliases that mode Fenced filled, each account for itself."""
        if self.layout.form.kind != KubernetesForm.kind:
            return frozenset()  # mode Fenced knows no other login, and other mounts name their aliases otherwise
        found = await self._aliases.owners(self.layout.cluster)
        return frozenset(Holding.of(each, (self._aliases.address(each),)) for each in found)

    async def foreign_logins(self) -> ForeignLogins:
        """Return the roles beside ours on the mount where tasks log in."""
        return await read_foreign_logins(self.client, self.layout.auth_mount, self.layout.cluster)

    async def check(self) -> Health:
        """Ask Vault for its health, log in, and ask for the rights of the login."""
        layout = self.layout
        return await check_vault(
            self.client,
            layout.cluster,
            layout.auth_mount,
            layout.kv_mount,
            layout.form,
            lets_people_in=layout.lets_people_in,
        )

    async def close(self) -> None:
        """Revoke the login and close all connections."""
        await self.client.close()

    async def _of_people(self, address: Address, owner: Owner, *, known: bool) -> Observed:
        if address.kind == people.GROUP:
            return await people.observe_group(self.client.request, address, owner)
        return _observed_policy(address, owner, await self._policy_text(address.name, known=known))

    async def _policy_text(self, name: str, *, known: bool) -> str | None:
        if not known and not await self._policies.has(name):
            return None
        answer = await self.client.request(Call("GET", f"sys/policies/acl/{name}"))
        if answer.absent:
            return None
        text = answer.data.get("policy")
        if not isinstance(text, str):
            raise StoreFailed(f"Vault answered the read of policy {name} without a policy: is it a Vault?")
        return text

    async def _role_fields(self, owner: Owner, *, known: bool, wanted: bool) -> Mapping[str, FieldValue] | None:
        name = owner.name_in_store
        if not wanted or (not known and not await self._roles.has(name)):
            return None
        answer = await self.client.request(Call("GET", f"{self._role_path}/{name}"))
        if answer.absent:
            return None
        if not answer.data:
            raise StoreFailed(f"Vault answered the read of role {name} without a role: is it a Vault?")
        return self.layout.form.normalise(answer.data)

    async def _names(self, path: str, *, empty: bool = True) -> frozenset[str]:
        answer = await self.client.request(Call("LIST", path))
        if answer.absent and not empty:
            # Vault always has policies of its own: a list without them is not the list.
            raise StoreFailed(f"Vault answered that {path} is empty, which it never is: is it a Vault?")
        if answer.absent:
            return frozenset()
        keys = answer.data.get("keys")
        if isinstance(keys, str) or not isinstance(keys, list):
            raise StoreFailed(f"Vault answered the list of {path} without names: is it a Vault?")
        prefix = f"{PREFIX}.{self.layout.cluster}."
        return frozenset(key for key in keys if isinstance(key, str) and key.startswith(prefix))

    def _path(self, address: Address) -> str:
        """Return the path of an address. Raises ValueError for one that is not under our cluster's name."""
        # hvac does not quote paths, so nothing but a derived name may get into one.
        ours = rf"{re.escape(f'{PREFIX}.{self.layout.cluster}.')}[a-z0-9-]+\.[a-z0-9][a-z0-9.-]*"
        name = people.owner_name(address.name) if address.kind == people.POLICY else address.name
        if address.backend != self.layout.backend or re.fullmatch(ours, name) is None:
            raise ValueError(f"{address} is not an address of cluster {self.layout.cluster} in {self.layout.backend}")
        if address.kind in _POLICIES:
            return f"sys/policies/acl/{address.name}"
        if address.kind == people.GROUP:
            return f"{people.LIST}/{address.name}"
        if address.kind == self.layout.form.kind:
            return f"{self._role_path}/{address.name}"
        raise ValueError(f"{address} is not of a kind that Vault has")


def key_grammar(kv_version: int) -> KeyGrammar:
    """Return which keys a key-value engine of this version has."""
    segment = f"[{policy.SEGMENT_CHARACTERS}]+"
    mistaken = (("data/", "leave it out, Airwarden adds it"), ("metadata/", "write the path of the secret alone"))
    reserved = ((f"{PENDING}/", "values wait there that are not in use yet, and nobody else may have them"),)
    return KeyGrammar(
        separator="/",
        pattern=re.compile(rf"(?=.{{1,{_LONGEST_KEY}}}\Z){segment}(?:/{segment})*"),
        description=(
            f"write the path below the mount, at most {_LONGEST_KEY} characters, with letters, digits and "
            ". _ ~ @ : = , - between single slashes"
        ),
        mistaken_prefixes=(*mistaken, *reserved) if kv_version == policy.VERSIONED else reserved,
    )


def _policy_to_write(operation: Operation, text: str) -> str:
    if operation.action is Action.RELEASE:
        return marks.released(_owner_in(text), text)
    # What was here before us stays noted whatever the binding makes of it: the note says what was found.
    noted = operation.adoption or operation.observed.adoption
    return text if noted is None else marks.adopting(text, noted)


def _owner_in(text: str) -> Owner:
    owner = policy.owner_of(text)
    if owner is None:
        raise ValueError("a policy without our mark cannot be released")
    return owner


def _observed_policy(address: Address, owner: Owner, text: str | None) -> Observed:
    if text is None:
        return Observed(address, None)
    claim = marks.claim_of(owner, text)
    if claim is not Claim.OURS:
        return Observed(address, {"policy": text}, claim, as_marked={"policy": marks.as_marked(owner, text)})
    plain, adoption = marks.read_adoption(text)
    written = policy.parse(plain) is not None
    return Observed(address, {"policy": plain}, claim, adoption=adoption, own_writing=written)


def _observed_role(
    address: Address, owner: Owner, fields: Mapping[str, FieldValue] | None, of_policy: Observed, form: RoleForm
) -> Observed:
    if fields is None:
        return Observed(address, None)
    nobody = Grant(owner.backend, owner, "", frozenset(), Session(0, 0))
    return Observed(
        address,
        fields,
        _role_claim(address, owner, fields, of_policy),
        adoption=of_policy.adoption,
        as_marked=fields,
        own_writing=role.may_be_our_writing(fields, form.desired(nobody)),
    )


def _role_claim(address: Address, owner: Owner, fields: Mapping[str, FieldValue], of_policy: Observed) -> Claim:
    """Return whose a role is: its policy's mark speaks for it. One that gives more says nothing of itself."""
    adopted = of_policy.adoption is not None and address.kind in of_policy.adoption.kinds
    ours = of_policy.absent or of_policy.claim is Claim.OURS
    only_own = role.has_only_policy(fields, owner.name_in_store)
    return Claim.OURS if adopted or (ours and only_own) else Claim.UNMARKED
