"""The conditions of role assignments that the stand-in for Azure evaluates."""

from __future__ import annotations

import pytest

from stand_ins.azure.conditions import Asked, NotACondition, parse

WRITE, DELETE = "Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete"
USER, OFFICER = "4633458b-17de-408a-b874-0445c86b69e6", "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
ROLE = "@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId]"


def asked(role: str, action: str = WRITE, kind: str = "ServicePrincipal") -> Asked:
    return Asked(action, {"RoleDefinitionId": role, "PrincipalType": kind}, {})


@pytest.mark.parametrize(
    ("text", "user", "officer"),
    [
        (f"{ROLE} ForAnyOfAnyValues:GuidEquals {{{USER}}}", True, False),
        (f"{ROLE} ForAnyOfAnyValues:GuidEquals {{{USER}, {OFFICER.upper()}}}", True, True),
        (f"{ROLE} ForAnyOfAllValues:GuidNotEquals {{{USER}}}", False, True),
        (f"!({ROLE} GuidEquals {USER})", False, True),
        (f"({ROLE} GuidEquals {USER} OR {ROLE} GuidEquals {OFFICER})", True, True),
        (f"{ROLE} GuidEquals {USER} && {ROLE} GuidEquals {OFFICER}", False, False),
        (f"!(ActionMatches{{'{DELETE}'}}) AND {ROLE} GuidEquals {USER}", True, False),
        ("ActionMatches{'Microsoft.Authorization/roleAssignments/*'}", True, True),
        ("@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] GuidEquals " + USER, False, False),
    ],
)
def test_says_yes_and_no(text: str, user: bool, officer: bool) -> None:
    condition = parse(text)
    assert (condition(asked(USER)), condition(asked(OFFICER))) == (user, officer)


def test_joins_and_before_or() -> None:
    condition = parse(f"{ROLE} GuidEquals {USER} OR {ROLE} GuidEquals {OFFICER} AND ActionMatches{{'{DELETE}'}}")
    assert condition(asked(USER))
    assert not condition(asked(OFFICER))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "true",
        "(",
        f"{ROLE} GuidEquals {USER} OR",
        f"({ROLE} GuidEquals {USER}",
        f"{ROLE} GuidEquals {USER})",
        f"{ROLE} GuidResembles {USER}",
        f"@Request[Microsoft.Authorization/roleAssignments:Colour] GuidEquals {USER}",
        f"@Principal[Microsoft.Authorization/roleAssignments:PrincipalId] GuidEquals {USER}",
    ],
)
def test_takes_nothing_for_a_condition_that_it_does_not_understand(text: str) -> None:
    with pytest.raises(NotACondition):
        parse(text)
