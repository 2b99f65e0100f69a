"""A mark that somebody else wrote neither freezes a revocation nor makes a backend come and go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from airwarden.domain.errors import ClusterIDConflict, NotOwned, StoreFailed
from airwarden.domain.resources import Action
from airwarden.providers.azure.naming import ASSIGNMENT, CREDENTIAL, IDENTITY
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import Bench, addressed, changes, create, remove, write
from stand_ins.azure.roles import SECRETS_USER
from stand_ins.azure.stand_in import GROUP, AzureStandIn

Opening = Callable[[AzureStore], AzureStore]
OTHER: Final = "33333333-aaaa-bbbb-cccc-444444444444"


def existing(azure: AzureStandIn) -> dict[str, Any]:
    return {
        "subscriptionID": azure.subscription,
        "resourceGroup": GROUP,
        "existing": [{"namespace": "team", "serviceAccount": "billing", "name": "id-billing"}],
    }


def describe(azure: AzureStandIn, name: str, text: str) -> None:
    with azure.world() as world:
        world.assignments[name] = replace(world.assignments[name], description=text)


async def test_a_mark_of_ours_on_a_strangers_assignment_keeps_nothing_from_being_removed(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    stranger = azure.add_identity("stranger")
    theirs = azure.grant(stranger.principal_id, SECRETS_USER, f"{store.place.vault_id}/secrets/airflow-a")
    describe(azure, theirs.name, f"{wanted.owner.mark} uid={OTHER} for=account")
    azure.clock.advance(120)
    found = await changes(store, wanted, recorded)
    assert (found.operations, found.conflicts) == ((), ())
    assert await remove(bench, store, wanted.owner, recorded) == [
        (Action.DELETE, ASSIGNMENT),
        (Action.DELETE, CREDENTIAL),
        (Action.DELETE, IDENTITY),
    ]
    (left,) = azure.assignments(f"{store.place.vault_id}/secrets")
    assert left.name == theirs.name


@pytest.mark.parametrize("shared", [False, True])
async def test_an_assignment_whose_mark_names_another_uid_is_that_secrets_business_alone(
    azure: AzureStandIn, bench: Bench, opening: Opening, shared: bool
) -> None:
    azure.add_identity("id-billing")
    store = opening(bench.open(identities=existing(azure)) if shared else bench.open())
    wanted = bench.grant("airflow-a", "airflow-b")
    recorded = await create(bench, store, wanted)
    changed, other = azure.assignments(f"{store.place.vault_id}/secrets")
    describe(azure, changed.name, f"{wanted.owner.mark} uid={OTHER} for=account")
    azure.clock.advance(store.place.drift_age + 1)
    found = await changes(store, wanted, recorded)
    assert found.operations == ()
    (conflict,) = found.conflicts
    assert f"of cluster c1 with uid {OTHER}" in conflict.message
    assert (Action.DELETE, ASSIGNMENT) in await remove(bench, store, wanted.owner, recorded)
    (left,) = azure.assignments(f"{store.place.vault_id}/secrets")
    assert left.name == changed.name != other.name


async def test_a_backend_is_not_well_before_the_mark_of_a_cluster_of_our_name_is_gone(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    azure.add_identity("id-billing")
    wanted = bench.grant("airflow-a")
    await create(bench, opening(bench.open(identities=existing(azure))), wanted)
    bench.uid = OTHER
    twin = opening(bench.open(identities=existing(azure)))
    with pytest.raises(ClusterIDConflict):
        await changes(twin, wanted)
    with pytest.raises(ClusterIDConflict):
        await twin.check()
    (made,) = azure.assignments(f"{twin.place.vault_id}/secrets")
    azure.revoke(made.name)
    azure.clock.advance(30)
    await twin.check()
    found = await changes(twin, wanted, known=False)
    assert addressed(found) == [(Action.CREATE, ASSIGNMENT)]
    await write(bench, twin, found)


async def test_another_clusters_mark_stays_also_where_a_list_has_shown_it_since(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    azure.add_identity("id-billing")
    other = Bench(azure, bench.folder / "second", cluster="c2", uid=OTHER)
    other.allow(identities=existing(azure))
    first = opening(bench.open(identities=existing(azure)))
    second = opening(other.open(identities=existing(azure)))
    planned = await changes(second, other.grant("airflow-a"), known=False)
    (assignment,) = [each for each in planned.operations if each.address.kind == ASSIGNMENT]
    await create(bench, first, bench.grant("airflow-a"))
    (made,) = azure.assignments(f"{first.place.vault_id}/secrets")
    azure.clock.advance(6)
    await changes(second, other.grant("airflow-b", binding="other", account="other"), known=False)
    with pytest.raises(NotOwned, match=made.name):
        await second.apply(assignment)
    assert azure.assignments(f"{first.place.vault_id}/secrets") == [made]


async def test_an_identity_that_was_given_to_another_since_it_was_seen_is_not_removed(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    with azure.world() as world:
        identity = next(each for each in world.identities.values() if each.name.startswith("airwarden-"))
        identity.tags = {"airwarden.dev-owner": "c9/other/x/y", "airwarden.dev-cluster-uid": OTHER}
    with pytest.raises(StoreFailed, match="changed since"):
        await remove(bench, store, wanted.owner, recorded)
    with azure.world() as world:
        assert identity.id.lower() in world.identities
