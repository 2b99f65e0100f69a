"""Breakages of the runs of rotations: of what is recorded, what is respected, and what holds a run back.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from faults.mutant import Mutant

DECIDE, RECONCILE = "tests/unit/domain/rotation/test_decide.py", "tests/unit/reconcile/test_rotations.py"
_DECIDE, _REPORT = "domain/rotation/decide.py", "domain/rotation/report.py"
_RECONCILE = "reconcile/rotations.py"

RUNS: tuple[Mutant, ...] = (
    Mutant(
        "a run that wrote is written again",
        _DECIDE,
        "    elif facts.version != run.base_version:",
        "    elif False:",
        (DECIDE,),
    ),
    Mutant(
        "a run is not recorded before its write",
        _RECONCILE,
        "rotation = await self._keep(found.rotation, reports.started(found, step.run))",
        "rotation = found.rotation",
        (RECONCILE,),
    ),
    Mutant(
        "a run whose record is not seen is done again",
        _DECIDE,
        "if facts.mark is not None and (facts.mark.owner, facts.mark.run) == (situation.owner, run.id):\n        # The",
        "if False:\n        # The",
        (DECIDE,),
    ),
    Mutant(
        "a rotation that is refused runs",
        _DECIDE,
        "    if situation.obstacle is not None:\n        return Rest(obstacle=situation.obstacle)",
        "    if False:\n        return Rest(obstacle=situation.obstacle)",
        (DECIDE,),
    ),
    Mutant(
        "two rotations of one secret both run",
        "reconcile/rotation_access.py",
        "obstacle = unreadable or refused or conflict_of(rotation, self._cache, self._backends, self.verdicts.admits)",
        "obstacle = unreadable or refused",
        (RECONCILE,),
    ),
    Mutant(
        "a secret of another cluster's rotation is written",
        _DECIDE,
        'if cluster != situation.owner.partition("/")[0]:',
        "if False:",
        (DECIDE,),
    ),
    Mutant(
        "a suspended rotation runs",
        _DECIDE,
        "    if situation.rotation.spec.suspend:",
        "    if False:",
        (DECIDE,),
    ),
    Mutant(
        "a moment of the schedule is not noted as done",
        _REPORT,
        '        changes["handled_slot"] = run.slot',
        "        pass",
        (DECIDE,),
    ),
    Mutant(
        "a status is written over one that was not seen",
        _RECONCILE,
        "body = await self._tools.writer.write_status(path, metadata.uid, status, version=metadata.resource_version)\n"
        "        self._written[metadata.namespace, metadata.name] = self._tools.cache.learn(body)",
        "body = await self._tools.writer.write_status(path, metadata.uid, status)\n"
        "        self._written[metadata.namespace, metadata.name] = self._tools.cache.learn(body)",
        (RECONCILE,),
    ),
    Mutant(
        "a rotating login that is refused holds bindings back",
        _RECONCILE,
        "_OUTAGE: Final = (Unreachable, Sealed, Throttled)",
        "_OUTAGE: Final = (AirwardenError,)",
        (RECONCILE,),
    ),
)
