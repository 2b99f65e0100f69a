"""Breakages of the commands that ask a key vault: whose login they use, and whose a thing in it is taken to be.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

LOGIN: Final = ("tests/contract/azure/test_borrowed_login.py",)
JUDGED: Final = ("tests/unit/commands/test_doctor_key_vaults.py",)
_MARKS: Final = "commands/doctor/key_vault_marks.py"
_CHECKS: Final = "commands/doctor/key_vault_checks.py"
_SEEN: Final = "providers/azure/seen.py"

ASKING_AZURE: tuple[Mutant, ...] = (
    Mutant(
        "a command looks with the operator's login",
        "providers/azure/borrowed.py",
        "            self._refuse_operators(found.token)",
        "            pass",
        LOGIN,
    ),
    Mutant(
        "a login that Entra refuses is passed over",
        "providers/azure/borrowed.py",
        "            except CredentialUnavailableError:",
        "            except AzureError:",
        LOGIN,
    ),
    Mutant(
        "a page of a list may be anywhere",
        "providers/azure/looking.py",
        "            if url and not url.startswith(f",
        "            if not url and url.startswith(f",
        ("tests/unit/azure/test_looking.py",),
    ),
    Mutant(
        "another cluster's mark in a key vault is ours",
        _MARKS,
        "    if (mark.uid, mark.owner.cluster) != (found.uid, found.place.cluster):",
        "    if mark.owner.cluster != found.place.cluster:",
        JUDGED,
    ),
    Mutant(
        "a mark in a key vault is proof enough",
        _MARKS,
        "    if address not in known.recorded:",
        "    if not known.recorded:",
        JUDGED,
    ),
    Mutant(
        "a mark makes any principal a binding's identity",
        _MARKS,
        "    if any((each.name, each.principal) == (name, row.principal) for each in found.identities):",
        "    if any(each.name == name for each in found.identities):",
        JUDGED,
    ),
    Mutant(
        "a mark makes any principal a binding's group",
        _MARKS,
        "        is_group = naming.whom_of(row.principal) == mark.whom",
        "        is_group = bool(mark.whom)",
        JUDGED,
    ),
    Mutant(
        "a mark hides another role than the backend's",
        _MARKS,
        "    if mark.owner.backend == found.place.backend and row.role != found.place.role:",
        "    if not mark.owner.backend:",
        JUDGED,
    ),
    Mutant(
        "without a look at the identities an assignment is ours",
        _MARKS,
        "        return Whose.UNSURE, found.identities.needs",
        '        return Whose.OURS, ""',
        JUDGED,
    ),
    Mutant(
        "a binding that was there a moment ago left everything behind",
        _MARKS,
        "    return None if key in facts.bound else False",
        "    return False",
        JUDGED,
    ),
    Mutant(
        "another cluster's identity is a leftover of ours",
        _CHECKS,
        "    if (mark.uid, owner.cluster) != (found.uid, found.place.cluster):",
        "    if owner.cluster != found.place.cluster:",
        JUDGED,
    ),
    Mutant(
        "a role that is not shown gives nothing",
        _CHECKS,
        "    if unknown := sorted({each.row.role for each in acting} - definitions.keys()):",
        "    if unknown := sorted({each.row.role for each in acting} & definitions.keys() & {''}):",
        JUDGED,
    ),
    Mutant(
        "a vault that decides by access policies is judged by roles",
        _CHECKS,
        "    if not isinstance(found.state, Unknown) and not found.state.rbac:",
        "    if isinstance(found.state, Unknown) and found.given is None:",
        JUDGED,
    ),
    Mutant(
        "a role reads by its actions",
        _SEEN,
        '{"actions": each.get("dataActions"), "notActions": each.get("notDataActions")}',
        '{"actions": each.get("actions"), "notActions": each.get("notDataActions")}',
        JUDGED,
    ),
    Mutant(
        "what a role's data actions exclude is given",
        _SEEN,
        '"notActions": each.get("notDataActions")}',
        '"notActions": ()}',
        JUDGED,
    ),
    Mutant(
        "an operator without the printed condition is fine",
        "commands/doctor/key_vault_operator.py",
        "    return not role.grants or _same_text(each.condition, one.condition)",
        "    return True",
        JUDGED,
    ),
)
