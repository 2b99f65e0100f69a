"""What the operator has seen of rotations, each as compact JSON, as bindings are kept in `airwarden.reconcile.cache`.

Fed by watch events and by the answers to our own writes, whichever is newer. Called by
`airwarden.reconcile.rotation_engine` and `airwarden.reconcile.rotations`.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airwarden.api import FINALIZER
from airwarden.api.rotation import REQUEST
from airwarden.domain.rotation.targets import claims
from airwarden.providers.kubernetes.accounts import BINDING
from airwarden.reconcile.queue import Key

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RotationEntry:
    """One rotation as last seen."""

    key: Key
    uid: str
    generation: int
    version: int
    deleting: bool
    held: bool
    """Whether our finalizer is on it."""
    backend: str
    secret: str
    """Key of the secret in the backend's store; empty for a database role."""
    claims: tuple[str, ...]
    """What in the backend's store it is for: the secret's key; or the database role, then the user declared for it."""
    binding: str
    """The binding that its label says it was made for; empty for a rotation of its own."""
    templates: tuple[str, ...]
    """Of its Jobs."""
    request: str
    status: int
    """Hash of the status, to tell our own writes from others'."""
    settled: bool
    """The status speaks of this generation, and no run is under way."""
    ready: bool
    judged: bool
    """The status says whether it is ready."""
    text: bytes

    @property
    def declares(self) -> bool:
        """Whether it declares the database role that it is for, and with it the role's user."""
        return len(self.claims) > 1

    def load(self) -> dict[str, Any]:
        """Return metadata, spec and status as the API server sent them."""
        found = json.loads(self.text)
        if not isinstance(found, dict):
            raise TypeError("a rotation must be an object")
        return found

    @property
    def state(self) -> tuple[object, ...]:
        """All that decides whether another look is needed."""
        return (self.uid, self.generation, self.deleting, self.request, self.status)

    @classmethod
    def read(cls, body: Body) -> "RotationEntry":
        """Read one rotation from an event or an answer."""
        metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
        spec, status = body.get("spec") or {}, body.get("status") or {}
        generation = metadata.get("generation", 0)
        conditions = status.get("conditions") or []
        return cls(
            key=(metadata.get("namespace", ""), metadata["name"]),
            uid=metadata.get("uid", ""),
            generation=generation,
            version=int(metadata.get("resourceVersion", 0)),
            deleting=bool(metadata.get("deletionTimestamp")),
            held=FINALIZER in (metadata.get("finalizers") or ()),
            backend=(spec.get("backendRef") or {}).get("name", ""),
            secret=spec.get("key", ""),
            binding=(metadata.get("labels") or {}).get(BINDING, ""),
            claims=claims(spec),
            templates=tuple((spec.get("job") or {}).get(each, "") for each in ("template", "verify")),
            request=(metadata.get("annotations") or {}).get(REQUEST, ""),
            status=hash(json.dumps(status, sort_keys=True)),
            settled=status.get("observedGeneration") == generation and "run" not in status,
            ready=any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions),
            judged=any(each.get("type") == "Ready" for each in conditions),
            text=json.dumps({"metadata": metadata, "spec": spec, "status": status}, separators=(",", ":")).encode(),
        )


class RotationCache:
    """The newest known state of each rotation."""

    def __init__(self) -> None:
        self.rotations: dict[Key, RotationEntry] = {}
        self._by_backend: defaultdict[str, set[Key]] = defaultdict(set)
        self._by_secret: defaultdict[str, set[Key]] = defaultdict(set)
        self._by_binding: defaultdict[Key, set[Key]] = defaultdict(set)

    def learn(self, body: Body) -> RotationEntry:
        """Take in a rotation, unless a newer state is known; return what was read from ``body`` itself."""
        entry = RotationEntry.read(body)
        known = self.rotations.get(entry.key)
        if known is None or known.version < entry.version:
            if known is not None:
                self._unlink(known)
            self.rotations[entry.key] = entry
            self._by_backend[entry.backend].add(entry.key)
            for claim in entry.claims:
                self._by_secret[claim].add(entry.key)
            if entry.binding:
                self._by_binding[entry.key[0], entry.binding].add(entry.key)
        return entry

    def forget(self, key: Key, uid: str) -> RotationEntry | None:
        """Drop a rotation that is gone and return it; None when another one of that name has taken its place."""
        known = self.rotations.get(key)
        if known is None or (uid and known.uid != uid):
            return None
        self._unlink(known)
        del self.rotations[key]
        return known

    def using_backend(self, name: str) -> tuple[Key, ...]:
        """Return the rotations of a backend, in order."""
        return tuple(sorted(self._by_backend.get(name, ())))

    def using_template(self, name: str) -> tuple[Key, ...]:
        """Return the rotations whose Jobs are made from a template, in order."""
        return tuple(sorted(key for key, each in self.rotations.items() if name in each.templates))

    def in_namespace(self, name: str) -> tuple[Key, ...]:
        """Return the rotations of a namespace, in order."""
        return tuple(sorted(key for key in self.rotations if key[0] == name))

    def of_secret(self, secret: str) -> tuple[RotationEntry, ...]:
        """Return the rotations of a key or another claim, in any backend, in order; none that is being deleted."""
        found = (self.rotations[key] for key in sorted(self._by_secret.get(secret, ())))
        return tuple(each for each in found if not each.deleting)

    def made_for(self, binding: Key) -> tuple[RotationEntry, ...]:
        """Return the rotations whose label names a binding, by its namespace and name, in order."""
        return tuple(self.rotations[key] for key in sorted(self._by_binding.get(binding, ())))

    def _unlink(self, entry: RotationEntry) -> None:
        made_for = (entry.key[0], entry.binding)
        if made_for in self._by_binding:
            self._by_binding[made_for].discard(entry.key)
            if not self._by_binding[made_for]:
                del self._by_binding[made_for]
        of_claims = ((self._by_secret, claim) for claim in entry.claims)
        for index, name in ((self._by_backend, entry.backend), *of_claims):
            index[name].discard(entry.key)
            if not index[name]:
                del index[name]
