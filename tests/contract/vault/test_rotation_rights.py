"""Two logins that cannot do each other's work: asked of Vault, with the tokens that a thief would have."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from contract.vault.bench import AUTH, KV, NAMESPACE
from contract.vault.rotation_bench import PASSWORD_POLICY, READING_ROLE, RotationBench
from plane.vault_admin import login

PUT, PATCH = "PUT", "PATCH"
MINE, OTHERS = f"{NAMESPACE}/rights", "another-team/rights"
WRITES: list[tuple[str, str, Any]] = [
    (PATCH, f"{KV}/data/{MINE}", {"data": {"password": "new"}}),
    (PATCH, f"{KV}/metadata/{MINE}", {"custom_metadata": {"x": "y"}}),
    (PATCH, f"{KV}/metadata/{MINE}", {"custom_metadata": {"x": "y"}, "max_versions": 5}),
]
READS: list[tuple[str, str, Any]] = [("GET", f"{KV}/data/{MINE}", None)]
NAMES: list[tuple[str, str, Any]] = [
    ("GET", f"{KV}/metadata/{MINE}", None),
    ("GET", f"{KV}/subkeys/{MINE}", None),
    ("GET", f"sys/policies/password/{PASSWORD_POLICY}/generate", None),
]
POLICIES: list[tuple[str, str, Any]] = [
    (PUT, "sys/policies/acl/airwarden.c1.contract-team.x", {"policy": "# x"}),
    (PUT, "sys/policies/acl/airwarden.c1.cluster-id", {"policy": "# x"}),
    (PUT, "sys/policies/acl/airwarden-operator.c1", {"policy": "# x"}),
    (PUT, "sys/policy/x", {"policy": "# x"}),
    (PUT, "sys/policies/password/x", {"policy": "length = 20"}),
    ("POST", f"auth/{AUTH}/role/airwarden.c1.contract-team.x", {"token_policies": "x"}),
    ("POST", f"auth/{AUTH}/config", {"kubernetes_host": "https://evil"}),
    ("POST", "auth/token/create", {}),
    ("POST", "identity/entity", {"name": "x"}),
    ("POST", "identity/entity-alias", {"name": "x", "canonical_id": "x", "mount_accessor": "x"}),
]
OF_ROTATIONS: list[tuple[str, str, Any]] = [
    (PUT, "sys/policies/acl/airwarden-rotation.c1", {"policy": "# x"}),
    ("POST", f"auth/{AUTH}/role/contract-rotation", {"token_policies": "x"}),
    ("DELETE", f"auth/{AUTH}/role/contract-rotation", None),
]
LOOKS: list[tuple[str, str, Any]] = [
    ("LIST", "sys/policies/acl", None),
    ("GET", "sys/policies/acl/default", None),
    ("LIST", f"auth/{AUTH}/role", None),
    ("GET", f"auth/{AUTH}/role/contract-rotation", None),
    ("GET", f"sys/mounts/{KV}", None),
    ("GET", f"sys/policies/password/{PASSWORD_POLICY}", None),
]
BEYOND: list[tuple[str, str, Any]] = [
    ("GET", f"{KV}/data/{OTHERS}", None),
    (PATCH, f"{KV}/data/{OTHERS}", {"data": {"password": "new"}}),
    (PATCH, f"{KV}/metadata/{OTHERS}", {"custom_metadata": {"x": "y"}}),
    ("GET", f"{KV}/metadata/{OTHERS}", None),
    ("GET", f"{KV}/subkeys/{OTHERS}", None),
    ("POST", f"{KV}/data/{NAMESPACE}/made", {"data": {"password": "new"}}),
    ("POST", f"{KV}/data/{MINE}", {"data": {"password": "new"}}),
    ("DELETE", f"{KV}/data/{MINE}", None),
    (PUT, f"{KV}/destroy/{MINE}", {"versions": [1]}),
    (PUT, f"{KV}/delete/{MINE}", {"versions": [1]}),
    (PUT, f"{KV}/undelete/{MINE}", {"versions": [1]}),
    ("DELETE", f"{KV}/metadata/{MINE}", None),
    ("POST", f"{KV}/metadata/{MINE}", {"cas_required": False}),
    (PATCH, f"{KV}/metadata/{MINE}", {"cas_required": True}),
    (PATCH, f"{KV}/metadata/{MINE}", {"delete_version_after": "1s"}),
    (PATCH, f"{KV}/metadata/{MINE}", {"custom_metadata": {"x": "y"}, "delete_version_after": "1s"}),
    ("LIST", f"{KV}/metadata/{NAMESPACE}", None),
    ("POST", f"{KV}/config", {"max_versions": 1}),
]


@pytest.fixture(scope="module")
def tokens(rotating: RotationBench) -> dict[str, str]:
    """Return a token of each login, and make the secrets that they are tried on."""
    for key in (MINE, OTHERS):
        rotating.admin("POST", f"data/{key}", {"data": {"password": "old"}})
    jwt = (rotating.bench.tokens / "vault").read_text()
    operator = login(rotating.bench.plane, rotating.setup.role_name, jwt, AUTH)
    return {"operator": operator, "rotation": rotating.steal(), "reading": rotating.steal(READING_ROLE)}


def status(rotating: RotationBench, token: str, call: tuple[str, str, Any]) -> int:
    """Return the HTTP status of one request."""
    method, path, body = call
    kind = "application/merge-patch+json" if method == PATCH else "application/json"
    answer = requests.request(
        method,
        f"{rotating.bench.plane.vault_address}/v1/{path}",
        json=body,
        headers={"X-Vault-Token": token, "Content-Type": kind},
        timeout=30,
    )
    return answer.status_code


def permitted(rotating: RotationBench, token: str, calls: list[tuple[str, str, Any]]) -> list[str]:
    return [f"{each[0]} {each[1]}" for each in calls if status(rotating, token, each) != 403]


def test_the_login_that_writes_policies_neither_reads_nor_writes_a_value(
    rotating: RotationBench, tokens: dict[str, str]
) -> None:
    assert permitted(rotating, tokens["operator"], [*WRITES, *READS, *NAMES, *BEYOND, *OF_ROTATIONS]) == []
    assert permitted(rotating, tokens["operator"], POLICIES[:1]), "the control: it does write policies"
    rotating.bench.plane.vault.request("DELETE", POLICIES[0][1])


@pytest.mark.parametrize("name", ["rotation", "reading"])
def test_the_login_that_rotates_writes_no_policy_and_no_role_and_nothing_beyond_its_keys(
    rotating: RotationBench, tokens: dict[str, str], name: str
) -> None:
    assert permitted(rotating, tokens[name], [*POLICIES, *OF_ROTATIONS, *LOOKS, *BEYOND]) == []
    given = [*WRITES, *NAMES]
    assert permitted(rotating, tokens[name], given) == [f"{each[0]} {each[1]}" for each in given]


def test_only_the_login_that_was_asked_to_read_reads(rotating: RotationBench, tokens: dict[str, str]) -> None:
    assert permitted(rotating, tokens["rotation"], READS) == []
    assert permitted(rotating, tokens["reading"], READS) != []


def test_policy_and_role_stand_as_printed(rotating: RotationBench) -> None:
    made, vault = rotating.rotation, rotating.bench.plane.vault
    assert vault.request("GET", f"sys/policies/acl/{made.policy_name}")["data"]["policy"] == made.policy_text
    role = vault.request("GET", f"auth/{made.login.mount}/role/{made.login.role}")["data"]
    assert role["token_policies"] == [made.policy_name]
    assert role["token_no_default_policy"] is True
    assert rotating.setup.policy_text == rotating.bench.setup.policy_text, "the other login has no more than before"
