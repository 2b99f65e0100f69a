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
        "    if owns(binding.use if binding is not None else None, holding):",
        "    if False:",
        (SWEEP,),
    ),
    Mutant(
        "a backend sweeps the names of all backends",
        "reconcile/sweep.py",
        "(each for each in found if each.owner.backend == runtime.name)",
        "found",
        (SWEEP,),
    ),
    Mutant(
        "every account under a binding's mark is the binding's",
        "domain/holdings.py",
        "if holding.account and use.account and holding.account != use.account:",
        "if False:",
        (SWEEP_RULES, SWEEP),
    ),
    Mutant(
        "an account that cannot be read is none",
        "domain/holdings.py",
        "holding.account and use.account and holding",
        "holding.account and holding",
        (SWEEP_RULES,),
    ),
    Mutant(
        "two accounts under one mark are one",
        "domain/holdings.py",
        "return cls(owner, owner.account, former)",
        'return cls(owner, "", former)',
        (SWEEP_RULES, SWEEP),
    ),
    Mutant(
        "what another mode left belongs to whoever has its name",
        "domain/holdings.py",
        "return not holding.former or any(address in use.recorded for address in holding.former)",
        "return True",
        (SWEEP_RULES, SWEEP),
    ),
    Mutant(
        "what a binding has on record of another mode is taken from it",
        "domain/holdings.py",
        "return not holding.former or any(address in use.recorded for address in holding.former)",
        "return not holding.former",
        (SWEEP_RULES, SWEEP),
    ),
    Mutant(
        "what another mode left takes the present access with it",
        "reconcile/parts.py",
        "addresses = holding.former or holding.present or runtime.store.addresses(owner)",
        "addresses = runtime.store.addresses(owner)",
        (SWEEP,),
    ),
    Mutant(
        "what another mode left is not looked for",
        "reconcile/sweep.py",
        "if SWEEP_FORMER in runtime.capabilities:",
        "if False:",
        (SWEEP,),
    ),
    Mutant(
        "an account goes before its slots are empty",
        "reconcile/account_sweep.py",
        ' and not orphan.name.startswith(f"{named}/")',
        "",
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
