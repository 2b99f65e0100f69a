"""Breakages of what is said of a key vault: what a binding is told, and what a condition, a message or a metric says.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

ABSENCE: Final = ("tests/contract/azure/test_absence.py",)
BINDINGS: Final = ("tests/unit/reconcile/test_bindings.py",)
DIAGNOSTICS: Final = ("tests/contract/azure/test_diagnostics.py",)
FAILURES: Final = ("tests/contract/azure/test_failures.py",)
IDS: Final = ("tests/contract/azure/test_ids.py",)
NOTES: Final = ("tests/unit/reconcile/test_notes.py",)
STORE: Final = ("tests/contract/azure/test_store.py",)
SCOPES: Final = ("tests/contract/azure/test_scopes.py",)

TOLD_ON_AZURE: tuple[Mutant, ...] = (
    Mutant(
        "a binding whose vault or mount is gone stays Ready",
        "reconcile/parts.py",
        "return error.retryable and not isinstance(error, MountMissing)",
        "return error.retryable",
        BINDINGS,
    ),
    Mutant(
        "an outage brings back access that was known to be gone",
        "domain/report.py",
        "still_gone(previous, plan, drift.remembered(previous, parts))",
        "drift.remembered(previous, parts)",
        BINDINGS,
    ),
    Mutant(
        "access that was known to be gone is back when something else has failed since",
        "domain/report.py",
        "    kept = noted(kept, previous.targets, parts)\n",
        "",
        BINDINGS,
    ),
    Mutant(
        "a vault that marks tell to be gone is taken for the other half's outage",
        "reconcile/parts.py",
        "            why = gone",
        "            why = error",
        ("tests/unit/reconcile/test_by_mark.py",),
    ),
    Mutant(
        "whoever has the whole vault is told of one key",
        "reconcile/backends.py",
        "frozenset() if self.backend.spec.grants_keys else self.store.alone",
        "frozenset()",
        SCOPES,
    ),
    Mutant(
        "each secret is given by the whole vault",
        "providers/azure/naming.py",
        "    secret = key if place.scope is Scope.SECRET else WHOLE",
        "    secret = WHOLE",
        SCOPES,
    ),
    Mutant(
        "a client id that nobody knows as an object id is only waited for",
        "providers/azure/answers.py",
        " Give the object id, not the client id of an application.",
        "",
        IDS,
    ),
    Mutant(
        "whoever logs in with an object id is not told which id is meant",
        "providers/azure/answers.py",
        ' if "AADSTS700016" in message else ""',
        ' if False else ""',
        IDS,
    ),
    Mutant(
        "what was said of a store is taken back while it cannot be asked",
        "reconcile/probe.py",
        "        return said + tuple(each for each in previous if each.type in NOTED and each.type not in known)",
        "        return said",
        NOTES,
    ),
    Mutant(
        "what is shared and could not be kept is not said",
        "reconcile/probe.py",
        "        shared = (self._shared.note,) if self._shared.note is not None else ()",
        "        shared = ()",
        NOTES,
    ),
    Mutant(
        "rights that went with the vault count as had when it is back",
        "providers/azure/checking.py",
        "            self._asked = None  #",
        "            pass  #",
        ABSENCE,
    ),
    Mutant(
        "a quota is near when it is used up",
        "providers/azure/checking.py",
        "_NEAR: Final = 0.8",
        "_NEAR: Final = 1.0",
        FAILURES,
    ),
    Mutant(
        "what Azure calls no assignment can never be removed",
        "providers/azure/assignments.py",
        '            if "InvalidRoleAssignmentId" not in error.message:',
        "            if True:",
        FAILURES,
    ),
    Mutant(
        "any refusal of a removal is taken for a removal",
        "providers/azure/assignments.py",
        '            if "InvalidRoleAssignmentId" not in error.message:',
        "            if False:",
        FAILURES,
    ),
    Mutant(
        "the audit log goes to a workspace or nowhere",
        "providers/azure/diagnostics.py",
        '        "storageAccountId": declared.storage_account_id,',
        '        "storageAccountId": None,',
        DIAGNOSTICS,
    ),
    Mutant(
        "what kind of principal it is, the client guesses",
        "providers/azure/assignments.py",
        "            principal_type=wanted.principal_type,\n",
        "",
        STORE,
    ),
)
