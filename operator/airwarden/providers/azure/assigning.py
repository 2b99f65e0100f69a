"""The role assignments of one owner: what is there of them, and one change of one of them.

Called by `airwarden.providers.azure.store`.
"""

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace

from airwarden.domain.errors import NotOwned, StoreFailed
from airwarden.domain.identity import Expected
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Action, Address, Claim, Observed, Operation
from airwarden.providers.azure import naming, observing
from airwarden.providers.azure.assignments import Assignments
from airwarden.providers.azure.ceilings import Ceilings
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.identities import Identities, IdentityNotFound, Known
from airwarden.providers.azure.marks import ACCOUNT, read_description
from airwarden.providers.azure.naming import Target
from airwarden.providers.azure.observing import ACCOUNT_TYPE, Principal
from airwarden.providers.azure.rows import Row, name_of
from airwarden.providers.azure.shared_list import FRESH
from airwarden.providers.azure.sharing import SharedAssignments
from airwarden.providers.ports import Written


class Assigning:
    """What owners are assigned in one vault."""

    def __init__(
        self,
        place: Place,
        assignments: Assignments,
        shared: SharedAssignments,
        identities: Identities,
        ceilings: Ceilings,
    ) -> None:
        self._place = place
        self._assignments = assignments
        self._shared = shared
        self._identities = identities
        self._ceilings = ceilings
        self.expected = Expected(frozenset(), "unknown", claims=False)
        """Which cluster asks."""

    async def observe(
        self, asked: Iterable[Address], owner: Owner, identity: Known | None, *, known: bool
    ) -> dict[Address, Observed]:
        """Return what is assigned. What is on a record is never absent on the word of a list that may be too old."""
        short = owner.short_name_in_store
        rows = await self._assignments.rows(self._place.drift_age if known else FRESH, short)
        if identity is not None and naming.existing(self._place, owner) is not None:
            observing.refuse_twin(owner, identity, rows, (self._place, self.expected))
        found = {each: self._observed(each, owner, identity, rows) for each in asked}
        if not known or not any(each.absent for each in found.values()):
            return found
        rows = await self._assignments.rows(FRESH, short)
        found = {each: self._observed(each, owner, identity, rows) for each in found}
        if not self._assignments.is_young:
            return found
        for address in [each for each in found if found[each].absent]:
            found[address] = await self._unlisted(address, owner, identity, rows)
        return found

    async def _unlisted(self, address: Address, owner: Owner, identity: Known | None, rows: list[Row]) -> Observed:
        """Return what is at an address at which no list shows what the process before may have written."""
        target = naming.read_target(address)
        if target is None:
            raise ValueError(f"{address} is not the address of an assignment")
        if target.whom == ACCOUNT:
            principal: str | None = identity.principal if identity is not None else ""
        else:
            principal = self._shared.group_of(target)
        if principal is None:
            return Observed(address, {}, Claim.OURS)  # under which name to look, nobody can tell: it is not absent
        scope = naming.scope_of(self._place, target.secret)
        name = name_of(scope, principal, self._place.role)
        live = await self._assignments.live(scope, name) if principal else None
        if live is None:
            return Observed(address, None)
        return self._observed(address, owner, identity, [*rows, live])

    def _observed(self, address: Address, owner: Owner, identity: Known | None, rows: list[Row]) -> Observed:
        target = naming.read_target(address)
        if target is None:
            raise ValueError(f"{address} is not the address of an assignment")
        if target.whom == ACCOUNT:
            principal = Principal(
                naming.identity_name(self._place, owner), identity.principal if identity is not None else ""
            )
        else:
            group = observing.group_of(self._place, target, rows)
            principal = Principal(group, group)
        return observing.observed_assignment(address, owner, target, principal, rows, (self._place, self.expected))

    async def apply(self, operation: Operation, target: Target) -> Written:
        """Make one assignment, set it right, let go of it, or remove it."""
        rows = await self._assignments.rows(self._place.list_age, target.short)
        here = observing.rows_at(self._place, target, rows)
        seen = operation.observed.id
        if seen and all(each.id != seen for each in here):
            live = await self._assignments.live(naming.scope_of(self._place, target.secret), seen.rsplit("/", 1)[-1])
            here += [live] if live is not None else []
        mine = observing.marked_for(target, here, self._place.backend, self.expected.cluster_uid)
        if operation.action is Action.DELETE:
            lost = [each for each in here if each.id == operation.observed.id and each not in mine]
            for row in (*mine, *lost):
                await self._shared.let_go(row, target, self.expected.cluster_uid)
            self._ceilings.let_go(operation.address)
            if operation.observed.fields == {}:
                raise StoreFailed(f"{operation.address} could not be looked at, so it is not taken to be removed")
            return Written()
        if operation.resource is None:
            raise ValueError(f"{operation.action} of {operation.address} comes without its resource")
        fields = operation.resource.fields
        principal = await self._principal(str(fields["principal"]), str(fields["principalType"]))
        scope = naming.scope_of(self._place, target.secret)
        name = name_of(scope, principal, self._place.role)
        wanted = Row(name, scope, self._place.role, principal, str(fields["principalType"]), str(fields["description"]))
        known = next((each for each in here if each.triple == wanted.triple), None)
        unmarked = known is not None and read_description(known.description) is None
        lent = known is not None and observing.is_lent(known, target, self._place, self.expected.cluster_uid)
        if known is not None and known not in mine and not lent and not (unmarked and known.is_named_by_us):
            raise NotOwned(f"role assignment {known.name} gives the same and is not ours: remove it")
        wanted = replace(wanted, name=known.name) if known is not None else wanted
        asked = not mine and (known is None or lent)
        given = await self._give(operation.address, wanted, known, asked=asked)
        for row in mine:
            if row.name != given.name:
                await self._assignments.remove(row)
        return Written(given.id)

    async def _give(self, address: Address, wanted: Row, known: Row | None, *, asked: bool) -> Row:
        """Give it, if there is room for what is ``asked`` for: made anew, or another's to lean on."""
        mark, target = read_description(wanted.description), naming.read_target(address)
        if mark is None or target is None:
            raise ValueError(f"assignment {wanted.name} carries no mark")
        uid = self.expected.cluster_uid
        making = wanted.name if known is None else ""
        with self._ceilings.room(mark.owner, uid, target, making) if asked else nullcontext():
            given = await self._shared.give(wanted, known, target, uid)
            if given.description != wanted.description:
                self._ceilings.leant(mark.owner, address, target)
            return given

    async def _principal(self, shown: str, kind: str) -> str:
        """Return the object id behind the name of an identity; a group's name is its object id."""
        if kind != ACCOUNT_TYPE:
            return shown
        known = await self._identities.find(shown, self._place.list_age)
        if known is None:
            raise IdentityNotFound(f"identity {shown} is not there any more, so nothing can be assigned to it")
        return known.principal
