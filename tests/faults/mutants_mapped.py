"""Breakages of bindings that name an environment: of what is in force when, of common secrets, and of the map.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from pathlib import Path

from faults.mutant import Mutant

PASSES = "tests/unit/reconcile/test_environment.py"
CLAIMS = "tests/unit/domain/environment/test_claims.py"
SIGHT = "tests/unit/domain/environment/test_sight.py"
MAP = "tests/unit/domain/environment/test_binding_map.py"
_MAPPING, _RENDER = "domain/environment/mapping.py", "domain/environment/binding_map.py"
_RECONCILE, _MAPS = "reconcile/bindings.py", "reconcile/binding_maps.py"

MAPPED: tuple[Mutant, ...] = (
    Mutant(
        "DAGs run under an account that is somebody else's",
        _MAPPING,
        "if mapping is None or mapping.ended or footing is Footing.NONE:",
        "if mapping is None or mapping.ended:",
        (PASSES,),
    ),
    Mutant(
        "DAGs run on after the end of the access",
        _MAPPING,
        "if mapping is None or mapping.ended or footing is Footing.NONE:",
        "if mapping is None or footing is Footing.NONE:",
        (PASSES,),
    ),
    Mutant(
        "what the environment does not give is in force",
        _MAPPING,
        "    if not view.verdict.mapped:\n",
        "    if False:\n",
        (PASSES,),
    ),
    Mutant(
        "whoever names an environment gets its common secrets",
        "domain/desired.py",
        "if not isinstance(environment, EnvironmentView) or not environment.verdict.admitted:",
        "if not isinstance(environment, EnvironmentView):",
        (PASSES,),
    ),
    Mutant(
        "a rival takes the common secrets",
        "domain/environment/claims.py",
        "return all(each.reason is Reason.DAG_CONFLICT for each in self.complaints)",
        "return not self.complaints",
        (PASSES,),
    ),
    Mutant(
        "each of somebody's nested prefixes is judged by itself",
        "domain/environment/overlaps.py",
        'if not (kept and kept[-1].endswith("*") and each.startswith(kept[-1][:-1])):',
        "if each not in kept:",
        (CLAIMS,),
    ),
    Mutant(
        "everybody in a conflict is looked at when one of them leaves it",
        "domain/environment/claims.py",
        "            if left is None:\n",
        "            if left is None or True:\n",
        (CLAIMS,),
    ),
    Mutant(
        "the last one in a conflict does not get its DAGs",
        "domain/environment/claims.py",
        "                doubtful.add(left)\n",
        "                pass\n",
        (CLAIMS,),
    ),
    Mutant(
        "a condition repeats what anybody wrote on a pod",
        "domain/environment/sight.py",
        "    if mark and not all(each in _HELD or _SOURCE.fullmatch(each) for each in names):\n",
        "    if False:\n",
        (SIGHT,),
    ),
    Mutant(
        "a status that is refused keeps the access that must go",
        _RECONCILE,
        "            await asyncio.gather(*(parts.write(part, creating=False) for part in stores.values()))\n",
        "",
        (PASSES,),
    ),
    Mutant(
        "what cannot be recorded is made",
        _RECONCILE,
        "            await asyncio.gather(*(parts.write(part, creating=False) for part in stores.values()))\n",
        "            await asyncio.gather(*(parts.write(part, creating=True) for part in stores.values()))\n",
        (PASSES,),
    ),
    Mutant(
        "a status that breaks its schema is held for one that changed meanwhile",
        "providers/kubernetes/api.py",
        '    if status == 422 and any(cause.get("field") for cause in causes):\n',
        "    if False:\n",
        ("tests/unit/kubernetes/test_api.py",),
    ),
    Mutant(
        "access is taken away while its DAGs are in force",
        _RECONCILE,
        "withdrawing = identity != before.identity and any(",
        "withdrawing = False and any(",
        (PASSES,),
    ),
    Mutant(
        "a deleted binding's DAGs stay in force while its access goes",
        _RECONCILE,
        "if previous.identity is None or entry.lost:",
        "if previous.identity is not None or entry.lost:",
        (PASSES,),
    ),
    Mutant(
        "a deletion forgets what is still to be removed when it takes the DAGs out of force",
        _RECONCILE,
        'kept = {"identity": None, "targets": previous.targets}',
        'kept = {"identity": None}',
        (PASSES,),
    ),
    Mutant(
        "the map of another binding of the name is removed",
        _RECONCILE,
        "and _has_map(raw) and self._is_newest(entry):",
        "and _has_map(raw):",
        (PASSES,),
    ),
    Mutant(
        "a binding goes before its map",
        _RECONCILE,
        "progress[CLUSTER] = replace(progress[CLUSTER], fault=stuck)",
        "progress[CLUSTER] = progress[CLUSTER]",
        (PASSES,),
    ),
    Mutant(
        "common secrets are judged as the binding's own",
        "domain/desired.py",
        "asked = replace(request, namespace=found.namespace, labels=found.labels)",
        "asked = request",
        (PASSES,),
    ),
    Mutant(
        "a common secret takes the place of an own one",
        "domain/desired.py",
        "if (each.type, each.id) not in own)",
        "if own)",
        (PASSES, MAP),
    ),
    Mutant(
        "what an environment that cannot be read declares is held for absent",
        "domain/desired.py",
        "held |= around.recorded - {CLUSTER}",
        "held |= frozenset()",
        (PASSES,),
    ),
    Mutant(
        "an id that is refused is left out of the map",
        _RENDER,
        'refused.append({"type": item.type.value, "id": item.id, "reason": found.word})',
        "del refused[:]",
        (MAP,),
    ),
    Mutant(
        "a secret that no rule admits any more keeps its place in the map",
        _RENDER,
        "    if isinstance(verdict, Refused):\n        return verdict.reason\n",
        "",
        (PASSES,),
    ),
    Mutant(
        "a suspended binding's map gets new ids",
        _RENDER,
        "if not plan.suspended or decision.readable in",
        "if True or decision.readable in",
        (MAP,),
    ),
    Mutant(
        "what others wrote into a map is kept",
        _MAPS,
        "written = ours and standing is not None and standing.digest == recorded.get(address)",
        "written = ours",
        (PASSES,),
    ),
    Mutant(
        "without its environment a task asks other sources",
        _RENDER,
        'kept.get("unboundIDs", UnboundIDs.REFUSE.value)',
        'kept.get("unboundIDs", UnboundIDs.FALL_THROUGH.value)',
        (MAP,),
    ),
    Mutant(
        "DAGs are in force before their map is there",
        _MAPS,
        "if not _has_account(wanted, account) or not (part.there or part.unknown):",
        "if not _has_account(wanted, account):",
        (PASSES,),
    ),
    Mutant(
        "a rival's coming waits for the next check",
        "reconcile/urgency.py",
        "if binding_maps.withdraws(binding, wanted):",
        "if False:",
        (PASSES,),
    ),
    Mutant(
        "an id that is bound and not given is looked for elsewhere",
        "sessions.py",
        "    if reason is not None:\n        raise LookupRefused(\n            Reason.NOT_GRANTED,",
        "    if False:\n        raise LookupRefused(\n            Reason.NOT_GRANTED,",
        ("tests/unit/provider/test_sessions.py",),
        source=Path("provider/airflow_airwarden"),
    ),
)
