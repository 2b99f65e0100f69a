"""Azure Key Vault as `airwarden.reconcile` sees it: an implementation of `providers.ports.Store`.

For each binding an identity with one federated credential, and for each secret a role assignment at the secret's own
scope. The identity is made first and referred to by name: what Entra calls it is known only then.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from airwarden.api.azure import Scope
from airwarden.api.reasons import Reason
from airwarden.domain.errors import AirwardenError, ClusterIDConflict, StoreFailed
from airwarden.domain.fence import Fence
from airwarden.domain.holdings import Holding
from airwarden.domain.identity import Expected, refuse_other_store
from airwarden.domain.keys import KeyGrammar
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
    StaticSecret,
)
from airwarden.domain.sessions import SessionRange
from airwarden.domain.task_access import TaskAccess
from airwarden.providers.azure import holding, naming, observing
from airwarden.providers.azure.arm import Arm, LimitSink, MakeLogin
from airwarden.providers.azure.assigning import Assigning
from airwarden.providers.azure.assignments import Assignments
from airwarden.providers.azure.beside import Beside
from airwarden.providers.azure.ceilings import Ceilings
from airwarden.providers.azure.checking import Checks
from airwarden.providers.azure.connection import Connection, Place
from airwarden.providers.azure.diagnostics import DiagnosticSetting
from airwarden.providers.azure.identities import AUDIENCE, Credential, Identities, IdentityNotFound, Known
from airwarden.providers.azure.login import Login
from airwarden.providers.azure.marks import ACCOUNT, OWNER_TAG, description, read_tags
from airwarden.providers.azure.naming import ASSIGNMENT, CREDENTIAL, IDENTITY
from airwarden.providers.azure.observing import ACCOUNT_TYPE, GROUP_TYPE
from airwarden.providers.azure.rows import Row
from airwarden.providers.azure.shared_list import FRESH
from airwarden.providers.azure.sharing import SharedAssignments
from airwarden.providers.azure.task_access import task_access
from airwarden.providers.azure.vault import KeyVault
from airwarden.providers.ports import Claims, Health, Written

_CLIENT_ID: Final = "azure.workload.identity/client-id"
_TENANT_ID: Final = "azure.workload.identity/tenant-id"


class IdentityNotGiven(AirwardenError):
    """Nothing says which identity the binding's tasks have, and none may be made."""

    reason = Reason.IDENTITY_NOT_GIVEN
    retryable = False


class AzureStore:
    """What one cluster's bindings have in one vault."""

    drift_interval: float = 600.0
    sessions: SessionRange | None = None
    alone: frozenset[str] = frozenset({ASSIGNMENT})
    effect_lag: float = 600.0
    """Azure's own word for how long a role assignment may take."""
    releases: bool = False
    """A credential has no mark to take off, and a group's assignment may be another binding's by then."""
    takes_people: bool = True
    fence: Fence | None = None
    grammar: KeyGrammar = naming.GRAMMAR

    def __init__(
        self,
        connection: Connection,
        place: Place,
        told: LimitSink,
        clock: Callable[[], float] = time.monotonic,
        login: MakeLogin = Login,
    ) -> None:
        self.place = place
        self.settings: object = (connection, place)
        self._connection = connection
        self._arm = Arm(connection, told, clock, login, frozenset({place.identity_side}))
        self._vault = KeyVault(self._arm, place, clock)
        self._identities = Identities(self._arm, place, clock)
        self._assignments = Assignments(self._arm, place, self._vault, clock)
        self._ceilings = Ceilings(place, lambda: self._assignments.listed)
        self._shared = SharedAssignments(self._assignments, place, self._ceilings)
        self._beside = Beside(place, self._identities, self._assignments)
        self._diagnostics = DiagnosticSetting(self._arm, place, clock)
        self._assigning = Assigning(place, self._assignments, self._shared, self._identities, self._ceilings)
        self._checks = Checks(self._arm, self._vault, self._ceilings, self._identities, clock)
        self._expected = Expected(frozenset(), "unknown", claims=False)
        self.on_existing: frozenset[Address] = frozenset()
        """Credentials of our names for this cluster's tokens on identities of others, as `holdings` saw them last."""
        self._federated: frozenset[Owner] = frozenset()
        """Whose those are, as far as marks told: once the assignments are removed, none does any more."""
        self._taken: tuple[Owner, tuple[Address, ...]] | None = None
        """Where the mark of another cluster of our name was seen last."""

    @property
    def arm(self) -> Arm:
        """The way to Azure, for commands that also look at what is not a binding's."""
        return self._arm

    def expect(self, expected: Expected) -> None:
        """Say which vault is meant and which cluster asks. A vault's id is in the settings: no other can answer."""
        self._expected = self._assigning.expected = expected

    def share(self, claims: Claims) -> None:
        """Say who knows what other bindings declare: a group's assignment may be of several."""
        self._shared.share(claims)
        self._ceilings.share(claims)

    def shared_name(self, address: Address) -> str:
        """Return what a group's assignment is called for all bindings that may have it."""
        target = naming.read_target(address)
        return naming.ending_of(target) if target is not None and target.whom != ACCOUNT else ""

    async def identify(self) -> None:
        """Raise StoreChanged for another vault than the one on record. Clusters are told apart by each mark."""
        refuse_other_store(self._expected, self.place.vault_id, f"vault {self.place.vault_name}")
        await self._vault.look()

    def render(self, grant: Grant) -> tuple[Resource, ...]:
        """Return identity, credential and assignments that give exactly the grant."""
        place, owner, uid = self.place, replace(grant.owner, account=grant.account), self._expected.cluster_uid
        identity = naming.identity_name(self.place, owner)
        credential = observing.credential_fields(self._credential(owner))
        found: dict[Address, tuple[dict[str, FieldValue], Readable | None]]
        found = {naming.credential_address(place, owner, identity): (credential, None)}
        mark = description(owner, uid)
        assigned = observing.assignment_fields(place, identity, ACCOUNT_TYPE, mark)
        for key in sorted(each.key for each in grant.readable if isinstance(each, StaticSecret)):
            opens = StaticSecret(key) if place.scope is Scope.SECRET else None
            found[naming.assignment_address(place, owner, key)] = (assigned, opens)
        for group in sorted({each.lower() for each in grant.people}):
            whom = naming.whom_of(group)
            let_in = observing.assignment_fields(place, group, GROUP_TYPE, description(owner, uid, whom))
            for key in sorted(each.key for each in grant.for_people if isinstance(each, StaticSecret)):
                found[naming.assignment_address(place, owner, key, whom)] = (let_in, None)
        resources = tuple(Resource(address, fields, opens=opens) for address, (fields, opens) in found.items())
        if naming.existing(self.place, owner) is not None:
            return resources
        made = Resource(naming.identity_address(place, owner), observing.identity_fields(owner, uid))
        return (made, *resources)

    def addresses(self, owner: Owner, others: Iterable[Address] = ()) -> tuple[Address, ...]:
        """Return the assignments that are named and could be the owner's, then the credentials, then the identity."""
        found = {each for each in others if naming.could_be_of(owner, each)}
        found.add(naming.credential_address(self.place, owner, naming.identity_name(self.place, owner)))
        if naming.existing(self.place, owner) is None:
            found.add(naming.identity_address(self.place, owner))
        return naming.in_removal_order(found)

    def former(self, owner: Owner) -> tuple[Address, ...]:  # noqa: ARG002 - nothing, whoever it is
        """Return nothing: there is one mode."""
        return ()

    def readable(self, observed: Mapping[Address, Observed]) -> frozenset[Readable]:
        """Return what the observed assignments let the account read."""
        targets = {each: target for each in observed if (target := naming.read_target(each)) is not None}
        return frozenset(StaticSecret(key) for key in observing.readable_keys(observed, targets))

    def narrowed(self, grant: Grant, observed: Mapping[Address, Observed]) -> Grant | None:
        """Return the part of the grant that is assigned already, to an identity that the account can log in with."""
        wanted = {each.address: each for each in self.render(grant)}
        held = {
            address
            for address, each in wanted.items()
            if (found := observed.get(address)) is not None and dict(found.fields or {}) == dict(each.fields)
        }
        if any(each not in held for each in wanted if each.kind != ASSIGNMENT):
            return None
        readable = frozenset(
            each
            for each in grant.readable
            if isinstance(each, StaticSecret) and naming.assignment_address(self.place, grant.owner, each.key) in held
        )
        let_in = grant.for_people & readable
        people = frozenset(each for each in grant.people if self._lets_in(grant.owner, each, let_in) <= held)
        return replace(grant, readable=readable, people=people, for_people=let_in) if readable else None

    async def observe(self, owner: Owner, addresses: Iterable[Address], *, known: bool) -> Mapping[Address, Observed]:
        """Return what Azure has at each of the owner's addresses, from lists that all bindings share.

        Raises ValueError for an address that the owner cannot have, ClusterIDConflict where a cluster of our name was.
        """
        asked = tuple(addresses)
        try:
            return await self._observe(owner, asked, known=known)
        except ClusterIDConflict:
            self._taken = owner, asked
            raise

    async def _observe(self, owner: Owner, asked: tuple[Address, ...], *, known: bool) -> Mapping[Address, Observed]:
        self._refuse_others(owner, asked)
        self._beside.asked(owner, asked)
        age = self.place.drift_age if known else FRESH
        name = naming.identity_name(self.place, owner)
        assignments = [each for each in asked if each.kind == ASSIGNMENT]
        found: dict[Address, Observed] = {}
        for address in asked:
            if address.kind == IDENTITY:
                own = await self._identities.find(address.name, age)
                found[address] = observing.observed_identity(address, owner, own, self._expected)
            elif address.kind == CREDENTIAL:
                found[address] = await self._observed_credential(address, owner, age)
        if assignments:
            identity = await self._identities.find(name, age)
            found |= await self._assigning.observe(assignments, owner, identity, known=known)
        return {address: found[address] for address in asked}

    async def marked(self, owner: Owner, addresses: Iterable[Address]) -> Mapping[Address, Observed]:
        """Return what is assigned as far as marks tell, without a look at the identities.

        Left out is where a row may be ours that lost its mark, since whose principal it names is not known, and what
        the process before may have written without an answer.
        """
        asked = tuple(addresses)
        self._refuse_others(owner, asked)
        found = await self._assigning.observe(asked, owner, None, known=True)
        rows = await self._assignments.rows(self.place.drift_age, owner.short_name_in_store)
        young = self._assignments.is_young
        doubtful = {each for each in asked if observing.may_have_lost_its_mark(self.place, each, rows)}
        return {
            address: each for address, each in found.items() if address not in doubtful and not (young and each.absent)
        }

    async def apply(self, operation: Operation) -> Written:
        """Do one operation; what is written is read back."""
        address = operation.address
        if operation.action is not Action.DELETE:
            await self._vault.require_rbac()
        if address.kind == IDENTITY:
            return await self._apply_identity(operation)
        if address.kind == CREDENTIAL:
            return await self._apply_credential(operation)
        target = naming.read_target(address)
        if target is None:
            raise ValueError(f"{address} is not of a kind that Azure has")
        return await self._assigning.apply(operation, target)

    def annotations(self, owner: Owner) -> Mapping[str, str]:
        """Return by what Azure's own clients log in, once the identity is known."""
        known = self._identities.last(naming.identity_name(self.place, owner))
        return {_CLIENT_ID: known.client, _TENANT_ID: self._connection.tenant} if known is not None else {}

    def task_access(self, owner: Owner) -> TaskAccess:
        """Return how tasks read the vault: as the owner's identity, with a projected token of their account."""
        name = naming.identity_name(self.place, owner)
        return task_access(self._connection, self.place, name, self._identities.last(name))

    async def holdings(self) -> frozenset[Holding]:
        """Return what every owner of our cluster has, by the marks in lists that are read anew.

        A credential on an identity that others made carries none: it goes by its name with what else its owner has.
        """
        rows = await self._assignments.rows(0.0)
        identities = await self._identities.all(0.0)
        self.on_existing = frozenset([each async for each in self._on_existing()])
        found = self._held(rows, identities)
        known = {each.owner for each in found}
        found |= {Holding(each) for each in self._federated - known}
        found = frozenset(
            replace(each, present=self.addresses(each.owner, (*each.present, *self.on_existing))) for each in found
        )
        self._federated = frozenset(each.owner for each in found if self.on_existing.intersection(each.present))
        return frozenset(each for each in found if each.owner in known | self._federated)

    async def _on_existing(self) -> AsyncIterator[Address]:
        for identity in sorted(set(self.place.existing.values())):
            for each in await self._identities.credentials(identity):
                address = Address(self.place.backend, CREDENTIAL, f"{each.name}/{identity}")
                if each.issuer == self.place.issuer and naming.is_credential(address):
                    yield address

    async def carrying(self, owner: Owner, *, known: bool) -> tuple[Address, ...]:
        """Return where an assignment of ours carries the owner's mark, from the list that `observe` tells by."""
        rows = await self._assignments.rows(self.place.drift_age if known else FRESH)
        own = [each for each in rows if each.description.startswith(owner.mark)]
        found = holding.assigned(self.place, self._expected.cluster_uid, holding.derived(self.place, own))
        return tuple(each for each in found.get(owner, ()) if naming.could_be_of(owner, each))

    async def marked_holdings(self) -> frozenset[Holding]:
        """Return what is assigned for every owner of our cluster, without a look at the identities."""
        return self._held(await self._assignments.rows(0.0))

    def _held(self, rows: Iterable[Row], identities: Iterable[Known] = ()) -> frozenset[Holding]:
        uid = self._expected.cluster_uid
        found = holding.assigned(self.place, uid, rows)
        for owner, addresses in holding.made(self.place, uid, identities).items():
            found.setdefault(owner, set()).update(addresses)
        return frozenset(Holding(owner, present=self.addresses(owner, each)) for owner, each in found.items())

    async def former_holdings(self) -> frozenset[Holding]:
        """Return nothing: there is one mode."""
        return frozenset()

    async def keep_shared(self, *, used: bool) -> None:
        """Keep the vault's diagnostic setting while bindings use the backend, and remove it with the last."""
        await self._diagnostics.keep(self._expected.cluster_uid, used=used)

    async def check(self) -> Health:
        """Log in if need be, look at the vault, and ask what the login may do and how full the quotas are."""
        refuse_other_store(self._expected, self.place.vault_id, f"vault {self.place.vault_name}")
        if self._taken is not None:
            # What holds all bindings back is lifted by nothing but another look at the very place.
            await self._observe(*self._taken, known=False)
            self._taken = None
        health = await self._checks.check()
        beside = self._beside.note(self._expected.cluster_uid)
        return health if beside is None else replace(health, notes=(*health.notes, beside))

    async def close(self) -> None:
        """Forget the login and close all connections."""
        await self._arm.close()

    # One kind after the other.

    def _refuse_others(self, owner: Owner, asked: tuple[Address, ...]) -> None:
        permitted = self.addresses(owner, asked)
        if not set(asked) <= set(permitted):
            raise ValueError(f"{min(set(asked) - set(permitted))} is not an address of binding {owner}")

    def _lets_in(self, owner: Owner, group: str, secrets: frozenset[Readable]) -> frozenset[Address]:
        whom = naming.whom_of(group)
        keys = (each.key for each in secrets if isinstance(each, StaticSecret))
        return frozenset(naming.assignment_address(self.place, owner, each, whom) for each in keys)

    def _credential(self, owner: Owner) -> Credential:
        subject = f"system:serviceaccount:{owner.account_in_store.replace('/', ':')}"
        return Credential(owner.short_name_in_store, self.place.issuer, subject, (AUDIENCE,))

    async def _observed_credential(self, address: Address, owner: Owner, age: float) -> Observed:
        name, identity = naming.read_credential(address)
        own = naming.identity_name(self.place, owner)
        if identity != own and identity.lower() == own:
            return Observed(address, None)  # the same credential as spelt once: it is looked at by its own address
        if await self._identities.find(identity, age) is None:
            return Observed(address, None)
        wanted = self._credential(owner) if owner.account else None
        return observing.observed_credential(address, name, wanted, await self._identities.credentials(identity))

    async def _apply_identity(self, operation: Operation) -> Written:
        name = operation.address.name
        if operation.action is Action.DELETE:
            await self._require_own(name, operation.observed.claim)
            await self._identities.remove(name)
            return Written()
        if operation.resource is None:
            raise ValueError(f"{operation.action} of {operation.address} comes without its resource")
        wanted = {key: str(value) for key, value in operation.resource.fields.items()}
        known = await self._identities.find(name, self.place.list_age)
        if known is not None:
            return Written((await self._identities.tag(known, wanted)).id)
        if not self.place.location:
            raise IdentityNotGiven(
                f"backend {self.place.backend} names no identity for this account, and has no region to make one in: "
                "add the account to azureKeyVault.identities.existing, or set identities.location"
            )
        if (mark := read_tags(wanted)) is not None:
            self._ceilings.refuse_identity(mark.owner, mark.uid, self._identities.seen())
        return Written((await self._identities.make(name, wanted)).id)

    async def _require_own(self, name: str, claim: Claim) -> None:
        """Raise StoreFailed unless the identity, as it is now, is the owner's of that name, or has no mark at all.

        What it was decided upon may be a list, or nothing where the identities could not be looked at.
        """
        live = await self._identities.live(name)
        if live is None:
            return
        mark = read_tags(live.tags)
        ours = mark is not None and mark.uid == self._expected.cluster_uid and mark.owner.short_name_in_store == name
        if not ours and not (OWNER_TAG not in live.tags and claim is Claim.UNMARKED):
            raise StoreFailed(f"identity {name} was changed since it was looked at, so it was not removed")

    async def _apply_credential(self, operation: Operation) -> Written:
        name, identity = naming.read_credential(operation.address)
        if operation.action is Action.DELETE:
            if not operation.observed.fields:
                raise StoreFailed(f"credential {name} of {identity} could not be looked at, so it was not removed")
            await self._identities.unfederate(identity, name)
            return Written()
        if operation.resource is None:
            raise ValueError(f"{operation.action} of {operation.address} comes without its resource")
        if await self._identities.find(identity, self.place.list_age) is None:
            raise IdentityNotFound(
                f"there is no identity {identity} in resource group {self.place.identity_group}: make it, or correct "
                "azureKeyVault.identities.existing"
            )
        fields = operation.resource.fields
        wanted = Credential(name, str(fields["issuer"]), str(fields["subject"]), (AUDIENCE,))
        await self._identities.federate(identity, wanted)
        return Written()
