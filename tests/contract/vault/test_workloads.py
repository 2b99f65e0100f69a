"""JWT roles and AppRoles on real Vault: what is written lets the bound workload in and nobody else, and stays so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import pytest
import pytest_asyncio

from airwarden.domain.diff import diff
from airwarden.domain.resources import Action, Claim, Grant, Operation
from airwarden.providers.vault.store import VaultStore
from contract.vault.bench import KV, NAMESPACE, create, grant, remove
from contract.vault.ways import APP_ROLE_MOUNT, JWT_MOUNT, Way
from plane.errors import PlaneHTTPError
from plane.json_client import Json
from plane.vault_admin import login, read_secret, write_secret

BY_JWT, BY_APP_ROLE = "AppRole", "JWT"  # the pairs in which tasks log in so
MOUNTS: Final = {BY_JWT: JWT_MOUNT, BY_APP_ROLE: APP_ROLE_MOUNT}


@pytest.fixture(params=[BY_JWT, BY_APP_ROLE], ids=["JWT", "AppRole"])
def way(request: pytest.FixtureRequest, ways: Mapping[str, Way]) -> Way:
    """Return each way whose tasks log in otherwise than by Kubernetes."""
    found: Way = ways[request.param]
    return found


@pytest_asyncio.fixture
async def store(way: Way) -> AsyncIterator[VaultStore]:
    """Return a store for it, closed after the test."""
    opened = way.open()
    yield opened
    await opened.close()


def role_path(store: VaultStore, wanted: Grant) -> str:
    return f"auth/{store.layout.auth_mount}/role/{wanted.owner.name_in_store}"


async def actions(store: VaultStore, wanted: Grant) -> list[tuple[Action, str]]:
    """Return what the reconciler would write."""
    order = store.addresses(wanted.owner)
    seen = await store.observe(wanted.owner, order, known=True)
    resources = store.render(wanted)
    recorded = {each.address: each.digest for each in resources}
    return [(each.action, each.address.kind) for each in diff(resources, seen, recorded, order).operations]


async def test_what_is_written_is_found_equal_and_ours_and_goes(store: VaultStore) -> None:
    wanted = grant(f"equal-{store.layout.auth_mount}")
    resources = await create(store, wanted)
    for known in (True, False):
        seen = await store.observe(wanted.owner, store.addresses(wanted.owner), known=known)
        for each in resources:
            assert dict(seen[each.address].fields or {}) == dict(each.fields)
            assert seen[each.address].claim is Claim.OURS
    assert await actions(store, wanted) == []
    await remove(store, wanted.owner)
    seen = await store.observe(wanted.owner, store.addresses(wanted.owner), known=True)
    assert all(each.absent for each in seen.values())


async def test_a_new_binding_costs_four_requests_and_a_look_two(way: Way, store: VaultStore) -> None:
    await store.client.ensure_login()
    audit, wanted = way.bench.plane.vault.audit, grant(f"counted-{store.layout.auth_mount}")
    mark = audit.mark()
    await create(store, wanted)
    assert sorted(each.operation for each in audit.entries(mark)) == ["create", "list", "list", "update"]
    mark = audit.mark()
    assert await actions(store, wanted) == []
    assert [each.operation for each in audit.entries(mark)] == ["read", "read"]


TOKEN_CHANGES: Final[tuple[Json, ...]] = (
    {"token_policies": ["admin"]},
    {"token_ttl": "20m"},
    {"token_max_ttl": 0},
    {"token_period": 600},
    {"token_num_uses": 5},
    {"token_bound_cidrs": "10.0.0.0/8"},
    {"token_type": "default"},
    {"token_no_default_policy": False},
    {"policies": "admin", "token_policies": None},
)
OWN_CHANGES: Final[Mapping[str, tuple[Json, ...]]] = {
    BY_JWT: (
        {"bound_subject": ""},
        {"bound_subject": f"system:serviceaccount:{NAMESPACE}:intruder"},
        {"bound_audiences": ["vault", "other"]},
        {"bound_claims": {"iss": "x"}},
        {"bound_claims_type": "glob"},
        {"claim_mappings": {"iss": "x"}},
        {"groups_claim": "aud"},
        {"user_claim": "iss"},
        {"expiration_leeway": 3600},
        {"clock_skew_leeway": 3600},
    ),
    BY_APP_ROLE: (
        {"bind_secret_id": False, "token_bound_cidrs": "10.0.0.0/8"},
        {"secret_id_ttl": "0"},
        {"secret_id_num_uses": 0},
        {"secret_id_bound_cidrs": "10.0.0.0/8"},
    ),
}
CHANGES: Final = [(name, change) for name in OWN_CHANGES for change in (*OWN_CHANGES[name], *TOKEN_CHANGES)]


@pytest.mark.parametrize(("name", "change"), CHANGES, ids=str)
async def test_every_change_of_a_role_is_drift_and_one_write_sets_it_right(
    ways: Mapping[str, Way], name: str, change: Json
) -> None:
    store = ways[name].open()
    wanted = grant(f"drifts-{store.layout.auth_mount}")
    await create_or_find(store, wanted)
    sent: dict[str, Any] = {"role_type": "jwt"} if name == BY_JWT else {}
    sent |= {key: value for key, value in change.items() if value is not None}
    if name == BY_JWT:
        sent = {"user_claim": "sub", "bound_audiences": "vault", **sent}
    ways[name].bench.plane.vault.request("POST", role_path(store, wanted), sent)
    role = store.render(wanted)[1]
    assert await actions(store, wanted) == [(Action.UPDATE, role.address.kind)]
    seen = await store.observe(wanted.owner, [role.address], known=True)
    await store.apply(Operation(Action.UPDATE, role.address, role, seen[role.address]))
    assert await actions(store, wanted) == []
    await store.close()


async def create_or_find(store: VaultStore, wanted: Grant) -> None:
    seen = await store.observe(wanted.owner, store.addresses(wanted.owner), known=True)
    if all(each.absent for each in seen.values()):
        await create(store, wanted)


async def test_a_hand_made_role_with_another_policy_is_not_ours(way: Way, store: VaultStore) -> None:
    wanted = grant(f"claimed-{store.layout.auth_mount}")
    foreign = store.layout.form.body(store.layout.form.desired(wanted)) | {"token_policies": "admin"}
    way.bench.plane.vault.request("POST", role_path(store, wanted), foreign)
    _, role = store.addresses(wanted.owner)
    seen = await store.observe(wanted.owner, [role], known=True)
    assert seen[role].claim is Claim.UNMARKED


def secrets_of(way: Way, name: str) -> None:
    for key in (name, "other"):
        write_secret(way.bench.plane, f"{NAMESPACE}/connections/{key}", {"conn_uri": "x"}, mount=KV)


def reads(way: Way, token: str, key: str) -> bool:
    try:
        return read_secret(way.bench.plane, f"{NAMESPACE}/connections/{key}", token=token, mount=KV) != {}
    except PlaneHTTPError as error:
        if error.status == 403:
            return False
        raise


async def test_a_bound_account_logs_in_by_jwt_and_reads_its_own_until_the_policy_goes(ways: Mapping[str, Way]) -> None:
    way, wanted = ways[BY_JWT], grant("by-jwt", account="by-jwt")
    store, plane = way.open(), way.bench.plane
    secrets_of(way, "by-jwt")
    plane.api.create_service_account(NAMESPACE, "by-jwt")
    plane.api.create_service_account(NAMESPACE, "intruder")
    await create(store, wanted)
    role = wanted.owner.name_in_store
    jwt = plane.service_account_token(NAMESPACE, "by-jwt", "vault")
    mark = plane.api.audit.mark()
    token = login(plane, role, jwt, JWT_MOUNT)
    assert not [each for each in plane.api.audit.entries(mark) if each.resource == "tokenreviews"]
    assert (reads(way, token, "by-jwt"), reads(way, token, "other")) == (True, False)
    for account, audience, words in (
        ("intruder", "vault", "invalid subject"),
        ("by-jwt", "other", "invalid audience"),
    ):
        with pytest.raises(PlaneHTTPError, match=words):
            login(plane, role, plane.service_account_token(NAMESPACE, account, audience), JWT_MOUNT)
    forged = jwt.rsplit(".", 1)[0] + "." + plane.service_account_token(NAMESPACE, "intruder", "vault").rsplit(".", 1)[1]
    with pytest.raises(PlaneHTTPError, match="error verifying token"):
        login(plane, role, forged, JWT_MOUNT)
    policy, _ = store.addresses(wanted.owner)
    await remove(store, wanted.owner, [policy])
    assert not reads(way, token, "by-jwt")
    await remove(store, wanted.owner)
    with pytest.raises(PlaneHTTPError, match="could not be found"):
        login(plane, role, jwt, JWT_MOUNT)
    await store.close()


def wrapped_secret_id(way: Way, role: str, token: str) -> str:
    """Make a secret-id as `airwarden secret-id` does, and unwrap it as its receiver does."""
    vault = way.bench.plane.vault
    headers = {"X-Vault-Token": token, "X-Vault-Wrap-TTL": "60s"}
    path = f"/v1/auth/{APP_ROLE_MOUNT}/role/{role}/secret-id"
    wrapped = vault._anonymous.request("POST", path, {}, headers=headers)["wrap_info"]["token"]
    return str(vault.request("POST", "sys/wrapping/unwrap", {}, token=wrapped)["data"]["secret_id"])


def app_role_login(way: Way, role_id: str, secret_id: str) -> str:
    body = {"role_id": role_id, "secret_id": secret_id}
    answer = way.bench.plane.vault.request("POST", f"auth/{APP_ROLE_MOUNT}/login", body, token="")
    return str(answer["auth"]["client_token"])


def hander(way: Way) -> str:
    """Return a token of somebody who may hand out secret-ids, by the policy that is printed for them."""
    body = {"policies": [f"{way.setup.policy_name}.secret-ids"], "no_default_policy": True, "ttl": "5m"}
    return str(way.bench.plane.vault.request("POST", "auth/token/create", body)["auth"]["client_token"])


async def test_a_workload_logs_in_by_app_role_as_often_as_its_secret_id_may_be_used(ways: Mapping[str, Way]) -> None:
    way, wanted = ways[BY_APP_ROLE], grant("by-app-role")
    store = way.open()
    secrets_of(way, "by-app-role")
    await create(store, wanted)
    role, token = wanted.owner.name_in_store, hander(way)
    vault = way.bench.plane.vault
    role_id = vault.request("GET", f"auth/{APP_ROLE_MOUNT}/role/{role}/role-id", token=token)["data"]["role_id"]
    secret_id = wrapped_secret_id(way, role, token)
    held, again = (app_role_login(way, role_id, secret_id) for _ in range(2))
    assert (reads(way, held, "by-app-role"), reads(way, held, "other")) == (True, False)
    assert reads(way, again, "by-app-role")
    with pytest.raises(PlaneHTTPError, match="invalid role or secret ID"):
        app_role_login(way, role_id, secret_id)
    unused = wrapped_secret_id(way, role, token)
    policy, _ = store.addresses(wanted.owner)
    await remove(store, wanted.owner, [policy])
    assert not reads(way, held, "by-app-role")
    await remove(store, wanted.owner)
    with pytest.raises(PlaneHTTPError, match="invalid role or secret ID"):
        app_role_login(way, role_id, unused)
    await store.close()


async def test_a_role_made_anew_after_a_removal_takes_no_secret_id_of_before(ways: Mapping[str, Way]) -> None:
    way, wanted = ways[BY_APP_ROLE], grant("made-anew")
    store, token = way.open(), hander(way)
    await create(store, wanted)
    role = wanted.owner.name_in_store
    before = wrapped_secret_id(way, role, token)
    await remove(store, wanted.owner)
    await create(store, wanted)
    path = f"auth/{APP_ROLE_MOUNT}/role/{role}/role-id"
    role_id = way.bench.plane.vault.request("GET", path, token=token)["data"]["role_id"]
    with pytest.raises(PlaneHTTPError, match="invalid role or secret ID"):
        app_role_login(way, role_id, before)
    await store.close()


def test_those_who_hand_out_secret_ids_cannot_have_one_unwrapped(ways: Mapping[str, Way]) -> None:
    way = ways[BY_APP_ROLE]
    token, vault = hander(way), way.bench.plane.vault
    role = f"auth/{APP_ROLE_MOUNT}/role/airwarden.c1.{NAMESPACE}.x.contract-vault"
    for method, path, body in (
        ("POST", f"{role}/secret-id", {}),
        ("POST", f"{role}/secret-id", {"metadata": json.dumps({"a": "b"})}),
        ("POST", f"{role}/custom-secret-id", {"secret_id": "x" * 30}),
        ("POST", role, {"token_policies": "admin"}),
        ("GET", role, None),
        ("DELETE", role, None),
        ("POST", f"{role}/role-id", {"role_id": "x"}),
        ("GET", f"{KV}/data/{NAMESPACE}/connections/other", None),
    ):
        with pytest.raises(PlaneHTTPError, match="permission denied"):
            vault.request(method, path, body, token=token)
