"""From what should be and what is, to the writes that are missing, in their order.

An empty result means no write (design section 2, rule 7). Removals come first: in each store the
provider's removal order, which cuts live access with the first of them. Called by
`airwarden.reconcile.bindings`, once per store and for the cluster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from airwarden.domain.resources import (
    Action,
    Address,
    Changes,
    Claim,
    Conflict,
    Observed,
    Operation,
    Resource,
)


def diff(
    desired: Sequence[Resource],
    observed: Mapping[Address, Observed],
    recorded: Mapping[Address, str],
    removal_order: Sequence[Address],
) -> Changes:
    """Return the operations that make the store as desired.

    ``desired`` stands in order of creation. ``recorded`` holds the digest last written per address; an
    object counts as ours when it says so itself or is recorded. ``removal_order`` holds every address
    that the owner derives here. An address that was not observed raises KeyError: it is not guessed.
    """
    wanted = {resource.address: resource for resource in desired}
    conflicts = tuple(_conflict(address) for address in wanted if not _ours(observed[address], recorded))
    removals = tuple(
        Operation(Action.DELETE, address, None, observed[address])
        for address in removal_order
        if address not in wanted and not observed[address].absent and _ours(observed[address], recorded)
    )
    gone = frozenset(address for address in removal_order if address not in wanted and observed[address].absent)
    foreign = {conflict.address for conflict in conflicts}
    writes: list[Operation] = []
    drifted: set[Address] = set()
    present: dict[Address, Observed] = {}
    for address, resource in wanted.items():
        found = observed[address]
        if address in foreign or (foreign and found.absent):
            # Beside something foreign nothing new is made: a role must not carry a policy of others.
            continue
        if found.fields is not None and dict(found.fields) == dict(resource.fields):
            present[address] = found
            continue
        action = Action.CREATE if found.absent else Action.UPDATE
        writes.append(Operation(action, address, resource, found))
        if recorded.get(address) == resource.digest:
            drifted.add(address)
    return Changes(removals + tuple(writes), conflicts, frozenset(drifted), present, gone)


def moved(
    changes: Changes, former: Sequence[Address], observed: Mapping[Address, Observed], *, outgrown: bool
) -> Changes:
    """Return the changes with the removal of what another mode of the store recorded.

    ``former`` holds only recorded addresses. What could not be observed stays an operation: it is not forgotten.
    """
    unknown = {address: Observed(address, {}) for address in former}
    removals = tuple(
        Operation(Action.DELETE, address, None, found)
        for address in former
        if not (found := observed.get(address, unknown[address])).absent
    )
    operations = removals + changes.operations if outgrown else changes.operations + removals
    left = frozenset(each.address for each in removals)
    gone = changes.gone | (frozenset(former) - left)
    return replace(changes, operations=operations, gone=gone, former=left, outgrown=outgrown)


def _ours(found: Observed, recorded: Mapping[Address, str]) -> bool:
    return found.absent or found.claim is Claim.OURS or found.address in recorded


def _conflict(address: Address) -> Conflict:
    where = f"{address.kind} {address.name}" + (f" in backend {address.backend}" if address.backend else "")
    return Conflict(
        address,
        f"{where} was not made by this binding and was not touched: remove it, or name the binding differently",
    )
