"""Which Vault answers, whose the cluster's name is in it, and who has something there: asked of a real Vault."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from airwarden.domain import errors
from airwarden.domain.identity import Expected
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Grant
from airwarden.providers.vault.store import VaultStore
from contract.vault.bench import AUTH, BACKEND, CLUSTER, KV, NAMESPACE, Bench, create, grant, remove

Opening = Callable[..., VaultStore]
MARKER = f"sys/policies/acl/airwarden.{CLUSTER}.cluster-id"
OURS, OTHER = "uid-of-ours", "uid-of-another"
NOT_CHECKS = ("sys/health", "auth/token/")


@pytest.fixture(autouse=True)
def unmarked(bench: Bench) -> Iterator[None]:
    """Leave no marker behind, as after an administrator released the name."""
    yield
    bench.plane.vault.request("DELETE", MARKER)


def expect(store: VaultStore, uid: str = OURS, *ids: str, claims: bool = True) -> VaultStore:
    store.expect(Expected(frozenset(ids), uid, claims))
    return store


def asked(bench: Bench, mark: int) -> list[tuple[str, str]]:
    entries = bench.plane.vault.audit.entries(mark)
    return [(each.operation, each.path) for each in entries if not each.path.startswith(NOT_CHECKS)]


async def observe(store: VaultStore, wanted: Grant) -> None:
    await store.observe(wanted.owner, store.addresses(wanted.owner), known=True)


async def test_the_first_cluster_takes_the_name_and_the_marker_gives_no_rights(bench: Bench, opening: Opening) -> None:
    await expect(opening()).check()
    text = bench.plane.vault.request("GET", MARKER)["data"]["policy"]
    assert text.startswith(f"# airwarden.dev/cluster cluster={CLUSTER} uid={OURS}\n")
    assert all(line.startswith("#") for line in text.splitlines())
    mark = bench.plane.vault.audit.mark()
    again = expect(opening())
    await again.check()
    await again.check()
    assert [each for each in asked(bench, mark) if each[1] == MARKER] == [("read", MARKER)] * 2  # one a check
    token = bench.plane.vault.request(
        "POST", "auth/token/create", {"policies": [f"airwarden.{CLUSTER}.cluster-id"], "no_default_policy": True}
    )["auth"]["client_token"]
    paths = [MARKER, f"{KV}/data/x", "sys/mounts", "auth/token/lookup-self"]
    rights = bench.plane.vault.request("POST", "sys/capabilities", {"token": token, "paths": paths})["data"]
    assert [rights[path] for path in paths] == [["deny"]] * len(paths)


async def test_under_another_clusters_name_nothing_is_asked_written_or_removed(bench: Bench, opening: Opening) -> None:
    wanted = grant("of-both")
    first = expect(opening())
    await create(first, wanted)
    second = expect(opening(), OTHER)
    mark = bench.plane.vault.audit.mark()
    with pytest.raises(errors.ClusterIDConflict, match=OURS):
        await second.check()
    for work in (observe(second, wanted), create(second, grant("of-second")), remove(second, wanted.owner)):
        with pytest.raises(errors.ClusterIDConflict):
            await work
    with pytest.raises(errors.ClusterIDConflict):
        await second.holdings()
    assert {path for _, path in asked(bench, mark)} <= {MARKER, f"auth/{AUTH}/login", "sys/capabilities-self"}
    assert {operation for operation, path in asked(bench, mark) if path == MARKER} == {"read"}
    await remove(first, wanted.owner)


async def test_a_marker_that_somebody_changed_is_nobodys_and_is_not_written_over(
    bench: Bench, opening: Opening
) -> None:
    bench.plane.vault.request("PUT", MARKER, {"policy": "# by hand"})
    with pytest.raises(errors.ClusterIDConflict, match="names no cluster"):
        await expect(opening()).check()
    assert bench.plane.vault.request("GET", MARKER)["data"]["policy"] == "# by hand"


async def test_a_name_that_was_released_can_be_taken_by_the_successor(bench: Bench, opening: Opening) -> None:
    await expect(opening()).check()
    successor = expect(opening(), OTHER)
    with pytest.raises(errors.ClusterIDConflict):
        await successor.check()
    bench.plane.vault.request("DELETE", MARKER)
    await successor.check()
    assert OTHER in bench.plane.vault.request("GET", MARKER)["data"]["policy"]


async def test_who_only_looks_takes_no_name(bench: Bench, opening: Opening) -> None:
    looking = expect(opening(), claims=False)
    await looking.identify()
    assert "airwarden.c1.cluster-id" not in bench.plane.vault.request("LIST", "sys/policies/acl")["data"]["keys"]


async def test_to_another_vault_no_login_is_sent(bench: Bench, opening: Opening) -> None:
    mark = bench.plane.vault.audit.mark()
    store = expect(opening(), OURS, "the-one-before")
    for work in (store.check(), observe(store, grant("elsewhere")), store.holdings()):
        with pytest.raises(errors.StoreChanged, match=r"airwarden\.dev/accept-store="):
            await work
    assert asked(bench, mark) == []
    health = await expect(opening()).check()
    await expect(opening(), OURS, "the-one-before", health.store_id).check()


async def test_everybody_of_our_cluster_who_has_something_is_an_owner_and_nobody_else(
    bench: Bench, opening: Opening
) -> None:
    vault = bench.plane.vault
    store = expect(opening())
    whole, dotted = grant("whole"), grant("with.dots.in-it")
    for each in (whole, dotted):
        await create(store, each)
    other = Owner(CLUSTER, NAMESPACE, "elsewhere", "other-backend")
    alone = Owner(CLUSTER, NAMESPACE, "role-alone", BACKEND)
    foreign = ("airwarden.c2.team.x.vault", "airwarden.c11.team.x.vault", "airwarden.c1.three", "admin-of-this")
    vault.request("PUT", f"sys/policies/acl/{other.name_in_store}", {"policy": "# x"})
    vault.request("POST", f"auth/{AUTH}/role/{alone.name_in_store}", dict(store.render(grant("role-alone"))[1].fields))
    for name in foreign:
        vault.request("PUT", f"sys/policies/acl/{name}", {"policy": "# x"})
    try:
        found = {each.owner for each in await store.holdings()}
        assert {whole.owner, dotted.owner, other, alone} <= found
        assert {each.cluster for each in found} == {CLUSTER}
        assert not {each.name_in_store for each in found} & {*foreign, f"airwarden.{CLUSTER}.cluster-id"}
    finally:
        for name in (*foreign, other.name_in_store):
            vault.request("DELETE", f"sys/policies/acl/{name}")
        for owner in (whole.owner, dotted.owner, alone):
            await remove(store, owner)


async def test_a_list_that_cannot_be_read_is_never_an_empty_one(bench: Bench, store: VaultStore) -> None:
    vault, name = bench.plane.vault, bench.setup.policy_name
    await create(store, grant("listed"))
    for path in ("sys/policies/acl", f"auth/{AUTH}/role"):
        listing = f'path "{path}" {{\n  capabilities = '
        text = bench.setup.policy_text.replace(f'{listing}["list"]', f'{listing}["deny"]')
        assert text != bench.setup.policy_text
        try:
            vault.request("PUT", f"sys/policies/acl/{name}", {"policy": text})
            with pytest.raises(errors.Forbidden):
                await store.holdings()
        finally:
            vault.request("PUT", f"sys/policies/acl/{name}", {"policy": bench.setup.policy_text})
    await remove(store, grant("listed").owner)


async def test_a_mount_that_is_gone_is_said_by_the_check(bench: Bench, opening: Opening) -> None:
    vault = bench.plane.vault
    for path, body in (("sys/mounts/spare-kv", {"type": "kv"}), ("sys/auth/spare-auth", {"type": "kubernetes"})):
        vault.request("POST", path, body)
    text = bench.setup.policy_text.replace(KV, "spare-kv").replace(AUTH, "spare-auth")
    vault.request("PUT", f"sys/policies/acl/{bench.setup.policy_name}", {"policy": bench.setup.policy_text + text})
    workloads = {"kubernetes": {"mount": "spare-auth", "audience": "vault"}}
    try:
        await expect(opening(kv={"mount": "spare-kv"}, workloadLogin=workloads)).check()
        vault.request("DELETE", "sys/mounts/spare-kv")
        with pytest.raises(errors.MountMissing, match="spare-kv"):
            await expect(opening(kv={"mount": "spare-kv"})).check()
        vault.request("DELETE", "sys/auth/spare-auth")
        lost = expect(opening(workloadLogin=workloads))
        with pytest.raises(errors.MountMissing, match="spare-auth"):
            await lost.check()
        with pytest.raises(errors.MountMissing):
            await lost.holdings()
    finally:
        vault.request("PUT", f"sys/policies/acl/{bench.setup.policy_name}", {"policy": bench.setup.policy_text})
