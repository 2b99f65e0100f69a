"""Breakages of how the Azure store asks: what an answer proves, who is left alone, and whose turn it is.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

PACE: Final = "tests/unit/azure/test_pacing.py"
CEILINGS: Final = "tests/contract/azure/test_ceilings.py"
ENGINE: Final = "tests/unit/reconcile/test_engine.py"
FAILURES: Final = "tests/contract/azure/test_failures.py"
DOWN: Final = "tests/contract/azure/test_identities_down.py"
REPORT: Final = "tests/unit/domain/test_report.py"
SHARED: Final = "tests/contract/azure/test_shared_groups.py"
ABSENCE: Final = "tests/contract/azure/test_absence.py"

PACING_AZURE: tuple[Mutant, ...] = (
    Mutant(
        "a subscription out of sight is gone with all that is in it",
        "providers/azure/answers.py",
        '    "SubscriptionNotFound": _no_subscription,',
        '    "SubscriptionNotFound": ResourceMissing,',
        (ABSENCE,),
    ),
    Mutant(
        "any 404 says that the thing is gone",
        "providers/azure/answers.py",
        "        known = code_of(error) in _ABSENT",
        "        known = True",
        (ABSENCE,),
    ),
    Mutant(
        "whoever was to come and does not is waited for",
        "providers/azure/pacing.py",
        "    return not place.missed and place.due <= until",
        "    return place.due <= until",
        (PACE,),
    ),
    Mutant(
        "a namespace whose writes do not come keeps its turn",
        "providers/azure/pacing.py",
        "                    self._served[place.namespace] = now",
        "                    pass",
        (PACE,),
    ),
    Mutant(
        "writes come in the order in which they were asked for, whosever they are",
        "providers/azure/pacing.py",
        "        turns = sorted(counts, key=lambda namespace: self._served.get(namespace, -math.inf))",
        "        return count + sum(counts.values())",
        (PACE,),
    ),
    Mutant(
        "who waits in two lines misses its turn in one",
        "providers/azure/pacing.py",
        "            each.expect(who, wait)",
        "            pass",
        (PACE,),
    ),
    Mutant(
        "an identity is of no namespace in the line",
        "providers/azure/identities.py",
        "        self._take_turn(name, namespace=_namespace_of(tags))",
        "        self._take_turn(name)",
        (CEILINGS,),
    ),
    Mutant(
        "identities are made for what the namespace may not have",
        "providers/azure/store.py",
        "        if (mark := read_tags(wanted)) is not None:",
        "        if (mark := read_tags({})) is not None:",
        (CEILINGS,),
    ),
    Mutant(
        "identities without an assignment do not count",
        "providers/azure/ceilings.py",
        "        if len(made) >= self.place.per_namespace:",
        "        if False:",
        (CEILINGS,),
    ),
    Mutant(
        "who waits for its turn counts as one that failed",
        "reconcile/engine.py",
        "        in_turn = following.after if following.in_turn else None",
        "        in_turn = None",
        (ENGINE,),
    ),
    Mutant(
        "what waits is sent though a pause was asked for meanwhile",
        "providers/azure/arm.py",
        "            self._leave_alone(side, doing)  # it may",
        "            # it may",
        (FAILURES,),
    ),
    Mutant(
        "identities that do not answer are an outage of the vault",
        "providers/azure/store.py",
        "frozenset({place.identity_side})",
        "frozenset()",
        (DOWN,),
    ),
    Mutant(
        "identities that do not answer are asked by every pass",
        "providers/azure/arm.py",
        "            found = PartUnreachable(found.message, retry_after=pause)",
        "            return PartUnreachable(found.message, retry_after=pause)",
        (DOWN,),
    ),
    Mutant(
        "identities that answered once are left alone as if they had not",
        "providers/azure/arm.py",
        "        self._unanswered.pop(side, None)\n        return found\n",
        "        return found\n",
        (DOWN,),
    ),
    Mutant(
        "who waits for its turn is told to let go by hand",
        "domain/outage.py",
        " if fault.reason is Reason.PENDING else _EXIT",
        " if False else _EXIT",
        (REPORT,),
    ),
    Mutant(
        "what was removed a moment ago counts as given",
        "providers/azure/assignments.py",
        "counts(live) and self._list.was_removed(live.name):",
        "counts(live) and False:",
        (SHARED,),
    ),
    Mutant(
        "what was removed a moment ago is there again when it is looked at by its name",
        "providers/azure/assignments.py",
        "        if found is None or self._list.was_removed(found.name):",
        "        if found is None:",
        (SHARED,),
    ),
)
