"""Breakages of what the Azure store does about writes without an answer, reads that lag, and the pace of writes.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

BROKEN_OFF: Final = "tests/contract/azure/test_broken_off.py"
LISTS: Final = "tests/contract/azure/test_lists.py"
SHARED_LIST: Final = "tests/unit/azure/test_shared_list.py"

BREAKING_OFF: tuple[Mutant, ...] = (
    Mutant(
        "an assignment that a read does not show yet was not made",
        "providers/azure/assignments.py",
        "            elif self._list.doubts(row.name, LAG):",
        "            elif False:",
        (BROKEN_OFF,),
    ),
    Mutant(
        "what a read does not show yet needs no removal",
        "providers/azure/assignments.py",
        "        if live is None and not self._list.doubts(row.name, LAG):",
        "        if live is None:",
        (BROKEN_OFF,),
    ),
    Mutant(
        "an assignment that was refused is in doubt",
        "providers/azure/assignments.py",
        "            self._list.settled(wanted.name)\n            raise",
        "            raise",
        (BROKEN_OFF,),
    ),
    Mutant(
        "an identity that a read does not show yet was not made",
        "providers/azure/identities.py",
        "            if found is None and self._list.doubts(name.lower(), LAG):",
        "            if False:",
        (BROKEN_OFF,),
    ),
    Mutant(
        "a credential without an answer was not made",
        "providers/azure/identities.py",
        'self._recent.note(identity.lower(), wanted.name, Credential(wanted.name, "", "", ()), doubtful=True)',
        "pass",
        (BROKEN_OFF,),
    ),
    Mutant(
        "a write of an identity is counted from when it left",
        "providers/azure/identities.py",
        "            for each in self._lines_of(identity):\n                each.take(who)",
        "            pass",
        (LISTS,),
    ),
    Mutant(
        "a list is as old as its answer",
        "providers/azure/shared_list.py",
        "        self._items, self._asked = await self._fetch(), asked",
        "        self._items, self._asked = await self._fetch(), self._clock()",
        (SHARED_LIST,),
    ),
    Mutant(
        "what was written is forgotten while an older list counts",
        "providers/azure/shared_list.py",
        " if now - at < LAG or at >= asked",
        " if now - at < LAG",
        (SHARED_LIST,),
    ),
)
