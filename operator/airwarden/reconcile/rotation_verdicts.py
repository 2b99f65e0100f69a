"""Whether the allow rules admit a rotation: judged once for each state of the rotation, its namespace and the rules.

One rotation is asked about in the pass of every other one of its secret, and anybody may name any secret. A verdict is
therefore kept until something that it rests upon is another thing. Called by `airwarden.reconcile.rotation_access`,
`airwarden.reconcile.rotation_engine` and `airwarden.reconcile.rotation_release`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from airwarden.api.backend import AirflowSecretBackend, AllowRule, Operation
from airwarden.api.rotation import RotationSpec, Strategy
from airwarden.domain.guardrails import AdmittedRotation, BackendView, Refused, RotationRequest, judge_rotation
from airwarden.domain.keys import KeyGrammar
from airwarden.domain.role_guardrails import judge_role
from airwarden.domain.rotation.jobs import templates_of
from airwarden.domain.sessions import PER_BINDING
from airwarden.reconcile.backends import Backends
from airwarden.reconcile.cache import Cache
from airwarden.reconcile.queue import Key
from airwarden.reconcile.rotation_cache import RotationEntry

OPERATIONS: Final[Mapping[Strategy, Operation]] = {
    Strategy.GENERATE: Operation.ROTATE_GENERATE,
    Strategy.NATIVE: Operation.ROTATE_NATIVE,
    Strategy.JOB: Operation.ROTATE_JOB,
    Strategy.REVOKE: Operation.ROTATE_REVOKE,
}
"""What an allow rule must permit for each strategy."""
_ANY_KEY: Final = KeyGrammar("", re.compile(r"(?s).*"), "")
"""Whom a rotation of an impossible key stands against has that same key, and is refused for it."""
Rules = tuple[AllowRule, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A verdict, and what it rests upon."""

    state: tuple[str, int, str]
    """Uid and generation of the rotation, and its backend."""
    rules: Rules
    labels: Mapping[str, str] | None
    admitted: bool


class Verdicts:
    """Judges rotations."""

    def __init__(self, cluster: str, surroundings: Cache, backends: Backends) -> None:
        self._cluster = cluster
        self._surroundings = surroundings
        self._backends = backends
        self._kept: dict[Key, _Kept] = {}
        self._rules: dict[str, tuple[Rules, Rules]] = {}
        """By backend: the rules as last seen, and the equal ones that verdicts were given by."""

    def judge(
        self, spec: RotationSpec, namespace: str, view: BackendView, templates: tuple[str, ...]
    ) -> AdmittedRotation | Refused | None:
        """Return what the rules say of a spec with Jobs of these templates.

        None while the namespace has not been seen and that matters.
        """
        asked = RotationRequest(namespace, self._labels(namespace), templates)
        operation = OPERATIONS[spec.strategy]
        if spec.database_role is not None:
            return judge_role(spec.database_role, operation, self._cluster, asked, view)
        return judge_rotation(spec.key or "", operation, asked, view)

    def admits(self, entry: RotationEntry) -> bool:
        """Tell whether the rules of its backend admit a rotation, or will once its namespace is seen."""
        backend = self._backends.known(entry.backend)
        if not isinstance(backend, AirflowSecretBackend):
            return False
        state, labels = (entry.uid, entry.generation, entry.backend), self._labels(entry.key[0])
        rules = self._one_of_equals(entry.backend, backend.spec.allow)
        kept = self._kept.get(entry.key)
        if kept is None or kept.rules is not rules or kept.state != state or kept.labels != labels:
            kept = _Kept(state, rules, labels, self._admits_now(entry, rules))
            self._kept[entry.key] = kept
        return kept.admitted

    def admitted_or_was(self, entry: RotationEntry) -> bool:
        """Tell whether the rules admit a rotation, or did when it was last asked about: others may go by that."""
        kept = self._kept.get(entry.key)
        return self.admits(entry) or (kept is not None and kept.admitted)

    def forget(self, key: Key) -> None:
        """Drop what is known of a rotation that is gone."""
        self._kept.pop(key, None)

    def _admits_now(self, entry: RotationEntry, rules: Rules) -> bool:
        try:
            spec = RotationSpec.model_validate(entry.load()["spec"])
        except ValidationError:
            return False
        view = BackendView(entry.backend, rules, _ANY_KEY, sessions=PER_BINDING)
        return not isinstance(self.judge(spec, entry.key[0], view, templates_of(spec.job, None)), Refused)

    def _labels(self, namespace: str) -> Mapping[str, str] | None:
        seen = self._surroundings.namespaces.get(namespace)
        return seen.labels if seen is not None else None

    def _one_of_equals(self, backend: str, rules: Rules) -> Rules:
        """Return the same rules for equal ones: each status of a backend brings them anew, and they may be many."""
        seen, kept = self._rules.get(backend, ((), ()))
        if seen is not rules:
            kept = kept if kept == rules else rules
            self._rules[backend] = (rules, kept)
        return kept
