"""What the operator's printed rights on groups really permit: asked of Vault with a login of the operator's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contract.vault.people_bench import ANALYSTS, AUDITORS, CLUSTER, STRANGERS, PeopleBench
from plane.errors import PlaneHTTPError

NAME = f"airwarden.{CLUSTER}.team.thief.vault"
OWN = f"identity/group/name/{NAME}"
Body = Callable[[PeopleBench], dict[str, Any]]


def good(bench: PeopleBench, **change: object) -> dict[str, Any]:
    return {
        "type": "internal",
        "policies": f"{NAME}_people",
        "member_group_ids": bench.ids[ANALYSTS],
        "member_entity_ids": "",
        "metadata": {"airwarden-owner": "x"},
        **change,
    }


PERMITTED: dict[str, Body] = {
    "one group": good,
    "both groups": lambda bench: good(bench, member_group_ids=[bench.ids[ANALYSTS], bench.ids[AUDITORS]]),
}
REFUSED: dict[str, Body] = {
    "another group of the admin's": lambda bench: good(bench, member_group_ids=bench.ids[STRANGERS]),
    "another beside a permitted one": lambda bench: good(
        bench, member_group_ids=[bench.ids[ANALYSTS], bench.ids[STRANGERS]]
    ),
    "the same as one text": lambda bench: good(bench, member_group_ids=f"{bench.ids[ANALYSTS]},{bench.ids[STRANGERS]}"),
    "an entity": lambda bench: good(bench, member_entity_ids="0f9a5f5a-0000-0000-0000-000000000000"),
    "a list of entities": lambda bench: good(bench, member_entity_ids=["0f9a5f5a-0000-0000-0000-000000000000"]),
    "an empty entity and another": lambda bench: good(bench, member_entity_ids=["", "0f9a5f5a"]),
    "a policy of somebody else": lambda bench: good(bench, policies="admin"),
    "one of ours and another": lambda bench: good(bench, policies=[f"{NAME}_people", "admin"]),
    "the same as one text of policies": lambda bench: good(bench, policies=f"{NAME}_people,admin"),
    "another cluster's policy": lambda bench: good(bench, policies="airwarden.c1.team.x.vault"),
    "the operator's own policy": lambda bench: good(bench, policies=bench.setup().policy_name),
    "an external group": lambda bench: good(bench, type="external"),
    "an id": lambda bench: good(bench, id=bench.ids[STRANGERS]),
    "another name": lambda bench: good(bench, name="idp-strangers"),
    "a parent": lambda bench: good(bench, parent_group_ids=[bench.ids[STRANGERS]]),
    "parameters in capitals": lambda bench: {**good(bench), "Member_Group_IDs": bench.ids[STRANGERS]},
}


def status(bench: PeopleBench, method: str, path: str, body: dict[str, Any] | None = None) -> int:
    """Call as the operator; return the status that Vault answers."""
    try:
        bench.bench.plane.vault.request(method, path, body, token=bench.operator_token())
    except PlaneHTTPError as refused:
        return refused.status
    return 200


@pytest.mark.parametrize("name", PERMITTED)
def test_the_printed_policy_permits_what_the_operator_writes(people_bench: PeopleBench, name: str) -> None:
    assert status(people_bench, "POST", OWN, PERMITTED[name](people_bench)) == 200
    assert status(people_bench, "GET", OWN) == 200
    assert status(people_bench, "LIST", "identity/group/name") == 200
    assert status(people_bench, "DELETE", OWN) == 200


@pytest.mark.parametrize("name", REFUSED)
def test_the_printed_policy_refuses_everything_else_in_a_group(people_bench: PeopleBench, name: str) -> None:
    assert status(people_bench, "POST", OWN, REFUSED[name](people_bench)) == 403
    assert status(people_bench, "GET", OWN) == 404, "nothing was made"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "identity/group/name/idp-strangers", {"policies": []}),
        ("POST", "identity/group/name/airwarden.c1.team.x.vault", {"type": "internal"}),
        ("GET", "identity/group/name/idp-strangers", None),
        ("DELETE", "identity/group/name/idp-strangers", None),
        ("POST", "identity/group", {"name": NAME, "type": "internal"}),
        ("LIST", "identity/group/id", None),
        ("POST", "identity/group-alias", {"name": "analysts"}),
        ("LIST", "identity/group-alias/id", None),
        ("POST", "identity/entity", {"name": "x"}),
        ("LIST", "identity/entity/id", None),
        ("POST", "identity/entity-alias", {"name": "x"}),
        ("POST", "identity/entity/merge", {"from_entity_ids": ["x"], "to_entity_id": "y"}),
        ("POST", "identity/lookup/group", {"name": "idp-strangers"}),
    ],
)
def test_no_other_group_entity_or_alias_can_be_reached(
    people_bench: PeopleBench, method: str, path: str, body: dict[str, Any] | None
) -> None:
    assert status(people_bench, method, path, body) == 403


def test_a_group_by_its_id_cannot_be_reached(people_bench: PeopleBench) -> None:
    path = f"identity/group/id/{people_bench.ids[STRANGERS]}"
    assert {
        status(people_bench, method, path, body) for method, body in (("GET", None), ("POST", {"policies": []}))
    } == {403}
