"""Breakages of what the conditions of an environment prove, and of its passes under attack.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from faults.mutant import Mutant

_GUARDS = "tests/unit/domain/environment/test_guards.py"
_SIGHT = "tests/unit/domain/environment/test_sight.py"
_FITTING = "tests/unit/domain/environment/test_fitting.py"
_CLAIMS = "tests/unit/domain/environment/test_claims.py"
_SLICING = "tests/unit/reconcile/test_slicing.py"
_RECONCILE = "tests/unit/reconcile/test_environments.py"

PROVING: tuple[Mutant, ...] = (
    Mutant(
        "one policy is enough",
        "domain/environment/guards.py",
        "for name in POLICIES if (gap := _gap(name, *found[name])))",
        "for name in POLICIES[:1] if (gap := _gap(name, *found[name])))",
        (_GUARDS,),
    ),
    Mutant(
        "a policy that only warns guards",
        "domain/environment/guards.py",
        '"Deny" not in (bound.get("validationActions") or ())',
        "False",
        (_GUARDS,),
    ),
    Mutant(
        "a policy for some namespaces guards all",
        "domain/environment/guards.py",
        'narrowed.get("resourceRules") or narrowed.get("namespaceSelector") or _leaves_out(narrowed)',
        "False",
        (_GUARDS,),
    ),
    Mutant(
        "a policy that goes by one binding guards all",
        "domain/environment/guards.py",
        "        and not _takes_all(",
        "        and False and _takes_all(",
        (_GUARDS,),
    ),
    Mutant(
        "a pod that is older than the policies counts",
        "domain/environment/sight.py",
        "(guarded if begun is not None and _surely_after(each, begun) else loose)",
        "(guarded if begun is not None else loose)",
        (_SIGHT,),
    ),
    Mutant(
        "a mark counts where no binding is",
        "domain/environment/sight.py",
        "(guarded if begun is not None and _surely_after(each, begun) else loose)",
        "guarded",
        (_SIGHT,),
    ),
    Mutant(
        "a pod of a binding that is not mapped counts",
        "domain/environment/sight.py",
        '    return pod.labels[IDENTITY] == "Bound" and binding in mapped and _surely_after(pod, mapped[binding])',
        '    return pod.labels[IDENTITY] == "Bound"',
        (_SIGHT,),
    ),
    Mutant(
        "an unbound pod proves identities",
        "domain/environment/sight.py",
        '    return pod.labels[IDENTITY] == "Bound" and binding in mapped',
        "    return binding in mapped",
        (_SIGHT,),
    ),
    Mutant(
        "a pod that came with its binding counts",
        "domain/environment/sight.py",
        "moment_text(moment(begun) + LAG)",
        "begun",
        (_SIGHT,),
    ),
    Mutant(
        "a pod hides behind an environment that is not there",
        "domain/environment/sight.py",
        "or (each.key[0], marked) not in others:",
        ":",
        (_SIGHT,),
    ),
    Mutant(
        "marks count without the policies",
        "domain/environment/sight.py",
        "in mapped.items() if guards.since and not guards.gaps else ():",
        "in mapped.items():",
        (_SIGHT,),
    ),
    Mutant(
        "what was seen once holds for ever",
        "domain/environment/isolation.py",
        "    return moment_text(moment(now) - LASTING) < last <= now",
        "    return True",
        (_RECONCILE,),
    ),
    Mutant(
        "isolation holds without its ground",
        "domain/environment/isolation.py",
        '    if before.status == "True" and (sight.gaps or sight.unmarked or not recent):',
        "    if False:",
        (_RECONCILE,),
    ),
    Mutant(
        "a status that is refused holds up what must go",
        "reconcile/environment_statuses.py",
        "            return None\n        self._refused",
        "            raise\n        self._refused",
        (_RECONCILE,),
    ),
    Mutant(
        "a rendering holds up all else",
        "domain/environment/rendering.py",
        "        if done >= STEP:",
        "        if False:",
        (_FITTING, _RECONCILE),
    ),
    Mutant(
        "the text of a map holds up all else",
        "domain/environment/dag_map.py",
        "            if done >= STEP:",
        "            if False:",
        (_FITTING,),
    ),
    Mutant(
        "a text is made of a map that cannot fit",
        "domain/environment/fitting.py",
        "    if exceeds(dag_map):",
        "    if False:",
        (_FITTING,),
    ),
    Mutant(
        "an environment that goes in the middle of a pass empties its maps",
        "reconcile/environments.py",
        "        if self._tools.cache.environments.claims(key) is None:",
        "        if False:",
        (_RECONCILE,),
    ),
    Mutant(
        "an environment that goes while its maps are fitted is written all the same",
        "reconcile/environments.py",
        "        self._hold_there(entry.key)\n        wanted",
        "        wanted",
        (_RECONCILE,),
    ),
    Mutant(
        "an edit of the environment leaves claims as they were judged",
        "domain/environment/claims.py",
        "            if self._complaints(claimant) != self._barred.get(claimant.key, ()):",
        "            if False:",
        (_CLAIMS,),
    ),
    Mutant(
        "bindings by the thousand are woken at once",
        "reconcile/slicing.py",
        "        some = tuple(islice(self._waiting, _FEW))",
        "        some = tuple(self._waiting)",
        (_SLICING,),
    ),
    Mutant(
        "who comes while the last is woken is forgotten",
        "reconcile/slicing.py",
        "        self._go_on()  # also",
        "        # also",
        (_SLICING,),
    ),
    Mutant(
        "an environment's map that cannot be recorded is made",
        "reconcile/environments.py",
        "            if each.name in unmade:",
        "            if False:",
        (_RECONCILE,),
    ),
    Mutant(
        "a status that is refused is told of each second",
        "reconcile/environment_statuses.py",
        "            if self._refused.get(key) != metadata.uid:",
        "            if True:",
        (_RECONCILE,),
    ),
)
