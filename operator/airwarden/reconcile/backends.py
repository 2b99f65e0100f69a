"""The stores in use: opened when first needed, checked by one probe each, closed when they go.

`Backends` is asked by `airwarden.reconcile.bindings` for a store; `airwarden.reconcile.probe` keeps each
one's status. Bindings that wait for a store are woken through ``recovered``.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from pydantic import ValidationError

from airwarden.api.backend import AirflowSecretBackend, DriftPolicy
from airwarden.api.fields import seconds
from airwarden.api.reasons import Reason
from airwarden.domain.desired import Held
from airwarden.domain.errors import AirwardenError, StoreBarred
from airwarden.domain.guardrails import BackendView
from airwarden.domain.identity import ACCEPT_STORE
from airwarden.providers.ports import Store
from airwarden.reconcile.breaker import Breaker
from airwarden.reconcile.wording import complaints

log = structlog.get_logger("airwarden.backends")
Opener = Callable[[AirflowSecretBackend], Awaitable[Store]]
_EXCHANGES: Final = 12
"""Time-outs that one step of a pass may take: a login, a request, and both again, each answer in up to three."""
_USUAL_TIMEOUT: Final = 5.0
"""Seconds to wait for an answer of a store whose backend does not say."""


class Runtime:
    """One store as it is used: its backend, its connection, and whether it answers."""

    def __init__(self, backend: AirflowSecretBackend, store: Store, failing: Callable[[str], None]) -> None:
        self.name = backend.metadata.name
        self.backend = backend
        self.store = store
        self.breaker = Breaker()
        self.barred: Held | None = None
        """Why the store must not be used until a person has looked."""
        self.capabilities: tuple[str, ...] = ()
        """What the last check found that the store can do; none before the first."""
        self.heard = 0.0
        """When the store last answered or failed a pass, on the monotonic clock."""
        self._failing = failing

    @property
    def drift_interval(self) -> float:
        """Seconds between two checks of one binding."""
        declared = self.backend.spec.drift.interval
        return float(seconds(declared)) if declared else self.store.drift_interval

    @property
    def reports_drift(self) -> bool:
        """Whether what was changed from outside is left as it is."""
        return self.backend.spec.drift.policy is DriftPolicy.REPORT

    @property
    def identified(self) -> bool:
        """Whether the store's id is on the backend's record; then no other store is used for it."""
        return self.backend.status is not None and bool(self.backend.status.store.id)

    @property
    def timeout(self) -> float:
        """Seconds to wait for one answer."""
        declared = self.backend.spec.requests.timeout
        return float(seconds(declared)) if declared else _USUAL_TIMEOUT

    def view(self) -> BackendView:
        """Return what the guardrails must know."""
        status, fence = self.backend.status, self.store.fence
        return BackendView(
            name=self.name,
            allow=self.backend.spec.allow,
            grammar=self.store.grammar,
            sessions=self.store.sessions,
            effect_lag=self.store.effect_lag,
            releases=self.store.releases,
            takes_people=self.store.takes_people,
            coarse=frozenset() if self.backend.spec.grants_keys else self.store.alone,
            groups=self.backend.spec.known_groups,
            deleting=self.backend.metadata.deletion_timestamp is not None,
            fence=fence.of_store(status.store.id) if fence is not None and status is not None else fence,
        )

    def note_answer(self) -> None:
        """Note that the store answered."""
        self.heard = time.monotonic()
        self.breaker.succeeded()

    def note_failure(self, error: AirwardenError) -> None:
        """Note a failure, and have the probe look when the store now counts as down."""
        self.heard = time.monotonic()
        was_open = self.breaker.open
        self.breaker.failed(error)
        if (self.breaker.open and not was_open) or self.bar(error):
            self._failing(self.name)

    def bar(self, error: AirwardenError) -> bool:
        """Hold all bindings back if the error says that the store may not be ours; True when that is new."""
        if not isinstance(error, StoreBarred):
            return False
        before, self.barred = self.barred, Held(error.reason, f"backend {self.name}: {error.message}")
        return before != self.barred

    def unbar(self) -> bool:
        """Let bindings at the store again, after a check that found it ours; True when they were held back."""
        before, self.barred = self.barred, None
        return before is not None


class Backends:
    """All backends of the cluster, and a runtime for each that can be used."""

    def __init__(
        self, opener: Opener, failing: Callable[[str], None], opened: Callable[[Runtime], None] = lambda _: None
    ) -> None:
        self._opener = opener
        self._opened = opened
        self._failing = failing
        self._known: dict[str, AirflowSecretBackend | Held] = {}
        self._told: dict[str, object] = {}
        """What each backend meant for its bindings when they were last woken for it."""
        self._runtimes: dict[str, Runtime] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._versions: dict[str, int] = {}
        self._retired: set[asyncio.Task[None]] = set()

    def learn(self, body: Mapping[str, Any]) -> bool:
        """Take in a backend that was listed or watched; True when bindings may now be allowed something else.

        Or reached otherwise. What an answer to a write of ours brought before is told now, since it was not then.
        """
        self.learn_quietly(body)
        name = body["metadata"]["name"]
        meaning = _meaning(self._known[name])
        changed = name not in self._told or self._told[name] != meaning
        self._told[name] = meaning
        return changed

    def learn_quietly(self, body: Mapping[str, Any]) -> None:
        """Take in a backend as an answer to a write of ours shows it; a change in it is left for its event to tell."""
        name = body["metadata"]["name"]
        version = int(body["metadata"].get("resourceVersion", 0))
        if self._versions.get(name, -1) >= version:
            return
        self._versions[name] = version
        self._known[name] = after = _parse(name, body)
        runtime = self._runtimes.get(name)
        if runtime is not None:
            if isinstance(after, AirflowSecretBackend) and _same_connection(runtime.backend, after):
                runtime.backend = after
            else:
                self._retire(name)

    def forget(self, name: str) -> None:
        """Drop a backend that is gone and close its store."""
        self._known.pop(name, None)
        self._told.pop(name, None)
        self._versions.pop(name, None)
        lock = self._opening.get(name)
        if lock is not None and not lock.locked():
            del self._opening[name]
        self._retire(name)

    def known(self, name: str) -> AirflowSecretBackend | Held | None:
        """Return the backend as declared; Held when it cannot be read, None when there is none."""
        return self._known.get(name)

    def names(self) -> set[str]:
        """Return the names of all backends that are known."""
        return set(self._known)

    @property
    def letting_in(self) -> bool:
        """Whether any backend admits groups of people."""
        return any(isinstance(each, AirflowSecretBackend) and each.spec.groups for each in self._known.values())

    @property
    def heard(self) -> float:
        """When any store last answered or failed a pass, on the monotonic clock."""
        return max((each.heard for each in self._runtimes.values()), default=0.0)

    def patience(self) -> float:
        """Return for how many seconds one step of a pass may rightly hear nothing of its store."""
        return _EXCHANGES * max((each.timeout for each in self._runtimes.values()), default=0.0)

    def runtime(self, name: str) -> Runtime | None:
        """Return the open store if it may be used, without opening it."""
        runtime = self._runtimes.get(name)
        return None if runtime is None or runtime.barred is not None else runtime

    def barred(self, name: str) -> bool:
        """Tell whether the store is open and must not be used."""
        runtime = self._runtimes.get(name)
        return runtime is not None and runtime.barred is not None

    async def open(self, name: str) -> Runtime | Held | None:
        """Return the backend ready for use, opening its store once; None when there is no such backend."""
        found = await self.reach(name)
        return found.barred or found if isinstance(found, Runtime) else found

    async def reach(self, name: str) -> Runtime | Held | None:
        """Return the same as `open`, also a store that must not be used: for its check alone."""
        runtime = self._runtimes.get(name)
        if runtime is not None:
            return runtime
        known = self._known.get(name)
        if known is None or isinstance(known, Held):
            return known  # names come from bindings too: one that is nothing must not be remembered
        async with self._opening.setdefault(name, asyncio.Lock()):
            return self._runtimes.get(name) or await self._open_newest(name)

    async def _open_newest(self, name: str) -> Runtime | Held | None:
        """Open the store of what is declared now: an edit that comes while it is opened must not be lost."""
        while True:
            known = self._known.get(name)
            if known is None or isinstance(known, Held):
                return known
            try:
                store = await self._opener(known)
            except AirwardenError as error:
                return Held(error.reason, f"backend {name} cannot be used: {error.message}")
            newest = self._known.get(name)
            if isinstance(newest, AirflowSecretBackend) and _same_connection(known, newest):
                self._runtimes[name] = runtime = Runtime(newest, store, self._failing)
                self._opened(runtime)
                return runtime
            await store.close()

    async def refresh(self, name: str) -> None:
        """Open the store anew if that would now give another one: its CA bundle may have changed."""
        runtime = self._runtimes.get(name)
        if runtime is None:
            return
        try:
            store = await self._opener(runtime.backend)
        except AirwardenError as error:
            log.warning("backend cannot be opened anew", backend=name, reason=error.reason.word, error=error.message)
            return
        if self._runtimes.get(name) is runtime and store.settings != runtime.store.settings:
            self._retire(name)
        await store.close()

    async def close(self) -> None:
        """Close all stores: each login is revoked."""
        for name in list(self._runtimes):
            self._retire(name)
        await asyncio.gather(*self._retired)

    def _retire(self, name: str) -> None:
        runtime = self._runtimes.pop(name, None)
        if runtime is None:
            return
        task = asyncio.get_running_loop().create_task(runtime.store.close(), name=f"closing backend {name}")
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)


def _parse(name: str, body: Mapping[str, Any]) -> AirflowSecretBackend | Held:
    try:
        return AirflowSecretBackend.model_validate(
            {"metadata": body["metadata"], "spec": body.get("spec") or {}, "status": body.get("status")}
        )
    except ValidationError as error:
        return Held(Reason.BACKEND_INVALID, f"AirflowSecretBackend {name} cannot be read: {complaints(error)}")


def _same_connection(one: AirflowSecretBackend, other: AirflowSecretBackend) -> bool:
    same = one.spec.store == other.spec.store and one.spec.requests == other.spec.requests
    return same and _accepted(one) == _accepted(other)


def _accepted(backend: AirflowSecretBackend) -> str:
    return backend.metadata.annotations.get(ACCEPT_STORE, "")


def _meaning(known: AirflowSecretBackend | Held | None) -> object:
    if isinstance(known, AirflowSecretBackend):
        return (known.spec, known.metadata.uid, known.metadata.deletion_timestamp is not None, _accepted(known))
    return known
