"""What the bindings of each namespace have on record of what they may share, kept up with the cache.

A store with a ceiling for each namespace asks for it before each new write: so a record is read once for each change,
and not for each question. Made by `airwarden.reconcile.claims`.
"""

from collections import Counter, defaultdict
from collections.abc import Set as AbstractSet

from airwarden.api.conditions import Status
from airwarden.domain import record as records
from airwarden.domain.owner import Owner
from airwarden.providers.ports import SharesObjects
from airwarden.reconcile.cache import Cache, Entry
from airwarden.reconcile.queue import Key


class OnRecord:
    """The records of one backend's bindings, by namespace."""

    def __init__(self, cluster: str, cache: Cache, backend: str, store: SharesObjects) -> None:
        self._cluster = cluster
        self._cache = cache
        self._backend = backend
        self._store = store
        self._changed: defaultdict[str, set[Key]] = defaultdict(set)
        """Bindings whose record is to be read when their namespace is asked for."""
        self._of: dict[Key, frozenset[str]] = {}
        self._by_namespace: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """How many bindings have a thing."""
        for key in cache.bindings:
            self.changed(key)
        cache.follow(self)

    def changed(self, key: Key) -> None:
        """Take in that a binding is another than it was, or gone."""
        entry = self._cache.bindings.get(key)
        if key in self._of or (entry is not None and self._backend in entry.backends):
            self._changed[key[0]].add(key)

    def of(self, namespace: str) -> AbstractSet[str]:
        """Return what the namespace's bindings have, each thing once however many have it."""
        for key in self._changed.pop(namespace, ()):
            self._read(key)
        return self._by_namespace[namespace].keys() if namespace in self._by_namespace else frozenset()

    def _read(self, key: Key) -> None:
        counted = self._by_namespace[key[0]]
        entry = self._cache.bindings.get(key)
        had, has = self._of.pop(key, frozenset()), self._given(entry) if entry is not None else frozenset()
        if has:
            self._of[key] = has
        counted.update(has)
        counted.subtract(had)
        for each in had - has:
            if not counted[each]:
                del counted[each]
        if not counted:
            del self._by_namespace[key[0]]

    def _given(self, entry: Entry) -> frozenset[str]:
        """Return what a binding was given: what it was only about to have has no digest yet."""
        if not entry.recorded:
            return frozenset()
        owner = Owner(self._cluster, *entry.key, account=entry.account)
        recorded = records.recorded(Status.model_validate(entry.load()["status"]))
        found = records.derived(recorded, owner, entry.account)
        names = {self._store.shared_name(each) for each in found if found[each] and each.backend == self._backend}
        return frozenset(names - {""})
