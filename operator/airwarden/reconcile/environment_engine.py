"""Which environment is looked at, and when again: the sibling of `airwarden.reconcile.engine`.

Bindings come by the hundred, and each changes the map of its environment. So what happens is gathered for a moment, and
one environment has a pass at most once a second. Fed by `airwarden.handlers`; one instance per process.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import structlog

from airwarden.domain.errors import AirwardenError, ObjectGone
from airwarden.domain.lifetime import Turn
from airwarden.reconcile.backends import Backends
from airwarden.reconcile.cache import Cache
from airwarden.reconcile.environments import EnvironmentReconciler, Following
from airwarden.reconcile.queue import Key, Lanes, Urgency
from airwarden.reconcile.stalls import Stall
from airwarden.reconcile.timers import GONE_RETRY, LONGEST_RETRY, Retries, Timers
from airwarden.reconcile.turns import Turns

log = structlog.get_logger("airwarden.environment_engine")
Body = Mapping[str, Any]
GATHERING: Final = 0.3
"""Seconds from the first change to the pass that sees to it."""
SPACING: Final = 1.0
"""Seconds between the beginnings of two passes over one environment."""


class EnvironmentEngine:
    """Has each environment looked at in time."""

    def __init__(
        self, cache: Cache, backends: Backends, reconciler: EnvironmentReconciler, *, clock: Callable[[], datetime]
    ) -> None:
        self._cache = cache
        self._views = cache.environments
        self._reconciler = reconciler
        self._lanes = Lanes(self._work, self._ended)
        self._stall = Stall(self._lanes, backends)
        self._timers = Timers(self._queue)
        self._turns = Turns(clock, lambda key, _: self.changed(key))
        self._retries = Retries()
        self._begun: dict[Key, float] = {}
        self._handled: dict[Key, tuple[object, ...]] = {}
        self._look_again: set[Key] = set()
        """Environments around which something changed while their pass was under way."""
        self._live = False
        self._views.tell_of_environments(self.changed)

    @property
    def idle(self) -> bool:
        """True when no environment waits for a pass or is in one."""
        return self._lanes.idle

    def stalled_seconds(self) -> float:
        """Return for how long environments have waited without progress; 0 when none waits."""
        return self._stall.seconds()

    async def stop(self, seconds: float) -> None:
        """End: let running passes finish."""
        self._timers.close()
        self._turns.close()
        await self._lanes.close(seconds)

    def know_environment(self, body: Body) -> None:
        """Take in an environment before any is looked at."""
        self._views.learn(body)

    def known_environments(self) -> dict[Key, str]:
        """Return the uid of each environment that is known."""
        return {key: each.uid for key, each in self._views.known.items()}

    def go_live(self) -> None:
        """Begin: all environments, and all bindings that name one, are known. Before, a map would lack some of them."""
        self._live = True
        for key in self._views.known:
            self.changed(key)

    def see_environment(self, kind: str | None, body: Body) -> None:
        """An environment appeared, changed or went."""
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if kind == "DELETED":
            self._lose(key, metadata.get("uid", ""))
            return
        self._views.learn(body)
        self._look_if_new(key)

    def see_backend(self) -> None:
        """A backend appeared, changed or went: tasks may need another token."""
        for key in self._views.known:
            self.changed(key)

    def see_account(self, namespace: str, name: str) -> None:
        """A service account appeared, changed or went: its binding may be mapped by now, or no longer."""
        for binding in self._cache.naming_account(namespace, name):
            asked = self._cache.bindings[binding].asked
            if asked is not None:
                self.changed(asked.environment)

    def changed(self, key: Key) -> None:
        """Something changed that an environment is rendered from: it is looked at soon, and not too often."""
        if not self._live or key not in self._views.known:
            return
        if self._lanes.running(key):
            self._look_again.add(key)
            return
        now = asyncio.get_running_loop().time()
        delay = max(GATHERING, self._begun.get(key, 0.0) + SPACING - now)
        if key not in self._timers or self._timers.when(key) > now + delay:
            self._timers.set(key, delay, Urgency.CHANGE)

    def _look_if_new(self, key: Key) -> None:
        """Look at the environment, unless the last pass has seen to this very state."""
        entry = self._views.known.get(key)
        if entry is not None and self._handled.get(key) != entry.state:
            self.changed(key)

    def _queue(self, key: Key, urgency: Urgency) -> None:
        self._stall.work_comes()
        self._lanes.submit(key, frozenset(), urgency)

    async def _work(self, key: Key, urgency: Urgency) -> None:
        del urgency
        self._begun[key] = asyncio.get_running_loop().time()
        following = Following("retry")
        try:
            following = await self._attempt(key)
        finally:
            self._stall.pass_ended()
            self._plan_next(key, following)

    async def _attempt(self, key: Key) -> Following:
        entry = self._views.known.get(key)
        if entry is not None:
            # Also a failed pass has seen to this state: its retry has a time of its own.
            self._handled[key] = entry.state
        try:
            following = await self._reconciler.reconcile(key)
        except ObjectGone:
            return Following("retry", GONE_RETRY)
        except AirwardenError as error:
            named = {"namespace": key[0], "environment": key[1]}
            log.warning("pass failed", **named, reason=error.reason.word, error=error.message)
            return Following("retry", error.retry_after)
        if following.state is not None and key in self._views.known:
            self._handled[key] = following.state
        return following

    def _plan_next(self, key: Key, following: Following) -> None:
        if key not in self._views.known:
            return
        self._turns.set(key, Turn(following.turn, tightens=True) if following.turn is not None else None)
        if following.kind == "retry":
            self._timers.set(key, self._retries.delay(key, following.after), Urgency.CHANGE)
            return
        self._retries.forget(key)
        if following.kind == "check":
            spread = random.uniform(0.9, 1.1)  # noqa: S311 - spread, not a secret
            self._timers.set(key, (following.after or LONGEST_RETRY) * spread, Urgency.DRIFT)

    def _ended(self, key: Key) -> None:
        self._look_if_new(key)
        if key in self._look_again:
            self._look_again.discard(key)
            self.changed(key)

    def _lose(self, key: Key, uid: str) -> None:
        if self._views.forget(key, uid) is None:
            return
        self._reconciler.forget(key)
        self._handled.pop(key, None)
        self._begun.pop(key, None)
        self._look_again.discard(key)
        self._retries.forget(key)
        self._timers.stop(key)
        self._turns.set(key, None)
        self._lanes.forget(key)
