"""The rotating side of a store in memory, and an operator's rotations on the fake cluster of `unit.reconcile.fakes`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.rotation import REQUEST, Generate, Part
from airwarden.domain.errors import CandidateGone, FieldMissing, RotationNotEnabled, VersionGone, VersionMoved
from airwarden.domain.rotation.facts import RunMark, SecretFacts, SecretState
from airwarden.domain.rotation.handover import Handover, Staged, Subject
from airwarden.providers.kubernetes.api import Json
from airwarden.providers.kubernetes.events import EventPoster
from airwarden.providers.kubernetes.jobs import Jobs
from airwarden.providers.kubernetes.objects import ObjectWriter, rotation_path
from airwarden.providers.ports import Candidates
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.queue import Key
from airwarden.reconcile.rotation_cache import RotationCache
from airwarden.reconcile.rotation_engine import RotationEngine
from airwarden.reconcile.rotation_jobs import JobRuns
from airwarden.reconcile.rotation_metrics import RotationMetrics
from airwarden.reconcile.rotations import RotationReconciler, RotationTools
from airwarden.reconcile.rotators import Rotators
from unit.reconcile.fake_cluster import Journal
from unit.reconcile.fakes import CLUSTER, Bench, backend_body
from unit.reconcile.role_fakes import FakeRoles

WAREHOUSE: Key = ("team", "warehouse")
ROTATES = {"name": "rotates", "namespaces": {"names": ["team"]}, "keyPrefixes": ["{namespace}/"]}
JOBS = "jobs"
BORN = datetime(2031, 4, 1, tzinfo=UTC)


class FakeRotator:
    """Secrets by key. A write holds for one version alone, as in a real store."""

    settings: object = "as declared"
    candidates: Candidates

    def __init__(self, journal: Journal, clock: Callable[[], datetime]) -> None:
        self.secrets = {"team/db": SecretFacts(SecretState.PRESENT, 1, BORN, frozenset({"password", "user"}))}
        self.errors: dict[str, Exception] = {}
        """By step: look, write, mark."""
        self.written: list[int] = []
        self.kept: list[int | None] = []
        self.closed = False
        self.roles = FakeRoles(journal, clock)
        self.before_write: Callable[[], None] = lambda: None
        self._journal = journal
        self._clock = clock
        self.candidates = self.staging = FakeCandidates(self, journal)

    async def look(self, key: str) -> SecretFacts:
        self._journal.begin(f"look {key}")
        self._raise("look")
        found = self.secrets.get(key, SecretFacts(SecretState.ABSENT))
        self._journal.end()
        return found

    async def write(self, key: str, field: str, part: Part, generate: Generate, base: int) -> int:
        self._journal.begin(f"write {key}")
        self._raise("write")
        self.before_write()
        found = self.secrets[key]
        if found.version != base or found.state is not SecretState.PRESENT:
            raise VersionMoved("another version")
        if field not in found.fields:
            raise FieldMissing("no such field")
        self.secrets[key] = replace(found, version=base + 1, made=self._clock())
        self.written.append(base + 1)
        self._journal.end()
        return base + 1

    async def mark(self, key: str, mark: RunMark, keep_versions: int | None) -> None:
        self._journal.begin(f"mark {key}")
        self._raise("mark")
        self.secrets[key] = replace(self.secrets[key], mark=mark)
        self.kept.append(keep_versions)
        self._journal.end()

    async def close(self) -> None:
        self.closed = True

    def by_hand(self, key: str = "team/db") -> None:
        """Write a version as somebody else does."""
        self.staging.values[self.secrets[key].version + 1] = "by hand"
        self.secrets[key] = replace(self.secrets[key], version=self.secrets[key].version + 1, made=self._clock())

    def put(self, key: str, base: int) -> int:
        """Make the next version, as a candidate that is promoted does."""
        found = self.secrets[key]
        if found.version != base or found.state is not SecretState.PRESENT:
            raise VersionMoved("another version")
        self.secrets[key] = replace(found, version=base + 1, made=self._clock())
        self.written.append(base + 1)
        return base + 1

    def _raise(self, step: str) -> None:
        if step in self.errors:
            raise self.errors[step]


class FakeCandidates:
    """What is staged, and the values of the one secret's versions."""

    def __init__(self, rotator: FakeRotator, journal: Journal) -> None:
        self.made = 0
        self.waiting: dict[str, str] = {}
        self.values = {1: "first"}
        self.refuses: Exception | None = None
        """What a write of a version meets."""
        self.subject = ""
        """Key and field that are marked on what waits."""
        self._rotator = rotator
        self._journal = journal

    async def hand_over(self, subject: Subject) -> Handover:
        self._journal.begin("stage")
        if subject.owner not in self.waiting:
            self.made += 1
            self.waiting[subject.owner] = f"candidate-{self.made}"
        self._journal.end()
        return Handover(self.values[subject.base], self.waiting[subject.owner], "billing")

    async def stored(self, subject: Subject, version: int) -> Handover:
        if version not in self.values:
            raise VersionGone("no such version")
        return Handover(self.values.get(subject.base, ""), self.values[version], "billing")

    async def promote(self, subject: Subject) -> int:
        self._journal.begin("promote")
        if self.refuses is not None:
            raise self.refuses
        if subject.owner not in self.waiting:
            raise CandidateGone("no candidate")
        value = self.waiting[subject.owner]
        if self.values.get(subject.base + 1) != value:
            self.values[self._rotator.put(subject.key, subject.base)] = value
        self._journal.end()
        return subject.base + 1

    async def restore(self, subject: Subject, version: int) -> int:
        self._journal.begin("restore")
        if self.refuses is not None:
            raise self.refuses
        if self.values.get(version + 1) != self.values[subject.base]:
            self.values[self._rotator.put(subject.key, version)] = self.values[subject.base]
        self._journal.end()
        return version + 1

    async def clear(self, owner: str) -> None:
        self._journal.begin("clear")
        self.waiting.pop(owner, None)
        self._journal.end()

    async def staged(self, cluster: str) -> tuple[Staged, ...]:
        owners = [each.split("/") for each in self.waiting if each.startswith(f"{cluster}/")]
        return tuple(Staged(namespace, name, BORN, self.subject) for _, namespace, name in owners)


class RotationBench:
    """One operator's rotations on a fake cluster and a fake store. `restart` is a new process on the same world."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.journal, self.api = self.bench.journal, self.bench.api
        self.rotator = FakeRotator(self.journal, self.bench.clock)
        self.opened = 0
        self.enabled = True
        """Whether the operator has a rotation namespace."""
        self.allow(operations=["Read", "RotateGenerate"])
        self.metrics = Metrics()
        self.restart()

    def restart(self) -> None:
        """Forget everything that only memory held."""
        self.bench.restart()
        self.cache = RotationCache()
        self.metrics = Metrics()
        measured = RotationMetrics(self.metrics.registry, self.bench.clock)
        self.rotators = Rotators(self._open)
        tools = RotationTools(
            cluster=CLUSTER,
            cache=self.cache,
            surroundings=self.bench.cache,
            backends=self.bench.backends,
            rotators=self.rotators,
            writer=ObjectWriter(self.api),
            events=EventPoster(self.api),
            metrics=measured,
            clock=self.bench.clock,
            jobs=JobRuns(Jobs(self.api, JOBS) if self.enabled else None, self.bench.clock),
        )
        self.reconciler = RotationReconciler(tools)
        self.engine = RotationEngine(
            self.cache, self.bench.backends, self.rotators, self.reconciler, measured, clock=self.bench.clock
        )

    def allow(self, *, enabled: bool = True, rules: bool = True, **rule: object) -> None:
        """Declare the backend with this rule."""
        version = int(self.bench.backend_bodies["vault"]["metadata"]["resourceVersion"]) + 1
        login: dict[str, Any] = {"rotation": {"login": {"kubernetes": {"role": "rotator"}}}} if enabled else {}
        allow = [{**ROTATES, **rule}] if rules else []
        self.bench.backend_bodies["vault"] = backend_body(version=version, allow=allow, **login)
        self.bench.backends.learn(self.bench.backend_bodies["vault"])

    def declare(self, name: str = "warehouse", *, request: str = "", **spec: object) -> None:
        """Create a rotation, or edit it, as a user does."""
        path = rotation_path("team", name)
        target = {} if "databaseRole" in spec else {"key": "team/db", "field": "password"}
        wanted = {"backendRef": {"name": "vault"}, **target, **spec}
        annotations = {REQUEST: request} if request else {}
        if path in self.api.objects:
            self.api.change(path, lambda body: body.update(spec=wanted))
            self.api.change(path, lambda body: body["metadata"].update(annotations=annotations))
            return
        metadata = {"name": name, "namespace": "team", "uid": f"uid-{name}", "annotations": annotations}
        self.api.put(path, {"metadata": metadata | {"creationTimestamp": "2031-05-01T00:00:00Z"}, "spec": wanted})

    def ask(self, word: str, name: str = "warehouse") -> None:
        """Annotate a rotation."""
        path = rotation_path("team", name)
        self.api.change(path, lambda body: body["metadata"].update(annotations={REQUEST: word}))

    def remove(self, name: str) -> None:
        """Delete a rotation as a user does: nothing holds it."""
        body = self.api.objects.pop(rotation_path("team", name))
        self.engine.see_rotation("DELETED", body)

    def wait(self, **passed: float) -> None:
        """Let time go by."""
        self.bench.now += timedelta(**passed)

    def watch(self) -> None:
        """Let the operator hear what the cluster has now."""
        for path, body in self.api.objects.items():
            if "/airflowsecretrotations/" in path:
                self.engine.see_rotation("MODIFIED", body)

    async def rest(self) -> None:
        """Hear what is new, and let all that is queued be done."""
        self.watch()
        for _ in range(10_000):
            await asyncio.sleep(0)
            if self.engine.idle:
                return
        raise AssertionError("no rest")

    def status(self, name: str = "warehouse") -> Json:
        """Return a rotation's status."""
        found: Json = self.api.objects[rotation_path("team", name)].get("status", {})
        return found

    def condition(self, kind: str = "Ready", name: str = "warehouse") -> tuple[str, str]:
        """Return status and reason of a condition."""
        found = next(each for each in self.status(name)["conditions"] if each["type"] == kind)
        return found["status"], found["reason"]

    @property
    def told(self) -> list[str]:
        """Reasons of the Events so far."""
        return [each["reason"] for each in self.api.events]

    async def _open(self, backend: AirflowSecretBackend) -> FakeRotator:
        if backend.spec.rotation is None:
            raise RotationNotEnabled(f"backend {backend.metadata.name} has no login for rotations")
        self.opened += 1
        return self.rotator
