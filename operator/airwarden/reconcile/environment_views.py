"""What is known of environments, and whose DAGs are whose in each: asked by both engines, at no request.

Bindings come in through `airwarden.reconcile.cache`, environments through `airwarden.reconcile.environment_engine`.
What changes for others is told at once: which environments have another map, which bindings another verdict.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from airwarden.api import FINALIZER
from airwarden.api.environment import AirflowEnvironment
from airwarden.domain.environment.asked import Asked
from airwarden.domain.environment.claims import Claims, Verdict
from airwarden.reconcile.queue import Key
from airwarden.reconcile.wording import complaints

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EnvironmentEntry:
    """One environment as last seen."""

    key: Key
    uid: str
    version: int
    generation: int
    deleting: bool
    held: bool
    """Whether our finalizer is on it."""
    status: int
    """Hash of the status, to tell our own writes from others'."""
    ready: bool
    body: Mapping[str, Any]
    declared: AirflowEnvironment | None
    """None when it does not hold to its schema."""
    wrong: str = ""
    """Why it does not."""

    @property
    def usable(self) -> AirflowEnvironment | None:
        """The environment, while bindings may be mapped in it."""
        return None if self.deleting else self.declared

    @property
    def state(self) -> tuple[object, ...]:
        """All that decides whether another look is needed."""
        return (self.uid, self.generation, self.deleting, self.held, self.status)

    @classmethod
    def read(cls, body: Body) -> "EnvironmentEntry":
        """Read one environment from an event or an answer."""
        metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
        status = dict(body.get("status") or {})
        kept = {"metadata": metadata, "spec": dict(body.get("spec") or {}), "status": status}
        declared, wrong = None, ""
        try:
            declared = AirflowEnvironment.model_validate(kept)
        except ValidationError as error:
            wrong = complaints(error)
        conditions = status.get("conditions") or []
        return cls(
            key=(metadata.get("namespace", ""), metadata["name"]),
            uid=metadata.get("uid", ""),
            version=int(metadata.get("resourceVersion", 0)),
            generation=metadata.get("generation", 0),
            deleting=bool(metadata.get("deletionTimestamp")),
            held=FINALIZER in (metadata.get("finalizers") or ()),
            status=hash(json.dumps(status, sort_keys=True)),
            ready=any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions),
            body=kept,
            declared=declared,
            wrong=wrong,
        )


class EnvironmentViews:
    """The newest known state of each environment, and what bindings claim in it."""

    def __init__(self) -> None:
        self.known: dict[Key, EnvironmentEntry] = {}
        self._asking: defaultdict[Key, dict[Key, Asked]] = defaultdict(dict)
        """By environment, then by binding; also of environments that are not there."""
        self._claims: dict[Key, Claims] = {}
        self._environment_listeners: list[Callable[[Key], None]] = []
        self._binding_listeners: list[Callable[[Collection[Key]], None]] = []

    def tell_of_environments(self, listener: Callable[[Key], None]) -> None:
        """Have somebody hear of each environment whose map may be another."""
        self._environment_listeners.append(listener)

    def tell_of_bindings(self, listener: Callable[[Collection[Key]], None]) -> None:
        """Have somebody hear of bindings that get another verdict by what others do."""
        self._binding_listeners.append(listener)

    def learn(self, body: Body) -> EnvironmentEntry:
        """Take in an environment, unless a newer state is known; return what was read from ``body`` itself."""
        entry = EnvironmentEntry.read(body)
        known = self.known.get(entry.key)
        if known is None or known.uid != entry.uid or known.version < entry.version:
            self.known[entry.key] = entry
            self._judge_anew(entry.key, known)
        return entry

    def forget(self, key: Key, uid: str) -> EnvironmentEntry | None:
        """Drop an environment that is gone, and return it; None when another of its name has taken its place."""
        known = self.known.get(key)
        if known is None or (uid and known.uid != uid):
            return None
        del self.known[key]
        self._judge_anew(key, known)
        return known

    def take(self, binding: Key, before: Asked | None, asked: Asked | None) -> None:
        """Take in what a binding asks now, where it asked ``before``; called for each state of a binding."""
        if before == asked:
            return
        if before is not None and (asked is None or asked.environment != before.environment):
            self._asking[before.environment].pop(binding, None)
            if not self._asking[before.environment]:
                del self._asking[before.environment]
            claims = self._claims.get(before.environment)
            self._tell(before.environment, claims.drop(binding) if claims is not None else ())
        if asked is not None:
            self._asking[asked.environment][binding] = asked
            claims = self._claims.get(asked.environment)
            self._tell(asked.environment, claims.put(asked.claimant) if claims is not None else ())

    def environment(self, key: Key) -> AirflowEnvironment | None:
        """Return an environment in which bindings may be mapped; None when there is none of that name."""
        entry = self.known.get(key)
        return entry.usable if entry is not None else None

    def working(self) -> frozenset[tuple[str, str]]:
        """Return worker namespace and name of each environment in which bindings may be mapped."""
        found = (each.usable for each in self.known.values())
        return frozenset(
            (namespace, each.metadata.name) for each in found if each for namespace in each.spec.worker_namespaces
        )

    def verdict(self, environment: Key, binding: Key) -> Verdict | None:
        """Return what became of a binding's claims; None when there is no such environment, or nothing is asked."""
        claims = self._claims.get(environment)
        if claims is None or binding not in self._asking.get(environment, ()):
            return None
        return claims.verdict(binding)

    def claims(self, environment: Key) -> Claims | None:
        """Return the claims in an environment; None while no binding may be mapped in it."""
        return self._claims.get(environment)

    def asking(self, environment: Key) -> Mapping[Key, Asked]:
        """Return what each binding asks that names the environment."""
        return self._asking.get(environment, {})

    def asking_in(self, namespace: str) -> tuple[Key, ...]:
        """Return the bindings that name an environment of the namespace, in order."""
        return tuple(sorted(each for key in self.known if key[0] == namespace for each in self.asking(key)))

    def reading_from(self, backend: str) -> frozenset[Key]:
        """Return the bindings whose environment has common secrets in the backend."""
        return frozenset(
            each
            for key, entry in self.known.items()
            if entry.usable is not None
            and any(item.backend_ref.name == backend for item in entry.usable.spec.common_secrets)
            for each in self.asking(key)
        )

    def _judge_anew(self, key: Key, before: EnvironmentEntry | None) -> None:
        now = self.environment(key)
        was = before.usable if before is not None else None
        if (now.spec if now is not None else None) == (was.spec if was is not None else None):
            return
        if now is None:
            self._claims.pop(key, None)
        elif (claims := self._claims.get(key)) is not None:
            claims.adopt(now.spec)
        else:
            self._claims[key] = claims = Claims(now.spec)
            for each in self.asking(key).values():
                claims.put(each.claimant)
        self._tell(key, tuple(self.asking(key)))

    def _tell(self, environment: Key, bindings: Collection[Key]) -> None:
        for heard in self._environment_listeners:
            heard(environment)
        if bindings:
            for told in self._binding_listeners:
                told(bindings)
