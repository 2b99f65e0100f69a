"""Breakages of how access in a key vault ends beside identities that cannot be looked at, and of its limits.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

BY_MARK: Final = "tests/unit/reconcile/test_by_mark.py"
BESIDE: Final = "tests/contract/azure/test_beside.py"
CEILINGS: Final = "tests/contract/azure/test_ceilings.py"
PACE: Final = "tests/unit/azure/test_pacing.py"
DOWN: Final = "tests/contract/azure/test_identities_down.py"

ENDING_ON_AZURE: tuple[Mutant, ...] = (
    Mutant(
        "one part that asks for a pause closes the store",
        "reconcile/breaker.py",
        "        if isinstance(error, OfAPart):",
        "        if False:",
        (BY_MARK, DOWN),
    ),
    Mutant(
        "one part that asks for a pause stops the writes to the others",
        "reconcile/parts.py",
        " and not isinstance(error, OfAPart)):",
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
        "providers/azure/assigning.py",
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
    Mutant(
        "one namespace uses up what all have",
        "providers/azure/ceilings.py",
        "        if thing not in has and len(has) >= self.place.per_namespace:",
        "        if False:",
        (CEILINGS,),
    ),
    Mutant(
        "what is being made at the same moment does not count",
        "providers/azure/ceilings.py",
        "        return self._marked.of(namespace) | lent | self._taken(namespace)",
        "        return self._marked.of(namespace) | lent",
        (CEILINGS,),
    ),
    Mutant(
        "what was finished since the list does not count",
        "providers/azure/counting.py",
        "        return still | set(self._since.by_namespace.get(namespace, {}).values())",
        "        return still",
        (CEILINGS,),
    ),
    Mutant(
        "identities of another namespace count as well",
        "providers/azure/ceilings.py",
        "(theirs.cluster, theirs.namespace, theirs.backend) == (owner.cluster, owner.namespace, owner.backend)",
        "(theirs.cluster, theirs.backend) == (owner.cluster, owner.backend)",
        (CEILINGS,),
    ),
    Mutant(
        "the last of a subscription's role assignments are ours to take",
        "providers/azure/ceilings.py",
        ">= most - int(most * _KEPT_FREE):",
        ">= most:",
        (CEILINGS,),
    ),
    Mutant(
        "what was made since the last count does not count",
        "providers/azure/ceilings.py",
        "        if used + len(self._made_since | self._making) >=",
        "        if used >=",
        (CEILINGS,),
    ),
    Mutant(
        "what replaces an assignment counts as new",
        "providers/azure/assigning.py",
        "        asked = not mine and (known is None or lent)",
        "        asked = known is None or lent",
        (CEILINGS,),
    ),
    Mutant(
        "a removal waits behind all that is to be made",
        "providers/azure/identities.py",
        'if last is not None else "", ahead=True)',
        'if last is not None else "")',
        (CEILINGS,),
    ),
    Mutant(
        "two go at once where one gave way",
        "providers/azure/pacing.py",
        "        first = max(self._free, now - self._credit)",
        "        first = now - self._credit",
        (PACE,),
    ),
    Mutant(
        "who makes something does not wait for removals",
        "providers/azure/pacing.py",
        "if waiting is self._makers else 0",
        "if waiting is None else 0",
        (PACE,),
    ),
    Mutant(
        "a second way into an identity is not told",
        "providers/azure/beside.py",
        "            if each.name != owner.short_name_in_store:",
        "            if False:",
        (BESIDE,),
    ),
    Mutant(
        "what is assigned under our mark counts as asked for",
        "providers/azure/beside.py",
        "not (address in wanted if wanted is not None else theirs):",
        "not theirs:",
        (BESIDE,),
    ),
    Mutant(
        "another role at the same secret is not told",
        "providers/azure/beside.py",
        "        if row.role != place.role or not",
        "        if not",
        (BESIDE,),
    ),
    Mutant(
        "what is given above the vault is not told",
        "providers/azure/assignments.py",
        "        return list(self._list.seen().values())",
        "        return [each for each in self._list.seen().values() if self._is_here(each)]",
        (BESIDE,),
    ),
    Mutant(
        "a look at a part is taken for all that is asked for",
        "providers/azure/beside.py",
        "        if any(each.kind == naming.CREDENTIAL for each in found):",
        "        if True:",
        (BESIDE,),
    ),
    Mutant(
        "what another cluster has is ours to judge",
        "providers/azure/beside.py",
        "    return mark.uid == uid and",
        "    return",
        (BESIDE,),
    ),
)
