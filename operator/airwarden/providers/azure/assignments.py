"""The role assignments of one vault: listed once for all bindings, written one by one and read back.

Called by `airwarden.providers.azure.store`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters

from airwarden.domain.errors import Forbidden, NotOwned, Rejected, StoreFailed
from airwarden.providers.azure.answers import REFUSED, AssignmentExists, NameTaken, ResourceMissing
from airwarden.providers.azure.arm import Arm
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.counting import Listed
from airwarden.providers.azure.marks import read_description
from airwarden.providers.azure.rows import Row, name_of
from airwarden.providers.azure.shared_list import LAG, SharedList
from airwarden.providers.azure.vault import KeyVault


class Assignments:
    """What is assigned at one vault and below it."""

    def __init__(self, arm: Arm, place: Place, vault: KeyVault, clock: Callable[[], float]) -> None:
        self._arm = arm
        self._place = place
        self._vault = vault
        self._list = SharedList(self._fetch, clock)
        self._tried: dict[str, Row] = {}

    async def rows(self, age: float, short: str = "") -> list[Row]:
        """Return the assignments at the vault and below, from a list at most ``age`` seconds old.

        Those that were to be written a moment ago for the owner with this short name, and that the list does not show,
        are looked at one by one: a list from before a write whose answer was lost proves nothing. Raises VaultMissing
        when the vault is gone: Azure then answers as if a right were missing.
        """
        found = await self._list.items(age)
        self._tried = {name: row for name, row in self._tried.items() if self._list.doubts(name)}
        unseen = [row for name, row in self._tried.items() if name not in found and _is_of(short, row)]
        for row in unseen:
            live = await self.live(row.scope, row.name)
            if live is not None:
                found[live.name] = live
            elif self._list.doubts(row.name, LAG):
                # Neither there nor absent: it differs from what is wanted, and is removed by its name.
                found[row.name] = replace(row, principal_type="")
        return [each for each in found.values() if self._is_here(each)]

    def seen(self) -> list[Row]:
        """Return the assignments at the vault, below and above it, as they were last listed, without a request."""
        return list(self._list.seen().values())

    @property
    def listed(self) -> Listed:
        """The same, as one list and what was written since, for whoever counts."""
        return self._list.listed

    async def live(self, scope: str, name: str) -> Row | None:
        """Return one assignment as it is now, whatever the lists show, or a read of what was removed a moment ago."""
        found = await self._get(Row(name, scope, "", "", "", ""))
        if found is None or self._list.was_removed(found.name):
            return None
        self._list.note(found.name, found)
        return found

    @property
    def is_young(self) -> bool:
        """Whether a process before this one may have written what the lists do not show yet."""
        return self._list.is_young

    def in_doubt(self, live: Row) -> bool:
        """Tell whether an assignment was given another description a short time ago than it shows now.

        Which of the two it has then is not known: Azure may not show yet what was written, or never have had it.
        """
        tried = self._tried.get(live.name)
        return tried is not None and self._list.doubts(live.name) and tried.description != live.description

    async def give(self, wanted: Row, seen: Row | None, counts: Callable[[Row], bool] = lambda _: False) -> Row:
        """Make an assignment, or give the one that was ``seen`` its description again, and read it back.

        What is there and ``counts`` is given already, and keeps its description; what was removed a moment ago is made
        again, whatever a read that lags behind shows.
        Raises NotOwned where somebody else's gives the same, also under the very name: another cluster's binding on
        the same identity derives it too, and a write would take its mark off.
        """
        live = await self._get(wanted)
        if live is not None and counts(live) and self._list.was_removed(live.name):
            live = None
        if live is not None and counts(live):
            if live.principal_type == wanted.principal_type:
                self._list.note(live.name, live)
                return live
            wanted = replace(wanted, description=live.description)
        if live is not None and live.description not in {wanted.description, seen.description if seen else None}:
            raise NotOwned(
                f"role assignment {live.name} was made or changed by somebody else since it was looked at: remove it, "
                "and Airwarden makes its own"
            )
        try:
            return await self._put(wanted)
        except NameTaken:
            # The same name was given up a moment ago for another principal: Azure still holds it.
            return await self._put(replace(wanted, name=name_of(*wanted.triple, again=True)))
        except AssignmentExists as error:
            return await self._take(wanted, error)

    async def remove(self, row: Row) -> None:
        """Remove an assignment that is still what was seen. One that is gone, or whose vault is, is removed already."""
        live = await self._get(row)
        if live is None and not self._list.doubts(row.name, LAG):
            self._list.note(row.name, None)
            return
        if live is not None and (live.triple, live.description) != (row.triple, row.description):
            raise StoreFailed(f"role assignment {row.name} was changed since it was looked at, so it was not removed")
        try:
            await self._arm.call(
                self._place.side,
                f"removing role assignment {row.name}",
                lambda: self._client.delete(row.scope, row.name),
            )
        except Forbidden:
            if not await self._vault.is_gone():
                raise
        except Rejected as error:
            if "InvalidRoleAssignmentId" not in error.message:
                raise
        self._list.note(row.name, None)
        self._list.settled(row.name)

    @property
    def _client(self) -> Any:
        return self._arm.assignments(self._place.subscription)

    async def _put(self, wanted: Row) -> Row:
        where = f"/subscriptions/{self._place.subscription}/providers/Microsoft.Authorization/roleDefinitions"
        body = RoleAssignmentCreateParameters(
            role_definition_id=f"{where}/{wanted.role}",
            principal_id=wanted.principal,
            principal_type=wanted.principal_type,
            description=wanted.description,
        )
        doing = f"assigning role {wanted.role} at {wanted.scope}"
        self._list.trying(wanted.name)
        self._tried[wanted.name] = wanted
        try:
            await self._arm.call(self._place.side, doing, lambda: self._client.create(wanted.scope, wanted.name, body))
        except (*REFUSED, NameTaken, AssignmentExists):
            self._list.settled(wanted.name)
            raise
        found = await self._get(wanted)
        if found is None or found.description != wanted.description:
            raise StoreFailed(f"{doing}: written, and Azure does not show it yet", retry_after=3.0)
        self._list.note(found.name, found)
        return found

    async def _take(self, wanted: Row, conflict: AssignmentExists) -> Row:
        """Return the assignment that gives the same already, if it carries our very mark."""
        rows = [each for each in (await self._fetch()).values() if each.triple == wanted.triple]
        found = rows[0] if rows else None
        mark = read_description(found.description) if found is not None else None
        if found is None or mark is None or found.description != wanted.description:
            name = found.name if found is not None else conflict.name or "of an unknown name"
            raise NotOwned(
                f"role assignment {name} gives the same at {wanted.scope} and was not made by this binding: remove it, "
                "and Airwarden makes its own"
            )
        self._list.note(found.name, found)
        return found

    async def _get(self, row: Row) -> Row | None:
        try:
            found = await self._arm.call(
                self._place.side,
                f"reading role assignment {row.name}",
                lambda: self._client.get(row.scope, row.name),
            )
        except ResourceMissing:
            return None
        except Forbidden:
            if await self._vault.is_gone():
                return None
            raise
        return Row.of(found)

    async def _fetch(self) -> dict[str, Row]:
        try:
            found = await self._arm.listed(
                self._place.side,
                f"listing the role assignments of vault {self._place.vault_name}",
                lambda: self._client.list_for_scope(self._place.vault_id),
            )
        except (Forbidden, ResourceMissing):
            await self._vault.refuse_missing()
            raise
        rows = [Row.of(each) for each in found]
        return {each.name: each for each in rows}

    def _is_here(self, row: Row) -> bool:
        """Tell whether a row is at the vault or below: a list at a scope also brings what is given above it."""
        return f"{row.scope}/".startswith(f"{self._place.vault_id}/")


def _is_of(short: str, row: Row) -> bool:
    mark = read_description(row.description)
    return mark is not None and mark.owner.short_name_in_store == short
