"""Breakages of what keeps a key vault's role assignments honest, and of stores with an object for each secret.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

ALONE: Final = "tests/unit/reconcile/test_alone.py"
NAMES: Final = "tests/unit/azure/test_naming.py"
PACE: Final = "tests/unit/azure/test_pacing.py"
STORE: Final = "tests/contract/azure/test_store.py"
FAILURES: Final = "tests/contract/azure/test_failures.py"
MARKS: Final = "tests/contract/azure/test_marks.py"
DOWN: Final = "tests/contract/azure/test_identities_down.py"
LOST: Final = "tests/contract/azure/test_lost_answers.py"
BROKEN_OFF: Final = "tests/contract/azure/test_broken_off.py"
LOGINS: Final = "tests/contract/azure/test_logins.py"
DIAGNOSTICS: Final = "tests/contract/azure/test_diagnostics.py"
PEOPLE: Final = "tests/unit/domain/test_people.py"
SESSIONS: Final = "tests/unit/domain/test_sessions.py"

ON_AZURE: tuple[Mutant, ...] = (
    Mutant(
        "the principal goes before what names it",
        "reconcile/parts.py",
        "        if failed and not alone:",
        "        if False:",
        (ALONE,),
    ),
    Mutant(
        "what was not tried counts as written",
        "reconcile/parts.py",
        "                failed |= {each.address: fault for each in operations[number:] "
        "if each.address in progress.alone}\n",
        "",
        (ALONE,),
    ),
    Mutant(
        "one object of somebody else bars all secrets",
        "domain/diff.py",
        "    barring = any(each.kind not in terms.alone for each in refused)",
        "    barring = bool(refused)",
        (ALONE,),
    ),
    Mutant(
        "a forged record of an object for one secret counts",
        "domain/record.py",
        'address.name.startswith((f"{short}/", f"{long}_"))',
        '"/" in address.name',
        (ALONE,),
    ),
    Mutant(
        "a store that ends no session keeps what a rule requires",
        "domain/guardrails.py",
        "(backend.sessions is None or not backend.sessions.keeps(asked, permitted))",
        "(backend.sessions is not None and not backend.sessions.keeps(asked, permitted))",
        (SESSIONS,),
    ),
    Mutant(
        "a record names anybody's assignment",
        "providers/azure/naming.py",
        "    return target is not None and target.short == short",
        "    return target is not None",
        (NAMES,),
    ),
    Mutant(
        "the identity goes first",
        "providers/azure/naming.py",
        "    order = (ASSIGNMENT, CREDENTIAL, IDENTITY)",
        "    order = (IDENTITY, CREDENTIAL, ASSIGNMENT)",
        (NAMES,),
    ),
    Mutant(
        "an unmarked assignment under any name may be ours",
        "providers/azure/rows.py",
        "        return self.name in {name_of(*self.triple), name_of(*self.triple, again=True)}",
        "        return True",
        (NAMES, STORE),
    ),
    Mutant(
        "the mark of a cluster of our name is ours",
        "providers/azure/observing.py",
        " or mark.uid != uid:",
        ":",
        (MARKS,),
    ),
    Mutant(
        "a cluster of our name shares our identity",
        "providers/azure/observing.py",
        '        refuse_other_cluster(expected, owner.cluster, mark.uid, f"role assignment {row.name}")\n',
        "        return\n",
        (STORE,),
    ),
    Mutant(
        "a mark of somebody else's freezes what is ours",
        "providers/azure/observing.py",
        "    if any(mark.uid == expected.cluster_uid for _, mark in marks):",
        "    if False:",
        (MARKS,),
    ),
    Mutant(
        "a check lifts what another cluster's mark barred",
        "providers/azure/store.py",
        "            await self._observe(*self._taken, known=False)\n",
        "",
        (MARKS,),
    ),
    Mutant(
        "an assignment is removed whatever became of it",
        "providers/azure/assignments.py",
        "        if live is not None and (live.triple, live.description) != (row.triple, row.description):",
        "        if False:",
        (FAILURES,),
    ),
    Mutant(
        "a right that is missing is a vault that is gone",
        "providers/azure/assignments.py",
        "            if not await self._vault.is_gone():",
        "            if False:",
        (FAILURES,),
    ),
    Mutant(
        "what comes between look and write is taken over",
        "providers/azure/assignments.py",
        "        if found is None or mark is None or found.description != wanted.description:",
        "        if found is None:",
        (STORE,),
    ),
    Mutant(
        "another cluster's assignment of the same name gets our mark",
        "providers/azure/assignments.py",
        "        if live is not None and live.description not in",
        "        if live is not None and not live.name and live.description not in",
        (STORE,),
    ),
    Mutant(
        "a write without an answer was not done",
        "providers/azure/assignments.py",
        "        self._list.trying(wanted.name)\n",
        "",
        (BROKEN_OFF,),
    ),
    Mutant(
        "an identity without an answer was not made",
        "providers/azure/identities.py",
        "        self._list.trying(name.lower())\n",
        "",
        (LOST,),
    ),
    Mutant(
        "what is on a record is absent on the word of an old list",
        "providers/azure/assigning.py",
        "        if not known or not any(each.absent for each in found.values()):",
        "        if True:",
        (LOST,),
    ),
    Mutant(
        "what the process before wrote is not looked at",
        "providers/azure/assigning.py",
        "        if not self._assignments.is_young:\n            return found",
        "        if True:\n            return found",
        (LOST,),
    ),
    Mutant(
        "an assignment without a mark is forgotten while identities cannot be read",
        "providers/azure/store.py",
        "if address not in doubtful and not",
        "if not",
        (DOWN,),
    ),
    Mutant(
        "what could not be read is absent",
        "reconcile/parts.py",
        "Observed(address, {}, Claim.OURS) for",
        "Observed(address, None) for",
        (DOWN,),
    ),
    Mutant(
        "a group that is gone keeps the assignments",
        "providers/azure/identities.py",
        "        except GroupMissing:\n            return {}\n",
        "        except GroupMissing:\n            raise\n",
        (DOWN,),
    ),
    Mutant(
        "another's mark that a list has shown is overwritten",
        "providers/azure/assigning.py",
        "not (unmarked and known.is_named_by_us):",
        "not known.is_named_by_us:",
        (MARKS,),
    ),
    Mutant(
        "a vault in the wrong mode is written to",
        "providers/azure/vault.py",
        "        if not state.rbac:",
        "        if False:",
        (FAILURES,),
    ),
    Mutant(
        "the limit of an identity is met, not told",
        "providers/azure/identities.py",
        "len(present) >= MOST_CREDENTIALS",
        "len(present) >= 1000",
        (FAILURES,),
    ),
    Mutant(
        "writes follow as they come",
        "providers/azure/pacing.py",
        "        if wait <= 0:\n            return 0.0",
        "        if True:\n            return 0.0",
        (PACE,),
    ),
    Mutant(
        "a subscription that asked for a pause is asked again",
        "providers/azure/arm.py",
        "        if left > 0:",
        "        if False:",
        (FAILURES,),
    ),
    Mutant(
        "a login that was refused is used again",
        "providers/azure/login.py",
        "            except ClientAuthenticationError:\n                self.renew()\n",
        "            except ClientAuthenticationError:\n",
        (LOGINS,),
    ),
    Mutant(
        "a token that was refused is used again",
        "providers/azure/arm.py",
        "                    self._login.renew(login)\n",
        "",
        (FAILURES,),
    ),
    Mutant(
        "the operator may hand out any role",
        "providers/azure/setup.py",
        "            condition(place.role),\n",
        '            "",\n',
        (STORE,),
    ),
    Mutant(
        "any group is let in",
        "domain/people.py",
        "if (known := view.groups.get(each))",
        "if (known := each[1])",
        (PEOPLE,),
    ),
    Mutant(
        "people read what the environment gives all",
        "domain/desired.py",
        "for_people=for_people(each.readable & own_secrets)",
        "for_people=for_people(each.readable)",
        (PEOPLE,),
    ),
    Mutant(
        "the diagnostic setting stays behind the last binding",
        "providers/azure/diagnostics.py",
        "        if wanted is None and found is not None:",
        "        if False:",
        (DIAGNOSTICS,),
    ),
)
