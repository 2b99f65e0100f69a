"""Breakages of the rotations that bindings make: of whose they are, and of what is shown of them.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from faults.mutant import Mutant

SUGAR, BOUND = "tests/unit/domain/rotation/test_sugar.py", "tests/unit/reconcile/test_binding_rotations.py"
_SUGAR, _TOLD = "domain/rotation/sugar.py", "domain/rotation/bound.py"
_RECONCILE = "reconcile/binding_rotations.py"

BOUND_ROTATIONS: tuple[Mutant, ...] = (
    Mutant(
        "a rotation of somebody else's is set right",
        _SUGAR,
        "        elif not known.ours:\n            taken.append(each.name)",
        "        elif False:\n            taken.append(each.name)",
        (SUGAR,),
    ),
    Mutant(
        "a rotation of somebody else's is deleted",
        _SUGAR,
        "        if known.ours and not known.deleting and name not in names",
        "        if not known.deleting and name not in names",
        (SUGAR,),
    ),
    Mutant(
        "a label alone makes a rotation ours",
        _RECONCILE,
        "ours=labelled and namespace == owner.namespace and sugar.is_name_of(owner.binding, name),",
        "ours=labelled,",
        (BOUND,),
    ),
    Mutant(
        "the binding's label alone makes a rotation ours",
        "providers/kubernetes/rotations.py",
        "return labels_of(owner).items() <= labels.items()",
        "return labels.get(BINDING) == owner.binding",
        (BOUND,),
    ),
    Mutant(
        "a suspended binding makes rotations",
        _SUGAR,
        "steps += [] if suspended else [",
        "steps += [] if False else [",
        (SUGAR,),
    ),
    Mutant(
        "the schedule of what a binding may not read is shown",
        _TOLD,
        "if (each.ours or (each.backend, each.claim) in readable) and",
        "if (each.backend, each.claim) in places and",
        (BOUND,),
    ),
    Mutant(
        "a rotation that may not run stops others",
        "reconcile/rotation_verdicts.py",
        "return not isinstance(self.judge(spec, entry.key[0], view, templates_of(spec.job, None)), Refused)",
        "return True",
        ("tests/unit/reconcile/test_rotations.py",),
    ),
    Mutant(
        "rotations outlive their binding",
        "reconcile/bindings.py",
        "return await self.rotations.remove(entry.key) if self._is_newest(entry) else None",
        "return None",
        (BOUND,),
    ),
)
