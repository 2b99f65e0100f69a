"""Which rotation is looked at, how urgently, and when again: the sibling of `airwarden.reconcile.engine`.

It has lanes and timers of its own, so that runs and bindings never wait for each other. What both depend on, backends
and namespaces, is known to the binding engine first. Fed by `airwarden.handlers`; one instance per process.
"""

import random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog

from airwarden.domain.errors import AirwardenError, ObjectGone
from airwarden.domain.lifetime import Turn
from airwarden.reconcile.backends import Backends
from airwarden.reconcile.pacing import Pacing
from airwarden.reconcile.queue import Key, Lanes, Urgency
from airwarden.reconcile.rotation_cache import RotationCache, RotationEntry
from airwarden.reconcile.rotation_metrics import RotationMetrics
from airwarden.reconcile.rotations import Following, RotationReconciler
from airwarden.reconcile.rotators import Rotators
from airwarden.reconcile.stalls import Stall
from airwarden.reconcile.timers import GONE_RETRY, LONGEST_RETRY, Retries, Timers
from airwarden.reconcile.turns import Turns

log = structlog.get_logger("airwarden.rotation_engine")
Body = Mapping[str, Any]


class RotationEngine:
    """Has each rotation looked at in time."""

    def __init__(
        self,
        cache: RotationCache,
        backends: Backends,
        rotators: Rotators,
        reconciler: RotationReconciler,
        metrics: RotationMetrics,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._cache = cache
        self._told: Callable[[RotationEntry], None] = lambda _: None
        self._backends = backends
        self._rotators = rotators
        self._reconciler = reconciler
        self._metrics = metrics
        self._lanes = Lanes(self._work, self._ended)
        self._stall = Stall(self._lanes, backends)
        self._pacing = Pacing(time.monotonic)
        self._turns = Turns(clock, self._turn_due)
        self._timers = Timers(self._queue)
        self._retries = Retries()
        self._handled: dict[Key, tuple[object, ...]] = {}
        self._look_again: set[Key] = set()
        """Rotations around which something changed while their pass was under way."""
        self._asleep: dict[str, set[Key]] = {}

    def tell(self, listener: Callable[[RotationEntry], None]) -> None:
        """Have somebody hear of each rotation that appeared, changed or went."""
        self._told = listener

    @property
    def rotators(self) -> Rotators:
        """The rotating sides of the stores."""
        return self._rotators

    @property
    def idle(self) -> bool:
        """True when no rotation waits for a pass or is in one."""
        return self._lanes.idle

    def stalled_seconds(self) -> float:
        """Return for how long rotations have waited without progress; 0 when none waits."""
        return self._stall.seconds()

    async def stop(self, seconds: float) -> None:
        """End: let running passes finish, then revoke all logins for rotations."""
        self._timers.close()
        self._turns.close()
        await self._lanes.close(seconds)
        await self._rotators.close()

    def know_rotation(self, body: Body) -> None:
        """Take in a rotation before any is looked at: two of one secret must see each other first."""
        self._cache.learn(body)

    def known_rotations(self) -> dict[Key, str]:
        """Return the uid of each rotation that is known."""
        return {key: each.uid for key, each in self._cache.rotations.items()}

    def see_rotation(self, kind: str | None, body: Body) -> None:
        """A rotation appeared, changed or went."""
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if kind == "DELETED":
            self._lose(key, metadata.get("uid", ""))
            return
        new = key not in self._handled
        before = self._cache.rotations.get(key)
        entry = self._cache.learn(body)
        if new or before is None or before.deleting != entry.deleting:
            self._wake_rivals(entry)
        self._told(entry)
        if not self._lanes.running(key):
            self._look_if_new(key)

    def see_backend(self, name: str) -> None:
        """A backend appeared, changed or went: what it allows may be another thing now."""
        if self._backends.known(name) is None:
            self._rotators.forget(name)
        self._wake(self._cache.using_backend(name))

    def see_namespace(self, name: str) -> None:
        """A namespace appeared, got other labels, or went."""
        keys = self._cache.in_namespace(name)
        self._wake(keys)
        for key in keys:
            # What its rules admit now may be a rival of others, or none any more.
            self._wake_rivals(self._cache.rotations[key])

    def job_ended(self, key: Key) -> None:
        """A Job of a rotation is over, or gone."""
        if key in self._cache.rotations:
            self._wake((key,))

    def see_template(self, name: str) -> None:
        """A template of Jobs appeared, changed or went."""
        self._wake(self._cache.using_template(name))

    def backend_recovered(self, name: str) -> None:
        """A store is back: those that waited for it are looked at now."""
        for key in sorted(self._asleep.pop(name, ())):
            self._retries.forget(key)
            self._queue(key, Urgency.CHANGE)

    def _wake_rivals(self, entry: RotationEntry) -> None:
        """Wake those that the rotation stops, or no longer does; one that is refused neither stops nor is stopped."""
        verdicts = self._reconciler.verdicts
        if not verdicts.admitted_or_was(entry):
            return
        rivals = (each for claim in entry.claims for each in self._cache.of_secret(claim) if each.key != entry.key)
        self._wake({each.key for each in rivals if verdicts.admitted_or_was(each)})

    def _wake(self, keys: Iterable[Key]) -> None:
        for key in tuple(keys):
            if self._lanes.running(key):
                self._look_again.add(key)
            else:
                self._submit(key, Urgency.CHANGE)

    def _look_if_new(self, key: Key) -> None:
        """Submit the rotation, unless the last pass has seen to this very state."""
        entry = self._cache.rotations.get(key)
        if entry is None or self._handled.get(key) == entry.state:
            return
        first = key not in self._handled
        self._submit(key, Urgency.DRIFT if first and entry.settled and entry.ready else Urgency.CHANGE)

    def _submit(self, key: Key, urgency: Urgency) -> None:
        """Have the rotation looked at because of what somebody did: soon, and not too often."""
        wait = self._pacing.wait(key)
        if wait > 0:
            self._timers.set(key, wait, urgency)
        else:
            self._queue(key, urgency)

    def _queue(self, key: Key, urgency: Urgency) -> None:
        entry = self._cache.rotations.get(key)
        if entry is None:
            return
        self._timers.stop(key)
        self._stall.work_comes()
        known = self._backends.known(entry.backend) is not None
        # Names that are no backend would let an author open as many lanes as there are names.
        self._lanes.submit(key, frozenset({entry.backend} if known else ()), urgency)

    async def _work(self, key: Key, urgency: Urgency) -> None:
        """Do one pass and decide when the next is."""
        del urgency
        self._pacing.begun(key)
        following = Following("retry")
        try:
            following = await self._attempt(key)
        finally:
            self._stall.pass_ended()
            self._plan_next(key, following)

    async def _attempt(self, key: Key) -> Following:
        entry = self._cache.rotations.get(key)
        if entry is not None:
            # Also a failed pass has seen to this state: its retry has a time of its own.
            self._handled[key] = entry.state
        try:
            following = await self._reconciler.reconcile(key)
        except ObjectGone:
            return Following("retry", GONE_RETRY)
        except AirwardenError as error:
            log.warning("pass failed", namespace=key[0], rotation=key[1], reason=error.reason.word, error=error.message)
            return Following("retry", error.retry_after)
        if following.state is not None and key in self._cache.rotations:
            self._handled[key] = following.state
        return following

    def _plan_next(self, key: Key, following: Following) -> None:
        if key not in self._cache.rotations:
            return
        if following.kind != "retry" or following.turn is not None:
            self._turns.set(key, Turn(following.turn, tightens=False) if following.turn is not None else None)
        if following.kind == "never":
            self._retries.forget(key)
            return
        if following.kind == "again":
            self._retries.forget(key)
            self._timers.set(key, 0.0, Urgency.CHANGE)
            return
        if following.kind == "check":
            self._retries.forget(key)
            spread = random.uniform(0.75, 1.25)  # noqa: S311 - spread, not a secret
            self._timers.set(key, (following.after or LONGEST_RETRY) * spread, Urgency.DRIFT)
            return
        if following.waiting:
            self._asleep.setdefault(following.waiting, set()).add(key)
        self._timers.set(key, self._retries.delay(key, following.after), Urgency.CHANGE)

    def _ended(self, key: Key) -> None:
        """Look again at a rotation of which something new was said during its pass."""
        self._look_if_new(key)
        if key in self._look_again:
            self._look_again.discard(key)
            self._submit(key, Urgency.CHANGE)

    def _turn_due(self, key: Key, turn: Turn) -> None:
        del turn
        if self._lanes.running(key):
            self._look_again.add(key)
        else:
            self._queue(key, Urgency.CHANGE)

    def _lose(self, key: Key, uid: str) -> None:
        lost = self._cache.forget(key, uid)
        if lost is None:
            return
        self._handled.pop(key, None)
        self._retries.forget(key)
        self._look_again.discard(key)
        self._pacing.forget(key)
        self._timers.stop(key)
        self._turns.set(key, None)
        self._lanes.forget(key)
        for asleep in self._asleep.values():
            asleep.discard(key)
        self._metrics.gone(key)
        self._wake_rivals(lost)
        self._reconciler.verdicts.forget(key)
        self._told(lost)
