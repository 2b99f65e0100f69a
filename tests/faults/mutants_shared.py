"""Breakages of what lets several bindings share one role assignment of a group.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

SHARED: Final = "tests/contract/azure/test_shared_groups.py"
CLAIMS: Final = "tests/unit/reconcile/test_claims.py"
START: Final = "tests/unit/reconcile/test_environment_engine.py"

SHARED_BY_BINDINGS: tuple[Mutant, ...] = (
    Mutant(
        "another binding's assignment counts before it is on a record",
        "reconcile/parts.py",
        "if each.shared and address not in here else each",
        "if False else each",
        (SHARED,),
    ),
    Mutant(
        "who goes takes the group's access from the others",
        "providers/azure/sharing.py",
        "            for heir in self._heirs(target):",
        "            for heir in ():",
        (SHARED,),
    ),
    Mutant(
        "who leans on another's assignment removes it",
        "providers/azure/sharing.py",
        "            if is_lent(live, target, self._place, uid):",
        "            if False:",
        (SHARED,),
    ),
    Mutant(
        "who goes inherits from itself",
        "providers/azure/sharing.py",
        "(each for each in declaring if each.short_name_in_store != target.short)",
        "iter(declaring)",
        (SHARED,),
    ),
    Mutant(
        "two change one assignment at once",
        "providers/azure/sharing.py",
        "        async with lock:\n            yield",
        "        if lock:\n            yield",
        (SHARED,),
    ),
    Mutant(
        "what was changed by hand meanwhile goes",
        "providers/azure/sharing.py",
        "            if live.triple != row.triple or not (own or live.description == row.description):",
        "            if False:",
        (SHARED,),
    ),
    Mutant(
        "another cluster's assignment is lent",
        "providers/azure/observing.py",
        "    return found == (place.cluster, place.backend, uid, target.whom)",
        "    return found[:2] == (place.cluster, place.backend)",
        (SHARED,),
    ),
    Mutant(
        "another backend's assignment is lent",
        "providers/azure/observing.py",
        "    return found == (place.cluster, place.backend, uid, target.whom)",
        "    return found[2:] == (uid, target.whom)",
        (SHARED,),
    ),
    Mutant(
        "an identity's assignment is lent",
        "providers/azure/observing.py",
        "    if mark is None or target.whom == ACCOUNT or",
        "    if mark is None or",
        (SHARED,),
    ),
    Mutant(
        "what another binding made is written again",
        "providers/azure/assignments.py",
        "            if live.principal_type == wanted.principal_type:",
        "            if False:",
        (SHARED,),
    ),
    Mutant(
        "who does not have it on record inherits",
        "reconcile/claims.py",
        "        return here & {each.address for each in resources}",
        "        return frozenset(each.address for each in resources)",
        (CLAIMS,),
    ),
    Mutant(
        "who does not declare it any more inherits",
        "reconcile/claims.py",
        "        return here & {each.address for each in resources}",
        "        return here",
        (CLAIMS, SHARED),
    ),
    Mutant(
        "who lost its account inherits",
        "reconcile/claims.py",
        "        if not self._has_account(binding, owner, made=accounts.address(owner.account) in recorded):",
        "        if False:",
        (CLAIMS, SHARED),
    ),
    Mutant(
        "who goes as well inherits",
        "reconcile/claims.py",
        "            if entry is None or entry.deleting or",
        "            if entry is None or",
        (CLAIMS,),
    ),
    Mutant(
        "who cannot be judged loses what it had",
        "reconcile/claims.py",
        "        if self.runtime.name in wanted.held:",
        "        if False:",
        (CLAIMS,),
    ),
    Mutant(
        "the first to go after a start knows of no other",
        "reconcile/priming.py",
        "    if environments.known_environments() or engine.lets_people_in:",
        "    if environments.known_environments():",
        (START,),
    ),
)
