"""A rotation, a secret and a process that may end at any point, for tests of the pure core.

The process does what `airwarden.reconcile.rotations` does: it takes the steps of `decide` one by one, records a run
before its write, and keeps nothing from one pass to the next but the status.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from airwarden.api.fields import moment_text
from airwarden.api.rotation import REQUEST, AirflowSecretRotation, RotationStatus
from airwarden.domain.rotation import report as reports
from airwarden.domain.rotation.decide import (
    End,
    Obstacle,
    Record,
    Rest,
    Situation,
    Start,
    Step,
    Write,
    decide,
    timetable_of,
    written,
)
from airwarden.domain.rotation.facts import Facts, RunMark, SecretFacts, SecretState
from airwarden.domain.rotation.timetable import Timetable

START = datetime(2031, 1, 6, 10, tzinfo=UTC)  # a Monday
OWNER = "c1/team/warehouse"
FOUND = SecretFacts(SecretState.PRESENT, 4, START, frozenset({"password", "user"}))


class Crash(Exception):
    """The process ended here."""


def rotation(request: str = "", status: RotationStatus | None = None, **spec: Any) -> AirflowSecretRotation:
    """Return a rotation of the field password, on demand unless a schedule is given."""
    return AirflowSecretRotation.model_validate(
        {
            "metadata": {
                "name": "warehouse",
                "namespace": "team",
                "uid": "u-1",
                "generation": 1,
                "creationTimestamp": START,
                "annotations": {REQUEST: request} if request else {},
            },
            "spec": {"backendRef": {"name": "vault"}, "key": "team/db", "field": "password", **spec},
            "status": status,
        }
    )


def situation(
    declared: AirflowSecretRotation, now: datetime = START, facts: SecretFacts | None = FOUND, **more: Any
) -> Situation:
    """Return a situation in which nothing stands in the way unless said so."""
    return Situation(declared, OWNER, now, timetable_of(declared, now), facts=facts, **more)


@dataclass
class World:
    """One rotation as the cluster has it, its secret as the store has it, and one process at work on both."""

    declared: AirflowSecretRotation
    now: datetime = START
    secret: SecretFacts = FOUND
    obstacle: Obstacle | None = None
    rivals: frozenset[str] = frozenset()
    made: list[tuple[str, str, int]] = field(default_factory=list)
    """For what each version was made by us: slot, request, version."""
    ends: list[End] = field(default_factory=list)
    effects: int = 0
    crash: Callable[[int, str], bool] = lambda _number, _when: False
    """Told the number of each effect, before and after it; True ends the process."""
    meddle: Callable[[int], None] = lambda _number: None
    """Told the number of each effect before it: what others do meanwhile."""

    _tables: dict[int, Timetable | None] = field(default_factory=dict)

    @property
    def status(self) -> RotationStatus:
        return self.declared.status or RotationStatus()

    def ask(self, word: str) -> None:
        """Annotate the rotation."""
        metadata = self.declared.metadata.model_copy(update={"annotations": {REQUEST: word}})
        self.declared = self.declared.model_copy(update={"metadata": metadata})

    def edit(self, **spec: Any) -> None:
        """Edit the spec."""
        body = self.declared.model_dump(by_alias=True, exclude_none=True)
        body["spec"] |= spec
        body["metadata"]["generation"] += 1
        self.declared = AirflowSecretRotation.model_validate(body)

    def by_hand(self) -> None:
        """Write a new version as somebody else does."""
        made = replace(self.secret, version=self.secret.version + 1, made=self.now, state=SecretState.PRESENT)
        self.secret = made

    def live(self, passes: int = 12) -> None:
        """Look again and again, through crashes, until a pass neither acts nor ends in one."""
        for _ in range(passes):
            before = self.effects
            try:
                self.look()
            except Crash:
                continue
            if self.effects == before:
                return
        raise AssertionError(f"no rest: {self.status}")

    def look(self) -> None:
        """Do one pass."""
        found = self._situation()
        step = decide(found)
        fresh = isinstance(step, Start)
        if isinstance(step, Start):
            self._keep(reports.started(found, step.run))
            found, step = self._situation(facts=found.facts), Write(step.run)
        if isinstance(step, Write):
            step = self._write(step, fresh=fresh)
        if isinstance(step, Record):
            step = self._record(step)
        assert isinstance(step, Rest | End)
        if isinstance(step, End):
            self.ends.append(step)
        after = reports.report(found, step, "own")
        if after != self.status:
            self._keep(after)

    def _situation(self, *, moved: bool = False, facts: Facts | None = None) -> Situation:
        generation = self.declared.metadata.generation
        if generation not in self._tables:
            self._tables[generation] = timetable_of(self.declared, self.now)
        table = self._tables[generation]
        seen = facts or self.secret
        return Situation(self.declared, OWNER, self.now, table, self.obstacle, seen, rivals=self.rivals, moved=moved)

    def _write(self, step: Write, *, fresh: bool) -> Step:
        number = self._begin()
        if self.secret.version != step.run.base_version or self.secret.state is not SecretState.PRESENT:
            again = decide(self._situation(moved=fresh))
            assert not isinstance(again, Start | Write)
            return again
        self.secret = replace(self.secret, version=self.secret.version + 1, made=self.now)
        self.made.append((step.run.slot, step.run.request, self.secret.version))
        self._end(number)
        return Record(step.run, self.secret.version)

    def _record(self, step: Record) -> Step:
        number = self._begin()
        mark = RunMark(OWNER, step.run.id, moment_text(self.now))
        self.secret = replace(self.secret, mark=mark)
        self._end(number)
        return written(step.run, step.version)

    def _keep(self, status: RotationStatus) -> None:
        number = self._begin()
        self.declared = self.declared.model_copy(update={"status": status})
        self._end(number)

    def _begin(self) -> int:
        self.effects += 1
        number = self.effects
        if self.crash(number, "before"):
            raise Crash
        self.meddle(number)
        return number

    def _end(self, number: int) -> None:
        if self.crash(number, "after"):
            raise Crash
