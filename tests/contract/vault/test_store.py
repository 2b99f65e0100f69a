"""The store's contract on real Vault: what it writes, sees, claims and removes, and with how many requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import pytest

from airwarden.domain.diff import diff
from airwarden.domain.resources import Action, Address, Claim, Grant, Operation, StaticSecret
from airwarden.providers.vault.checking import check_vault
from airwarden.providers.vault.store import POLICY, ROLE, VaultStore
from contract.vault.bench import AUTH, BACKEND, CLUSTER, KV, NAMESPACE, Bench, create, grant, remove
from plane.errors import PlaneHTTPError
from plane.vault_admin import login, read_secret, write_secret


def role_path(wanted: Grant) -> str:
    return f"auth/{AUTH}/role/{wanted.owner.name_in_store}"


def policy_path(wanted: Grant) -> str:
    return f"sys/policies/acl/{wanted.owner.name_in_store}"


async def actions(store: VaultStore, wanted: Grant, *, known: bool = True) -> list[tuple[Action, str]]:
    """Return what the reconciler would write."""
    order = store.addresses(wanted.owner)
    seen = await store.observe(wanted.owner, order, known=known)
    resources = store.render(wanted)
    recorded = {each.address: each.digest for each in resources} if known else {}
    return [(each.action, each.address.kind) for each in diff(resources, seen, recorded, order).operations]


async def test_what_is_written_is_found_equal_and_ours(store: VaultStore) -> None:
    wanted = grant("equal")
    resources = await create(store, wanted)
    assert [each.address.kind for each in resources] == [POLICY, ROLE]
    for known in (True, False):
        seen = await store.observe(wanted.owner, store.addresses(wanted.owner), known=known)
        for each in resources:
            assert dict(seen[each.address].fields or {}) == dict(each.fields)
            assert seen[each.address].claim is Claim.OURS
        assert await actions(store, wanted, known=known) == []


async def test_a_bound_account_reads_its_secret_and_no_other_until_the_policy_goes(
    store: VaultStore, bench: Bench
) -> None:
    plane, wanted = bench.plane, grant("reads", account="reads")
    plane.api.create_service_account(NAMESPACE, "reads")
    for key in ("reads", "other"):
        write_secret(plane, f"{NAMESPACE}/connections/{key}", {"conn_uri": "x"}, mount=KV)
    await create(store, wanted)
    jwt = plane.service_account_token(NAMESPACE, "reads", "vault")
    token = login(plane, wanted.owner.name_in_store, jwt, AUTH)
    assert read_secret(plane, f"{NAMESPACE}/connections/reads", token=token, mount=KV) == {"conn_uri": "x"}
    with pytest.raises(PlaneHTTPError, match="permission denied"):
        read_secret(plane, f"{NAMESPACE}/connections/other", token=token, mount=KV)
    plane.vault.request("GET", "auth/token/lookup-self", token=token)
    plane.vault.request("POST", "auth/token/renew-self", {}, token=token)
    policy, _ = store.addresses(wanted.owner)
    await remove(store, wanted.owner, [policy])
    with pytest.raises(PlaneHTTPError, match="permission denied"):
        read_secret(plane, f"{NAMESPACE}/connections/reads", token=token, mount=KV)
    await remove(store, wanted.owner)
    with pytest.raises(PlaneHTTPError, match="invalid role name"):
        login(plane, wanted.owner.name_in_store, jwt, AUTH)


async def test_requests_are_four_alone_two_and_two_lists_in_a_batch_and_two_for_drift(
    bench: Bench, opening: object
) -> None:
    assert callable(opening)
    audit = bench.plane.vault.audit
    store: VaultStore = opening()
    await store.client.ensure_login()
    mark = audit.mark()
    await create(store, grant("counted"))
    assert sorted(each.operation for each in audit.entries(mark)) == ["create", "list", "list", "update"]
    store = opening()
    await store.client.ensure_login()
    mark = audit.mark()
    await asyncio.gather(*(create(store, grant(f"counted-{number}")) for number in range(20)))
    operations = [each.operation for each in audit.entries(mark)]
    assert (operations.count("list"), len(operations)) == (2, 42)
    mark = audit.mark()
    assert await actions(store, grant("counted")) == []
    assert [each.operation for each in audit.entries(mark)] == ["read", "read"]


async def test_removal_is_policy_first_and_a_second_removal_is_no_error(store: VaultStore) -> None:
    wanted = grant("removed")
    assert [each.kind for each in store.addresses(wanted.owner)] == [POLICY, ROLE]
    await create(store, wanted)
    await remove(store, wanted.owner)
    seen = await store.observe(wanted.owner, store.addresses(wanted.owner), known=True)
    assert all(each.absent for each in seen.values())
    await remove(store, wanted.owner)


@pytest.mark.parametrize(
    "change",
    [
        {"bound_service_account_names": "*"},
        {"bound_service_account_names": ["billing", "intruder"]},
        {"bound_service_account_namespaces": ["contract-team", "other"]},
        {"bound_service_account_namespace_selector": '{"matchLabels":{"a":"b"}}'},
        {"audience": ""},
        {"alias_name_source": "serviceaccount_name"},
        {"token_policies": ["airwarden.c1.contract-team.drifts", "admin"]},
        {"token_ttl": "20m"},
        {"token_max_ttl": 0},
        {"token_explicit_max_ttl": 600},
        {"token_period": 600},
        {"token_num_uses": 5},
        {"token_bound_cidrs": "10.0.0.0/8"},
        {"token_type": "default"},
        {"token_no_default_policy": False},
        {"policies": "admin", "token_policies": None},
        {"max_ttl": 1000, "token_max_ttl": None},
    ],
)
async def test_every_change_of_the_role_is_drift_and_one_write_sets_it_right(
    store: VaultStore, bench: Bench, change: Mapping[str, object]
) -> None:
    wanted = grant("drifts")
    await create(store, wanted)
    sent = {name: value for name, value in change.items() if value is not None}
    bench.plane.vault.request("POST", role_path(wanted), sent)
    assert await actions(store, wanted) == [(Action.UPDATE, ROLE)]
    role = store.render(wanted)[1]
    seen = await store.observe(wanted.owner, [role.address], known=True)
    await store.apply(Operation(Action.UPDATE, role.address, role, seen[role.address]))
    assert await actions(store, wanted) == []


async def test_a_changed_or_unmarked_policy_is_drift(store: VaultStore, bench: Bench) -> None:
    wanted = grant("policy-drifts")
    policy = (await create(store, wanted))[0]
    text = str(policy.fields["policy"])
    for changed in (text + "\n", text.split("\n", 1)[1], text.replace('"read"', '"read","list"', 1), "{}"):
        bench.plane.vault.request("PUT", policy_path(wanted), {"policy": changed})
        assert await actions(store, wanted) == [(Action.UPDATE, POLICY)]
        seen = await store.observe(wanted.owner, [policy.address], known=True)
        await store.apply(Operation(Action.UPDATE, policy.address, policy, seen[policy.address]))
        assert await actions(store, wanted) == []


async def claims(store: VaultStore, wanted: Grant) -> tuple[Claim, Claim]:
    policy, role = store.addresses(wanted.owner)
    seen = await store.observe(wanted.owner, (role, policy), known=True)
    return seen[policy].claim, seen[role].claim


async def test_whose_a_hand_made_policy_and_role_are(store: VaultStore, bench: Bench) -> None:
    wanted, other = grant("claimed"), grant("claimed-by-other")
    vault, name = bench.plane.vault, wanted.owner.name_in_store
    body = {
        "bound_service_account_names": "x",
        "bound_service_account_namespaces": NAMESPACE,
        "audience": "vault",
        "token_policies": "admin",
    }
    vault.request("PUT", policy_path(wanted), {"policy": 'path "x" { capabilities = ["read"] }'})
    vault.request("POST", role_path(wanted), body)
    assert await claims(store, wanted) == (Claim.UNMARKED, Claim.UNMARKED)
    assert await actions(store, wanted, known=False) == []
    vault.request("POST", role_path(wanted), {**body, "token_policies": name})
    assert await claims(store, wanted) == (Claim.UNMARKED, Claim.UNMARKED)
    vault.request("PUT", policy_path(wanted), {"policy": f"# {other.owner.mark}\n"})
    assert await claims(store, wanted) == (Claim.FOREIGN, Claim.UNMARKED)
    vault.request("DELETE", policy_path(wanted))
    assert await claims(store, wanted) == (Claim.UNMARKED, Claim.OURS)
    vault.request("POST", role_path(wanted), {**body, "token_policies": [name, "admin"]})
    assert await claims(store, wanted) == (Claim.UNMARKED, Claim.UNMARKED)
    vault.request("PUT", policy_path(wanted), {"policy": f"# {wanted.owner.mark}\n"})
    vault.request("POST", role_path(wanted), {**body, "token_policies": name})
    assert await claims(store, wanted) == (Claim.OURS, Claim.OURS)


async def test_a_name_just_written_is_not_held_for_absent_by_an_older_list(store: VaultStore) -> None:
    await create(store, grant("first"))
    await create(store, grant("second"))
    seen = await store.observe(grant("second").owner, store.addresses(grant("second").owner), known=False)
    assert not any(each.absent for each in seen.values())


async def test_an_address_of_another_is_neither_read_nor_written(store: VaultStore) -> None:
    wanted = grant("mine")
    foreign = Address(BACKEND, POLICY, "airwarden.c2.contract-team.mine")
    with pytest.raises(ValueError, match="not an address"):
        await store.observe(wanted.owner, [foreign], known=True)
    resource = store.render(wanted)[0]
    seen = await store.observe(wanted.owner, [resource.address], known=True)
    for name in ("admin", f"airwarden.{CLUSTER}.x", f"airwarden.{CLUSTER}.a.b/../c", f"airwarden.{CLUSTER}.a.b%2F"):
        with pytest.raises(ValueError, match="not an address"):
            await store.apply(Operation(Action.DELETE, Address(BACKEND, POLICY, name), None, seen[resource.address]))


async def test_long_names_are_taken(store: VaultStore) -> None:
    """A name with a namespace-like, dotted binding of 63 characters; all parts at their longest are 234."""
    wanted = grant(".".join(["a" * 15] * 3 + ["b" * 15]))
    await create(store, wanted)
    assert await actions(store, wanted) == []
    await remove(store, wanted.owner)


async def test_a_policy_of_a_thousand_keys_is_one_write(store: VaultStore) -> None:
    wanted = grant("many", *(StaticSecret(f"{NAMESPACE}/connections/{number}") for number in range(1000)))
    await create(store, wanted)
    assert await actions(store, wanted) == []


async def test_what_was_written_is_read_back_as_the_whole_grant_and_what_is_cut_by_hand_as_less(
    store: VaultStore, bench: Bench
) -> None:
    wanted = grant("narrow")
    await create(store, wanted)
    addresses = store.addresses(wanted.owner)
    assert store.narrowed(wanted, await store.observe(wanted.owner, addresses, known=True)) == wanted
    bench.plane.vault.request("POST", role_path(wanted), {"token_ttl": "30s", "token_max_ttl": "60s"})
    found = store.narrowed(wanted, await store.observe(wanted.owner, addresses, known=True))
    assert found is not None
    assert (found.readable, found.session.ttl, found.session.max_ttl) == (wanted.readable, 30, 60)
    bench.plane.vault.request("POST", role_path(wanted), {"token_bound_cidrs": "10.0.0.1"})
    assert store.narrowed(wanted, await store.observe(wanted.owner, addresses, known=True)) is None


@pytest.mark.parametrize("behind", [0.0, 100.0])
async def test_vault_s_clock_is_compared_with_ours(store: VaultStore, behind: float) -> None:
    layout = store.layout
    health = await check_vault(store.client, CLUSTER, AUTH, layout.kv_mount, layout.form, lambda: time.time() - behind)
    assert health.clock_ahead is not None
    assert abs(health.clock_ahead - behind) < 50
