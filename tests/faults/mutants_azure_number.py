"""Breakages of what a namespace's number is in a key vault: what it leans on, what it inherits, and what is on record.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

CEILINGS: Final = "tests/contract/azure/test_ceilings.py"
SHARED: Final = "tests/contract/azure/test_shared_ceilings.py"
COUNTING: Final = "tests/unit/azure/test_counting.py"
RECORDS: Final = "tests/unit/reconcile/test_on_record.py"

NUMBERS_ON_AZURE: tuple[Mutant, ...] = (
    Mutant(
        "what a namespace leans on does not count",
        "providers/azure/ceilings.py",
        "        return self._claims.on_record(namespace) if self._claims is not None else frozenset()",
        "        return frozenset()",
        (COUNTING, SHARED),
    ),
    Mutant(
        "who leans is not asked for room",
        "providers/azure/assigning.py",
        "        asked = not mine and (known is None or lent)",
        "        asked = not mine and known is None",
        (SHARED,),
    ),
    Mutant(
        "what was refused is had at the next pass",
        "reconcile/parts.py",
        "if each.shared and address in wanted and not had.get(address) else each",
        "if False else each",
        (SHARED,),
    ),
    Mutant(
        "what is leant on in one pass does not count in it",
        "providers/azure/assigning.py",
        "                self._ceilings.leant(mark.owner, address, target)",
        "                pass",
        (SHARED,),
    ),
    Mutant(
        "what was leant on counts though it was let go",
        "providers/azure/ceilings.py",
        "            each.pop(address.name, None)",
        "            pass",
        (COUNTING,),
    ),
    Mutant(
        "two bindings of a namespace have what they share twice",
        "providers/azure/ceilings.py",
        "        if thing not in has and len(has) >= self.place.per_namespace:",
        "        if len(has) >= self.place.per_namespace:",
        (COUNTING, SHARED),
    ),
    Mutant(
        "who has no room inherits",
        "providers/azure/ceilings.py",
        "        if len(has | {thing}) > self.place.per_namespace:",
        "        if False:",
        (COUNTING, SHARED),
    ),
    Mutant(
        "a record that somebody wrote brings more than the ceiling",
        "providers/azure/ceilings.py",
        "            has = self._marked.of(owner.namespace) | self._taken(owner.namespace)",
        "            has = set()",
        (COUNTING, SHARED),
    ),
    Mutant(
        "what is leant on is not inherited once the ceiling is lowered",
        "providers/azure/ceilings.py",
        "        if thing in self._recorded(owner.namespace):",
        "        if False:",
        (COUNTING,),
    ),
    Mutant(
        "two that are handed over at once add up to more",
        "providers/azure/ceilings.py",
        "        with self._take(owner.namespace, thing):\n            yield True",
        "        yield True",
        (COUNTING,),
    ),
    Mutant(
        "what is on record and stands nowhere counts",
        "providers/azure/ceilings.py",
        "if self._marked.has(each)}",
        "if True}",
        (COUNTING,),
    ),
    Mutant(
        "what another namespace has counts as well",
        "providers/azure/counting.py",
        "setdefault(mark.owner.namespace, {})[row.name]",
        'setdefault("team", {})[row.name]',
        (COUNTING, CEILINGS),
    ),
    Mutant(
        "what was removed since the list counts",
        "providers/azure/counting.py",
        "for name, thing in listed.items() if name not in self._written}",
        "for name, thing in listed.items()}",
        (COUNTING,),
    ),
    Mutant(
        "a list is gone through for each question",
        "providers/azure/counting.py",
        "        if rows is not self._listed:",
        "        if True:",
        (COUNTING,),
    ),
    Mutant(
        "what was only asked for counts as had",
        "reconcile/on_record.py",
        "for each in found if found[each] and each.backend",
        "for each in found if each.backend",
        (RECORDS,),
    ),
    Mutant(
        "what stands on a record under another's name counts",
        "reconcile/on_record.py",
        "        found = records.derived(recorded, owner, entry.account)",
        "        found = recorded",
        (RECORDS,),
    ),
    Mutant(
        "who was let go still has it",
        "reconcile/on_record.py",
        "        if not entry.recorded:",
        "        if False:",
        (RECORDS,),
    ),
    Mutant(
        "a record that changes is not read again",
        "reconcile/cache.py",
        "            self.environments.take(entry.key, known.asked if known is not None else None, entry.asked)\n"
        "            self._tell(entry.key)",
        "            self.environments.take(entry.key, known.asked if known is not None else None, entry.asked)",
        (RECORDS,),
    ),
    Mutant(
        "all records are read for each question",
        "reconcile/on_record.py",
        "        for key in self._changed.pop(namespace, ()):",
        "        for key in [each for each in self._cache.bindings if each[0] == namespace]:",
        (RECORDS,),
    ),
)
