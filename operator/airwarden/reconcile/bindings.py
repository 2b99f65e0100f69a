"""One pass over one binding: from what is declared to what holds, and the status that says so.

observe → Pending recorded → write → report; the same function serves new bindings, edits, drift checks,
retries and restarts, since it always looks at what is. Called by `airwarden.reconcile.engine`.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from pydantic import ValidationError

from airwarden.api.binding import AirflowSecretBinding, DeletionPolicy
from airwarden.api.conditions import Identity, Status
from airwarden.api.metadata import Metadata
from airwarden.api.reasons import Reason
from airwarden.domain import effect
from airwarden.domain import record as records
from airwarden.domain import report as reports
from airwarden.domain.desired import Held, Plan, Surroundings, common_items, plan
from airwarden.domain.environment.mapping import EnvironmentView, Mapped
from airwarden.domain.errors import ObjectRejected
from airwarden.domain.lifetime import Turn, soonest
from airwarden.domain.owner import Owner
from airwarden.domain.progress import CLUSTER, Fault, Progress, needs_record
from airwarden.domain.resources import Action, Address, Changes
from airwarden.domain.rotation.bound import Rotated
from airwarden.providers.kubernetes import accounts
from airwarden.providers.kubernetes.accounts import Accounts
from airwarden.providers.kubernetes.events import EventPoster
from airwarden.providers.kubernetes.objects import ObjectWriter, binding_path
from airwarden.reconcile import binding_maps, parts
from airwarden.reconcile.backends import Backends, Runtime
from airwarden.reconcile.binding_account import BindingAccount
from airwarden.reconcile.binding_maps import BindingMaps, environment_of
from airwarden.reconcile.binding_rotations import BindingRotations
from airwarden.reconcile.cache import Cache, Entry
from airwarden.reconcile.carrying import carry
from airwarden.reconcile.locks import Locks
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.parts import Leaving
from airwarden.reconcile.queue import Key
from airwarden.reconcile.telling import Teller
from airwarden.reconcile.wording import complaints

log = structlog.get_logger("airwarden.bindings")
Opened = Mapping[str, Runtime | Held | None]
Parts = dict[str, Progress]


def rfc3339(moment: datetime) -> str:
    """Return a time as Kubernetes writes it, in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Seen:
    """A state of a binding, as far as it decides whether a pass is needed."""

    uid: str
    generation: int
    deleting: bool
    finalized: bool
    status: int

    @classmethod
    def of(cls, entry: Entry) -> "Seen":
        """Return what was seen of a binding."""
        return cls(entry.uid, entry.generation, entry.deleting, entry.finalized, entry.status)


@dataclass(frozen=True, slots=True)
class Next:
    """When to look again."""

    kind: Literal["never", "retry", "check"]
    after: float | None = None
    """Seconds: the drift interval for a check; what the other side asked for, for a retry."""
    waiting: frozenset[str] = frozenset()
    """Backends that are down; their recovery is the time to look again."""
    seen: Seen | None = None
    """The state that the pass has seen to, its own writes included."""
    turn: Turn | None = None
    """When what is wanted changes by itself: a pass is due at that very moment."""
    ending: bool = False
    """Access has ended by time and is not taken away yet: tried again as a removal is."""
    in_turn: bool = False
    """Nothing failed: a write waits for its turn, and is lost to others if it is not there then."""


NEVER = Next("never")


@dataclass(frozen=True, slots=True)
class Tools:
    """What a pass needs of the world."""

    cluster: str
    cache: Cache
    backends: Backends
    writer: ObjectWriter
    accounts: Accounts
    events: EventPoster
    metrics: Metrics
    clock: Callable[[], datetime]
    rotations: BindingRotations
    maps: BindingMaps
    locks: Locks = field(default_factory=Locks)


class BindingReconciler:
    """Makes what holds equal to what a binding declares."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._account = BindingAccount(tools.accounts, tools.cache)
        self._teller = Teller(tools.events, tools.metrics, self._now)
        self.rotations = tools.rotations
        """Also asked, without a request, whether a binding shows what is so of its rotations."""
        self._written: dict[Key, Entry] = {}
        """The binding as the last write of the pass under way left it."""
        self._confirmed: dict[Key, Mapping[Address, str]] = {}
        """Of bindings in backends that only report drift: the digests that this process saw or made true."""

    async def reconcile(self, key: Key) -> Next:
        """Do one pass. Raises AirwardenError when the cluster itself fails, so that the pass is repeated."""
        async with self._tools.locks.take(key):
            return await self._reconcile(key)

    async def _reconcile(self, key: Key) -> Next:
        entry = self._tools.cache.bindings.get(key)
        if entry is None:
            self._confirmed.pop(key, None)
            return NEVER
        left = [await self._remove(each) for each in self._tools.cache.superseded(key)]
        try:
            following = await (self._remove(entry) if entry.deleting else self._establish(entry))
        finally:
            last = self._written.pop(key, entry)
        following = next((each for each in left if each.kind != "never"), following)
        return replace(following, seen=replace(Seen.of(entry), status=last.status, finalized=last.finalized))

    async def _establish(self, entry: Entry) -> Next:
        if not entry.finalized:
            metadata = Metadata.model_validate(entry.load()["metadata"])
            body = await self._tools.writer.add_finalizer(binding_path(*entry.key), metadata)
            self._written[entry.key] = entry = self._tools.cache.learn_binding(body)
            if entry.deleting:
                return await self._remove(entry)
        raw = entry.load()
        try:
            binding = AirflowSecretBinding.model_validate(raw)
        except ValidationError as error:
            return await self._say_invalid(entry, raw, error)
        return await self._pass(binding)

    async def _pass(self, binding: AirflowSecretBinding) -> Next:
        owner = Owner(self._tools.cluster, binding.metadata.namespace, binding.metadata.name)
        recorded = records.derived(records.recorded(binding.status), owner, binding.spec.service_account.name)
        environment = environment_of(self._tools.cache, binding)
        items = (*binding.spec.secrets, *common_items(binding, environment))
        names = {item.backend_ref.name for item in items} | {each.backend for each in recorded}
        opened = await self._open(names - {CLUSTER})
        wanted = plan(binding, self._surroundings(binding, opened, recorded, environment))
        account_id = records.recorded_id(binding.status, accounts.address(wanted.account))
        account, fault = await self._account.look(wanted, recorded, account_id)
        wanted, account = parts.without_account(wanted, account)
        standing = parts.Standing(records.adopted(binding.status), self._confirmed.get(_key(binding), {}))
        looks = (self._look(name, wanted, opened[name], recorded, standing) for name in sorted(names - {CLUSTER}))
        seen, looked = await asyncio.gather(self._tools.maps.see(wanted), asyncio.gather(*looks))
        stores = {part.progress.backend: part for part in looked}
        if fault is not None:
            stores = {name: parts.withdrawn(part, wanted, recorded, fault) for name, part in stores.items()}
        given = binding_maps.given_of(wanted, opened, stores)
        mine = binding_maps.decide(binding, wanted, seen, given, creating=fault is None)
        identity = binding_maps.before_the_stores(binding, wanted, account, mine)
        making = [account, mine.progress, *(part.progress for part in stores.values())]
        try:
            binding = await self._record(binding, wanted, making, identity)
        except ObjectRejected:
            # What must go does not wait for a status that cannot be written; nothing is made without a record.
            await asyncio.gather(*(parts.write(part, creating=False) for part in stores.values()))
            raise
        account = await self._account.write(wanted, account, account_id)
        if account.fault is not None and account.fault.reason in _FOREIGN_ACCOUNT:
            stores = {name: parts.withdrawn(part, wanted, recorded, account.fault) for name, part in stores.items()}
        written = await asyncio.gather(*(parts.write(part, creating=account.fault is None) for part in stores.values()))
        # Made anew: some stores can say how tasks log in only when they have been written.
        given = binding_maps.given_of(wanted, opened, stores)
        mine = binding_maps.decide(binding, wanted, seen, given, creating=account.fault is None)
        mine = await self._tools.maps.write(mine) if account.fault is None else mine
        progress = {CLUSTER: binding_maps.merged(account, mine), **{each.backend: each for each in written}}
        if (confirmed := parts.confirmed(standing, progress, opened)) or standing.confirmed:
            self._confirmed[_key(binding)] = confirmed
        rotated = await self.rotations.establish(binding)
        progress[CLUSTER] = await carry(wanted, progress, self._tools.backends, self._tools.cache, self._tools.accounts)
        mapped = binding_maps.mapped(binding, wanted, progress[CLUSTER], mine, given)
        status = await self._report(binding, wanted, progress, rotated, mapped)
        following = self._next(progress, opened, rotated.fault, mapped.fault)
        turn = soonest(wanted.turn, effect.turn(status, wanted.lags))
        return replace(following, turn=turn, ending=wanted.expired and following.kind == "retry")

    async def _open(self, names: Iterable[str]) -> dict[str, Runtime | Held | None]:
        return {name: await self._tools.backends.open(name) for name in sorted(names)}

    def _surroundings(
        self,
        binding: AirflowSecretBinding,
        opened: Opened,
        recorded: Mapping[Address, str],
        environment: EnvironmentView | Held | None = None,
    ) -> Surroundings:
        namespace = self._tools.cache.namespaces.get(binding.metadata.namespace)
        return Surroundings(
            cluster=self._tools.cluster,
            backends={
                name: found.view() if isinstance(found, Runtime) else found
                for name, found in opened.items()
                if found is not None
            },
            namespace_labels=namespace.labels if namespace is not None else None,
            recorded=frozenset(each.backend for each in recorded),
            environment=environment,
            now=self._tools.clock(),
        )

    async def _look(
        self,
        name: str,
        wanted: Plan,
        found: Runtime | Held | None,
        recorded: Mapping[Address, str],
        standing: parts.Standing,
    ) -> parts.Part:
        if name in wanted.held:
            return parts.held(name, wanted.why_held(name))
        if wanted.expired and not isinstance(found, Runtime) and not any(each.backend == name for each in recorded):
            # Nothing is recorded in a store that cannot be used, so nothing has to end there.
            return parts.Part(Progress(name, Changes()))
        if found is None:
            return parts.missing(name)
        if isinstance(found, Held):
            return parts.held(name, found)
        return await parts.observe(found, wanted, recorded, standing)

    async def _record(
        self, binding: AirflowSecretBinding, wanted: Plan, progress: Iterable[Progress], identity: Identity | None
    ) -> AirflowSecretBinding:
        """Record as Pending what is about to be made, before the first write (design section 4).

        DAGs that are withdrawn leave the status here, before any access does: no pod is made any more that would find
        itself without.
        """
        recorded = frozenset(records.recorded(binding.status))
        progress = tuple(progress)
        new = frozenset[Address]().union(*(needs_record(each, recorded) for each in progress))
        before = binding.status or Status()
        withdrawing = identity != before.identity and any(_removes(each) for each in progress)
        if not new and not withdrawing:
            return binding
        if not new:
            status = before.model_copy(update={"identity": identity})
            return binding.model_copy(update={"status": await self._write_status(binding.metadata, status)})
        adopted = frozenset[Address]().union(*(each.changes.adopted for each in progress if each.changes is not None))
        status = reports.pending(binding, wanted, new, self._now(), adopted)
        status = status.model_copy(update={"identity": identity})
        return binding.model_copy(update={"status": await self._write_status(binding.metadata, status)})

    async def _report(
        self, binding: AirflowSecretBinding, wanted: Plan, progress: Parts, rotated: Rotated, mapped: Mapped
    ) -> Status:
        status = reports.report(binding, wanted, progress, self._now(), rotated, mapped)
        if status != binding.status:
            await self._write_status(binding.metadata, status)
        await self._teller.changes(binding, status, progress)
        return status

    async def _say_invalid(self, entry: Entry, raw: Mapping[str, object], error: ValidationError) -> Next:
        metadata = Metadata.model_validate(raw["metadata"])
        previous = Status.model_validate(raw["status"])
        message = f"the binding does not hold to its schema, and nothing was changed: {complaints(error)}"
        status = reports.invalid(previous, entry.generation, message, self._now())
        if status != previous:
            await self._write_status(metadata, status)
        return NEVER

    async def _remove(self, entry: Entry) -> Next:
        """Take everything away, the stores first, then the account, then the finalizer."""
        if not entry.finalized:
            return NEVER
        raw = entry.load()
        metadata = Metadata.model_validate(raw["metadata"])
        previous = Status.model_validate(raw["status"])
        owner = Owner(self._tools.cluster, *entry.key, account=entry.account)
        recorded = records.derived(records.recorded(previous), owner, entry.account)
        account_id = records.recorded_id(previous, accounts.address(entry.account))
        previous = await self._withdraw(entry, metadata, previous)
        opened = await self._open(entry.backends - {CLUSTER, ""})
        standing = parts.Standing(records.adopted(previous))
        leaving = self._leaving(raw, opened, recorded)
        rotating = await self._remove_rotations(entry)
        progress = {
            each.backend: each
            for each in await asyncio.gather(
                *(self._remove_from(name, owner, found, recorded, standing, leaving) for name, found in opened.items())
            )
        }
        await self._teller.left(metadata, progress)
        if rotating is not None:
            progress[CLUSTER] = Progress(CLUSTER, Changes(), fault=rotating)
        if all(each.complete for each in progress.values()):
            orphaned = any(each.orphaned for each in progress.values())
            progress[CLUSTER] = await self._account.remove(owner, entry, account_id, orphan=orphaned)
        if all(each.complete for each in progress.values()) and _has_map(raw) and self._is_newest(entry):
            stuck = await self._tools.maps.remove(owner)
            progress[CLUSTER] = replace(progress[CLUSTER], fault=stuck)
        if all(each.complete for each in progress.values()):
            if not entry.lost:
                await self._tools.writer.remove_finalizer(binding_path(*entry.key), metadata)
            self._tools.cache.release_binding(entry)
            return NEVER
        if entry.lost:
            return self._next(progress, opened)
        status = reports.deleting(previous, entry.generation, progress, self._now())
        if status != previous:
            await self._write_status(metadata, status)
            ready = status.condition("Ready")
            if ready is not None:
                await self._teller.tell(metadata, "Warning", ready.reason, ready.message)
        return self._next(progress, opened)

    async def _withdraw(self, entry: Entry, metadata: Metadata, previous: Status) -> Status:
        """Take its DAGs out of the status before any access goes; the policies for pods read them there."""
        if previous.identity is None or entry.lost:
            return previous
        status = reports.deleting(previous, entry.generation, {}, self._now())
        kept = {"identity": None, "targets": previous.targets}
        try:
            return await self._write_status(metadata, status.model_copy(update=kept))
        except ObjectRejected as error:
            log.warning("status not written", namespace=entry.key[0], binding=entry.key[1], error=error.message)
            return previous

    async def _remove_rotations(self, entry: Entry) -> Fault | None:
        """Delete what its spec.rotation made, whatever the stores say; not what another binding of its name has now."""
        return await self.rotations.remove(entry.key) if self._is_newest(entry) else None

    def _is_newest(self, entry: Entry) -> bool:
        """Tell whether what has the binding's name is this binding's, and not that of another one that came since."""
        known = self._tools.cache.bindings.get(entry.key)
        return known is not None and known.uid == entry.uid

    def _leaving(self, raw: Mapping[str, object], opened: Opened, recorded: Mapping[Address, str]) -> Leaving | None:
        """Return what the guardrails let stay at this moment; None for a spec that cannot be read, nor judged."""
        try:
            binding = AirflowSecretBinding.model_validate(raw)
        except ValidationError:
            return None
        wanted = plan(binding, self._surroundings(binding, opened, recorded))
        return Leaving(wanted, binding.spec.deletion_policy is DeletionPolicy.ORPHAN)

    async def _remove_from(
        self,
        name: str,
        owner: Owner,
        found: Runtime | Held | None,
        recorded: Mapping[Address, str],
        standing: parts.Standing,
        leaving: Leaving | None,
    ) -> Progress:
        if found is None:
            if any(address.backend == name for address in recorded):
                return parts.missing(name).progress
            return Progress(name, Changes())
        if isinstance(found, Held):
            return parts.held(name, found).progress
        part = await parts.observe_removal(found, owner, recorded, standing, leaving)
        return await parts.write(part, creating=False)

    async def _write_status(self, metadata: Metadata, status: Status) -> Status:
        path = binding_path(metadata.namespace, metadata.name)
        body = await self._tools.writer.write_status(path, metadata.uid, status)
        entry = self._tools.cache.learn_binding(body)
        self._written[entry.key] = entry
        return status

    def _next(self, progress: Mapping[str, Progress], opened: Opened, *others: Fault | None) -> Next:
        runtimes = [found for found in opened.values() if isinstance(found, Runtime)]
        down = frozenset(each.name for each in runtimes if each.breaker.open)
        found = (*(each.fault for each in progress.values()), *others)
        faults = [each for each in found if each is not None and each.retryable]
        if faults:
            asked = max((each.retry_after or 0.0 for each in faults), default=0.0)
            in_turn = all(each.reason is Reason.PENDING and each.retry_after for each in faults)
            return Next("retry", asked or None, down, in_turn=in_turn)
        removed = any(done.operation.resource is None for each in progress.values() for done in each.done)
        if removed and any(each.changes is not None and each.changes.conflicts for each in progress.values()):
            # What stood in the way may just have gone: two backends of one place hold the same thing by turns.
            return Next("retry", None, down)
        interval = min((each.drift_interval for each in runtimes), default=600.0)
        return Next("check", interval, down)

    def _now(self) -> str:
        return rfc3339(self._tools.clock())


def _has_map(raw: Mapping[str, Any]) -> bool:
    return bool(raw["spec"].get("environmentRef"))


def _removes(progress: Progress) -> bool:
    """Tell whether something is about to be taken from the binding: a change of what it has counts as that."""
    operations = progress.changes.operations if progress.changes is not None else ()
    return any(each.action is not Action.CREATE for each in operations)


def _key(binding: AirflowSecretBinding) -> Key:
    return binding.metadata.namespace, binding.metadata.name


_FOREIGN_ACCOUNT = frozenset({Reason.NOT_OWNED, Reason.SERVICE_ACCOUNT_TAKEN})
