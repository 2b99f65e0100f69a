"""Finds and removes what no binding owns: leftovers of bindings that went while nobody looked.

One sweep a backend, started by its `airwarden.reconcile.probe`: some minutes after the store was first found well or
well again, then at the interval of the settings. `airwarden.domain.sweep` decides; removal takes the way of every
deletion, so that each mark is checked live. `airwarden.reconcile.account_sweep` does the same for service accounts.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import structlog

from airwarden.api.backend import AirflowSecretBackend, BackendStatus, Orphan
from airwarden.api.reasons import Reason
from airwarden.domain.errors import AirwardenError, StoreBarred
from airwarden.domain.holdings import Holding, owns
from airwarden.domain.resources import Claim
from airwarden.domain.sweep import MOST, Judged, judge
from airwarden.providers.kubernetes.live import LiveObjects
from airwarden.providers.ports import SWEEP_FORMER
from airwarden.reconcile import by_mark, parts
from airwarden.reconcile.backends import Backends, Runtime
from airwarden.reconcile.locks import Locks
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.queue import Key

log = structlog.get_logger("airwarden.sweep")

_LONGEST_FIRST: Final = 300.0
"""Seconds after a start or a recovery within which the first sweep is: the bindings go first."""
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Found:
    """What the last sweep of a store says: the condition Swept, and the orphans that are left."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str
    orphans: tuple[Orphan, ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class SweepTools:
    """What sweeps need of the world."""

    backends: Backends
    live: LiveObjects
    locks: Locks
    metrics: Metrics
    clock: Callable[[], datetime]
    interval: float
    """Seconds between two sweeps, spread a little."""
    grace: float
    """Seconds from when an orphan is first seen to its removal."""
    board: dict[str, Found] = field(default_factory=dict)
    """What the last sweep of each backend found."""


class BackendSweep:
    """Sweeps one backend again and again, until it is cancelled."""

    def __init__(self, name: str, tools: SweepTools, swept: Callable[[], None]) -> None:
        self._name = name
        self._tools = tools
        self._swept = swept
        self._due = float("inf")
        self._hastened = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def found(self) -> Found | None:
        """What the last sweep found; None before the first."""
        return self._tools.board.get(self._name)

    def start(self) -> None:
        """Begin; nothing is done before `soon`."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"sweep {self._name}")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("sweep broke off: this is a bug", backend=self._name, exc_info=error)

    def soon(self) -> None:
        """Sweep within minutes: the store was found well, for the first time or again."""
        first = min(self._tools.interval, _LONGEST_FIRST) * random.uniform(0.5, 1.0)  # noqa: S311 - spread, not a secret
        self._due = min(self._due, asyncio.get_running_loop().time() + first)
        self._hastened.set()

    def cancel(self) -> None:
        """Stop. What is half removed is found by the next sweep."""
        self._tools.board.pop(self._name, None)
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Stop and wait for the end."""
        self.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while (left := self._due - loop.time()) > 0:
                # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the event.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left if left != float("inf") else None):
                        await self._hastened.wait()
                self._hastened.clear()
            self._due = loop.time() + self._tools.interval * random.uniform(0.9, 1.1)  # noqa: S311 - spread, not a secret
            runtime = self._tools.backends.runtime(self._name)
            if runtime is None or runtime.breaker.open:
                continue  # its recovery says soon
            self._tools.board[self._name] = await sweep(runtime, self._tools)
            self._swept()


async def sweep(runtime: Runtime, tools: SweepTools) -> Found:
    """Look once for what no binding owns, and remove what may go. A failure is not raised: it is what was found."""
    status = runtime.backend.status or BackendStatus()
    last = tools.board.get(runtime.name)
    known, count = (status.orphans, status.bindings.orphans) if last is None else (last.orphans, last.count)
    seen = {each.name: each.first_seen for each in known}
    try:
        judged, unread = await look(runtime, tools.live, seen, tools.clock(), tools.grace)
    except AirwardenError as error:
        log.warning("sweep failed", backend=runtime.name, reason=error.reason.word, error=error.message)
        return Found("Unknown", error.reason, error.message, known, count)
    notes: dict[Holding, str] = {}
    gone: set[Holding] = set()
    for holding in judged.due:
        note = await _remove(runtime, holding, tools)
        if note:
            notes[holding] = note
        else:
            gone.add(holding)
    found = _found(runtime.backend, judged, gone, notes)
    return found if unread is None else _in_part(found, judged, unread, known)


async def look(
    runtime: Runtime, live: LiveObjects, seen: Mapping[str, str], now: datetime, grace: float
) -> tuple[Judged, AirwardenError | None]:
    """Return what no binding owns in the store, and why that is not all, None when it is.

    Raises when the store gives not even what marks alone tell, or the API server not its whole list. What another mode
    of the store left is looked at where the login may do that: the capabilities say so.
    """
    runtime.breaker.guard()
    unread: AirwardenError | None = None
    # The store first: what a new binding writes after that has its binding in the list.
    try:
        found = await runtime.store.holdings()
    except StoreBarred:
        raise
    except AirwardenError as error:
        found, unread = await by_mark.holdings(runtime, error), error
    if SWEEP_FORMER in runtime.capabilities:
        found |= await runtime.store.former_holdings()
    users = {key: binding.use for key, binding in (await live.bindings()).items()}
    return judge((each for each in found if each.owner.backend == runtime.name), users, seen, now, grace), unread


async def _remove(runtime: Runtime, holding: Holding, tools: SweepTools) -> str:
    """Remove what one owner left; return why it is still there, empty when it is not."""
    owner = holding.owner
    key: Key = (owner.namespace, owner.binding)
    async with tools.locks.take(key):
        if tools.backends.runtime(runtime.name) is not runtime:
            return "the backend changed meanwhile"
        try:
            note = await take_away(runtime, holding, tools.live)
        except AirwardenError as error:
            return error.message
    if not note:
        tools.metrics.swept()
        log.info(
            "swept",
            backend=runtime.name,
            namespace=owner.namespace,
            binding=owner.binding,
            account=holding.account,
            former=bool(holding.former),
        )
    return note


async def take_away(runtime: Runtime, holding: Holding, live: LiveObjects) -> str:
    """Remove what is held in the store if it still has no binding; return why it was left, empty when removed.

    Raises when the API server cannot say whether there is a binding.
    """
    binding = await live.binding(holding.owner.namespace, holding.owner.binding)
    if owns(binding.use if binding is not None else None, holding):
        return "a binding owns it again"
    part = await parts.observe_left(runtime, holding)
    adopted = [str(address) for address, found in (part.observed or {}).items() if found.adoption is not None]
    if adopted:
        # Without its binding nobody can say any more whether it is still what was found.
        return f"in the store before its binding was, so left to its owner: {', '.join(sorted(adopted))}"
    foreign = [
        str(address)
        for address, found in (part.observed or {}).items()
        if not found.absent and found.claim is not Claim.OURS
    ]
    progress = await parts.write(part, creating=False)
    if progress.fault is not None:
        return progress.fault.message
    return f"not marked as ours, so not touched: {', '.join(sorted(foreign))}" if foreign else ""


def _in_part(found: Found, judged: Judged, unread: AirwardenError, known: Iterable[Orphan]) -> Found:
    """Return what was found with what was known before: what could not be looked at is as it was."""
    here = {str(each) for each in judged.since}
    orphans = (*found.orphans, *(each for each in known if each.name not in here))[:MOST]
    message = f"not all of the store could be looked at: {unread.message}; of the rest: {found.message}"
    return Found("Unknown", unread.reason, message, orphans, max(found.count, len(orphans)))


def _found(
    backend: AirflowSecretBackend, judged: Judged, gone: Iterable[Holding], notes: Mapping[Holding, str]
) -> Found:
    left = [each for each in judged.since if each not in set(gone)]
    orphans = tuple(Orphan(name=str(each), first_seen=judged.since[each]) for each in left[:MOST])
    if judged.held:
        message = (
            f"nothing was removed: {judged.held}. Find out where the bindings are; if they are gone for good, run "
            f"airwarden sweep --backend {backend.metadata.name} --delete"
        )
        return Found("False", Reason.SWEEP_HELD, message, orphans, len(left))
    if notes:
        shown = "; ".join(f"{each}: {notes[each]}" for each in sorted(notes, key=lambda one: one.order)[:_NAMED])
        return Found(
            "False", Reason.SWEEP_INCOMPLETE, f"{len(notes)} could not be removed: {shown}", orphans, len(left)
        )
    if left:
        names = ", ".join(str(each) for each in left[:_NAMED])
        more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
        message = f"{len(left)} without a binding wait for the end of their grace: {names}{more}"
        return Found("True", Reason.SWEPT, message, orphans, len(left))
    return Found("True", Reason.SWEPT, "everything of ours in the store belongs to a binding")
