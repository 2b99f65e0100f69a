"""What another mode of the same backend left in a real Vault: listed where the login may, and as ours alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from airwarden.domain.errors import ClusterIDConflict, Forbidden
from airwarden.domain.holdings import Holding
from airwarden.domain.identity import Expected
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Action, Claim, Operation
from airwarden.providers.ports import SWEEP_FORMER, Store
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.fenced.store import FencedStore
from airwarden.providers.vault.opening import open_store
from airwarden.providers.vault.store import VaultStore
from contract.vault.fenced_bench import (
    AUTH,
    BACKEND,
    CLUSTER,
    NAMESPACE,
    OTHER,
    FencedBench,
    backend_of,
    create,
    grant,
    printed,
    remove,
)

OURS, THEIRS = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
MARKER = f"sys/policies/acl/airwarden.{CLUSTER}.cluster-id"
ROLES = {"mode": "Roles", "fenced": None}


@pytest.fixture
def moving(fenced: FencedBench) -> Iterator[FencedBench]:
    """Give the operator the rights of both modes, and take them away afterwards."""
    fenced.run(printed(fenced.plane.vault_address, ModeOptions(moving=True)))
    yield fenced
    fenced.plane.vault.request("DELETE", MARKER)
    fenced.run(printed(fenced.plane.vault_address))


def set_up(bench: FencedBench, options: ModeOptions, **vault: object) -> None:
    bench.run(printed(bench.plane.vault_address, options, **vault))


@pytest_asyncio.fixture
async def roles(moving: FencedBench) -> AsyncIterator[VaultStore]:
    """Return the backend in mode Roles, of our cluster."""
    backend = backend_of(moving.plane.vault_address, **ROLES)
    opened = open_store(backend, cluster=CLUSTER, token_directory=moving.folder / "tokens", ca_pem=None)
    assert isinstance(opened, VaultStore)
    opened.expect(Expected(frozenset(), OURS))
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def fenced_store(moving: FencedBench) -> AsyncIterator[FencedStore]:
    """Return the same backend in mode Fenced."""
    opened = moving.open()
    opened.expect(Expected(frozenset(), OURS))
    yield opened
    await opened.close()


async def leave_roles(store: VaultStore, binding: str) -> Owner:
    """Write policy and role of a binding as mode Roles does."""
    wanted = grant(binding)
    seen = await store.observe(wanted.owner, store.addresses(wanted.owner), known=True)
    for resource in store.render(wanted):
        await store.apply(Operation(Action.CREATE, resource.address, resource, seen[resource.address]))
    return wanted.owner


async def take_away(store: Store, holding: Holding) -> None:
    """Remove a former holding as the sweep does: what carries our mark, in the order of removal."""
    seen = await store.observe(holding.owner, holding.former, known=True)
    assert {each.claim for each in seen.values()} == {Claim.OURS}
    for address in holding.former:
        await store.apply(Operation(Action.DELETE, address, None, seen[address]))


async def of(store: Store, *bindings: str) -> list[Holding]:
    return [each for each in await store.former_holdings() if each.owner.binding in bindings]


async def test_mode_fenced_finds_and_removes_what_mode_roles_left(
    moving: FencedBench, roles: VaultStore, fenced_store: FencedStore
) -> None:
    owner = await leave_roles(roles, "left-roles")
    assert SWEEP_FORMER in (await fenced_store.check()).capabilities
    await create(fenced_store, grant("left-roles"))
    (found,) = await of(fenced_store, "left-roles")
    assert (found.owner, found.former) == (owner, roles.addresses(owner))
    await take_away(fenced_store, found)
    assert all(each.absent for each in (await roles.observe(owner, roles.addresses(owner), known=True)).values())
    assert moving.alias(f"{NAMESPACE}/left-roles")["custom_metadata"], "the present mode's access stays"
    assert await of(fenced_store, "left-roles") == []
    await remove(fenced_store, grant("left-roles").owner)


@pytest.mark.parametrize("marker", ["", THEIRS])
async def test_names_that_are_not_shown_to_be_our_cluster_s_are_not_taken_for_ours(
    moving: FencedBench, roles: VaultStore, fenced_store: FencedStore, marker: str
) -> None:
    owner = await leave_roles(roles, "of-whom")
    vault = moving.plane.vault
    ours = vault.request("GET", MARKER)["data"]["policy"]
    if marker:
        vault.request("PUT", MARKER, {"policy": ours.replace(OURS, THEIRS)})
        with pytest.raises(ClusterIDConflict):
            await fenced_store.former_holdings()
    else:
        vault.request("DELETE", MARKER)
        assert await fenced_store.former_holdings() == frozenset()
        assert "cluster-id" not in str(vault.request("LIST", "sys/policies/acl")), "and mode Fenced writes no marker"
    vault.request("PUT", MARKER, {"policy": ours})
    (found,) = await of(fenced_store, owner.binding)
    await take_away(fenced_store, found)


async def test_mode_roles_finds_and_empties_what_mode_fenced_left_and_touches_no_other_alias(
    moving: FencedBench, roles: VaultStore, fenced_store: FencedStore
) -> None:
    for each in (grant("left-slots"), grant("left-slots", account="left-other")):
        await create(fenced_store, each)
    foreign = {
        "left-c3": {"airwarden": Owner("c3", NAMESPACE, "left-slots", BACKEND).mark},
        "left-unmarked": {"team": "billing"},
    }
    for name, metadata in foreign.items():
        moving.fill(f"{NAMESPACE}/{name}", metadata)
    moving.fill(f"{OTHER}/left-misplaced", {"airwarden": Owner(CLUSTER, NAMESPACE, "left-slots", BACKEND).mark})
    set_up(moving, ModeOptions(mode="Roles", moving=True), **ROLES)
    assert SWEEP_FORMER in (await roles.check()).capabilities
    found = {each.account: each for each in await of(roles, "left-slots")}
    assert set(found) == {"left-slots", "left-other"}
    await take_away(roles, found["left-other"])
    assert moving.alias(f"{NAMESPACE}/left-other")["custom_metadata"] == {}
    assert moving.alias(f"{NAMESPACE}/left-slots")["custom_metadata"]
    await take_away(roles, found["left-slots"])
    assert await of(roles, "left-slots") == []
    for name, metadata in foreign.items():
        assert moving.alias(f"{NAMESPACE}/{name}")["custom_metadata"] == metadata


async def test_without_the_rights_of_a_move_nothing_is_listed_and_the_capabilities_say_so(
    moving: FencedBench, roles: VaultStore, fenced_store: FencedStore
) -> None:
    set_up(moving, ModeOptions())
    assert SWEEP_FORMER not in (await fenced_store.check()).capabilities
    with pytest.raises(Forbidden):
        await fenced_store.former_holdings()
    set_up(moving, ModeOptions(), **ROLES)
    health = await roles.check()
    assert (health.missing_permissions, SWEEP_FORMER in health.capabilities) == ((), False)
    with pytest.raises(Forbidden):
        await roles.former_holdings()


async def test_a_part_of_the_rights_of_a_move_is_not_enough(moving: FencedBench, fenced_store: FencedStore) -> None:
    vault, name = moving.plane.vault, f"sys/policies/acl/airwarden-operator.{CLUSTER}"
    text = vault.request("GET", name)["data"]["policy"]
    listing = f'path "auth/{AUTH}/role" {{\n  capabilities = '
    assert f'{listing}["list"]' in text
    vault.request("PUT", name, {"policy": text.replace(f'{listing}["list"]', f'{listing}["deny"]')})
    assert SWEEP_FORMER not in (await fenced_store.check()).capabilities
