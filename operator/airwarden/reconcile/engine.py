"""The operator without kopf: takes in what the cluster says, decides who is looked at, how urgently, and when again.

Fed by `airwarden.handlers`; one instance per process, made by `airwarden.assembly`.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog

from airwarden.domain.errors import AirwardenError, ObjectGone
from airwarden.domain.lifetime import Turn
from airwarden.domain.rotation.sugar import binding_of
from airwarden.providers.kubernetes.accounts import Account
from airwarden.reconcile.backends import Backends
from airwarden.reconcile.bindings import BindingReconciler, Next, Seen
from airwarden.reconcile.cache import Cache, Entry, NamespaceView
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.pacing import Pacing
from airwarden.reconcile.probe import Probe, ProbeTools
from airwarden.reconcile.queue import Key, Lanes, Urgency
from airwarden.reconcile.rotation_cache import RotationEntry
from airwarden.reconcile.slicing import Waking
from airwarden.reconcile.stalls import Stall
from airwarden.reconcile.timers import GONE_RETRY, LONGEST_RETRY, Retries, Timers
from airwarden.reconcile.turns import Turns
from airwarden.reconcile.urgency import Judge

log = structlog.get_logger("airwarden.engine")
Body = Mapping[str, Any]

_LONGEST_REMOVAL_RETRY = 15.0


class Engine:
    """Keeps every binding true to its declaration, each at its time."""

    def __init__(
        self,
        cluster: str,
        cache: Cache,
        backends: Backends,
        reconciler: BindingReconciler,
        metrics: Metrics,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._cache = cache
        self._backends = backends
        self._reconciler = reconciler
        self._metrics = metrics
        self._lanes = Lanes(self._work, self._ended)
        self._pacing = Pacing(time.monotonic)
        self._handled: dict[Key, Seen] = {}
        self._live = False
        self._look_again: set[Key] = set()
        """Bindings that something was said of while their pass was under way."""
        self._retries = Retries()
        self._timers = Timers(self._due)
        self._judge = Judge(cluster, cache, backends, reconciler.rotations, clock)
        self._turns = Turns(clock, self._turn_due)
        self._asleep: dict[str, dict[Key, Urgency]] = {}
        self._probes: dict[str, Probe] = {}
        self._probe_tools: ProbeTools | None = None
        self._waking = Waking(self._wake)
        self._stall = Stall(self._lanes, backends)
        cache.environments.tell_of_bindings(self._turned)
        metrics.watch(
            waiting=lambda: self._lanes.depth,
            ready=lambda: sum(each.ready for each in cache.bindings.values()),
            unready=lambda: sum(not each.ready for each in cache.bindings.values()),
        )

    def start(self, probe_tools: ProbeTools) -> None:
        """Begin: from now on, backends that are seen are checked."""
        self._probe_tools = probe_tools

    @property
    def idle(self) -> bool:
        """True when no binding waits for a pass or is in one."""
        return self._lanes.idle and self._waking.idle

    @property
    def live(self) -> bool:
        """True when everything that bindings depend on is known."""
        return self._live

    def stalled_seconds(self) -> float:
        """Return for how long bindings have waited without progress; 0 when none waits."""
        return self._stall.seconds()

    async def stop(self, seconds: float) -> None:
        """End: let running passes finish, then revoke all logins."""
        self._timers.close()
        self._turns.close()
        self._waking.close()
        await asyncio.gather(*(probe.stop() for probe in self._probes.values()))
        await self._lanes.close(seconds)
        await self._backends.close()

    # What the cluster says.

    def know_backend(self, body: Body) -> None:
        """Take in a backend before anything is looked at."""
        self._backends.learn(body)

    def know_namespace(self, body: Body) -> None:
        """Take in a namespace before anything is looked at."""
        self._cache.namespaces[body["metadata"]["name"]] = _namespace(body)

    def know_account(self, body: Body) -> None:
        """Take in a service account of ours before anything is looked at."""
        self._cache.learn_account(Account.read(body))

    def know_binding(self, body: Body) -> None:
        """Take in a binding before any is looked at, where others' DAGs hang on its claims."""
        self._cache.learn_binding(body)

    def go_live(self) -> None:
        """Note that everything that bindings depend on is known."""
        self._live = True

    def known_backends(self) -> set[str]:
        """Return the names of all backends that are known."""
        return self._backends.names()

    @property
    def lets_people_in(self) -> bool:
        """True when bindings may let groups of people in, at any of the backends that are known."""
        return self._backends.letting_in

    def known_namespaces(self) -> set[str]:
        """Return the names of all namespaces that are known."""
        return set(self._cache.namespaces)

    def known_accounts(self) -> set[Key]:
        """Return namespace and name of all accounts of ours that are known."""
        return set(self._cache.accounts)

    def known_bindings(self) -> dict[Key, str]:
        """Return the uid of each binding that is known, but of those that are known to be gone."""
        return {key: each.uid for key, each in self._cache.bindings.items() if not each.lost}

    def see_binding(self, kind: str | None, body: Body) -> None:
        """A binding appeared, changed or went."""
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if kind == "DELETED":
            self._lose_binding(key, body)
            return
        self._cache.learn_binding(body)
        if not self._lanes.running(key):
            self._look_if_new(key)

    def see_backend(self, kind: str | None, body: Body) -> bool:
        """A backend appeared, changed or went; True when something else may be allowed now, or reached otherwise."""
        name = body["metadata"]["name"]
        if kind == "DELETED":
            self._backends.forget(name)
            self._metrics.backend_gone(name)
            self._wake(self._cache.using_backend(name))
            self._drop_probe(name)
            return True
        changed = self._backends.learn(body)
        probe = self._probes.get(name)
        if probe is None and self._probe_tools is not None:
            self._probes[name] = probe = Probe(name, self._probe_tools)
            probe.start()
        elif changed and probe is not None:
            probe.nudge(check=True)
        elif probe is not None:
            probe.nudge(check=False)
        if changed:
            self._wake(self._cache.using_backend(name))
        return changed

    def _drop_probe(self, name: str) -> None:
        probe = self._probes.pop(name, None)
        if probe is not None:
            probe.cancel()

    def see_namespace(self, kind: str | None, body: Body) -> bool:
        """A namespace appeared, got other labels, or went; True when that changed something."""
        name = body["metadata"]["name"]
        before = self._cache.namespaces.get(name)
        after = None if kind == "DELETED" else _namespace(body)
        if after is None:
            self._cache.namespaces.pop(name, None)
        else:
            self._cache.namespaces[name] = after
        if before != after:
            self._wake(self._cache.in_namespace(name))
            self._wake(self._cache.environments.asking_in(name))
        return before != after

    def see_account(self, kind: str | None, body: Body) -> None:
        """A service account of ours appeared, changed, or lost our label or its life."""
        account = Account.read(body)
        key = (account.namespace, account.name)
        before = self._cache.accounts.get(key)
        if kind == "DELETED":
            self._cache.forget_account(account.namespace, account.name, account.uid)
        else:
            self._cache.learn_account(account)
        after = self._cache.accounts.get(key)
        if before is not None and after is not None:
            seen = (before.uid, before.labels, before.automount)
            if seen == (after.uid, after.labels, after.automount):
                return
        self._wake(self._cache.naming_account(account.namespace, account.name))

    def see_rotation(self, rotation: RotationEntry) -> None:
        """A rotation appeared, changed or went: those that made it, want its name or read its secret look at it."""
        namespace, name = rotation.key
        owners = {(namespace, rotation.binding), (namespace, binding_of(name))}
        self._wake(sorted({*self._cache.naming_secret(rotation.claims[0]), *owners}))

    def backend_recovered(self, name: str) -> None:
        """A store is back: those that waited for it are looked at now, as fast as its limits permit."""
        asleep = self._asleep.pop(name, {})
        for key, urgency in asleep.items():
            entry = self._cache.bindings.get(key)
            if entry is not None:
                self._retries.forget(key)
                self._queue_now(entry, urgency)
        others = set(self._cache.using_backend(name)) - set(asleep)
        self._wake(sorted(key for key in others if not self._cache.bindings[key].ready))

    def backend_failing(self, name: str) -> None:
        """A store counts as down, or may not be ours: its probe looks at once."""
        probe = self._probes.get(name)
        if probe is not None:
            probe.nudge(check=True)
        if self._backends.barred(name):
            self.backend_barred(name)

    def backend_barred(self, name: str) -> None:
        """A store must not be used: its bindings say so."""
        self._wake(self._cache.using_backend(name))

    # Who is looked at, how urgently, and when again.

    def _look_if_new(self, key: Key) -> None:
        """Submit the binding, unless the last pass has seen to this very state."""
        entry = self._cache.bindings.get(key)
        if entry is None:
            return
        handled = self._handled.get(key)
        if handled != Seen.of(entry):
            self._submit(entry, self._urgency(entry, first=handled is None))

    def _wake(self, keys: Iterable[Key]) -> None:
        """Look again at those for which something changes; the others would only cost requests."""
        for key in keys:
            entry = self._cache.bindings.get(key)
            if entry is None:
                continue
            if self._lanes.running(key):
                self._look_again.add(key)
                continue
            urgency = self._urgency(entry, first=False)
            if urgency is not Urgency.DRIFT:
                self._submit(entry, urgency)

    def _turned(self, keys: Iterable[Key]) -> None:
        """Look again at bindings whose DAGs others give them or take from them; at first not all of them are known."""
        if self._live:
            self._waking.take(keys)

    def _urgency(self, entry: Entry, *, first: bool) -> Urgency:
        judged = self._judge.judge(entry, first=first)
        self._turns.expect(entry.key, judged.turn)
        return judged.urgency

    def _submit(self, entry: Entry, urgency: Urgency) -> None:
        """Have the binding looked at because of what somebody did: soon, and not too often."""
        wait = self._pacing.wait(entry.key)
        if wait > 0:
            self._timers.set(entry.key, wait, urgency)
        else:
            self._queue_now(entry, urgency)

    def _queue_now(self, entry: Entry, urgency: Urgency) -> None:
        self._timers.stop(entry.key)
        self._queue(entry, urgency)

    def _queue(self, entry: Entry, urgency: Urgency) -> None:
        self._stall.work_comes()
        # Names that are no backend would let an author open as many lanes as there are names.
        lane = frozenset(name for name in entry.backends if self._backends.known(name) is not None)
        self._lanes.submit(entry.key, lane, urgency)

    async def _work(self, key: Key, urgency: Urgency) -> None:
        """Do one pass and decide when the next is."""
        begun = time.monotonic()
        self._pacing.begun(key)
        outcome = "failed"
        try:
            following = await self._attempt(key)
            outcome = following.kind
        finally:
            self._metrics.passed(outcome, self._stall.pass_ended() - begun, time.time())
            if outcome == "failed":
                self._plan_next(key, Next("retry"), urgency)
        if following.seen is not None and key in self._cache.bindings:
            self._turns.set(key, following.turn)
        self._plan_next(key, following, urgency)
        self._count_again(key)

    def _ended(self, key: Key) -> None:
        """Look again at a binding of which something new was said during its pass."""
        self._look_if_new(key)
        if key in self._look_again:
            self._look_again.discard(key)
            self._wake((key,))

    async def _attempt(self, key: Key) -> Next:
        begun = self._cache.bindings.get(key)
        if begun is not None:
            # Also a failed pass has seen to this state: its retry has a time of its own.
            self._handled[key] = Seen.of(begun)
        try:
            following = await self._reconciler.reconcile(key)
        except ObjectGone:
            return Next("retry", GONE_RETRY)
        except AirwardenError as error:
            log.warning("pass failed", namespace=key[0], binding=key[1], reason=error.reason.word, error=error.message)
            return Next("retry", error.retry_after)
        if following.seen is not None and key in self._cache.bindings:
            self._handled[key] = following.seen
        return following

    def _plan_next(self, key: Key, following: Next, urgency: Urgency) -> None:
        if key not in self._cache.bindings or following.kind == "never":
            self._retries.forget(key)
            return
        removal = self._cache.bindings[key].deleting or following.ending
        for name in following.waiting:
            self._asleep.setdefault(name, {})[key] = Urgency.REMOVAL if removal else urgency
        if following.kind == "check":
            self._retries.forget(key)
            spread = random.uniform(0.75, 1.25)  # noqa: S311 - spread, not a secret
            self._timers.set(key, (following.after or 600.0) * spread, Urgency.DRIFT)
            return
        longest = _LONGEST_REMOVAL_RETRY if removal and not following.waiting else LONGEST_RETRY
        in_turn = following.after if following.in_turn else None
        delay = in_turn or self._retries.delay(key, following.after, longest)
        self._timers.set(
            key, delay, Urgency.REMOVAL if removal else min(urgency, Urgency.CHANGE, key=lambda each: -each)
        )

    def _due(self, key: Key, urgency: Urgency) -> None:
        entry = self._cache.bindings.get(key)
        if entry is not None:
            self._queue(entry, urgency)

    def _turn_due(self, key: Key, turn: Turn) -> None:
        entry = self._cache.bindings.get(key)
        if entry is not None:
            self._queue_now(entry, Urgency.REMOVAL if turn.tightens else Urgency.CHANGE)

    def _lose_binding(self, key: Key, body: Body) -> None:
        entry = self._cache.bindings.get(key)
        lost = self._cache.lose_binding(body)
        if lost is not None and not self._lanes.running(key):
            self._submit(lost, Urgency.REMOVAL)
        if key in self._cache.bindings:
            return
        self._handled.pop(key, None)
        self._retries.forget(key)
        self._pacing.forget(key)
        self._timers.stop(key)
        self._turns.set(key, None)
        self._lanes.forget(key)
        for asleep in self._asleep.values():
            asleep.pop(key, None)
        self._recount(entry.backends if entry is not None else ())
        if entry is not None:
            # Another binding may have waited for the account.
            self._wake(self._cache.naming_account(key[0], entry.account))

    def _count_again(self, key: Key) -> None:
        entry = self._cache.bindings.get(key)
        self._recount(entry.backends if entry is not None else ())

    def _recount(self, names: Iterable[str]) -> None:
        for name in names:
            probe = self._probes.get(name)
            if probe is not None:
                probe.nudge(check=False)


def _namespace(body: Body) -> NamespaceView:
    metadata = body["metadata"]
    return NamespaceView(dict(metadata.get("labels") or {}), bool(metadata.get("deletionTimestamp")))
