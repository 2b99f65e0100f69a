"""One lookup from beginning to end: the map, the cache, the one request, the audit line.

`processes.py` keeps one Session a process; `backend.py` asks it. Nothing is asked of any store for an id that the
map does not hold, at most one request is under way for an id, and what comes back is kept in memory alone, no
longer than it works.
"""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from airflow_airwarden import asking, audit, metrics
from airflow_airwarden.binding_map import BindingMap, Secret, Store, UnboundIDs
from airflow_airwarden.errors import LookupRefused, Reason, task_ended
from airflow_airwarden.keeper import Keeper
from airflow_airwarden.map_file import MapFile
from airflow_airwarden.ports import Reader, Reading
from airflow_airwarden.readers import open_reader
from airflow_airwarden.settings import Settings

_UNKNOWN = "unknown"
"""What a binding is called whose map cannot be read."""
_FORGET_EVERY = 1.0
"""Seconds between two looks for values in memory that no longer work. None of them is given out meanwhile."""

LONGEST_TRY = 30.0
"""Seconds that the last try of a lookup may take: it is begun within the lookup's time, with a login and its read."""


@dataclass(frozen=True, slots=True)
class Found:
    """A bound secret and what its store holds for it."""

    secret: Secret
    reading: Reading


@dataclass(slots=True)
class _Access:
    """What is said about one lookup afterwards."""

    type: str
    id: str
    began: float = field(default_factory=time.monotonic)
    secret: Secret | None = None
    reader: Reader | None = None
    reading: Reading | None = None
    cached: bool = False


class Session:
    """What one process knows: the map, the readers, and the values that it has read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._map = MapFile(settings.map_path)
        self._lock = threading.RLock()  # a signal's handler may look up in the midst of its thread's own lookup
        self._readers: dict[Store, Reader] = {}
        self._under_way: dict[Secret, Future[Reading]] = {}
        self._at_it: set[int] = set()  # the threads that read
        self._kept: dict[Secret, tuple[float, Reading]] = {}
        self._keeper = Keeper()
        self._binding = (_UNKNOWN, "")
        self._closed = False
        self._forget_at = 0.0

    @property
    def binding(self) -> str:
        """Whose map was read last, for messages."""
        return self._binding[0]

    def look_up(self, kind: str, wanted: object) -> Found | None:
        """Return a bound secret, or None for an id for which Airflow may ask its next source.

        The id is whatever a DAG's author wrote there; one that is no text is the text of it.
        LookupRefused in every other case; each access leaves one audit line and its metrics.
        """
        access = _Access(kind, str(wanted))
        outcome: str = Reason.INTERNAL_ERROR
        try:
            binding_map = self._map.current()
            self._binding = (binding_map.binding, binding_map.environment)
            access.secret = binding_map.secrets.get((kind, access.id))
            if access.secret is None:
                _check_granted(binding_map, access)
                outcome = Reason.NOT_BOUND
                _check_unbound(binding_map, access)
                return None
            access.reading = self._reading(binding_map, access, access.secret)
            outcome = "Read"
            return Found(access.secret, access.reading)
        except LookupRefused as refusal:
            outcome = refusal.reason
            self._written(access, outcome, refusal.wrong)
            raise
        except BaseException as error:  # its words could hold a value
            self._written(access, Reason.INTERNAL_ERROR, type(error).__name__)
            raise
        finally:
            if outcome == "Read":
                self._written(access, outcome, "")
            self._counted(access, outcome)

    def close(self) -> None:
        """Give up every login and forget every value; each gives one audit line."""
        with self._lock:
            readers, self._readers = list(self._readers.values()), {}
            self._kept.clear()
            self._closed = True
        self._keeper.stop()
        for reader in readers:
            for ended in reader.close():
                facts = {"store": ended.store, "leases": ended.leases, "outcome": ended.outcome}
                audit.write("end", *self._binding, {**facts, "pod": dict(reader.identity())})

    def _reading(self, binding_map: BindingMap, access: _Access, secret: Secret) -> Reading:
        """Return what is kept, what another thread is about to get, or what the store answers."""
        access.reader = reader = self._reader(binding_map.stores[secret.store])
        kept = self._in_memory(secret)
        if kept is not None:
            access.cached = True
            return kept
        return self._asked(access, reader, secret, binding_map.cache_ttl)

    def _in_memory(self, secret: Secret) -> Reading | None:
        with self._lock:
            kept = self._kept.get(secret)
            return kept[1] if kept is not None and _works(*kept) else None

    def _asked(self, access: _Access, reader: Reader, secret: Secret, cache_ttl: float) -> Reading:
        """Have one thread read.

        Airflow calls on_kill in a signal's handler: in its thread another lookup may be under way, which cannot go on
        before the handler ends. So a lookup within another of its thread waits for nobody, and reads by itself.
        """
        me, mine = threading.get_ident(), Future[Reading]()
        within = me in self._at_it
        self._at_it.add(me)
        try:
            with self._lock:
                kept = self._in_memory(secret)  # another thread may have been quicker
                alone = within or kept is not None
                waiting = mine if alone else self._under_way.setdefault(secret, mine)
            if kept is not None or waiting is not mine:
                access.cached = True
                return kept or self._shared(waiting)
            reading = self._read(reader, secret, cache_ttl)
        except LookupRefused as refusal:
            mine.set_exception(refusal)
            raise
        else:
            mine.set_result(reading)
            return reading
        finally:
            if not within:
                self._at_it.discard(me)
            with self._lock:
                if self._under_way.get(secret) is mine:
                    del self._under_way[secret]
            if not mine.done():  # this thread was interrupted: the others fail as well, closed
                mine.set_exception(LookupRefused(Reason.INTERNAL_ERROR, "the read was interrupted", "Ask again"))

    def _shared(self, waiting: Future[Reading]) -> Reading:
        """Return what another thread reads, which may be held up by more than the store."""
        seconds = self._settings.lookup_seconds + LONGEST_TRY
        try:
            return waiting.result(seconds)
        except TimeoutError:
            raise LookupRefused(
                Reason.STORE_FAILED,
                f"another thread of this process has been reading it for more than {seconds:g} seconds",
                "Run the task again; the secret is not looked for anywhere else",
            ) from None

    def _reader(self, store: Store) -> Reader:
        with self._lock:
            if self._closed:
                raise task_ended()
            reader = self._readers.get(store)
            if reader is None:
                reader = self._readers.setdefault(store, open_reader(store, self._settings))
            return reader

    def _read(self, reader: Reader, secret: Secret, cache_ttl: float) -> Reading:
        deadline = time.monotonic() + self._settings.lookup_seconds
        try:
            reading = reader.read(secret.place, asking.correlation(asking.asker()), deadline)
        finally:
            metrics.requests(secret.store, reader.counts())
            self._keeper.tend(reader)
        self._keep(secret, reading, cache_ttl)
        return reading

    def _keep(self, secret: Secret, reading: Reading, cache_ttl: float) -> None:
        """Keep a static value for the map's time, and leased credentials for as long as they work: each is a user."""
        seconds = math.inf if reading.lease else cache_ttl
        with self._lock:
            now = time.monotonic()
            if now >= self._forget_at:  # at each read it would grow with the square of the secrets
                self._kept = {key: kept for key, kept in list(self._kept.items()) if _works(*kept)}
                self._forget_at = now + _FORGET_EVERY
            if not self._closed:
                self._kept[secret] = (now + seconds, reading)

    def _written(self, access: _Access, outcome: str, wrong: str) -> None:
        secret, reader, reading = access.secret, access.reader, access.reading
        facts: dict[str, object] = {
            **asking.asker(),
            "type": access.type,
            "id": access.id[:250],
            "outcome": outcome,
            "reason": wrong,
        }
        if secret is not None:
            facts |= {"store": secret.store, "place": str(secret.place)}
        if reader is not None:
            facts |= {"pod": dict(reader.identity())}
        if reading is not None:
            facts |= {"version": reading.version, "lease": reading.lease, "address": reading.address}
            facts |= {"requestID": reading.request_id, "cached": access.cached}
        audit.write("access", *self._binding, facts)

    @staticmethod
    def _counted(access: _Access, outcome: str) -> None:
        store = access.secret.store if access.secret is not None else ""
        metrics.lookup(access.type, store, outcome, (time.monotonic() - access.began) * 1000)


def _works(until: float, reading: Reading) -> bool:
    return time.monotonic() < min(until, reading.good_until())


def _check_unbound(binding_map: BindingMap, access: _Access) -> None:
    if binding_map.unbound_ids == UnboundIDs.REFUSE:
        raise LookupRefused(
            Reason.NOT_BOUND,
            f"{access.type} {access.id[:250]!r} is not in the binding's map",
            "Add it to the binding, or correct the id; unboundIDs of the environment keeps it from other sources",
        )


def _check_granted(binding_map: BindingMap, access: _Access) -> None:
    """Refuse an id that is bound and not given: what another source holds under its name is not what was bound."""
    reason = binding_map.refused.get((access.type, access.id))
    if reason is not None:
        raise LookupRefused(
            Reason.NOT_GRANTED,
            f"the binding names {access.type} {access.id[:250]!r}, which it is not given ({reason})",
            "status.secrets of the binding says why; the secret is not looked for anywhere else",
        )
