"""How many role assignments bindings get: so many for one namespace, and none new of what is kept free for others.

A namespace's number is what its bindings have: under their own marks, and on their records under the mark of another.
A subscription has 4,000 for everybody in it. Called by `airwarden.providers.azure.assigning` for what is asked for
anew, and by the modules beside it; what is there stays, and what replaces it comes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Final

from airwarden.api.reasons import Reason
from airwarden.domain.errors import AirwardenError
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address
from airwarden.providers.azure.answers import QuotaReached
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.counting import Listed, Marked
from airwarden.providers.azure.identities import Known
from airwarden.providers.azure.marks import Mark, read_tags
from airwarden.providers.azure.naming import Target, thing_of
from airwarden.providers.ports import Claims

_KEPT_FREE: Final = 0.05
"""Share of a subscription's role assignments that is left to others, and to what must be put right by hand."""


class CeilingReached(AirwardenError):
    """The namespace has as much as the backend's administrator lets one namespace have."""

    reason = Reason.CEILING_REACHED


class Ceilings:
    """What one backend's bindings may still be given."""

    def __init__(self, place: Place, listed: Callable[[], Listed]) -> None:
        self.place = place
        self._listed = listed
        self._marked = Marked(place)
        self._claims: Claims | None = None
        self._taking: Counter[tuple[str, str]] = Counter()
        """What is being given at this moment, by namespace."""
        self._leaning: dict[str, dict[str, str]] = {}
        """By namespace and name of an address, what leans on another's assignment and is not on record yet."""
        self._making: set[str] = set()
        """Names of the assignments that are being made."""
        self.used: tuple[int, int] | None = None
        """Role assignments of the subscription, and how many it may have, when last asked; None where none may ask."""
        self._made_since: set[str] = set()

    def share(self, claims: Claims) -> None:
        """Take note of who knows what is on the records of bindings."""
        self._claims = claims

    def counted(self, used: tuple[int, int] | None) -> None:
        """Take in how many role assignments the subscription has, and may have."""
        self.used = used
        self._made_since.clear()

    def refuse_identity(self, owner: Owner, uid: str, identities: Iterable[Known]) -> None:
        """Raise CeilingReached or QuotaReached where there is no room for what a new identity is made for.

        One for an owner that has an assignment already is made anew. Each has at least one, so a namespace needs no
        more identities than assignments: that many made, and no assignment yet, are as many as it may have.
        """
        has = self._has(owner.namespace, uid)
        if self._marked.carries(owner):
            return
        if len(has) >= self.place.per_namespace:
            raise self._reached(owner.namespace, len(has))
        self._refuse_quota()
        made = [each for each in identities if self._is_of(owner, uid, read_tags(each.tags))]
        if len(made) >= self.place.per_namespace:
            raise CeilingReached(
                f"namespace {owner.namespace} has {len(made)} identities through backend {self.place.backend}, and its "
                f"azureKeyVault.assignmentsPerNamespace permits {self.place.per_namespace}: remove bindings that "
                "nobody uses, or have the platform team raise it. What is there stays"
            )

    @contextmanager
    def room(self, owner: Owner, uid: str, target: Target, making: str = "") -> Iterator[None]:
        """Keep a place for what is given to an owner while it is: made, under the name ``making``, or leant on.

        Raises CeilingReached where it is something that the namespace does not have, and has no room for; QuotaReached
        where it would be made and the subscription has none.
        """
        has, thing = self._has(owner.namespace, uid), thing_of(target)
        if thing not in has and len(has) >= self.place.per_namespace:
            raise self._reached(owner.namespace, len(has))
        if making:
            self._refuse_quota()
            self._making.add(making)
        try:
            with self._take(owner.namespace, thing):
                yield
            if making:
                self._made_since.add(making)
        finally:
            self._making.discard(making)  # two bindings may make one assignment of a group

    @contextmanager
    def inherited(self, owner: Owner, uid: str, target: Target) -> Iterator[bool]:
        """Keep a place for what an owner inherits, if there is one, while it is handed over; tell whether there is.

        What leans on it counts already, so it always has one. But statuses can be written by others: no record brings
        more than the ceiling under a namespace's own marks, and what was only asked for needs room.
        """
        thing, has = thing_of(target), self._has(owner.namespace, uid)
        if thing in self._recorded(owner.namespace):
            has = self._marked.of(owner.namespace) | self._taken(owner.namespace)
        if len(has | {thing}) > self.place.per_namespace:
            yield False
            return
        with self._take(owner.namespace, thing):
            yield True

    def leant(self, owner: Owner, address: Address, target: Target) -> None:
        """Take in that an owner has what carries another's mark: its record says so only at the end of the pass."""
        self._leaning.setdefault(owner.namespace, {})[address.name] = thing_of(target)

    def let_go(self, address: Address) -> None:
        """Take in that an owner has nothing there any more."""
        for each in self._leaning.values():
            each.pop(address.name, None)

    @contextmanager
    def _take(self, namespace: str, thing: str) -> Iterator[None]:
        taken = namespace, thing
        self._taking[taken] += 1
        try:
            yield
        finally:
            self._taking[taken] -= 1
            if not self._taking[taken]:
                del self._taking[taken]

    def _taken(self, namespace: str) -> set[str]:
        return {thing for taker, thing in self._taking if taker == namespace}

    def _recorded(self, namespace: str) -> AbstractSet[str]:
        return self._claims.on_record(namespace) if self._claims is not None else frozenset()

    def _has(self, namespace: str, uid: str) -> set[str]:
        """Return what the bindings of a namespace have, each thing once.

        What is on record and in no list any more counts nothing: a vault that was recovered gets it back by turns.
        """
        self._marked.update(self._listed(), uid)
        recorded = self._recorded(namespace)
        leaning = self._leaning.pop(namespace, {})
        leaning = {name: thing for name, thing in leaning.items() if thing not in recorded}
        if leaning:
            self._leaning[namespace] = leaning
        lent = {each for each in recorded | set(leaning.values()) if self._marked.has(each)}
        return self._marked.of(namespace) | lent | self._taken(namespace)

    def _reached(self, namespace: str, count: int) -> CeilingReached:
        place = self.place
        return CeilingReached(
            f"namespace {namespace} has {count} role assignments through backend {place.backend}, those of groups that "
            "it shares with others included, and azureKeyVault.assignmentsPerNamespace of the backend permits "
            f"{place.per_namespace}: remove secrets, groups or bindings that nobody uses, or have the platform team "
            "raise it. What is there stays"
        )

    def _refuse_quota(self) -> None:
        if self.used is None:
            return
        used, most = self.used
        if used + len(self._made_since | self._making) >= most - int(most * _KEPT_FREE):
            raise QuotaReached(
                f"subscription {self.place.subscription} has {coarse(used, most)} role assignments, and "
                "Airwarden takes none of the last twentieth: remove what nobody uses, or use another subscription. "
                "What is there stays"
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
