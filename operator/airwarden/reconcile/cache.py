"""What the operator has seen of the cluster: bindings, namespaces and its own service accounts.

Fed by the handlers' watch events and by the answers to our own writes, whichever is newer. Bindings are
kept as compact JSON: ten thousand of them as Python objects would not fit the memory budget.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from weakref import WeakSet

from airwarden.api import FINALIZER
from airwarden.api.binding import AccountMode
from airwarden.domain.environment.asked import Asked
from airwarden.domain.rotation.targets import read_by
from airwarden.providers.kubernetes.accounts import Account
from airwarden.providers.kubernetes.objects import backends_of
from airwarden.reconcile.environment_views import EnvironmentViews
from airwarden.reconcile.queue import Key, Lane

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One binding as last seen."""

    key: Key
    uid: str
    generation: int
    version: int
    deleting: bool
    finalized: bool
    backends: Lane
    reads: tuple[str, ...]
    """What its secrets are read from, in any backend: keys, and database roles as rotations claim them."""
    account: str
    status: int
    """Hash of the status, to tell our own writes from others'."""
    ready: bool
    text: bytes
    recorded: bool = False
    """Whether the status records anything."""
    lost: bool = False
    """The object is gone, though we had not let it go: what it gave is still to be taken away."""
    external: bool = False
    """The account is not ours: it is never written or deleted."""
    asked: Asked | None = None
    """What it asks of an environment; nothing when it names none, or goes."""

    def load(self) -> dict[str, Any]:
        """Return metadata, spec and status as the API server sent them."""
        found = json.loads(self.text)
        if not isinstance(found, dict):
            raise TypeError("a binding must be an object")
        return found

    @classmethod
    def read(cls, body: Body) -> "Entry":
        """Read one binding from an event or an answer."""
        metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
        spec = body.get("spec") or {}
        status = body.get("status") or {}
        status_text = json.dumps(status, sort_keys=True, separators=(",", ":"))  # sorted: it is compared
        conditions = status.get("conditions") or []
        return cls(
            key=(metadata.get("namespace", ""), metadata["name"]),
            uid=metadata.get("uid", ""),
            generation=metadata.get("generation", 0),
            version=int(metadata.get("resourceVersion", 0)),
            deleting=bool(metadata.get("deletionTimestamp")),
            finalized=FINALIZER in (metadata.get("finalizers") or ()),
            backends=backends_of(body),
            reads=tuple({read_by(item): None for item in spec.get("secrets") or ()}),
            account=(spec.get("serviceAccount") or {}).get("name", ""),
            status=hash(status_text),
            ready=any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions),
            text=f'{{"metadata":{_compact(metadata)},"spec":{_compact(spec)},"status":{status_text}}}'.encode(),
            recorded=bool(status.get("targets")),
            external=(spec.get("serviceAccount") or {}).get("mode") == AccountMode.EXTERNAL,
            asked=Asked.read(body),
        )


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class NamespaceView:
    """What matters of a namespace."""

    labels: Mapping[str, str]
    terminating: bool


class Follower(Protocol):
    """Whoever keeps something up with the bindings."""

    def changed(self, key: Key) -> None:
        """Take in that a binding is another than it was, or gone."""


class Cache:
    """The newest known state of each object."""

    def __init__(self) -> None:
        self.bindings: dict[Key, Entry] = {}
        self.namespaces: dict[str, NamespaceView] = {}
        self.accounts: dict[Key, Account] = {}
        self.environments = EnvironmentViews()
        self._by_backend: defaultdict[str, set[Key]] = defaultdict(set)
        self._by_namespace: defaultdict[str, set[Key]] = defaultdict(set)
        self._by_account: defaultdict[Key, set[Key]] = defaultdict(set)
        self._by_secret: defaultdict[str, set[Key]] = defaultdict(set)
        self._superseded: dict[Key, dict[str, Entry]] = {}
        self._followers: WeakSet[Follower] = WeakSet()

    def follow(self, follower: "Follower") -> None:
        """Tell a follower of each binding that changes from now on, for as long as somebody else holds on to it."""
        self._followers.add(follower)

    def _tell(self, key: Key) -> None:
        for each in self._followers:
            each.changed(key)

    def learn_binding(self, body: Body) -> Entry:
        """Take in a binding, unless a newer state is known; return what was read from ``body`` itself."""
        metadata = body["metadata"]
        known = self.bindings.get((metadata.get("namespace", ""), metadata["name"]))
        if known is not None and known.version == int(metadata.get("resourceVersion", 0)):
            return known  # most events tell of our own writes, whose answers were read already
        entry = Entry.read(body)
        if known is None or known.version < entry.version:
            if known is not None:
                self._unlink(known)
                self._supersede(known, entry)
            self.bindings[entry.key] = entry
            for index, values in self._links(entry):
                for value in values:
                    index[value].add(entry.key)
            self.environments.take(entry.key, known.asked if known is not None else None, entry.asked)
            self._tell(entry.key)
        return entry

    def release_binding(self, entry: Entry) -> None:
        """Note that our finalizer was taken off: the object is as good as gone, and nothing is left to do for it."""
        superseded = self._superseded.get(entry.key, {})
        if entry.account in superseded and superseded[entry.account].uid == entry.uid:
            del superseded[entry.account]
            if not superseded:
                del self._superseded[entry.key]
        known = self.bindings.get(entry.key)
        if known is not None and known.uid == entry.uid:
            self.bindings[entry.key] = replace(known, finalized=False, recorded=False)
            self._tell(entry.key)
            if known.lost:
                self.forget_binding(entry.key, entry.uid)

    def lose_binding(self, body: Body) -> Entry | None:
        """Drop a binding that is gone; return it when somebody else took our finalizer off and it left something."""
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        known = self.bindings.get(key)
        if known is None or known.uid != metadata.get("uid", known.uid) or not (known.finalized or known.recorded):
            self.forget_binding(key, metadata.get("uid", ""))
            return None
        version = max(known.version, int(metadata.get("resourceVersion", 0)))
        gone = replace(known, version=version, deleting=True, finalized=True, lost=True, asked=None)
        self.bindings[key] = gone
        self.environments.take(key, known.asked, None)
        return gone

    def superseded(self, key: Key) -> tuple[Entry, ...]:
        """Return what went without our leave before another binding of its name came, and is still to be taken away."""
        return tuple(self._superseded.get(key, {}).values())

    def _supersede(self, known: Entry, entry: Entry) -> None:
        """Keep a binding whose place another one takes under another account.

        What has the binding's name in a store is the new one's to set right; what has the account's would be nobody's.
        """
        superseded = self._superseded.get(entry.key, {})
        superseded.pop(entry.account, None)
        if known.uid != entry.uid and known.account != entry.account and (known.finalized or known.recorded):
            superseded[known.account] = replace(known, deleting=True, finalized=True, lost=True)
        if superseded:
            self._superseded[entry.key] = superseded
        else:
            self._superseded.pop(entry.key, None)

    def forget_binding(self, key: Key, uid: str) -> bool:
        """Drop a binding that is gone; False when another one of that name has taken its place."""
        known = self.bindings.get(key)
        if known is None:
            return True
        if uid and known.uid != uid:
            return False
        self._unlink(known)
        del self.bindings[key]
        self.environments.take(key, known.asked, None)
        self._tell(key)
        return True

    def _links(self, entry: Entry) -> tuple[tuple[defaultdict[Any, set[Key]], Iterable[Any]], ...]:
        return (
            (self._by_backend, entry.backends),
            (self._by_namespace, (entry.key[0],)),
            (self._by_account, ((entry.key[0], entry.account),)),
            (self._by_secret, entry.reads),
        )

    def _unlink(self, entry: Entry) -> None:
        for index, values in self._links(entry):
            for value in values:
                index[value].discard(entry.key)
                if not index[value]:
                    del index[value]

    def using_backend(self, name: str) -> tuple[Key, ...]:
        """Return the bindings that name the backend, by themselves or by their environment, or have something in it."""
        return tuple(sorted(self._by_backend.get(name, set()) | self.environments.reading_from(name)))

    def in_namespace(self, name: str) -> tuple[Key, ...]:
        """Return the bindings of a namespace, in order."""
        return tuple(sorted(self._by_namespace.get(name, ())))

    def naming_account(self, namespace: str, name: str) -> tuple[Key, ...]:
        """Return the bindings that name the account, in order."""
        return tuple(sorted(self._by_account.get((namespace, name), ())))

    def naming_secret(self, secret: str) -> tuple[Key, ...]:
        """Return the bindings that read a key or a database role, in any backend, in order."""
        return tuple(sorted(self._by_secret.get(secret, ())))

    def learn_account(self, account: Account) -> None:
        """Take in a service account, unless a newer state is known."""
        key = (account.namespace, account.name)
        known = self.accounts.get(key)
        if known is None or known.uid != account.uid or int(known.resource_version) < int(account.resource_version):
            self.accounts[key] = account

    def forget_account(self, namespace: str, name: str, uid: str) -> None:
        """Drop a service account that is gone or is no longer labelled as ours."""
        known = self.accounts.get((namespace, name))
        if known is not None and (not uid or known.uid == uid):
            del self.accounts[(namespace, name)]
