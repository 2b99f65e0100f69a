"""Breakages of whose what stands in a key vault is, where a record does not tell it.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

BY_MARK: Final = "tests/unit/reconcile/test_by_mark.py"
RECORDS: Final = "tests/contract/azure/test_lost_records.py"
EXISTING: Final = "tests/contract/azure/test_existing.py"
GUARDRAILS: Final = "tests/unit/domain/test_guardrails.py"
CLAIMS: Final = "tests/unit/reconcile/test_claims.py"
SHARED: Final = "tests/contract/azure/test_shared_groups.py"

WHOSE_ON_AZURE: tuple[Mutant, ...] = (
    Mutant(
        "what no record tells is not looked for by its mark",
        "reconcile/by_mark.py",
        "    if not isinstance(store, FindsByMark):",
        "    if isinstance(store, FindsByMark):",
        (BY_MARK, RECORDS),
    ),
    Mutant(
        "what carries the mark is not removed where no record tells it",
        "reconcile/parts.py",
        "    addresses = runtime.store.addresses(owner, observed)\n    changes = diff(",
        "    changes = diff(",
        (BY_MARK, RECORDS),
    ),
    Mutant(
        "what carries the mark stays when its binding goes",
        "reconcile/parts.py",
        "    addresses = runtime.store.addresses(owner, observed)\n    orphan = ",
        "    orphan = ",
        (BY_MARK, RECORDS),
    ),
    Mutant(
        "what somebody else gave under a copy of the mark is removed",
        "providers/azure/holding.py",
        "    return [each for each in rows if each.role == place.role and each.is_named_by_us]",
        "    return [each for each in rows if each.role == place.role]",
        (RECORDS,),
    ),
    Mutant(
        "a hand-over that does not show yet is taken for one that was not done",
        "providers/azure/sharing.py",
        "                if self._assignments.in_doubt(live):",
        "                if False:",
        (SHARED,),
    ),
    Mutant(
        "what the process before gave a group unseen is taken for absent",
        "providers/azure/assigning.py",
        "            principal = self._shared.group_of(target)",
        '            principal = ""',
        (RECORDS,),
    ),
    Mutant(
        "a group that the backend does not list any more has nothing",
        "providers/azure/assigning.py",
        "            return Observed(address, {}, Claim.OURS)  # under",
        "            return Observed(address, None)  # under",
        (RECORDS,),
    ),
    Mutant(
        "the sweep forgets a credential whose assignments it has removed",
        "providers/azure/store.py",
        "        found |= {Holding(each) for each in self._federated - known}",
        "",
        (EXISTING,),
    ),
    Mutant(
        "the sweep takes a credential for tokens of others",
        "providers/azure/store.py",
        "                if each.issuer == self.place.issuer and naming.is_credential(address):",
        "                if naming.is_credential(address):",
        (EXISTING,),
    ),
    Mutant(
        "access that its store cannot let go may stay when its binding goes",
        "domain/guardrails.py",
        "    return permitted and backend.releases and backend.fence is None",
        "    return permitted and backend.fence is None",
        (GUARDRAILS,),
    ),
    Mutant(
        "a suspended binding inherits what it was only about to have",
        "reconcile/claims.py",
        "        if binding.spec.suspend:",
        "        if False:",
        (CLAIMS, SHARED),
    ),
    Mutant(
        "a suspended binding leans on what it was only about to have",
        "reconcile/parts.py",
        "here.items() if digest or not plan.suspended}",
        "here.items()}",
        (SHARED,),
    ),
)
