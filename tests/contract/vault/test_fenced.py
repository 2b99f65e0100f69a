"""Mode Fenced on real Vault: what slots give, to whom, for how long, and with how many requests."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import pytest
import pytest_asyncio

from airwarden.domain.diff import diff
from airwarden.domain.errors import Forbidden, InvalidSettings, NotOwned
from airwarden.domain.holdings import Use, owns
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Action, Claim, DynamicCredentials, Grant, Operation, Readable, StaticSecret
from airwarden.providers.ports import Store
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.fenced.slots import missing_paths
from airwarden.providers.vault.fenced.store import FencedStore
from contract.vault.fenced_bench import (
    AUTH,
    BACKEND,
    CLUSTER,
    ENGINE,
    KV,
    NAMESPACE,
    OTHER,
    ROLE,
    SLOTS,
    FencedBench,
    create,
    grant,
    printed,
    remove,
)
from plane.vault_admin import read_secret, write_secret


@pytest.fixture
def bench(fenced: FencedBench) -> FencedBench:
    return fenced


@pytest_asyncio.fixture
async def store(bench: FencedBench) -> AsyncIterator[FencedStore]:
    opened = bench.open()
    as_reconciled: Store = opened  # the type checker holds it to the contract
    assert as_reconciled.sessions is None
    yield opened
    await opened.close()


@pytest.fixture
def as_printed(bench: FencedBench) -> Iterator[FencedBench]:
    """Put the admin's role and policies back after a test that changes them."""
    yield bench
    bench.run(printed(bench.plane.vault_address))


async def actions(store: FencedStore, wanted: Grant, *, recorded: bool = True) -> list[Action]:
    """Return what the reconciler would write."""
    order = store.addresses(wanted.owner)
    seen = await store.observe(wanted.owner, order, known=True)
    resources = store.render(wanted)
    digests = {each.address: each.digest for each in resources} if recorded else {}
    return [each.action for each in diff(resources, seen, digests, order).operations]


async def claim(store: FencedStore, wanted: Grant) -> Claim:
    (address,) = store.addresses(wanted.owner)
    return (await store.observe(wanted.owner, [address], known=True))[address].claim


async def test_what_is_written_is_found_equal_and_ours_and_says_what_can_be_read(store: FencedStore) -> None:
    wanted = grant(
        "equal",
        StaticSecret(f"{NAMESPACE}/connections/warehouse"),
        StaticSecret("shared/smtp"),
        DynamicCredentials(ENGINE, f"{NAMESPACE}.ro", "Dynamic"),
        DynamicCredentials(ENGINE, f"{NAMESPACE}.ro", "Static"),
    )
    written = await create(store, wanted)
    (resource,) = store.render(wanted)
    seen = await store.observe(wanted.owner, [resource.address], known=True)
    assert dict(seen[resource.address].fields or {}) == dict(resource.fields)
    assert (seen[resource.address].claim, seen[resource.address].id) == (Claim.OURS, written.id)
    assert store.readable(seen) == wanted.readable
    assert await actions(store, wanted) == []


async def test_a_bound_account_reads_its_secrets_and_no_others_and_a_live_token_loses_them_at_once(
    store: FencedStore, bench: FencedBench
) -> None:
    keys = [f"{NAMESPACE}/connections/mine", f"{NAMESPACE}/connections/other", "shared/smtp", "shared/other"]
    for key in (*keys, f"{OTHER}/connections/mine"):
        write_secret(bench.plane, key, {"conn_uri": key}, mount=KV)

    def readable(token: str) -> list[str]:
        found = []
        for key in (*keys, f"{OTHER}/connections/mine"):
            if not bench.refused("GET", f"{KV}/data/{key}", None, token):
                assert read_secret(bench.plane, key, token=token, mount=KV) == {"conn_uri": key}
                found.append(key)
        return found

    early = bench.log_in("reads")
    assert readable(early) == []
    wanted = grant("reads", StaticSecret(keys[0]), StaticSecret(keys[2]))
    await create(store, wanted)
    assert readable(early) == readable(bench.log_in("reads")) == [keys[0], keys[2]]
    assert readable(bench.log_in("unbound")) == []
    for path in ("auth/token/renew-self", "auth/token/revoke-self"):
        bench.plane.vault.request("POST", path, {}, token=bench.log_in("reads"))
    await create(store, grant("reads", StaticSecret(keys[1])))
    assert readable(early) == [keys[1]]
    written = await remove(store, wanted.owner)
    assert readable(early) == []
    alias = bench.alias(f"{NAMESPACE}/reads")
    assert alias["custom_metadata"] == {}
    assert alias["id"] in written.left
    assert f"{NAMESPACE}/reads" in written.left
    (address,) = store.addresses(wanted.owner)
    assert (await store.observe(wanted.owner, [address], known=True))[address].absent


async def test_random_grants_give_exactly_what_they_say(store: FencedStore, bench: FencedBench) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    rng = random.Random(seed)  # noqa: S311 - no secret comes of it
    token = bench.log_in("fuzzed")

    def text() -> str:
        return "".join(rng.choices("abZ019_~@:=,-", k=rng.randint(1, 5)))

    for _ in range(25):
        own = {StaticSecret(f"{NAMESPACE}/{text()}/{text()}") for _ in range(rng.randint(0, SLOTS["own"]))}
        shared = {StaticSecret(f"shared/{text()}") for _ in range(rng.randint(0, SLOTS["shared"]))}
        both: tuple[Literal["Dynamic", "Static"], ...] = ("Dynamic", "Static")
        kinds = [rng.choice(both) for _ in range(rng.randint(0, SLOTS["dynamic"]))]
        dynamic = {DynamicCredentials(ENGINE, f"{NAMESPACE}.r{rng.randint(0, 99)}", kind) for kind in kinds}
        items: set[Readable] = {*own, *shared, *dynamic} or {StaticSecret(f"{NAMESPACE}/x")}
        await create(store, grant("fuzzed", *items))
        wanted = {_path(each) for each in items}
        others = {
            each
            for path in wanted
            for each in (path + "x", path[:-1], f"{path}/x", path.replace("/data/", "/metadata/", 1), path.upper())
        } | {f"{KV}/data/{NAMESPACE}/", f"{KV}/data/shared/", f"{ENGINE}/creds/{NAMESPACE}.", "sys/mounts"}
        others |= {path.replace(NAMESPACE, OTHER) for path in wanted if NAMESPACE in path}
        others |= {path.replace("/creds/", "/static-creds/") for path in wanted if "/creds/" in path}
        others = {each for each in others if each.strip("/") not in wanted}
        found = bench.capabilities(token, [*wanted, *others])
        assert {path for path in wanted if found[path] != ["read"]} == set(), seed
        assert {path for path in others if found[path] != ["deny"]} == set(), seed


def _path(item: Readable) -> str:
    if isinstance(item, StaticSecret):
        return f"{KV}/data/{item.key}"
    return f"{ENGINE}/{'creds' if item.kind == 'Dynamic' else 'static-creds'}/{item.role}"


async def test_a_new_binding_costs_a_look_and_a_write_a_drift_check_a_look_and_the_fence_is_proven_once(
    bench: FencedBench, store: FencedStore
) -> None:
    audit = bench.plane.vault.audit
    await store.client.ensure_login()
    mark = audit.mark()
    await create(store, grant("counted"))
    assert [(each.operation, each.path) for each in audit.entries(mark)] == [
        ("read", f"sys/internal/ui/mounts/auth/{AUTH}"),
        ("update", "identity/lookup/entity"),
        ("read", f"auth/{AUTH}/role/{ROLE}"),
        ("read", f"sys/policies/acl/airwarden-fence.{CLUSTER}.{ROLE}"),
        ("update", "identity/entity-alias"),
    ]
    mark = audit.mark()
    await create(store, grant("counted-too"))
    assert [each.path for each in audit.entries(mark)] == ["identity/lookup/entity", "identity/entity-alias"]
    mark = audit.mark()
    assert await actions(store, grant("counted")) == []
    assert [each.path for each in audit.entries(mark)] == ["identity/lookup/entity"]


async def test_changed_and_lost_metadata_is_drift_and_one_write_sets_it_right(
    store: FencedStore, bench: FencedBench
) -> None:
    wanted = grant("drifts", StaticSecret(f"{NAMESPACE}/a"), StaticSecret(f"{NAMESPACE}/b"))
    await create(store, wanted)
    fields = {key: str(value) for key, value in store.render(wanted)[0].fields.items()}
    slots = sorted(key for key in fields if key[1:].isdigit())
    for changed, expected in (
        ({**fields, slots[0]: "else"}, Action.UPDATE),
        ({**fields, "p07": "more", "p06": "more"}, Action.UPDATE),
        ({**fields, "note": "of an admin"}, Action.UPDATE),
        ({key: value for key, value in fields.items() if key != slots[1]}, Action.UPDATE),
        ({key: value for key, value in fields.items() if key != "airwarden"}, Action.UPDATE),
        ({}, Action.CREATE),
    ):
        bench.fill(f"{NAMESPACE}/drifts", changed)
        assert await actions(store, wanted) == [expected]
        await create(store, wanted)
        assert await actions(store, wanted) == []


async def test_metadata_of_others_is_neither_written_nor_emptied(store: FencedStore, bench: FencedBench) -> None:
    wanted = grant("claimed")
    name = f"{NAMESPACE}/claimed"
    bench.fill(name, {"team": "billing"})
    assert await claim(store, wanted) is Claim.UNMARKED
    assert await actions(store, wanted, recorded=False) == []
    for other in (
        Owner(CLUSTER, NAMESPACE, "other", BACKEND),
        Owner(CLUSTER, NAMESPACE, "claimed", "another"),
        Owner("c3", NAMESPACE, "claimed", BACKEND),
    ):
        foreign = {"airwarden": other.mark, "p00": "theirs"}
        bench.fill(name, foreign)
        assert await claim(store, wanted) is Claim.FOREIGN
        assert await actions(store, wanted, recorded=False) == []
        # Also with a record of ours, which somebody may have forged, or which two backends of one Vault both have.
        with pytest.raises(NotOwned, match="another owner"):
            await create(store, wanted)
        assert (await remove(store, wanted.owner)).left == ""
        assert bench.alias(name)["custom_metadata"] == foreign


async def test_an_alias_of_another_is_neither_read_nor_written(store: FencedStore) -> None:
    wanted, other = grant("mine"), grant("theirs")
    with pytest.raises(ValueError, match="not an address"):
        await store.observe(wanted.owner, store.addresses(other.owner), known=True)
    (resource,) = store.render(wanted)
    seen = await store.observe(wanted.owner, [resource.address], known=True)
    for change in ({"name": "x"}, {"name": f"{NAMESPACE}/a/../b"}, {"backend": "x"}, {"name": f"{NAMESPACE}/A*"}):
        address = type(resource.address)(**{"backend": BACKEND, "kind": resource.address.kind, "name": "x", **change})
        with pytest.raises(ValueError, match="not the alias"):
            await store.apply(Operation(Action.DELETE, address, None, seen[resource.address]))


async def test_the_sweep_is_told_every_owner_with_its_account(store: FencedStore, bench: FencedBench) -> None:
    first, second = grant("swept", account="swept-account"), grant("swept", namespace=OTHER)
    for each in (first, second):
        await create(store, each)
    bench.fill(f"{NAMESPACE}/foreign", {"airwarden": Owner("c3", NAMESPACE, "swept", BACKEND).mark})
    bench.fill(f"{NAMESPACE}/elsewhere", {"airwarden": Owner(CLUSTER, NAMESPACE, "swept", "another").mark})
    bench.fill(f"{NAMESPACE}/unmarked", {"a": "b"})
    bench.fill(f"{OTHER}/misplaced", {"airwarden": first.owner.mark})
    everyone = {each.owner for each in await store.holdings() if each.owner.binding == "swept"}
    found = {each for each in everyone if each.backend == BACKEND}
    assert found == {first.owner, second.owner}
    assert {each.backend for each in everyone - found} == {"another"}, "another backend's is named, to be reported"
    assert {each.account for each in found} == {"swept-account", "swept"}
    for owner in found:
        await remove(store, owner)
    assert not found & {each.owner for each in await store.holdings()}
    assert (await store.check()).capabilities == ("Static", "Dynamic", "Sweep")


async def test_two_accounts_under_one_mark_are_two_holdings_and_each_goes_for_itself(
    store: FencedStore, bench: FencedBench
) -> None:
    before, now = grant("anew", account="anew-before"), grant("anew", account="anew-now")
    for each in (before, now):
        await create(store, each)
    found = {each.account: each for each in await store.holdings() if each.owner.binding == "anew"}
    assert set(found) == {"anew-before", "anew-now"}
    use = Use(frozenset({BACKEND}), "anew-now")
    (stale,) = (each for each in found.values() if not owns(use, each))
    await remove(store, stale.owner)
    assert bench.alias(f"{NAMESPACE}/anew-before")["custom_metadata"] == {}
    assert bench.alias(f"{NAMESPACE}/anew-now")["custom_metadata"]["airwarden"] == now.owner.mark


async def test_without_the_right_to_list_there_is_no_sweep_and_nothing_else_is_missed(
    store: FencedStore, as_printed: FencedBench
) -> None:
    as_printed.run(printed(as_printed.plane.vault_address, ModeOptions(sweep=False)))
    health = await store.check()
    assert (health.missing_permissions, health.capabilities) == ((), ("Static", "Dynamic"))
    with pytest.raises(Forbidden):
        await store.holdings()


async def test_nothing_is_filled_and_the_check_says_why_unless_the_fence_stands_as_printed(
    store: FencedStore, as_printed: FencedBench
) -> None:
    vault, role = as_printed.plane.vault, f"auth/{AUTH}/role/{ROLE}"
    policy = f"sys/policies/acl/airwarden-fence.{CLUSTER}.{ROLE}"
    good = vault.request("GET", policy)["data"]["policy"]
    wanted = grant("unproven")
    broken = [
        ("POST", role, {"alias_name_source": "serviceaccount_uid"}, "alias_name_source"),
        ("POST", role, {"alias_name_source": "serviceaccount_name", "token_policies": "default"}, "does not carry"),
        ("DELETE", role, None, "is not there"),
    ]
    for method, path, body, said in broken:
        vault.request(method, path, body)
        with pytest.raises(InvalidSettings, match=said):
            await store.check()
        with pytest.raises(InvalidSettings, match=said):
            await create(store, wanted)
        assert as_printed.alias(f"{NAMESPACE}/unproven") is None
    as_printed.run(printed(as_printed.plane.vault_address))
    last = f"custom_metadata.p{SLOTS['own'] - 1:02}"
    vault.request("PUT", policy, {"policy": good.replace(last, "custom_metadata.x")})
    with pytest.raises(InvalidSettings, match=f"lacks 1 path.*{last}"):
        await store.check()
    vault.request("PUT", policy, {"policy": good + '\npath "more" { capabilities = ["read"] }\n'})
    await store.check()
    assert missing_paths(good, good) == ()
    await create(store, wanted)


async def test_removal_needs_no_proof_of_the_fence(store: FencedStore, as_printed: FencedBench) -> None:
    wanted = grant("removed")
    await create(store, wanted)
    as_printed.plane.vault.request("DELETE", f"auth/{AUTH}/role/{ROLE}")
    with pytest.raises(InvalidSettings):
        await store.check()
    await remove(store, wanted.owner)
    assert as_printed.alias(f"{NAMESPACE}/removed")["custom_metadata"] == {}


async def test_what_is_no_longer_granted_goes_at_once_also_while_the_fence_does_not_stand(
    store: FencedStore, as_printed: FencedBench
) -> None:
    kept, lost, more = (StaticSecret(f"{NAMESPACE}/{name}") for name in ("kept", "lost", "more"))
    await create(store, grant("tightened", kept, lost))
    token = as_printed.log_in("tightened")
    vault, role = as_printed.plane.vault, f"auth/{AUTH}/role/{ROLE}"
    vault.request("POST", role, {"alias_name_source": "serviceaccount_uid"})
    with pytest.raises(InvalidSettings):
        await store.check()
    with pytest.raises(InvalidSettings, match="alias_name_source"):
        await create(store, grant("tightened", kept, more))
    paths = {each: f"{KV}/data/{each.key}" for each in (kept, lost, more)}
    found = as_printed.capabilities(token, list(paths.values()))
    assert [found[paths[each]] for each in (kept, lost, more)] == [["read"], ["deny"], ["deny"]]
    assert await claim(store, grant("tightened")) is Claim.OURS
    mark = vault.audit.mark()
    with pytest.raises(InvalidSettings):
        await create(store, grant("tightened", kept, more))
    assert "identity/entity-alias" not in {each.path for each in vault.audit.entries(mark)}
    as_printed.run(printed(as_printed.plane.vault_address))
    await create(store, grant("tightened", kept, more))
    found = as_printed.capabilities(token, list(paths.values()))
    assert [found[paths[each]] for each in (kept, lost, more)] == [["read"], ["deny"], ["read"]]


async def test_the_check_names_each_right_that_lacks(store: FencedStore, as_printed: FencedBench) -> None:
    vault, name = as_printed.plane.vault, f"airwarden-operator.{CLUSTER}"
    text = vault.request("GET", f"sys/policies/acl/{name}")["data"]["policy"]
    assert (await store.check()).missing_permissions == ()
    vault.request("PUT", f"sys/policies/acl/{name}", {"policy": text.replace('["create", "update"]', '["create"]')})
    assert (await store.check()).missing_permissions == ("identity/entity-alias: update",)


async def test_as_many_secrets_as_there_are_slots_can_be_held(bench: FencedBench, store: FencedStore) -> None:
    items = [StaticSecret(f"{NAMESPACE}/{'k' * 490}{number}") for number in range(SLOTS["own"])]
    wanted = grant("full", *items)
    await create(store, wanted)
    assert await actions(store, wanted) == []
    found = bench.capabilities(bench.log_in("full"), [f"{KV}/data/{each.key}" for each in items])
    assert set(map(tuple, found.values())) == {("read",)}
