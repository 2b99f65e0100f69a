"""Breakages of how the Azure store asks: what an answer proves, who is left alone, and whose turn it is.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

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
)
