"""One store's part of one pass over a binding: observe it, decide, write it, one operation at a time.

Called by `airwarden.reconcile.bindings`, for all stores of a binding side by side.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from airwarden.api.backend import AdoptPolicy
from airwarden.api.reasons import Reason
from airwarden.domain.desired import Held, Plan
from airwarden.domain.diff import Terms, diff, leave, moved
from airwarden.domain.errors import (
    AirwardenError,
    MountMissing,
    OfAPart,
    Rejected,
    Sealed,
    StoreBarred,
    StoreFailed,
    Throttled,
    Unauthorized,
    Unreachable,
)
from airwarden.domain.holdings import Holding
from airwarden.domain.owner import Owner
from airwarden.domain.progress import Done, Fault, Progress
from airwarden.domain.resources import Action, Address, Changes, Claim, Grant, Observed, Operation, Readable, Resource
from airwarden.reconcile import by_mark
from airwarden.reconcile.backends import Runtime

Recorded = Mapping[Address, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """What else is known of a binding's objects than the digests on its record."""

    by_mark: frozenset[Address] = frozenset()
    """Recorded as adopted."""
    confirmed: Recorded = field(default_factory=dict)
    """Digests that this process has seen or made true, where drift is only reported."""


_PLAIN: Final = Standing()


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a binding that goes may leave behind: its plan, judged at this moment."""

    plan: Plan
    orphan: bool


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of one store before anything is written."""

    progress: Progress
    runtime: Runtime | None = None
    observed: Mapping[Address, Observed] | None = None
    owner: Owner | None = None
    desired: tuple[Resource, ...] = ()
    unread: Fault | None = None
    """Why what another mode of the store left could not be read; until it can be, it is not removed."""
    terms: Terms = field(default_factory=Terms)
    addresses: tuple[Address, ...] = ()
    """Where the owner has or shall have something, in the order of removal."""


def held(name: str, why: Held) -> Part:
    """Return the part of a store on which nothing may be changed now."""
    return Part(Progress(name, fault=Fault(why.reason, why.message), withheld=True))


def missing(name: str) -> Part:
    """Return the part of a store whose backend is gone while something is recorded in it."""
    message = f"AirflowSecretBackend {name} is gone, but this binding still has access recorded there: apply it again"
    return Part(Progress(name, fault=Fault(Reason.BACKEND_NOT_FOUND, message)))


async def observe(runtime: Runtime, plan: Plan, recorded: Recorded, standing: Standing) -> Part:
    """Look at the store and decide what it lacks."""
    grant = plan.grants.get(runtime.name)
    desired = runtime.store.render(grant) if grant is not None else ()
    here = {address: digest for address, digest in recorded.items() if address.backend == runtime.name}
    digests = {resource.address: resource.digest for resource in desired}
    granted = grant.readable if grant is not None else frozenset()
    owner = plan.owner.at(runtime.name)
    addresses = _addresses(runtime, owner, desired, here)
    terms = _terms(runtime, owner, standing)
    # What was only about to be made when a binding was suspended, it never had, whoever else made it.
    had = {address: digest for address, digest in here.items() if digest or not plan.suspended}
    try:
        observed = await _observed(runtime, owner, had, addresses, removing=not desired)
        observed = _asked_for(observed, digests, had)
    except StoreBarred as error:
        return held(runtime.name, Held(error.reason, error.message))
    except AirwardenError as error:
        why: AirwardenError = error
        found: dict[Address, Observed] = {}
        try:
            found = await by_mark.look(runtime, owner, addresses) if desired else {}  # else it was looked at so already
        except MountMissing as gone:
            why = gone
        told = tuple(each for each in runtime.store.addresses(owner, found) if each in found)
        progress = Progress(runtime.name, digests=digests, alone=frozenset(told))
        return _in_part(Part(progress, runtime, found or None, owner, terms=terms, addresses=told), here, why)
    addresses = runtime.store.addresses(owner, observed)
    changes = diff(desired, observed, here, addresses, terms)
    part = Part(_progress(runtime, changes, desired), runtime, observed, owner, desired, None, terms, addresses)
    part = await _observe_former(part, here, granted)
    return _suspended(part, grant, here) if plan.suspended else part


def _in_part(part: Part, here: Recorded, error: AirwardenError) -> Part:
    """Return the part of a store that cannot be looked at as a whole: of what can, only what is not wanted goes.

    Nothing is forgotten meanwhile: what the rest would show is not known. Only where it is known that the access cannot
    be there, since what held it is gone, a binding says so.
    """
    progress = part.progress
    unwanted = tuple(each for each in part.addresses if each not in progress.digests)
    changes = replace(diff((), part.observed or {}, here, unwanted, part.terms), gone=frozenset())
    if changes.operations:
        progress = replace(progress, changes=changes, partly=True)
    elif _proves_nothing(error) and progress.digests and dict(here) == dict(progress.digests):
        return replace(part, progress=replace(progress, unverified=True))
    fault = Fault.of(error, doing=f"reading from backend {progress.backend}")
    if isinstance(error, MountMissing) and part.runtime is not None:
        # The backend's own check finds out when it is back, and wakes those that are not Ready.
        fault = replace(fault, retry_after=part.runtime.drift_interval)
    return replace(part, progress=replace(progress, fault=fault))


def _proves_nothing(error: AirwardenError) -> bool:
    """Tell whether what was acknowledged before may well stand, for all that a failed look says."""
    return error.retryable and not isinstance(error, MountMissing)


async def _observe_former(part: Part, here: Recorded, granted: frozenset[Readable]) -> Part:
    """Look at what another mode of the store left, where the status records something of it."""
    runtime, owner, changes = part.runtime, part.owner, part.progress.changes
    if runtime is None or owner is None or changes is None or part.observed is None:
        return part
    former = tuple(each for each in runtime.store.former(owner) if each in here)
    if not former:
        return part
    unread = None
    found: Mapping[Address, Observed] = {}
    try:
        found = await runtime.store.observe(owner, former, known=True)
    except AirwardenError as error:
        runtime.note_failure(error)
        unread = Fault.of(error, doing=f"reading {former[0]}, {_FORMER}")
    # Where nothing is granted nothing replaces it: it goes, also when it gives nothing to read any more.
    outgrown = unread is None and (not granted or not runtime.store.readable(found) <= granted)
    progress = replace(part.progress, changes=moved(changes, former, found, outgrown=outgrown))
    return replace(part, progress=progress, observed={**part.observed, **found}, unread=unread)


def _suspended(part: Part, grant: Grant | None, here: Recorded) -> Part:
    """Return the part of a suspended binding: what it may have and has already, and not a bit more.

    What another mode of the store gave counts as had: moving a backend takes nothing from who is suspended.
    """
    if part.runtime is None or part.observed is None or part.owner is None:
        return part
    store = part.runtime.store
    kept = store.narrowed(grant, part.observed) if grant is not None else None
    desired = store.render(kept) if kept is not None else ()
    digests = {resource.address: resource.digest for resource in desired}
    changes = diff(desired, part.observed, here, part.addresses, part.terms)
    former = tuple(each for each in store.former(part.owner) if each in here)
    if former:
        left = {address: part.observed[address] for address in former if address in part.observed}
        outgrown = not store.readable(left) <= (kept.readable if kept is not None else frozenset())
        changes = moved(changes, former, left, outgrown=outgrown)
    progress = replace(part.progress, changes=changes, digests=digests, kept=kept)
    return replace(part, progress=progress, desired=desired)


def without_account(plan: Plan, account: Progress) -> tuple[Plan, Progress]:
    """Return plan and account as they are while suspended: an account that is not there is not made.

    Without it nobody of the binding's can log in, and somebody else could make one of its name: nothing is kept.
    """
    missing = account.changes is not None and any(each.action is Action.CREATE for each in account.changes.operations)
    if not plan.suspended or not missing:
        return plan, account
    return replace(plan, grants={}), replace(account, changes=Changes())


async def observe_removal(
    runtime: Runtime,
    owner: Owner,
    recorded: Recorded,
    standing: Standing = _PLAIN,
    leaving: Leaving | None = None,
) -> Part:
    """Look at everything that the owner could have in the store, in order to remove it, or to let go what may stay.

    While it is not known what may stay, nothing is removed that might. Without ``leaving``, nothing may.
    """
    here = {address: digest for address, digest in recorded.items() if address.backend == runtime.name}
    owner = owner.at(runtime.name)
    grant = leaving.plan.grants.get(runtime.name) if leaving is not None else None
    permitted = runtime.store.render(grant) if grant is not None else ()
    addresses = _addresses(runtime, owner, permitted, here)
    try:
        observed = await _observed(runtime, owner, here, addresses, removing=True)
    except StoreBarred as error:
        return held(runtime.name, Held(error.reason, error.message))
    except AirwardenError as error:
        return Part(
            Progress(runtime.name, fault=Fault.of(error, doing=f"reading from backend {runtime.name}")), runtime
        )
    addresses = runtime.store.addresses(owner, observed)
    orphan = leaving is not None and leaving.orphan
    terms = _terms(runtime, owner, standing)
    changes = leave(permitted, observed, here, addresses, terms, orphan=orphan)
    if leaving is not None and runtime.name in leaving.plan.held and changes.operations:
        adopted = any(each.observed.adoption is not None for each in changes.operations)
        if orphan or adopted:
            return held(runtime.name, leaving.plan.why_held(runtime.name))
    stays = any(each.claim is Claim.RELEASED for each in observed.values()) or any(
        each.action is Action.RELEASE for each in changes.operations
    )
    progress = replace(_progress(runtime, changes), orphaned=orphan and stays)
    part = Part(progress, runtime, observed, owner, terms=terms)
    return await _observe_former(part, here, frozenset())


async def observe_left(runtime: Runtime, holding: Holding) -> Part:
    """Look at what no binding lays claim to any more, and at nothing else of its owner's, in order to remove it."""
    owner = holding.owner
    addresses = holding.former or holding.present or runtime.store.addresses(owner)
    try:
        observed = await _observed(runtime, owner, {}, addresses, removing=True)
    except AirwardenError as error:
        return Part(
            Progress(runtime.name, fault=Fault.of(error, doing=f"reading from backend {runtime.name}")), runtime
        )
    terms = _terms(runtime, owner, _PLAIN)
    changes = leave((), observed, {}, addresses, terms, orphan=False)
    return Part(_progress(runtime, changes), runtime, observed, owner, terms=terms)


async def _observed(
    runtime: Runtime, owner: Owner, here: Recorded, addresses: tuple[Address, ...], *, removing: bool
) -> Mapping[Address, Observed]:
    try:
        runtime.breaker.guard()
        known = any(each in here for each in addresses)
        found = await _ask(runtime, owner, addresses, known=known, removing=removing)
    except AirwardenError as error:
        runtime.note_failure(error)
        raise
    runtime.note_answer()
    # What another binding made is not this one's before it is on its record: only then is it found again.
    return {
        address: Observed(address, None) if each.shared and address not in here else each
        for address, each in found.items()
    }


def _asked_for(
    observed: Mapping[Address, Observed], wanted: Mapping[Address, str], had: Recorded
) -> Mapping[Address, Observed]:
    """Return what is observed, without what another made and this binding was only about to have.

    It is asked for anew, since its store may have had no room for it. What is not wanted any more may have come to it
    meanwhile, and is let go of.
    """
    return {
        address: Observed(address, None) if each.shared and address in wanted and not had.get(address) else each
        for address, each in observed.items()
    }


def _addresses(runtime: Runtime, owner: Owner, desired: tuple[Resource, ...], here: Recorded) -> tuple[Address, ...]:
    """Return where the owner has or shall have something, in the order of removal."""
    return runtime.store.addresses(owner, [*(each.address for each in desired), *here])


def _progress(runtime: Runtime, changes: Changes, desired: tuple[Resource, ...] = ()) -> Progress:
    """Return what is known of the store's part before the first write."""
    kinds = runtime.store.alone
    touched = (*(each.address for each in desired), *(each.address for each in changes.operations))
    return Progress(
        runtime.name,
        changes,
        {each.address: each.digest for each in desired},
        alone=frozenset(each for each in touched if each.kind in kinds),
        opens={each.address: each.opens for each in desired if each.opens is not None},
    )


def _terms(runtime: Runtime, owner: Owner, standing: Standing) -> Terms:
    spec = runtime.backend.spec
    return Terms(
        owner=str(owner),
        adopts=spec.adopt is AdoptPolicy.IF_IDENTICAL,
        reports_drift=runtime.reports_drift,
        by_mark=standing.by_mark,
        confirmed=standing.confirmed,
        alone=runtime.store.alone,
    )


def confirmed(
    before: Standing, progress: Mapping[str, Progress], opened: Mapping[str, Runtime | Held | None]
) -> dict[Address, str]:
    """Return the digests that were seen or made true in stores that only report drift: there they are needed."""
    found: dict[Address, str] = {}
    for name, runtime in opened.items():
        if not isinstance(runtime, Runtime) or not runtime.reports_drift:
            continue
        part = progress[name]
        found |= {address: digest for address, digest in before.confirmed.items() if address.backend == name}
        if part.changes is None:
            continue
        found |= {address: part.digests[address] for address in part.changes.present}
        for address in part.changes.gone:
            found.pop(address, None)
        for done in part.done:
            if done.operation.resource is None:
                found.pop(done.operation.address, None)
            else:
                found[done.operation.address] = done.operation.resource.digest
    return found


async def _ask(
    runtime: Runtime, owner: Owner, addresses: tuple[Address, ...], *, known: bool, removing: bool
) -> Mapping[Address, Observed]:
    """Return what the store has at each address, and wherever else the owner's mark is.

    What lay on a mount that is gone is gone with it, in the very store that is on the backend's record: there is
    nothing to remove, and nothing to wait for (docs/decisions/0010). Where something goes and not all can be read,
    what its mark tells goes, and what could not be read stays an operation, which tells by its failure why.
    """
    try:
        asked = await by_mark.carrying(runtime, owner, addresses, known=known)
        return await runtime.store.observe(owner, asked, known=known)
    except MountMissing:
        if not removing or not runtime.identified:
            raise
    except StoreBarred:
        raise
    except AirwardenError:
        found: dict[Address, Observed] = {}
        with contextlib.suppress(MountMissing):  # what the whole look met has to end first
            found = await by_mark.look(runtime, owner, addresses) if removing else {}
        if all(each.absent for each in found.values()):
            raise
        return {**{address: Observed(address, {}, Claim.OURS) for address in addresses}, **found}
    found = {}
    for address in addresses:
        with contextlib.suppress(MountMissing):
            found |= await runtime.store.observe(owner, (address,), known=True)
    if not found:
        raise MountMissing(f"no mount of backend {runtime.name} answers: look at the store")
    return {address: found.get(address, Observed(address, None)) for address in addresses}


def withdrawn(part: Part, plan: Plan, recorded: Recorded, why: Fault) -> Part:
    """Return the part with everything of ours to be removed, because the account is not the binding's."""
    if part.runtime is None or part.observed is None:
        return part
    here = {address: digest for address, digest in recorded.items() if address.backend == part.runtime.name}
    owner = plan.owner.at(part.runtime.name)
    changes = diff((), part.observed, here, part.addresses, part.terms)
    former = tuple(each for each in part.runtime.store.former(owner) if each in here)
    changes = moved(changes, former, part.observed, outgrown=part.unread is None)
    partly = not part.progress.seen
    changes = replace(changes, gone=frozenset()) if partly else changes
    return replace(part, progress=replace(part.progress, changes=changes, digests={}, fault=why, partly=partly))


async def write(part: Part, *, creating: bool) -> Progress:
    """Do the operations in their order and stop at the first failure, but for what stands by itself.

    Where one of those cannot be written the others still are; what comes after them in other kinds is not.

    Without ``creating`` nothing new is made: what exists is corrected, what must go is removed.
    """
    progress = part.progress
    if part.runtime is None or progress.changes is None:
        return progress
    done: list[Done] = []
    failed: dict[Address, Fault] = {}
    read_back = False
    operations = progress.changes.operations
    for number, operation in enumerate(operations):
        if operation.action in _NEW and not creating:
            continue
        alone = operation.address in progress.alone
        if failed and not alone:
            break
        former = operation.address in progress.changes.former
        if former and part.unread is not None:
            return replace(progress, done=tuple(done), failed={operation.address: part.unread}, fault=part.unread)
        if former and not progress.changes.outgrown and (progress.changes.conflicts or not creating):
            continue
        try:
            if former and not progress.changes.outgrown and not read_back:
                await _read_back(part)
                read_back = True
            done.append(await _write(part.runtime, operation))
        except AirwardenError as error:
            part.runtime.note_failure(error)
            doing = f"{_VERBS[operation.action]} {operation.address}"
            fault = Fault.of(error, doing=f"{doing}, {_FORMER}" if former else doing)
            failed[operation.address] = fault
            if not alone or (isinstance(error, _OF_THE_STORE) and not isinstance(error, OfAPart)):
                failed |= {each.address: fault for each in operations[number:] if each.address in progress.alone}
                break
    return replace(progress, done=tuple(done), failed=failed, fault=next(iter(failed.values()), progress.fault))


async def _read_back(part: Part) -> None:
    """Raise unless the store shows all that is granted: only then may what it replaces go."""
    if part.runtime is None or part.owner is None or not part.desired:
        return
    found = await part.runtime.store.observe(part.owner, [each.address for each in part.desired], known=True)
    for each in part.desired:
        fields = found[each.address].fields
        if fields is None or dict(fields) != dict(each.fields):
            raise StoreFailed(f"{each.address} does not read back as it was written, so what it replaces stays")


_FORMER = "which the backend's other mode left (until it is gone the operator needs the rights of both modes)"
_OF_THE_STORE = (Unreachable, Sealed, Throttled, Unauthorized, StoreBarred)
"""What says something of the store as a whole: the next write would only meet the same."""
_NEW = frozenset({Action.CREATE, Action.ADOPT})
_VERBS = {
    Action.CREATE: "creating",
    Action.UPDATE: "updating",
    Action.DELETE: "deleting",
    Action.ADOPT: "adopting",
    Action.RELEASE: "releasing",
}


async def _write(runtime: Runtime, operation: Operation) -> Done:
    runtime.breaker.guard()
    written = await runtime.store.apply(operation)
    runtime.note_answer()
    if written.warnings:
        # An acknowledgement with a warning is no acknowledgement (design section 2, rule 9).
        raise Rejected(f"the store warned: {'; '.join(written.warnings)[:300]}")
    return Done(operation, written.id, written.left)
