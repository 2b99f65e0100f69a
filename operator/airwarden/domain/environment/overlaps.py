"""Who else claims some DAG ids, found without looking at everybody who does. Pure.

A claim is an id or, with a star, all ids that begin so; what somebody declares is their choice, so no question here may
cost more by how many overlap. Called by `airwarden.domain.environment.claims`.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Generic, Protocol, Self, TypeVar


class _Ordered(Protocol):
    def __lt__(self, other: Self, /) -> bool: ...


Holder = TypeVar("Holder", bound=_Ordered)
_FEW: Final = 256
"""Up to so many claims are put in place one by one; of more all are sorted anew, since each moves all that follow."""


def outermost(claims: Iterable[str]) -> tuple[str, ...]:
    """Return the claims that no other one of them covers, sorted: together they speak of the same DAGs."""
    kept: list[str] = []
    for each in sorted(claims, key=_order):
        if not (kept and kept[-1].endswith("*") and each.startswith(kept[-1][:-1])):
            kept.append(each)
    return tuple(kept)


class Overlaps(Generic[Holder]):
    """The claims of one bundle. Nobody's own claims may cover each other.

    Sorted by their text, all claims that a prefix covers follow each other; and what covers a claim is found by asking
    for its beginnings, of the lengths that there are.
    """

    def __init__(self) -> None:
        self._holders: dict[str, list[Holder]] = {}
        """By claim, sorted."""
        self._ordered: list[str] = []
        """The claims. The star sorts before all that an id may hold."""
        self._alone: dict[str, Holder] = {}
        """Claims of those that share no DAG with anybody."""
        self._ordered_alone: list[str] = []
        self._lengths: list[int] = []
        """Of the prefixes, sorted."""
        self._having_length: dict[int, int] = {}

    def put(self, claim: str, holder: Holder) -> None:
        """Add one claim of a holder."""
        if claim not in self._holders:
            self._holders[claim] = []
            insort(self._ordered, claim)
            self._count(claim, 1)
        insort(self._holders[claim], holder)

    def drop(self, claim: str, holder: Holder) -> Holder | None:
        """Take a claim back; return the first that still holds it, if any."""
        holders = self._holders[claim]
        del holders[bisect_left(holders, holder)]
        if holders:
            return holders[0]
        del self._holders[claim]
        del self._ordered[bisect_left(self._ordered, claim)]
        self._count(claim, -1)
        return None

    def set_alone(self, claims: Mapping[str, Holder], *, alone: bool) -> None:
        """Say that the holders of some claims share no DAG with anybody, or that they do, or go."""
        if alone:
            self._alone.update(claims)
        else:
            for each in claims:
                del self._alone[each]
        if len(claims) > _FEW:
            self._ordered_alone = sorted(self._alone)
            return
        for each in claims:
            if alone:
                insort(self._ordered_alone, each)
            else:
                del self._ordered_alone[bisect_left(self._ordered_alone, each)]

    def rival(self, claim: str, holder: Holder) -> tuple[str, Holder] | None:
        """Return a claim of another that has a DAG in common with this one, always the same one for the same claims."""
        for each in self._covering(claim):
            if (other := self._other(each, holder)) is not None:
                return each, other
        for each in _beneath(self._ordered, claim):
            # Of the holder's own only the claim itself can be among them: it is passed over once.
            if (other := self._other(each, holder)) is not None:
                return each, other
        return None

    def alone_with(self, claim: str, holder: Holder) -> frozenset[Holder]:
        """Return the others that share no DAG with anybody yet, and would with this claim."""
        found = {self._alone[each] for each in self._covering(claim) if each in self._alone}
        found.update(self._alone[each] for each in _beneath(self._ordered_alone, claim))
        return frozenset(found - {holder})

    def _covering(self, claim: str) -> Iterator[str]:
        """Yield the claims that hold all of this one, itself included, the widest first."""
        text = claim.removesuffix("*")
        for length in self._lengths:
            if length > len(text):
                break
            if (prefix := f"{text[:length]}*") in self._holders:
                yield prefix
        if text == claim and claim in self._holders:
            yield claim

    def _other(self, claim: str, holder: Holder) -> Holder | None:
        return next((each for each in self._holders[claim][:2] if each != holder), None)

    def _count(self, claim: str, more: int) -> None:
        if not claim.endswith("*"):
            return
        length = len(claim) - 1
        count = self._having_length.get(length, 0) + more
        if count == 0:
            del self._having_length[length]
            self._lengths.remove(length)
            return
        if length not in self._having_length:
            insort(self._lengths, length)
        self._having_length[length] = count


def _beneath(ordered: list[str], claim: str) -> Iterator[str]:
    """Yield the claims that a prefix covers; none for a claim that is no prefix."""
    if not claim.endswith("*"):
        return
    at, text = bisect_left(ordered, claim[:-1]), claim[:-1]
    while at < len(ordered) and ordered[at].startswith(text):
        yield ordered[at]
        at += 1


def _order(claim: str) -> tuple[str, bool]:
    return claim.removesuffix("*"), not claim.endswith("*")
