"""Breakages of the sweep, of the identity of stores and clusters, and of commands under the caller's rights.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from faults.mutant import CALLER, IDENTITY, IDENTITY_CONTRACT, SWEEP, SWEEP_RULES, Mutant

SWEEPING: tuple[Mutant, ...] = (
    Mutant(
        "an empty list of bindings is the truth",
        "domain/sweep.py",
        "    if orphans and not bindings:",
        "    if False:",
        (SWEEP_RULES,),
    ),
    Mutant(
        "any share may go at once",
        "domain/sweep.py",
        "    if orphans > FEW and orphans * SHARE > owners:",
        "    if False:",
        (SWEEP_RULES,),
    ),
    Mutant(
        "what is held back goes all the same",
        "domain/sweep.py",
        "() if held else tuple(ripe)",
        "tuple(ripe)",
        (SWEEP_RULES,),
    ),
    Mutant(
        "an orphan has no grace",
        "domain/sweep.py",
        ".total_seconds() >= grace]",
        ".total_seconds() >= 0]",
        (SWEEP_RULES,),
    ),
    Mutant(
        "the binding is not looked for again before the removal",
        "reconcile/sweep.py",
        "    if binding is not None and runtime.name in binding.backends:",
        "    if False:",
        (SWEEP,),
    ),
    Mutant(
        "a backend sweeps the names of all backends",
        "reconcile/sweep.py",
        "(each for each in owners if each.backend == runtime.name)",
        "owners",
        (SWEEP,),
    ),
    Mutant(
        "a page is the whole list",
        "providers/kubernetes/live.py",
        'token = metadata.get("continue") or ""',
        'token = ""',
        (SWEEP,),
    ),
    Mutant(
        "an account is ours by its labels alone",
        "reconcile/account_sweep.py",
        " and account.written_by_us",
        "",
        (SWEEP,),
    ),
    Mutant(
        "an account goes before its stores are clear",
        "reconcile/account_sweep.py",
        "if ripe and self._stores_are_clear(key_of(each)):",
        "if ripe:",
        (SWEEP,),
    ),
    Mutant(
        "a missing mount counts in a store that is not known",
        "reconcile/parts.py",
        "        if not removing or not runtime.identified:",
        "        if not removing:",
        (SWEEP,),
    ),
    Mutant(
        "any store will do",
        "domain/identity.py",
        "    if not expected.store_ids or found in expected.store_ids:",
        "    if True:",
        (IDENTITY,),
    ),
    Mutant(
        "a name that is another cluster's is ours",
        "domain/identity.py",
        "    if holder == expected.cluster_uid:",
        "    if holder:",
        (IDENTITY,),
    ),
    Mutant(
        "requests go out before the cluster's name is shown",
        "providers/vault/client.py",
        "if needed and self.identity is not None and self._proven != login.number:",
        "if False:",
        (IDENTITY_CONTRACT,),
        servers=True,
    ),
    Mutant(
        "a login is sent before it is known to whom",
        "providers/vault/client.py",
        "        if self.identity is not None:\n            await self.health()\n",
        "",
        (IDENTITY_CONTRACT,),
        servers=True,
    ),
    Mutant(
        "a command revokes its caller's token",
        "providers/vault/borrowed.py",
        "        self._login = None\n        await super().close()",
        "        await super().close()",
        (CALLER,),
    ),
)
