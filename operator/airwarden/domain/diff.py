"""From what should be and what is, to the writes that are missing, in their order.

An empty result means no write (design section 2, rule 7). Removals come first: in each store the
provider's removal order, which cuts live access with the first of them. Called by
`airwarden.reconcile.bindings`, once per store and for the cluster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from airwarden.domain import differences
from airwarden.domain.resources import (
    Action,
    Address,
    Adoption,
    Changes,
    Claim,
    Conflict,
    Observed,
    Operation,
    Resource,
)

Recorded = Mapping[Address, str]


@dataclass(frozen=True, slots=True)
class Terms:
    """How one store's objects are treated, beyond what is declared. The default is the strictest."""

    owner: str = ""
    """namespace/name of the binding, for messages."""
    adopts: bool = False
    """Whether an unmarked object becomes ours that is what we would write but for the mark."""
    reports_drift: bool = False
    """Whether what was changed from outside is only reported."""
    by_mark: frozenset[Address] = frozenset()
    """Recorded as adopted: ours by their mark alone. Who takes that off takes the object back."""
    confirmed: Recorded = field(default_factory=dict)
    """Digests that this process itself has seen or made true; unlike a status, nobody can forge them."""
    alone: frozenset[str] = frozenset()
    """Kinds of which each object stands by itself: one that is not ours keeps no other from being made."""


_STRICT: Final = Terms()


def diff(
    desired: Sequence[Resource],
    observed: Mapping[Address, Observed],
    recorded: Recorded,
    removal_order: Sequence[Address],
    terms: Terms = _STRICT,
) -> Changes:
    """Return the operations that make the store as desired.

    ``desired`` stands in order of creation. ``recorded`` holds the digest last written per address; an
    object counts as ours when its mark says so, or when it is recorded and carries no mark. ``removal_order``
    holds every address that the owner derives here. An address that was not observed raises KeyError: it is
    not guessed.
    """
    wanted = {resource.address: resource for resource in desired}
    foreign = [each for each in desired if not _ours(observed[each.address], recorded, terms)]
    adoption = _adoption(foreign, observed) if terms.adopts else None
    conflicts = () if adoption else tuple(_conflict(each, observed[each.address], terms) for each in foreign)
    removals = tuple(
        Operation(Action.DELETE, address, None, observed[address])
        for address in removal_order
        if address not in wanted and not observed[address].absent and _ours(observed[address], recorded, terms)
    )
    gone = frozenset(address for address in removal_order if address not in wanted and observed[address].absent)
    refused = {conflict.address for conflict in conflicts}
    barring = any(each.kind not in terms.alone for each in refused)
    writes: list[Operation] = []
    drifted: set[Address] = set()
    reported: dict[Address, str] = {}
    present: dict[Address, Observed] = {}
    for address, resource in wanted.items():
        found = observed[address]
        if address in refused or (barring and found.absent):
            # Beside something foreign nothing new is made: a role must not carry a policy of others.
            continue
        if found.fields is not None and dict(found.fields) == dict(resource.fields):
            present[address] = found
        elif adoption is not None and address.kind in adoption.kinds:
            writes.append(Operation(Action.ADOPT, address, resource, found, adoption))
        elif _drifted(resource, recorded, terms) and _only_reported(resource, found, terms):
            reported[address] = differences.drift(resource, found)
        else:
            writes.append(Operation(Action.CREATE if found.absent else Action.UPDATE, address, resource, found))
            if _drifted(resource, recorded, terms):
                drifted.add(address)
    adopted = frozenset(address for address, each in wanted.items() if is_adopted(each, observed[address], adoption))
    return Changes(
        removals + tuple(writes), conflicts, frozenset(drifted), present, gone, reported=reported, adopted=adopted
    )


def leave(
    permitted: Sequence[Resource],
    observed: Mapping[Address, Observed],
    recorded: Recorded,
    removal_order: Sequence[Address],
    terms: Terms = _STRICT,
    *,
    orphan: bool,
) -> Changes:
    """Return the operations by which a binding that goes leaves the store.

    ``permitted`` is what the guardrails admit at this moment, in order of creation. With ``orphan`` all of it
    that is ours stays; without, what was there before us and is still what was found. The rest is deleted.
    Deletions come first, and the mark is taken off last: until then the object is known as ours.
    """
    kept: list[Operation] = []
    for resource in permitted:
        found = observed[resource.address]
        if found.claim is Claim.RELEASED:
            continue
        if found.absent or not _ours(found, recorded, terms):
            break  # what rests on it is of no use, or of others' making
        if orphan or is_adopted(resource, found):
            kept.append(Operation(Action.RELEASE, resource.address, resource, found))
    staying = {each.address for each in kept}
    deletions = tuple(
        Operation(Action.DELETE, address, None, observed[address])
        for address in removal_order
        if address not in staying and not observed[address].absent and _ours(observed[address], recorded, terms)
    )
    gone = frozenset(address for address in removal_order if observed[address].absent)
    adopted = frozenset(each.address for each in permitted if is_adopted(each, observed[each.address]))
    return Changes(deletions + tuple(reversed(kept)), gone=gone, adopted=adopted)


def moved(
    changes: Changes, former: Sequence[Address], observed: Mapping[Address, Observed], *, outgrown: bool
) -> Changes:
    """Return the changes with the removal of what another mode of the store recorded.

    ``former`` holds only recorded addresses. What could not be observed stays an operation: it is not forgotten.
    What carries the mark of another owner by now is none of ours to remove.
    """
    unknown = {address: Observed(address, {}) for address in former}
    removals = tuple(
        Operation(Action.DELETE, address, None, found)
        for address in former
        if not (found := observed.get(address, unknown[address])).absent and found.claim is not Claim.FOREIGN
    )
    operations = removals + changes.operations if outgrown else changes.operations + removals
    left = frozenset(each.address for each in removals)
    gone = changes.gone | (frozenset(former) - left)
    return replace(changes, operations=operations, gone=gone, former=left, outgrown=outgrown)


def is_adopted(resource: Resource, found: Observed, adopting: Adoption | None = None) -> bool:
    """Tell whether the object was in the store before us, and the binding has not made something else of it."""
    noted = adopting or found.adoption
    return noted is not None and not found.absent and noted.holds(resource)


def _ours(found: Observed, recorded: Recorded, terms: Terms) -> bool:
    if found.absent or found.claim is Claim.OURS:
        return True
    # Others may write statuses: a record is no match for a mark that says otherwise.
    return found.claim is Claim.UNMARKED and found.address in recorded and found.address not in terms.by_mark


def _adoption(foreign: Sequence[Resource], observed: Mapping[Address, Observed]) -> Adoption | None:
    """Return what is to be noted when all that is not ours is what we would write but for the mark; else None."""
    if not foreign or not all(_identical(each, observed[each.address]) for each in foreign):
        return None
    return Adoption(foreign[0].scope, frozenset(each.address.kind for each in foreign))


def _identical(resource: Resource, found: Observed) -> bool:
    unclaimed = found.claim in (Claim.UNMARKED, Claim.RELEASED)
    return unclaimed and found.as_marked is not None and dict(found.as_marked) == dict(resource.fields)


def _drifted(resource: Resource, recorded: Recorded, terms: Terms) -> bool:
    """Tell whether this very content was acknowledged before: then it was not the declaration that changed."""
    return resource.digest in (recorded.get(resource.address), terms.confirmed.get(resource.address))


def _only_reported(resource: Resource, found: Observed, terms: Terms) -> bool:
    """Tell whether a difference is left as it is.

    After a restart only the status says what was written last. Where the object reads like an earlier writing of
    ours, a forged status could pass off a tightened rule as drift: so it is set right.
    """
    if not terms.reports_drift:
        return False
    seen = terms.confirmed.get(resource.address)
    return seen == resource.digest if seen is not None else not found.own_writing


def _conflict(resource: Resource, found: Observed, terms: Terms) -> Conflict:
    address = resource.address
    where = f"{address.kind} {address.name}" + (f" in backend {address.backend}" if address.backend else "")
    exits = "remove it, or name the binding differently"
    if found.held_by:
        return Conflict(address, f"{where} was not touched: {found.held_by}")
    if found.claim is Claim.FOREIGN or found.fields is None:
        return Conflict(address, f"{where} carries the mark of another owner and was not touched: {exits}")
    if _identical(resource, found):
        what = "it is what this binding would write, but for the mark"
    else:
        what = "it " + differences.named(resource.fields, found.as_marked or found.fields)
    return Conflict(
        address,
        f"{where} was not made by this binding and was not touched ({what}): {exits}, "
        f"or take it over by hand with airwarden adopt {terms.owner}".rstrip(),
    )
