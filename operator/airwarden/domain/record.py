"""The record of what Airwarden keeps for a binding, in its status: read back, and moved on by what a pass did.

Pure; called by `airwarden.domain.report`, and by whoever asks what is recorded.
"""

from collections.abc import Mapping, Sequence

from airwarden.api.conditions import Origin, Status, Target, TargetState
from airwarden.api.reasons import Reason
from airwarden.domain.environment import binding_map
from airwarden.domain.owner import Owner
from airwarden.domain.progress import CLUSTER, Progress
from airwarden.domain.resources import Address


def targets(previous: Sequence[Target], parts: Mapping[str, Progress], now: str) -> tuple[Target, ...]:
    """Return the record of what Airwarden keeps: what was there before, moved on by the progress.

    Only addresses that some part speaks of, or whose store was not looked at, are kept: an entry under
    a name that the binding does not derive was not written by us.
    """
    before = {address_of(target): target for target in previous}
    kept: dict[Address, Target] = {}
    for backend, part in parts.items():
        if part.changes is None:
            kept.update(_unseen(before, backend))
        else:
            unseen = _unseen(before, backend) if part.partly else {}
            kept.update(_without_removed(unseen, part) | _seen(before, part, now))
    if CLUSTER not in parts:
        kept.update(_unseen(before, CLUSTER))
    return tuple(kept[address] for address in sorted(kept))


def _unseen(before: Mapping[Address, Target], backend: str) -> dict[Address, Target]:
    """What a store that could not be observed is last known to hold: unknown is not absent."""
    return {address: target for address, target in before.items() if address.backend == backend}


def _without_removed(known: Mapping[Address, Target], part: Progress) -> dict[Address, Target]:
    removed = {each.operation.address for each in part.done if each.operation.resource is None}
    return {address: target for address, target in known.items() if address not in removed}


def _seen(before: Mapping[Address, Target], part: Progress, now: str) -> dict[Address, Target]:
    if part.changes is None:
        raise ValueError(f"{part.backend} was not observed")
    kept: dict[Address, Target] = {}
    done = {each.operation.address: each for each in part.done}
    for address, found in part.changes.present.items():
        kept[address] = _present(before.get(address), address, part.digests[address], found.id, "")
    for address, message in part.changes.reported.items():
        old = before.get(address) or _blank(address)
        drifted = {"state": TargetState.DRIFTED, "reason": Reason.DRIFTED.word, "message": message}
        kept[address] = old.model_copy(update={**drifted, "digest": part.digests[address]})
    for operation in part.changes.operations:
        address = operation.address
        if address in done:
            if operation.resource is not None:
                kept[address] = _present(None, address, operation.resource.digest, done[address].id, now)
            continue
        old = before.get(address) or _blank(address)
        fault = part.failed.get(address) or part.fault
        waiting = TargetState.REMOVING if operation.resource is None else _waiting(old)
        kept[address] = old.model_copy(
            update={
                "state": waiting,
                "reason": fault.reason.word if fault else Reason.PENDING.word,
                "message": fault.message if fault else "",
            }
        )
    return {
        address: target.model_copy(
            update={"origin": Origin.ADOPTED if address in part.changes.adopted else Origin.CREATED}
        )
        for address, target in kept.items()
    }


def _waiting(old: Target) -> TargetState:
    """A target that could not be written: still Pending if it never was, else it differs from what is wanted."""
    return TargetState.PENDING if old.state is TargetState.PENDING else TargetState.FAILED


def _blank(address: Address) -> Target:
    return Target(backend=address.backend, kind=address.kind, name=address.name, state=TargetState.PENDING)


def _present(old: Target | None, address: Address, digest: str, found_id: str, now: str) -> Target:
    return Target(
        backend=address.backend,
        kind=address.kind,
        name=address.name,
        id=found_id,
        state=TargetState.PRESENT,
        last_applied_time=now or (old.last_applied_time if old else ""),
        digest=digest,
    )


def address_of(target: Target) -> Address:
    """Return where a recorded target is."""
    return Address(target.backend, target.kind, target.name)


def recorded(status: Status | None) -> dict[Address, str]:
    """Return the digest last written at each recorded address; empty for what is only Pending."""
    return {address_of(target): target.digest for target in (status or Status()).targets}


def recorded_id(status: Status | None, address: Address) -> str:
    """Return the store's own id of one recorded address; empty when there is none."""
    return next((target.id for target in (status or Status()).targets if address_of(target) == address), "")


def derived(found: Mapping[Address, str], owner: Owner, account: str) -> dict[Address, str]:
    """Leave out what stands in a status under a name that the binding does not derive: it was not written by us."""
    return {address: digest for address, digest in found.items() if _is_derived(address, owner, account)}


def _is_derived(address: Address, owner: Owner, account: str) -> bool:
    """Tell whether the binding derives the name; that of an object for one secret begins with its short name."""
    if address.backend == CLUSTER:
        return address.name == (binding_map.name_of(owner.binding) if address.kind == binding_map.KIND else account)
    try:
        here = owner.at(address.backend)
        long, short = here.name_in_store, here.short_name_in_store
    except ValueError:  # not even the name of a backend: forged
        return False
    # No name of Kubernetes holds an underscore, so what follows one is no part of another owner's name.
    named = {long, short, f"{owner.namespace}/{account}"}
    return address.name in named or address.name.startswith((f"{short}/", f"{long}_"))


def adopted(status: Status | None) -> frozenset[Address]:
    """Return what is recorded as having been there before the binding: it is ours by its mark alone."""
    return frozenset(address_of(each) for each in (status or Status()).targets if each.origin is Origin.ADOPTED)
