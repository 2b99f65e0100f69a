"""Breakages of mode Fenced and of the move between the modes.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from faults.mutant import DOMAIN, RECONCILE, SETUP, Mutant

FENCE, MOVING, SLOTS = f"{DOMAIN}/test_fence.py", f"{RECONCILE}/test_moving.py", "tests/unit/vault/test_slots.py"
FENCED, FORMER, THIEF = (
    "tests/contract/vault/test_fenced.py",
    "tests/contract/vault/test_former.py",
    "tests/contract/vault/test_fence_attacks.py",
)
_SLOTS, _ALIASES = "providers/vault/fenced/slots.py", "providers/vault/fenced/aliases.py"
_SETUP, _STORE = "providers/vault/fenced/setup.py", "providers/vault/fenced/store.py"

FENCED_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "more secrets than slots are admitted",
        "domain/fence.py",
        "len(held) >= fence.capacity(kind)",
        "len(held) > fence.capacity(kind)",
        (FENCE,),
    ),
    Mutant(
        "a namespace's own slots hold what only begins like it",
        "domain/fence.py",
        'item.key.startswith(f"{namespace}/")',
        "item.key.startswith(namespace)",
        (FENCE,),
    ),
    Mutant(
        "dynamic slots hold the roles of any namespace",
        "domain/fence.py",
        'item.engine == self.engine and item.role.startswith(f"{namespace}.")',
        "item.engine == self.engine",
        (FENCE, SLOTS),
    ),
    Mutant(
        "dynamic slots hold the roles of any engine",
        "domain/fence.py",
        "item.engine == self.engine and ",
        "",
        (SLOTS,),
    ),
    Mutant(
        "two backends of one place both fill its slots",
        "domain/fence.py",
        "if holders[fence.place] != each.backend:",
        "if False:",
        (FENCE,),
    ),
    Mutant(
        "one store under two addresses is two places",
        "reconcile/backends.py",
        "fence=fence.of_store(status.store.id) if fence is not None and status is not None else fence,",
        "fence=fence,",
        (f"{RECONCILE}/test_engine.py",),
    ),
    Mutant(
        "what is not there is said to be granted while an old access stays",
        "domain/report.py",
        " and part.digests.keys() <= part.changes.present.keys()",
        "",
        (MOVING,),
    ),
    Mutant(
        "a slot takes any value", _SLOTS, "len(policy.quote(text)) - 2 > _LONGEST", "len(text) > _LONGEST", (SLOTS,)
    ),
    Mutant(
        "secrets beyond the slots are dropped",
        _SLOTS,
        "    if len(waiting) > capacity:\n",
        "    waiting = waiting[:capacity]\n    if len(waiting) > capacity:\n",
        (SLOTS,),
    ),
    Mutant(
        "static roles are read through creds",
        _SLOTS,
        "letter = _STATIC_ROLE if _is_static_role(item) else _LETTERS[kind]",
        "letter = _LETTERS[kind]",
        (SLOTS,),
    ),
    Mutant(
        "the namespace in the policy comes from the operator",
        _SLOTS,
        "{alias}.metadata.service_account_namespace",
        "{alias}.custom_metadata.namespace",
        (SLOTS,),
    ),
    Mutant(
        "what is missing in the admin's policy is not noticed",
        _SLOTS,
        "if path not in there)",
        "if not there)",
        (SLOTS,),
    ),
    Mutant(
        "the operator may fill the slots of any namespace",
        _SETUP,
        "f'\"{namespace}/*\"'",
        "f'\"*/{namespace}*\"'",
        (SETUP,),
    ),
    Mutant(
        "what replaces an access is not read back",
        "reconcile/parts.py",
        "if former and not progress.changes.outgrown and not read_back:",
        "if False:",
        (MOVING,),
    ),
    Mutant(
        "the old access goes although the new is somebody else's",
        "reconcile/parts.py",
        "if former and not progress.changes.outgrown and (progress.changes.conflicts or not creating):",
        "if False:",
        (MOVING,),
    ),
    Mutant(
        "an old access that gives too much waits for the new",
        "domain/diff.py",
        "removals + changes.operations if outgrown else changes.operations + removals",
        "changes.operations + removals",
        (MOVING,),
    ),
    Mutant(
        "an old access goes before the new is there",
        "domain/diff.py",
        "removals + changes.operations if outgrown else changes.operations + removals",
        "removals + changes.operations",
        (MOVING,),
    ),
    Mutant(
        "what the other mode left stays for ever when it gives nothing to read",
        "reconcile/parts.py",
        "(not granted or not runtime.store.readable(found) <= granted)",
        "(not runtime.store.readable(found) <= granted)",
        (MOVING,),
    ),
    Mutant(
        "an old access that cannot be read is removed unseen",
        "reconcile/parts.py",
        "if former and part.unread is not None:",
        "if False:",
        (MOVING,),
    ),
    Mutant(
        "an old access that cannot be read is forgotten",
        "domain/diff.py",
        "unknown = {address: Observed(address, {}) for address in former}",
        "unknown = {address: Observed(address, None) for address in former}",
        (MOVING,),
    ),
    Mutant(
        "slots marked as another's are overwritten",
        _ALIASES,
        "        if found.claim is Claim.FOREIGN:\n            raise",
        "        if False:\n            raise",
        (FENCED,),
        servers=True,
    ),
    Mutant(
        "slots marked as another's are emptied",
        _ALIASES,
        "            if found.claim is Claim.FOREIGN:\n                return",
        "            if False:\n                return",
        (FENCED,),
        servers=True,
    ),
    Mutant(
        "any mark is ours",
        _ALIASES,
        "Claim.OURS if marked == owner else Claim.FOREIGN",
        "Claim.OURS",
        (FENCED,),
        servers=True,
    ),
    Mutant(
        "the fence is not proven before slots are filled",
        _STORE,
        "if operation.action is not Action.DELETE and not self._proven:",
        "if False:",
        (FENCED,),
        servers=True,
    ),
    Mutant(
        "what is no longer granted waits until the fence stands again",
        _STORE,
        "await self._take_back(operation)",
        "pass",
        (FENCED,),
        servers=True,
    ),
    Mutant(
        "what stands in the slots is not held against what is granted",
        _SLOTS,
        "if given and given <= granted:",
        "if given:",
        (SLOTS,),
    ),
    Mutant(
        "what went without leave is forgotten when another of its name comes",
        "reconcile/cache.py",
        "                self._supersede(known, entry)\n",
        "",
        (f"{RECONCILE}/test_engine.py",),
    ),
    Mutant(
        "a mark counts wherever it stands",
        _ALIASES,
        "if namespace == owner.namespace:",
        "if True:",
        (FENCED, FORMER),
        servers=True,
    ),
    Mutant(
        "other clusters' marks are ours",
        _ALIASES,
        " or owner.cluster != cluster",
        "",
        (FENCED, FORMER),
        servers=True,
    ),
    Mutant(
        "what mode Roles left under our name is ours unmarked",
        _STORE,
        "if not await self.client.owns_cluster_name():",
        "if False:",
        (FORMER,),
        servers=True,
    ),
    Mutant(
        "a marker of any cluster will do",
        "providers/vault/identity.py",
        "            refuse_other_cluster(self._expected, self._cluster, holder, name)\n",
        "",
        (FORMER,),
        servers=True,
    ),
    Mutant(
        "a part of the rights gives the capability",
        "providers/vault/checking.py",
        "if name not in lost)",
        "if name)",
        (FORMER,),
        servers=True,
    ),
    Mutant(
        "the operator may move aliases",
        _SETUP,
        'custom_metadata=""),',
        'custom_metadata="", canonical_id=""),',
        (SETUP, THIEF),
        servers=True,
    ),
)
