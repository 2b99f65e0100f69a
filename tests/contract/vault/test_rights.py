"""What the rendered policy, and the operator's own, really give: asked of Vault, never of ourselves."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from airwarden.domain.owner import Owner
from airwarden.domain.resources import DynamicCredentials, Readable, StaticSecret
from airwarden.providers.vault import policy
from airwarden.providers.vault.store import VaultStore
from contract.vault.bench import AUTH, KV, NAMESPACE, OPERATOR, Bench
from plane.errors import PlaneHTTPError
from plane.small_server import Small, serving
from plane.vault_admin import login

CHARACTERS = "abzABZ019._~@:=,-"
HOSTILE = '*+{}$"\\ \n\t#%?/.\x00é'
FORBIDDEN = (
    "sys/policies/acl/x",
    "sys/mounts",
    "sys/leases/revoke-prefix/database",
    "sys/leases/lookup",
    "auth/token/create",
    "auth/token/lookup",
    "identity/entity-alias",
    f"{KV}/data/",
    f"{KV}/metadata/",
    f"{KV}/config",
    f"auth/{AUTH}/role/x",
    "database/creds/",
)


def seeded_keys(rng: random.Random, count: int) -> list[str]:
    def segment() -> str:
        while True:
            found = "".join(rng.choices(CHARACTERS, k=rng.randint(1, 6)))
            if found not in (".", ".."):
                return found

    return ["/".join(segment() for _ in range(rng.randint(1, 4))) for _ in range(count)]


def neighbours(path: str) -> set[str]:
    parent = path.rsplit("/", 1)[0]
    found = {path + "x", path + "/x", path + "/", path[:-1], parent, f"{parent}/zzz", f"{path}*", f"{path}+"}
    return found | {
        path.upper(),
        path.lower(),
        path.replace("/data/", "/metadata/", 1),
        path.replace("/data/", "/delete/", 1),
    }


def capabilities(bench: Bench, text: str, paths: list[str]) -> dict[str, list[str]]:
    """Write the policy, make a token with it alone, and ask Vault what it may do."""
    vault = bench.plane.vault
    vault.request("PUT", "sys/policies/acl/fuzzed", {"policy": text})
    made = vault.request("POST", "auth/token/create", {"policies": ["fuzzed"], "no_default_policy": True, "ttl": "5m"})
    body = {"token": made["auth"]["client_token"], "paths": paths}
    return dict(vault.request("POST", "sys/capabilities", body)["data"])


def test_a_fuzzed_policy_gives_exactly_what_was_declared(bench: Bench) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    rng = random.Random(seed)  # noqa: S311 - no secret comes of it
    for _ in range(60):
        readable: set[Readable] = {StaticSecret(key) for key in seeded_keys(rng, 5)}
        for key in seeded_keys(rng, 2):
            readable.add(DynamicCredentials("database", key.replace("/", "."), rng.choice(("Dynamic", "Static"))))
        rules = policy.rules_for(readable, mount=KV, version=2)
        text = policy.render(Owner("c1", "team", "fuzz", "vault"), rules)
        declared = {rule.path: [rule.capability] for rule in rules}
        # Vault takes a slash off the end of what it is asked, so those are the declared paths again.
        others = {each for path in declared for each in neighbours(path)} | set(FORBIDDEN)
        others = {each for each in others if each and each.strip("/") not in declared}
        found = capabilities(bench, text, [*declared, *others])
        for path, wanted in declared.items():
            assert found[path] == wanted, (seed, path)
        for path in others:
            assert found[path] == ["deny"], (seed, path)


def test_a_hostile_key_is_refused_or_means_itself_alone(bench: Bench) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    rng = random.Random(seed)  # noqa: S311 - no secret comes of it
    rendered = 0
    for _ in range(3000):
        key = "".join(rng.choices(CHARACTERS + HOSTILE * 2, k=rng.randint(1, 6)))
        try:
            text = policy.render(
                Owner("c1", "team", "fuzz", "vault"), policy.rules_for([StaticSecret(key)], mount=KV, version=2)
            )
        except ValueError:
            continue
        assert not set(key) & set('*+{}$"\\ \n\t#%?\x00é'), (seed, key)
        rendered += 1
        if rendered % 8 == 0:
            found = capabilities(bench, text, [f"{KV}/data/{key}", f"{KV}/data/{key}x", *FORBIDDEN])
            assert found.pop(f"{KV}/data/{key}") == ["read"], (seed, key)
            assert set(map(tuple, found.values())) == {("deny",)}, (seed, key)
    assert rendered > 50, seed


def test_sessions_and_the_operators_own_rights_stand_as_printed(bench: Bench) -> None:
    vault = bench.plane.vault
    mount = vault.request("GET", f"sys/auth/{AUTH}/tune")["data"]
    assert mount["max_lease_ttl"] == 1800
    written = vault.request("GET", f"sys/policies/acl/{bench.setup.policy_name}")["data"]["policy"]
    assert written == bench.setup.policy_text
    found = vault.request("GET", f"auth/{AUTH}/role/{bench.setup.role_name}")["data"]
    assert found["token_policies"] == [bench.setup.policy_name]
    assert found["bound_service_account_names"] == [OPERATOR.name]


ROLE_FIELDS: dict[str, Any] = {
    "bound_service_account_names": "billing",
    "bound_service_account_namespaces": NAMESPACE,
    "bound_service_account_namespace_selector": "",
    "audience": "vault",
    "alias_name_source": "serviceaccount_uid",
    "token_policies": "airwarden.c1.contract-team.rights",
    "token_ttl": "15m",
    "token_max_ttl": "30m",
    "token_explicit_max_ttl": "0",
    "token_period": "0",
    "token_num_uses": "0",
    "token_bound_cidrs": "",
    "token_type": "service",
    "token_no_default_policy": True,
}
OWN_POLICY = "sys/policies/acl/airwarden.c1.contract-team.rights"
OWN_ROLE = f"auth/{AUTH}/role/airwarden.c1.contract-team.rights"
ALLOWED: list[tuple[str, str, Any]] = [
    ("PUT", OWN_POLICY, {"policy": "# x"}),
    ("GET", OWN_POLICY, None),
    ("LIST", "sys/policies/acl", None),
    ("POST", OWN_ROLE, ROLE_FIELDS),
    ("GET", OWN_ROLE, None),
    ("LIST", f"auth/{AUTH}/role", None),
    ("DELETE", OWN_POLICY, None),
    ("DELETE", OWN_ROLE, None),
    ("POST", "sys/capabilities-self", {"paths": ["sys/mounts"]}),
    ("GET", "auth/token/lookup-self", None),
    ("POST", "auth/token/renew-self", {}),
    ("PUT", "sys/policies/acl/airwarden.c1.cluster-id", {"policy": "# x"}),
    ("DELETE", "sys/policies/acl/airwarden.c1.cluster-id", None),
    ("GET", f"sys/mounts/{KV}", None),
]


def role_with(**change: object) -> tuple[str, str, Any]:
    return "POST", OWN_ROLE, {**ROLE_FIELDS, **change}


OWN_NAME = "airwarden.c1.contract-team.rights"
REFUSED: list[tuple[str, str, Any]] = [
    ("PUT", "sys/policies/acl/airwarden-operator.c1", {"policy": 'path "*" { capabilities = ["sudo"] }'}),
    ("PUT", "sys/policies/acl/admin", {"policy": "# x"}),
    ("GET", "sys/policies/acl/default", None),
    ("DELETE", "sys/policies/acl/default", None),
    ("PUT", "sys/policies/acl/airwarden.c2.team.x", {"policy": "# x"}),
    ("DELETE", "sys/policies/acl/airwarden.c2.team.x", None),
    ("PUT", "sys/policies/acl/airwarden.c11.team.x", {"policy": "# x"}),
    ("PUT", "sys/policies/acl/airwarden.c1", {"policy": "# x"}),
    ("PUT", "sys/policies/acl/AIRWARDEN.C1.team.x", {"policy": "# x"}),
    ("PUT", "sys/policy/airwarden.c1.contract-team.rights", {"policy": "# x"}),
    ("PUT", "sys/policies/rgp/airwarden.c1.x", {"policy": "x"}),
    ("PUT", "sys/policies/password/x", {"policy": "length = 20"}),
    ("POST", f"auth/{AUTH}/role/contract-airwarden", ROLE_FIELDS),
    ("DELETE", f"auth/{AUTH}/role/contract-airwarden", None),
    ("GET", f"auth/{AUTH}/role/contract-airwarden", None),
    ("POST", f"auth/{AUTH}/role/airwarden.c2.team.x", ROLE_FIELDS),
    ("POST", f"auth/{AUTH}/config", {"kubernetes_host": "https://evil"}),
    ("GET", f"auth/{AUTH}/config", None),
    ("GET", "sys/mounts", None),
    ("POST", f"sys/mounts/{KV}", {"type": "kv"}),
    ("POST", f"sys/mounts/{KV}/tune", {"max_lease_ttl": "1h"}),
    ("DELETE", f"sys/mounts/{KV}", None),
    role_with(bound_service_account_names="*"),
    role_with(bound_service_account_names=["*"]),
    role_with(bound_service_account_names="bill*"),
    role_with(bound_service_account_names="a,*"),
    role_with(bound_service_account_names="a,b"),
    role_with(bound_service_account_names=["a", "b*"]),
    role_with(bound_service_account_namespaces="*"),
    role_with(bound_service_account_namespaces=["*"]),
    role_with(bound_service_account_namespaces="kube-system"),
    role_with(bound_service_account_namespaces=[NAMESPACE, "kube-system"]),
    role_with(bound_service_account_namespaces=f"{NAMESPACE},kube-system"),
    role_with(bound_service_account_namespaces="contract-*"),
    role_with(bound_service_account_namespace_selector='{"matchLabels":{}}'),
    role_with(audience="https://kubernetes.default.svc"),
    role_with(alias_name_source="serviceaccount_name"),
    role_with(token_policies="admin"),
    role_with(token_policies="root"),
    role_with(token_policies=f"{OWN_NAME},admin"),
    role_with(token_policies=[OWN_NAME, "admin"]),
    role_with(token_policies=[f"{OWN_NAME},admin"]),
    role_with(token_policies="airwarden-operator.c1"),
    role_with(token_policies="airwarden.c2.team.x"),
    role_with(token_policies="AIRWARDEN.C1.contract-team.rights"),
    role_with(token_policies=f" {OWN_NAME}, admin"),
    role_with(token_policies=None),
    role_with(policies="admin"),
    role_with(Policies="admin"),
    role_with(token_period="1h"),
    role_with(token_period=3600),
    role_with(token_num_uses="5"),
    role_with(token_bound_cidrs="0.0.0.0/0"),
    role_with(token_type="batch"),
    role_with(token_type="default"),
    role_with(token_no_default_policy=False),
    role_with(ttl="1000h"),
    role_with(max_ttl="1000h"),
    role_with(period="1h"),
    role_with(bound_cidrs="0.0.0.0/0"),
    role_with(num_uses=1),
    ("POST", "auth/token/create", {"policies": ["airwarden-operator.c1"]}),
    ("POST", "auth/token/create-orphan", {}),
    ("POST", "auth/token/revoke-accessor", {"accessor": "x"}),
    ("GET", f"{KV}/data/{NAMESPACE}/connections/reads", None),
    ("POST", f"{KV}/data/{NAMESPACE}/connections/reads", {"data": {"a": "b"}}),
    ("LIST", f"{KV}/metadata/", None),
    ("GET", "sys/mounts", None),
    ("POST", "sys/mounts/x", {"type": "kv"}),
    ("POST", "sys/auth/x", {"type": "userpass"}),
    ("POST", f"sys/auth/{AUTH}/tune", {"max_lease_ttl": "1000h"}),
    ("GET", "sys/audit", None),
    ("POST", "sys/capabilities", {"token": "x", "paths": ["x"]}),
    ("PUT", "sys/leases/revoke", {"lease_id": "x"}),
    ("POST", "identity/entity", {"name": "x"}),
    ("POST", "identity/entity-alias", {"name": "x", "canonical_id": "x", "mount_accessor": "x"}),
    ("GET", "sys/config/state/sanitized", None),
    ("PUT", "sys/seal", None),
]


@pytest.fixture(scope="module")
def operator_token(bench: Bench) -> str:
    return login(bench.plane, bench.setup.role_name, (bench.tokens / "vault").read_text(), AUTH)


def test_the_operators_policy_allows_each_call_that_it_needs(bench: Bench, operator_token: str) -> None:
    for method, path, body in ALLOWED:
        bench.plane.vault.request(method, path, body, token=operator_token)


@pytest.mark.parametrize("call", REFUSED, ids=lambda call: f"{call[0]} {call[1]}")
def test_the_operators_policy_refuses_everything_else(
    bench: Bench, operator_token: str, call: tuple[str, str, Any]
) -> None:
    method, path, body = call
    with pytest.raises(PlaneHTTPError) as caught:
        bench.plane.vault.request(method, path, body, token=operator_token)
    assert caught.value.status == 403, caught.value.text
    assert "permission denied" in caught.value.text


def test_what_the_policy_cannot_stop_is_known_and_stays_within_the_fence(bench: Bench, operator_token: str) -> None:
    """Parameter rules cannot demand a field, and an empty text passes each of them: the docs say so."""
    vault = bench.plane.vault
    changes = [{name: ""} for name in ("audience", "token_policies", "token_bound_cidrs")]
    for change in [*changes, {"token_policies": f" {OWN_NAME}"}]:
        vault.request("POST", OWN_ROLE, {**ROLE_FIELDS, **change}, token=operator_token)
        found = vault.request("GET", OWN_ROLE)["data"]
        assert set(found["token_policies"]) <= {OWN_NAME}
        assert found["bound_service_account_namespaces"] == [NAMESPACE]
        vault.request("DELETE", OWN_ROLE)


def test_a_role_that_asks_for_more_than_the_mount_gives_is_capped(bench: Bench, operator_token: str) -> None:
    plane = bench.plane
    plane.api.create_service_account(NAMESPACE, "capped")
    name = "airwarden.c1.contract-team.capped"
    own = {"bound_service_account_names": "capped", "token_policies": name}
    fields = {**ROLE_FIELDS, **own, "token_ttl": "900h", "token_max_ttl": "1000h"}
    plane.vault.request("POST", f"auth/{AUTH}/role/{name}", fields, token=operator_token)
    jwt = plane.service_account_token(NAMESPACE, "capped", "vault")
    made = plane.vault.request("POST", f"auth/{AUTH}/login", {"role": name, "jwt": jwt}, token="")
    assert made["auth"]["lease_duration"] == 1800


class _Broker(Small):
    """As much of RabbitMQ's management API as Vault's engine calls: it makes a source of real leases."""

    def respond(self) -> None:
        self.body()
        self.answer(201)


@pytest.fixture
def leases(bench: Bench) -> Iterator[str]:
    """Mount a secrets engine whose credentials have leases."""
    vault, mount = bench.plane.vault, "contract-leases"
    vault.request("POST", f"sys/mounts/{mount}", {"type": "rabbitmq"})
    with serving(_Broker) as port:
        config = {"connection_uri": f"http://127.0.0.1:{port}", "username": "a", "password": "b"}
        vault.request("POST", f"{mount}/config/connection", {**config, "verify_connection": False})
        for role in ("team.ro", "team.ro2"):
            vault.request("POST", f"{mount}/roles/{role}", {"vhosts": json.dumps({"/": {"read": ".*"}})})
        yield mount
        vault.request("DELETE", f"sys/mounts/{mount}")


def test_a_reader_renews_and_revokes_its_own_leases_and_no_others(bench: Bench, leases: str) -> None:
    vault = bench.plane.vault
    rules = policy.rules_for([DynamicCredentials(leases, "team.ro", "Dynamic")], mount=KV, version=2)
    vault.request(
        "PUT", "sys/policies/acl/leaser", {"policy": policy.render(Owner("c1", "team", "leaser", "vault"), rules)}
    )
    made = vault.request("POST", "auth/token/create", {"policies": ["leaser"], "no_default_policy": True})
    token = made["auth"]["client_token"]
    own = vault.request("GET", f"{leases}/creds/team.ro", token=token)["lease_id"]
    other = vault.request("GET", f"{leases}/creds/team.ro2")["lease_id"]
    vault.request("PUT", "sys/leases/renew", {"lease_id": own, "increment": 60}, token=token)
    for method, path, body in (
        ("GET", f"{leases}/creds/team.ro2", None),
        ("PUT", "sys/leases/renew", {"lease_id": other}),
        ("PUT", "sys/leases/revoke", {"lease_id": other}),
        ("PUT", f"sys/leases/revoke/{own}", None),
        ("PUT", "sys/leases/revoke-force/" + own, None),
        ("PUT", "sys/leases/lookup", {"lease_id": own}),
        ("PUT", "sys/leases/revoke", {"lease_id": own, "url_lease_id": other}),
    ):
        with pytest.raises(PlaneHTTPError, match="permission denied"):
            vault.request(method, path, body, token=token)
    vault.request("PUT", "sys/leases/revoke", {"lease_id": own, "sync": True}, token=token)
    with pytest.raises(PlaneHTTPError, match="invalid lease"):
        vault.request("PUT", "sys/leases/lookup", {"lease_id": own})


async def test_the_check_names_each_right_that_lacks(bench: Bench, store: VaultStore) -> None:
    vault, name = bench.plane.vault, bench.setup.policy_name
    assert (await store.check()).missing_permissions == ()
    try:
        text = bench.setup.policy_text.replace('"delete"]', '"read"]', 1).replace('["list"]', '["deny"]', 1)
        vault.request("PUT", f"sys/policies/acl/{name}", {"policy": text})
        assert (await store.check()).missing_permissions == (
            "sys/policies/acl/airwarden.c1.*: delete",
            "sys/policies/acl: list",
        )
        vault.request("PUT", f"sys/policies/acl/{name}", {"policy": "# nothing"})
        assert (await store.check()).missing_permissions == ("sys/capabilities-self: update",)
    finally:
        vault.request("PUT", f"sys/policies/acl/{name}", {"policy": bench.setup.policy_text})
