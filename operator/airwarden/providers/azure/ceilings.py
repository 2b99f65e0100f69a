"""How many role assignments Airwarden makes: so many for one namespace, and none from what is kept free for others.

A subscription has 4,000 for everybody in it. Called by `airwarden.providers.azure.store` for what is not there yet;
what is there stays, and what replaces it comes.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from airwarden.api.reasons import Reason
from airwarden.domain.errors import AirwardenError
from airwarden.domain.owner import Owner
from airwarden.providers.azure.answers import QuotaReached
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.identities import Known
from airwarden.providers.azure.marks import Mark, read_description, read_tags
from airwarden.providers.azure.rows import Row

_KEPT_FREE: Final = 0.05
"""Share of a subscription's role assignments that is left to others, and to what must be put right by hand."""


class CeilingReached(AirwardenError):
    """The namespace has as much as the backend's administrator lets one namespace have."""

    reason = Reason.CEILING_REACHED


class Ceilings:
    """What one backend's bindings may still be given."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._making: dict[str, str] = {}
        """Namespace by the name of an assignment that is being made."""
        self.used: tuple[int, int] | None = None
        """Role assignments of the subscription, and how many it may have, when last asked; None where none may ask."""
        self._made_since: set[str] = set()

    def counted(self, used: tuple[int, int] | None) -> None:
        """Take in how many role assignments the subscription has, and may have."""
        self.used = used
        self._made_since.clear()

    def refuse_identity(self, owner: Owner, owner_uid: str, rows: Iterable[Row], identities: Iterable[Known]) -> None:
        """Raise CeilingReached or QuotaReached where there is no room for what a new identity is made for.

        One for an owner that has an assignment already is made anew. Each has at least one, so a namespace needs no
        more identities than assignments: that many made, and no assignment yet, are as many as it may have.
        """
        present = {each.name: read_description(each.description) for each in rows}
        present = {name: mark for name, mark in present.items() if self._is_of(owner, owner_uid, mark)}
        if any(mark is not None and mark.owner == owner for mark in present.values()):
            return
        self._refuse(owner, set(present))
        made = [each for each in identities if self._is_of(owner, owner_uid, read_tags(each.tags))]
        if len(made) >= self.place.per_namespace:
            raise CeilingReached(
                f"namespace {owner.namespace} has {len(made)} identities through backend {self.place.backend}, and its "
                f"azureKeyVault.assignmentsPerNamespace permits {self.place.per_namespace}: remove bindings that "
                "nobody uses, or have the platform team raise it. What is there stays"
            )

    @contextmanager
    def room(self, wanted: Row, owner_uid: str, rows: Iterable[Row]) -> Iterator[None]:
        """Keep a place for a new assignment while it is made.

        ``rows`` are those of the vault. Raises CeilingReached or QuotaReached where there is no room for it.
        """
        mark = read_description(wanted.description)
        if mark is None:
            raise ValueError(f"assignment {wanted.name} carries no mark")
        self._refuse(
            mark.owner,
            {each.name for each in rows if self._is_of(mark.owner, owner_uid, read_description(each.description))},
        )
        self._making[wanted.name] = mark.owner.namespace
        try:
            yield
            self._made_since.add(wanted.name)
        finally:
            self._making.pop(wanted.name, None)  # two bindings may make one assignment of a group

    def _refuse(self, owner: Owner, present: set[str]) -> None:
        place = self.place
        under_way = {name for name, namespace in self._making.items() if namespace == owner.namespace}
        count = len(present | under_way)
        if count >= place.per_namespace:
            raise CeilingReached(
                f"namespace {owner.namespace} has {count} role assignments through backend {place.backend}, and its "
                f"azureKeyVault.assignmentsPerNamespace permits {place.per_namespace}: remove secrets, groups or "
                "bindings that nobody uses, or have the platform team raise it. What is there stays"
            )
        if self.used is None:
            return
        used, most = self.used
        if used + len(self._made_since | self._making.keys()) >= most - int(most * _KEPT_FREE):
            raise QuotaReached(
                f"subscription {place.subscription} has {coarse(used, most)} role assignments, and Airwarden takes "
                "none of the last twentieth: remove what nobody uses, or use another subscription. What is there stays"
            )

    def _is_of(self, owner: Owner, uid: str, mark: Mark | None) -> bool:
        if mark is None or mark.uid != uid:
            return False
        theirs = mark.owner
        return (theirs.cluster, theirs.namespace, theirs.backend) == (owner.cluster, owner.namespace, owner.backend)


def coarse(count: int, most: int) -> str:
    """Tell a count in steps of a hundredth of its limit: an exact one would be a write at every change."""
    step = max(1, most // 100)
    return f"more than {count - count % step - 1} of {most}"
