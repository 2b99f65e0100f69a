"""Keeps each backend's status: is the store there, may we do what we must, who uses it.

One probe a backend finds out when a store is back and wakes its bindings. Started by
`airwarden.reconcile.engine` when a backend is first seen.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from airwarden.api import FINALIZER
from airwarden.api.backend import AirflowSecretBackend, BackendStatus, BindingCounts, StoreIdentity
from airwarden.api.conditions import Condition
from airwarden.api.reasons import Reason
from airwarden.domain.conditions import Said, stated
from airwarden.domain.desired import Held
from airwarden.domain.errors import AirwardenError, MountMissing, ObjectGone, Sealed, Unauthorized, Unreachable
from airwarden.domain.report import Verdict, conditions
from airwarden.providers.kubernetes.objects import ObjectWriter, backend_path
from airwarden.providers.ports import NOTED, Health
from airwarden.reconcile.backends import Backends, Runtime
from airwarden.reconcile.bindings import rfc3339
from airwarden.reconcile.cache import Cache
from airwarden.reconcile.foreign import CONDITION, ForeignScan
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.shared import SharedThings
from airwarden.reconcile.sweep import BackendSweep, Found, SweepTools

log = structlog.get_logger("airwarden.backends")

_STATUS_PAUSE = 5.0
"""Seconds between two writes of a backend's counters (design section 10)."""
_COUNTING_PAUSE = 1.0
"""Seconds between two counts of the bindings: each looks at all of them, and each pass of one asks for it."""
_SKEW = 30.0
"""Seconds by which the clocks of operator and store may differ before that is reported."""
_SKEW_STEPS = ((86400.0, "a day"), (3600.0, "1h"), (300.0, "5m"), (_SKEW, "30s"))
"""How a difference is told: coarsely, since the exact one differs at every check."""
_NAMED = 5
"""How many bindings a message names before it says how many more there are."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a store is checked, in seconds."""

    healthy: float = 30.0
    first_retry: float = 1.0
    longest_retry: float = 15.0


@dataclass(frozen=True, slots=True)
class ProbeTools:
    """What a probe needs of the world."""

    cache: Cache
    backends: Backends
    writer: ObjectWriter
    metrics: Metrics
    recovered: Callable[[str], None]
    clock: Callable[[], datetime]
    barred: Callable[[str], None]
    sweeps: SweepTools
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: health, or why there is none."""

    health: Health | None = None
    error: AirwardenError | None = None
    held: Held | None = None

    @property
    def healthy(self) -> bool:
        """True when the store answers and the login has all rights."""
        return self.health is not None and not self.health.missing_permissions


class Probe:
    """Checks one backend until it is gone."""

    def __init__(self, name: str, tools: ProbeTools) -> None:
        self._name = name
        self._tools = tools
        self._wake = asyncio.Event()
        self._sweep = BackendSweep(name, tools.sweeps, lambda: self.nudge(check=False))
        self._check_due = True
        self._finding = Finding()
        self._foreign = ForeignScan()
        self._shared = SharedThings()
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin checking."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"probe {self._name}")
        self._sweep.start()

    def nudge(self, *, check: bool) -> None:
        """Look again soon: at the store itself, or only at who uses it."""
        self._check_due = self._check_due or check
        self._wake.set()

    def cancel(self) -> None:
        """Stop checking, without waiting for the end."""
        self._sweep.cancel()
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Stop checking and wait for the end."""
        self.cancel()
        await self._sweep.stop()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        next_check = loop.time()
        while True:
            if self._check_due or loop.time() >= next_check:
                self._check_due = False
                await self._check()
                next_check = loop.time() + self._pause()
            written = await self._keep_status()
            if written is None:
                return
            quiet = _STATUS_PAUSE if written else _COUNTING_PAUSE
            await self._sleep(quiet, next_check)

    async def _sleep(self, quiet: float, next_check: float) -> None:
        """Wait for the next check, which a nudge can hasten; after a write, let nudges for counters gather first."""
        loop = asyncio.get_running_loop()
        resume = loop.time() + quiet
        recount = False
        while not self._check_due:
            left = (min(resume, next_check) if recount else next_check) - loop.time()
            if left <= 0:
                break
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()
            if self._wake.is_set():
                self._wake.clear()
                recount = True
                if self._may_go():
                    break

    def _may_go(self) -> bool:
        """Tell whether the backend is being deleted and nobody seems to use it any more: it need not wait then."""
        backend = self._tools.backends.known(self._name)
        deleting = isinstance(backend, AirflowSecretBackend) and backend.metadata.deletion_timestamp is not None
        return deleting and not self._tools.cache.using_backend(self._name)

    def _pause(self) -> float:
        pace = self._tools.pace
        if self._failures == 0:
            return pace.healthy * random.uniform(0.9, 1.1)  # noqa: S311 - spread, not a secret
        longest = min(pace.longest_retry, pace.first_retry * float(2 ** min(self._failures - 1, 10)))
        asked = self._finding.error.retry_after if self._finding.error is not None else None
        return max(asked or 0.0, longest * random.uniform(0.5, 1.0))  # noqa: S311 - spread, not a secret

    async def _check(self) -> None:
        found = await self._tools.backends.reach(self._name)
        if found is None:
            return
        if isinstance(found, Held):
            self._finding, self._failures = Finding(held=found), self._failures + 1
            return
        try:
            health = await found.store.check()
        except AirwardenError as error:
            self._finding, self._failures = Finding(error=error), self._failures + 1
            found.breaker.failed(error)
            if found.bar(error):
                self._tools.barred(self._name)
            await self._tools.backends.refresh(self._name)
            return
        recovered = found.unbar() or self._failures > 0 or found.breaker.open
        was_well, lacked_rights = self._finding.healthy, self._finding.health is not None and not self._finding.healthy
        self._finding, self._failures = Finding(health=health), 0
        recovered = recovered or (lacked_rights and self._finding.healthy)
        if self._finding.healthy and not was_well:
            self._sweep.soon()
        found.capabilities = health.capabilities
        found.breaker.succeeded()
        if recovered:
            self._tools.recovered(self._name)
        managed = [key for key, account in self._tools.cache.accounts.items() if account.is_managed]
        await self._foreign.look(found.store, health, managed)
        await self._keep_shared(found)

    async def _keep_shared(self, found: Runtime) -> bool:
        users = self._tools.cache.using_backend(self._name)
        return await self._shared.keep(found.store, len(users), self._has_users)

    async def _has_users(self) -> bool:
        """Ask the API server whether any binding uses the backend: memory may lag behind."""
        return bool(await self._tools.writer.users_of_backend(self._name))

    async def _keep_status(self) -> bool | None:
        """Write the status if it differs; True when written, None when the backend may go or is gone."""
        backend = self._tools.backends.known(self._name)
        if backend is None:
            return None
        if isinstance(backend, Held):
            return False
        try:
            return await self._write(backend)
        except ObjectGone:
            return False
        except AirwardenError as error:
            log.warning("status of backend not written", backend=self._name, error=error.message)
            return True

    async def _write(self, backend: AirflowSecretBackend) -> bool | None:
        path = backend_path(self._name)
        users = self._tools.cache.using_backend(self._name)
        if backend.metadata.deletion_timestamp is not None:
            # Memory may lag behind, above all right after a start: only a live list lets a backend go.
            if not users and not await self._has_users() and await self._let_go():
                await self._tools.writer.remove_finalizer(path, backend.metadata)
                return None
        elif FINALIZER not in backend.metadata.finalizers:
            body = await self._tools.writer.add_finalizer(path, backend.metadata)
            self._tools.backends.learn_quietly(body)
            return await self._keep_status()
        status = self._status(backend, users)
        self._tools.metrics.backend_ready(self._name, _holds(status.conditions, "Ready"))
        if status == backend.status:
            return False
        body = await self._tools.writer.write_status(path, backend.metadata.uid, status)
        self._tools.backends.learn_quietly(body)
        return True

    async def _let_go(self) -> bool:
        """Remove what the bindings shared; True when the backend may go. One whose store cannot be opened has none."""
        found = await self._tools.backends.reach(self._name)
        return await self._keep_shared(found) if isinstance(found, Runtime) else True

    def _status(self, backend: AirflowSecretBackend, users: tuple[tuple[str, str], ...]) -> BackendStatus:
        now = rfc3339(self._tools.clock())
        previous = backend.status or BackendStatus()
        generation = backend.metadata.generation
        finding = self._finding
        verdict = _in_use(users) if backend.metadata.deletion_timestamp is not None else _verdict(finding)
        shown = conditions(previous.conditions, verdict, generation, now)
        health = finding.health
        swept = self._sweep.found
        return BackendStatus(
            observed_generation=generation,
            conditions=shown
            + _details(previous.conditions, finding, generation, now)
            + _swept(previous.conditions, swept, generation, now)
            + self._foreign_roles(previous.conditions, generation, now)
            + self._notes(previous.conditions, generation, now),
            store=StoreIdentity(id=health.store_id, version=health.version) if health else previous.store,
            capabilities=health.capabilities if health else previous.capabilities,
            missing_permissions=health.missing_permissions if health else previous.missing_permissions,
            bindings=BindingCounts(
                total=len(users),
                ready=sum(self._ready(key) for key in users),
                orphans=swept.count if swept is not None else previous.bindings.orphans,
            ),
            orphans=swept.orphans if swept is not None else previous.orphans,
        )

    def _notes(self, previous: tuple[Condition, ...], generation: int, now: str) -> tuple[Condition, ...]:
        """Return what the last check, and the keeping of what is shared, found worth saying."""
        notes = self._finding.health.notes if self._finding.health is not None else ()
        shared = (self._shared.note,) if self._shared.note is not None else ()
        said = tuple(
            _detail(previous, each.condition, Said("True", each.reason, each.message), generation, now)
            for each in (*notes, *shared)
        )
        if self._finding.health is not None or isinstance(self._finding.error, MountMissing):
            return said  # of a vault that is gone nothing stands
        # Before the first check after a start, or while the store is down, what was last seen stands.
        known = {each.type for each in said}
        return said + tuple(each for each in previous if each.type in NOTED and each.type not in known)

    def _foreign_roles(self, previous: tuple[Condition, ...], generation: int, now: str) -> tuple[Condition, ...]:
        """Return what is known of logins beside ours; nothing where the operator may not look."""
        outcome = self._foreign.outcome
        if outcome is not None:
            return (_detail(previous, CONDITION, outcome, generation, now),)
        # Before the first check after a start, or while the store is down, what was last seen stands.
        asked = self._finding.health is not None
        return () if asked else tuple(each for each in previous if each.type == CONDITION)

    def _ready(self, key: tuple[str, str]) -> bool:
        entry = self._tools.cache.bindings.get(key)
        return entry is not None and entry.ready


def _in_use(users: tuple[tuple[str, str], ...]) -> Verdict:
    if not users:
        message = "the backend is being deleted and waits for rotations that declare database roles in its store"
        return Verdict(False, Reason.IN_USE, message, working=True)
    named = ", ".join(f"{namespace}/{name}" for namespace, name in users[:_NAMED])
    more = f" and {len(users) - _NAMED} more" if len(users) > _NAMED else ""
    message = f"the backend is being deleted and waits for {len(users)} binding(s) that use it: {named}{more}"
    return Verdict(False, Reason.IN_USE, message, working=True)


def _verdict(finding: Finding) -> Verdict:
    if finding.held is not None:
        return Verdict(False, finding.held.reason, finding.held.message, working=True)
    if finding.error is not None:
        return Verdict(False, finding.error.reason, finding.error.message, working=True)
    if finding.health is None:
        return Verdict(False, Reason.PENDING, "not checked yet", working=True)
    if finding.health.missing_permissions:
        first = finding.health.missing_permissions[0]
        count = len(finding.health.missing_permissions)
        message = f"the operator's login lacks rights on {count} path(s), first {first}: {finding.health.remedy}"
        return Verdict(False, Reason.BACKEND_FORBIDDEN, message, working=True)
    caveat = f"; {finding.health.caveat}" if finding.health.caveat else ""
    return Verdict(
        True, Reason.READY, f"the store answers and the operator's login has the rights that it needs{caveat}"
    )


def _details(previous: tuple[Condition, ...], finding: Finding, generation: int, now: str) -> tuple[Condition, ...]:
    error = finding.error
    if finding.health is not None:
        reachable = Said("True", Reason.REACHABLE, "the store answers")
        missing = finding.health.missing_permissions
        authorized = (
            Said("False", Reason.BACKEND_FORBIDDEN, f"rights are missing on {len(missing)} path(s)")
            if missing
            else Said("True", Reason.AUTHORIZED, "the login holds and has the rights that it needs")
        )
    elif isinstance(error, Unreachable | Sealed):
        reachable = Said("False", error.reason, error.message)
        authorized = Said("Unknown", Reason.UNKNOWN, "the store could not be asked")
    elif isinstance(error, Unauthorized):
        reachable = Said("True", Reason.REACHABLE, "the store answers")
        authorized = Said("False", error.reason, error.message)
    else:
        reachable = Said("Unknown", Reason.UNKNOWN, "the store could not be asked")
        authorized = reachable
    told = [("Reachable", reachable), ("Authorized", authorized)]
    if (skew := _clock_skew(previous, finding)) is not None:
        told.append(("ClockSkew", Said("True", Reason.CLOCK_SKEW, skew)))
    return tuple(_detail(previous, kind, what, generation, now) for kind, what in told)


def _clock_skew(previous: tuple[Condition, ...], finding: Finding) -> str | None:
    """Return what to say of the clocks; nothing when they agree. A store that cannot be asked leaves what was said."""
    if finding.health is None:
        return next((each.message for each in previous if each.type == "ClockSkew"), None)
    ahead = finding.health.clock_ahead or 0.0
    by = next((shown for least, shown in _SKEW_STEPS if abs(ahead) > least), None)
    if by is None:
        return None
    return (
        f"the store's clock is more than {by} {'ahead of' if ahead > 0 else 'behind'} the operator's, "
        "by which access ends: synchronise both"
    )


def _swept(previous: tuple[Condition, ...], found: Found | None, generation: int, now: str) -> tuple[Condition, ...]:
    """Return what the last sweep says; before the first one of this process, what was said before."""
    if found is None:
        return tuple(each for each in previous if each.type == "Swept")
    return (_detail(previous, "Swept", Said(found.status, found.reason, found.message), generation, now),)


def _detail(previous: tuple[Condition, ...], kind: str, said: Said, generation: int, now: str) -> Condition:
    return stated(next((each for each in previous if each.type == kind), None), kind, said, generation, now)


def _holds(found: tuple[Condition, ...], kind: str) -> bool:
    return any(each.type == kind and each.status == "True" for each in found)
