"""Breakages of what lets people in at Vault, and of what commands say of key vaults.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from typing import Final

from faults.mutant import Mutant

GROUPS: Final = "tests/unit/vault/test_people_groups.py"
PEOPLE: Final = "tests/unit/domain/test_people.py"
COMMANDS: Final = "tests/unit/commands/test_on_key_vaults.py"

LETTING_IN: tuple[Mutant, ...] = (
    Mutant(
        "people take leases that outlive the binding",
        "domain/people.py",
        'if not isinstance(each, DynamicCredentials) or each.kind != "Dynamic"',
        "if True",
        (PEOPLE,),
    ),
    Mutant(
        "nobody is told that a group is not known to the store",
        "domain/people.py",
        "            if not view.groups.get((provider, value))\n",
        "            if (provider, value) not in view.groups\n",
        (PEOPLE,),
    ),
    Mutant(
        "a person put into the group by hand stays",
        "providers/vault/people.py",
        '        "member_entity_ids": "",\n',
        "",
        (GROUPS,),
    ),
    Mutant(
        "another binding's group counts as ours",
        "providers/vault/people.py",
        "return Claim.OURS if marked == owner else Claim.FOREIGN",
        "return Claim.OURS",
        (GROUPS,),
    ),
    Mutant(
        "a suspended binding lets more groups in",
        "providers/vault/people.py",
        "    people = grant.people & frozenset(members if isinstance(members, tuple) else ())",
        "    people = grant.people",
        (GROUPS,),
    ),
    Mutant(
        "a group with the policy of others counts as what was granted",
        "providers/vault/people.py",
        ' or own_policy.address.name not in _texts(group, "policies")',
        "",
        (GROUPS,),
    ),
    Mutant(
        "the operator may make anybody's group a member",
        "providers/vault/fences.py",
        '("member_group_ids", strings(*sorted(set(group_ids))))',
        '("member_group_ids", _ANY)',
        (GROUPS,),
    ),
    Mutant(
        "the operator may put itself into a group",
        "providers/vault/fences.py",
        '("member_entity_ids", _EMPTY)',
        '("member_entity_ids", _ANY)',
        (GROUPS,),
    ),
    Mutant(
        "a comma smuggles another policy into a group",
        "providers/vault/fences.py",
        '(("policies", _NO_COMMA),)',
        "()",
        (GROUPS,),
    ),
    Mutant(
        "a group gets the policy of somebody else",
        "providers/vault/store.py",
        "    alone: frozenset[str] = frozenset({people.GROUP})",
        "    alone: frozenset[str] = frozenset({people.GROUP, people.POLICY})",
        (GROUPS,),
    ),
    Mutant(
        "what lets people in is not looked for when it must go",
        "providers/vault/store.py",
        "        if {let_in, group}.isdisjoint(others):",
        "        if True:",
        (GROUPS,),
    ),
    Mutant(
        "a binding without people is looked up for people",
        "providers/vault/store.py",
        "        if {let_in, group}.isdisjoint(others):",
        "        if False:",
        (GROUPS,),
    ),
    Mutant(
        "a forged record names another binding's group",
        "domain/record.py",
        'f"{long}_"',
        '"airwarden."',
        (GROUPS,),
    ),
    Mutant(
        "marks are compared under a uid that nobody read",
        "commands/deciding.py",
        "        if not uid:\n",
        "        if False:\n",
        (COMMANDS,),
    ),
    Mutant(
        "a forecast is silent of groups that stay out",
        "commands/planning.py",
        "            or bool(self.people)\n",
        "",
        (COMMANDS,),
    ),
)
