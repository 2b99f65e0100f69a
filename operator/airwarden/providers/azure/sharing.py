"""One role assignment for several bindings: Azure has only one for a secret, a group and a role.

It carries the mark of one of them. Who lets go of it while another declares it, and has room for it, hands it over; the
last removes it. Called by `airwarden.providers.azure.assigning`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from weakref import WeakValueDictionary

from airwarden.domain.errors import StoreFailed
from airwarden.domain.owner import Owner
from airwarden.providers.azure.assignments import Assignments
from airwarden.providers.azure.ceilings import Ceilings
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.marks import ACCOUNT, description
from airwarden.providers.azure.naming import Target, ending_of, whom_of
from airwarden.providers.azure.observing import is_lent, marked_for
from airwarden.providers.azure.rows import Row
from airwarden.providers.ports import Claims


class SharedAssignments:
    """The assignments: given, handed over and removed, one change of each at a time."""

    def __init__(self, assignments: Assignments, place: Place, ceilings: Ceilings) -> None:
        self._assignments = assignments
        self._place = place
        self._ceilings = ceilings
        self._claims: Claims | None = None
        self._locks: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()

    def share(self, claims: Claims) -> None:
        """Take note of who knows what bindings declare."""
        self._claims = claims

    def group_of(self, target: Target) -> str | None:
        """Return the group that a target's digits stand for; None for one that the backend does not list any more.

        Empty in commands, which say what they see and keep no record.
        """
        if self._claims is None:
            return ""
        return next((each.lower() for each in self._claims.groups() if whom_of(each) == target.whom), None)

    async def give(self, wanted: Row, seen: Row | None, target: Target, uid: str) -> Row:
        """Make an assignment, unless another binding of the cluster ``uid`` has made it by now: it is given then."""

        def counts(live: Row) -> bool:
            return is_lent(live, target, self._place, uid)

        async with self._alone(wanted):
            return await self._assignments.give(wanted, seen, counts)

    async def let_go(self, row: Row, target: Target, uid: str) -> None:
        """Remove an assignment that carries the mark of the target's owner, or give it to another who declares it.

        An account's is nobody else's. One that carries another binding's mark stays: that binding has it on its record.
        Raises StoreFailed for what was changed since it was looked at, and while it may have this very binding's mark
        by a hand-over that does not show yet.
        """
        if target.whom == ACCOUNT:
            await self._assignments.remove(row)
            return
        async with self._alone(row):
            live = await self._assignments.live(row.scope, row.name)
            if live is None:
                await self._assignments.remove(row)
                return
            if is_lent(live, target, self._place, uid):
                if self._assignments.in_doubt(live):
                    raise StoreFailed(
                        f"role assignment {row.name} was handed over a moment ago, and Azure does not show yet to whom",
                        retry_after=3.0,
                    )
                return
            own = marked_for(target, [live], self._place.backend, uid)
            if live.triple != row.triple or not (own or live.description == row.description):
                raise StoreFailed(
                    f"role assignment {row.name} was changed since it was looked at, so it was not removed"
                )
            for heir in self._heirs(target):
                with self._ceilings.inherited(heir, uid, target) as may:
                    if may:
                        marked = replace(live, description=description(heir, uid, target.whom))
                        await self._assignments.give(marked, live)
                        return
            await self._assignments.remove(live)

    def _heirs(self, target: Target) -> Iterator[Owner]:
        """Yield the other bindings that declare the same and have it on record."""
        declaring = self._claims.declaring(ending_of(target)) if self._claims is not None else ()
        return (each for each in declaring if each.short_name_in_store != target.short)

    @asynccontextmanager
    async def _alone(self, row: Row) -> AsyncIterator[None]:
        lock = self._locks.setdefault(row.triple, asyncio.Lock())
        async with lock:
            yield
