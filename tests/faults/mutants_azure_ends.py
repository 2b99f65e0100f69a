"""Breakages of how access in a key vault ends beside identities that cannot be looked at, and of its limits.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

BY_MARK: Final = "tests/unit/reconcile/test_by_mark.py"
DOWN: Final = "tests/contract/azure/test_identities_down.py"

ENDING_ON_AZURE: tuple[Mutant, ...] = (
    Mutant(
        "one part that asks for a pause closes the store",
        "reconcile/breaker.py",
        "        if isinstance(error, PartThrottled):",
        "        if False:",
        (BY_MARK, DOWN),
    ),
    Mutant(
        "one part that asks for a pause stops the writes to the others",
        "reconcile/parts.py",
        " and not isinstance(error, PartThrottled)):",
        "):",
        (BY_MARK,),
    ),
    Mutant(
        "what is wanted goes where not all can be looked at",
        "reconcile/parts.py",
        "    unwanted = tuple(each for each in part.addresses if each not in progress.digests)",
        "    unwanted = part.addresses",
        (BY_MARK, DOWN),
    ),
    Mutant(
        "what was not looked at leaves the record",
        "domain/record.py",
        "            unseen = _unseen(before, backend) if part.partly else {}",
        "            unseen: dict[Address, Target] = {}",
        (BY_MARK,),
    ),
    Mutant(
        "of an account that is another's only what was looked at is on the record",
        "reconcile/parts.py",
        "    partly = not part.progress.seen",
        "    partly = False",
        (BY_MARK,),
    ),
    Mutant(
        "a secret whose store was not looked at only waits",
        "domain/alone.py",
        "    if part.partly:",
        "    if False:",
        (BY_MARK,),
    ),
    Mutant(
        "a suspended binding that was not looked at holds nothing",
        "domain/report.py",
        "if plan.suspended and part.seen}",
        "if plan.suspended and part.changes is not None}",
        (BY_MARK,),
    ),
    Mutant(
        "an orphan that cannot be seen is gone",
        "reconcile/sweep.py",
        "    orphans = (*found.orphans, *(each for each in known if each.name not in here))[:MOST]",
        "    orphans = found.orphans",
        (BY_MARK,),
    ),
    Mutant(
        "an assignment of the process before is absent on the word of its mark",
        "providers/azure/store.py",
        " and not (young and each.absent)",
        "",
        (DOWN,),
    ),
    Mutant(
        "an assignment that could not be looked at counts as removed",
        "providers/azure/store.py",
        "            if operation.observed.fields == {}:",
        "            if False:",
        (DOWN,),
    ),
    Mutant(
        "identities that ask for a pause stop what is assigned",
        "providers/azure/connection.py",
        'f"Microsoft.ManagedIdentity in subscription {self.identity_subscription}"',
        'f"subscription {self.identity_subscription}"',
        (DOWN,),
    ),
    Mutant(
        "identities that do not answer take all the connections",
        "providers/azure/arm.py",
        "max(1, self.connection.max_concurrent - 1)",
        "self.connection.max_concurrent",
        (DOWN,),
    ),
    Mutant(
        "a backend is not well while its identities ask for a pause",
        "providers/azure/checking.py",
        "                if here:\n",
        "                if True:\n",
        (DOWN,),
    ),
)
