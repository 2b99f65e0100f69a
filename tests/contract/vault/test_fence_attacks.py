"""A thief with the operator's own Vault token, in both modes: what stops them, and what does not."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from contract.vault.bench import AUTH as ROLES_AUTH
from contract.vault.bench import KV as ROLES_KV
from contract.vault.bench import NAMESPACE as ROLES_NAMESPACE
from contract.vault.bench import Bench
from contract.vault.fenced_bench import (
    AUTH,
    CLUSTER,
    ENGINE,
    KV,
    NAMESPACE,
    OPERATOR_ROLE,
    OTHER,
    ROLE,
    UNLISTED,
    FencedBench,
)
from plane.vault_admin import login, read_secret, write_secret

STARS = 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }'
FENCE = f"airwarden-fence.{CLUSTER}.{ROLE}"
REFUSED: list[tuple[str, str, Any]] = [
    ("PUT", f"sys/policies/acl/{FENCE}", {"policy": STARS}),
    ("DELETE", f"sys/policies/acl/{FENCE}", None),
    ("PUT", f"sys/policies/acl/airwarden.{CLUSTER}.{NAMESPACE}.x.{ROLE}", {"policy": STARS}),
    ("PUT", f"sys/policies/acl/airwarden-operator.{CLUSTER}", {"policy": STARS}),
    ("PUT", "sys/policies/acl/admin", {"policy": STARS}),
    ("PUT", f"sys/policy/{FENCE}", {"policy": STARS}),
    ("GET", "sys/policies/acl/default", None),
    ("LIST", "sys/policies/acl", None),
    ("PUT", "sys/policies/password/x", {"policy": "length = 20"}),
    ("POST", f"auth/{AUTH}/role/{ROLE}", {"token_policies": "root"}),
    ("DELETE", f"auth/{AUTH}/role/{ROLE}", None),
    ("POST", f"auth/{AUTH}/role/{OPERATOR_ROLE}", {"token_policies": "admin"}),
    ("POST", f"auth/{AUTH}/role/airwarden.{CLUSTER}.x", {"bound_service_account_names": "x"}),
    ("LIST", f"auth/{AUTH}/role", None),
    ("POST", f"auth/{AUTH}/config", {"kubernetes_host": "https://evil"}),
    ("GET", f"auth/{AUTH}/config", None),
    ("POST", f"sys/auth/{AUTH}/tune", {"max_lease_ttl": "1000h"}),
    ("POST", "sys/auth/x", {"type": "userpass"}),
    ("GET", "sys/auth", None),
    ("GET", "sys/mounts", None),
    ("POST", "sys/mounts/x", {"type": "kv"}),
    ("POST", "auth/token/create", {"policies": [FENCE]}),
    ("POST", "auth/token/create-orphan", {}),
    ("GET", f"{KV}/data/{NAMESPACE}/connections/theirs", None),
    ("POST", f"{KV}/data/{NAMESPACE}/connections/theirs", {"data": {"a": "b"}}),
    ("LIST", f"{KV}/metadata/{NAMESPACE}", None),
    ("GET", f"{ENGINE}/creds/{NAMESPACE}.ro", None),
    ("POST", "identity/entity", {"name": "x", "policies": ["root"]}),
    ("LIST", "identity/entity/id", None),
    ("POST", "identity/entity/merge", {"from_entity_ids": ["x"], "to_entity_id": "y"}),
    ("POST", "identity/group", {"name": "x", "policies": ["root"]}),
    ("POST", "identity/group-alias", {"name": "x", "mount_accessor": "x", "canonical_id": "y"}),
    ("POST", "identity/persona", {"name": f"{NAMESPACE}/x", "mount_accessor": "x"}),
    ("POST", "identity/lookup/group", {"name": "x"}),
    ("POST", "identity/lookup/entity", {"name": "x"}),
    ("POST", "identity/lookup/entity", {"id": "x"}),
    ("POST", "identity/lookup/entity", {"alias_id": "x"}),
    ("GET", "identity/entity-alias/id/x", None),
    ("POST", "identity/entity-alias/id/x", {"custom_metadata": {}}),
    ("DELETE", "identity/entity-alias/id/x", None),
    ("GET", "sys/audit", None),
    ("PUT", "sys/leases/revoke", {"lease_id": "x"}),
    ("PUT", "sys/seal", None),
]


@pytest.fixture(scope="module")
def stolen(fenced: FencedBench) -> str:
    return fenced.steal()


@pytest.mark.parametrize("call", REFUSED, ids=lambda call: f"{call[0]} {call[1]}")
def test_a_thief_in_mode_fenced_is_refused_whatever_is_not_a_slot(
    fenced: FencedBench, stolen: str, call: tuple[str, str, Any]
) -> None:
    assert fenced.refused(*call, token=stolen)


def test_a_thief_cannot_move_an_admins_alias_or_fill_that_of_another_mount_or_namespace(
    fenced: FencedBench, stolen: str
) -> None:
    vault = fenced.plane.vault
    admin = vault.request("POST", "identity/entity", {"name": "an-admin", "policies": ["root-like"]})["data"]["id"]
    fenced.fill(f"{NAMESPACE}/known", {"a": "b"})
    known = fenced.alias(f"{NAMESPACE}/known")
    body = {"name": f"{NAMESPACE}/known", "mount_accessor": fenced.accessor, "custom_metadata": {"p00": "x"}}
    token_mount = vault.request("GET", "sys/auth/token")["data"]["accessor"]
    for change in (
        {"canonical_id": admin},
        {"canonical_id": ""},
        {"entity_id": admin},
        {"id": known["id"]},
        {"Canonical_ID": admin},
        {"metadata": {"service_account_namespace": OTHER}},
        {"mount_accessor": token_mount},
        {"name": f"{UNLISTED}/x"},
        {"name": NAMESPACE},
        {"name": f"{NAMESPACE}x/y"},
        {"name": f"{NAMESPACE.upper()}/x"},
        {"name": "*"},
    ):
        assert fenced.refused("POST", "identity/entity-alias", {**body, **change}, stolen), change
    assert fenced.alias(f"{NAMESPACE}/known") == known
    for name in (f"{UNLISTED}/x", "an-admin"):
        look = {"alias_name": name, "alias_mount_accessor": fenced.accessor}
        assert fenced.refused("POST", "identity/lookup/entity", look, stolen)


HOSTILE = (
    "*",
    "+",
    "+/x",
    "x/*",
    "..",
    "../",
    f"../{UNLISTED}/secret",
    f"../../{UNLISTED}/secret",
    f"%2e%2e/{UNLISTED}/secret",
    f"/{UNLISTED}/secret",
    f"//{UNLISTED}/secret",
    'x" { capabilities = ["sudo"] } path "*',
    "{{identity.entity.id}}",
    "{{identity.entity.aliases.x.name}}",
    "${x}",
    "x\\..",
    "x\n",
)


def test_whatever_a_thief_writes_into_the_slots_stays_in_the_trees_of_the_admins_policy(
    fenced: FencedBench, stolen: str
) -> None:
    for place in (UNLISTED, OTHER):
        write_secret(fenced.plane, f"{place}/secret", {"a": "a-value-of-others"}, mount=KV)
    task = fenced.log_in("hostile")
    beyond = [
        f"{KV}/data/{UNLISTED}/secret",
        f"{KV}/data/{OTHER}/secret",
        f"{KV}/metadata/{NAMESPACE}/x",
        f"{KV}/config",
        f"{ENGINE}/creds/{OTHER}.ro",
        f"{ENGINE}/config/x",
        f"{ENGINE}/roles/{NAMESPACE}.ro",
        "sys/policies/acl/x",
        "sys/mounts",
        "auth/token/create",
        "identity/entity-alias",
        f"auth/{AUTH}/role/{ROLE}",
    ]
    for value in HOSTILE:
        written = {f"{letter}{number:02}": value for letter in "psdt" for number in range(3)}
        try:
            fenced.fill(f"{NAMESPACE}/hostile", written, stolen)
        except Exception as error:  # noqa: BLE001 - a value that Vault itself refuses reaches nothing
            assert "custom_metadata" in str(error), value  # noqa: PT017 - said of either outcome
            continue
        found = fenced.capabilities(task, beyond)
        assert {path for path in beyond if found[path] != ["deny"]} == set(), value
        for place in (UNLISTED, OTHER):
            assert fenced.refused("GET", f"{KV}/data/{place}/secret", None, task), value
            # A written * is a prefix, and old servers do not clean %2e%2e: they answer with an error, not the value.
            assert "a-value-of-others" not in raw_get(fenced, f"{KV}/data/{NAMESPACE}/%2e%2e/{place}/secret", task)


def raw_get(fenced: FencedBench, path: str, token: str) -> str:
    """Return the answer to a path that no client has cleaned."""
    host = fenced.plane.vault_address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request("GET", f"/v1/{path}", headers={"X-Vault-Token": token})
        answer = connection.getresponse()
        assert answer.status != 200, path
        return answer.read().decode()
    finally:
        connection.close()


def test_what_a_thief_in_mode_fenced_can_do_is_to_fill_slots_in_the_listed_namespaces(
    fenced: FencedBench, stolen: str
) -> None:
    """The other half of the truth, as docs/security.md says it."""
    for key in (f"{NAMESPACE}/connections/theirs", "shared/theirs"):
        write_secret(fenced.plane, key, {"a": "b"}, mount=KV)
    account = fenced.log_in("accomplice")  # any account of a listed namespace under which the thief can run
    fenced.fill(f"{NAMESPACE}/accomplice", {"p00": "connections/theirs", "s00": "theirs"}, stolen)
    assert read_secret(fenced.plane, f"{NAMESPACE}/connections/theirs", token=account, mount=KV) == {"a": "b"}
    assert read_secret(fenced.plane, "shared/theirs", token=account, mount=KV) == {"a": "b"}
    fenced.fill(f"{NAMESPACE}/accomplice", {"p00": "*"}, stolen)
    found = fenced.capabilities(account, [f"{KV}/data/{NAMESPACE}/anything", f"{KV}/data/{OTHER}/anything"])
    assert found[f"{KV}/data/{OTHER}/anything"] == ["deny"]  # a star is at most the namespace's whole tree
    fenced.fill(f"{NAMESPACE}/accomplice", {}, stolen)
    assert fenced.refused("GET", f"{KV}/data/{NAMESPACE}/connections/theirs", None, account)


def test_a_thief_in_mode_roles_becomes_an_administrator(bench: Bench) -> None:
    """The control: the same thief with the rights of mode Roles."""
    plane, name = bench.plane, f"airwarden.c1.{ROLES_NAMESPACE}.thief.x"
    token = login(plane, bench.setup.role_name, (bench.tokens / "vault").read_text(), ROLES_AUTH)
    plane.vault.request("PUT", f"sys/policies/acl/{name}", {"policy": STARS}, token=token)
    role = {
        "bound_service_account_names": "thief",
        "bound_service_account_namespaces": ROLES_NAMESPACE,
        "audience": "vault",
        "alias_name_source": "serviceaccount_uid",
        "token_policies": name,
        "token_type": "service",
        "token_no_default_policy": True,
    }
    plane.vault.request("POST", f"auth/{ROLES_AUTH}/role/{name}", role, token=token)
    plane.api.create_service_account(ROLES_NAMESPACE, "thief")
    thief = login(plane, name, plane.service_account_token(ROLES_NAMESPACE, "thief", "vault"), ROLES_AUTH)
    write_secret(plane, "another-namespace/secret", {"a": "b"}, mount=ROLES_KV)
    try:
        assert read_secret(plane, "another-namespace/secret", token=thief, mount=ROLES_KV) == {"a": "b"}
        plane.vault.request("GET", "sys/audit", token=thief)
        plane.vault.request("PUT", "sys/policies/acl/written-by-a-thief", {"policy": STARS}, token=thief)
        made = plane.vault.request(
            "POST", "auth/token/create-orphan", {"policies": ["written-by-a-thief"]}, token=thief
        )
        assert made["auth"]["client_token"]
    finally:
        for path in (
            f"sys/policies/acl/{name}",
            f"auth/{ROLES_AUTH}/role/{name}",
            "sys/policies/acl/written-by-a-thief",
        ):
            plane.vault.request("DELETE", path)
