"""The Azure store's contract on the stand-in: what it writes, sees, claims and removes, and with which rights."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from airwarden.domain.errors import ClusterIDConflict, Forbidden, NotOwned
from airwarden.domain.resources import Action, Claim, StaticSecret
from airwarden.providers.azure.naming import ASSIGNMENT, CREDENTIAL, IDENTITY
from airwarden.providers.azure.rows import name_of
from airwarden.providers.azure.store import AzureStore
from airwarden.providers.kubernetes.objects import binding_path
from contract.azure import clients
from contract.azure.bench import ISSUER, VAULT, Bench, addressed, changes, create, remove, write
from contract.azure.issuer import Issuer
from contract.azure.test_shared_groups import ONE, Office
from stand_ins.azure.roles import SECRETS_OFFICER, SECRETS_USER
from stand_ins.azure.stand_in import GROUP, AzureStandIn

Opening = Callable[[AzureStore], AzureStore]


async def test_what_is_written_is_found_equal_and_ours(bench: Bench, store: AzureStore) -> None:
    wanted = bench.grant("airflow-a", "airflow-b")
    assert addressed(await changes(store, wanted)) == [
        (Action.CREATE, IDENTITY),
        (Action.CREATE, CREDENTIAL),
        (Action.CREATE, ASSIGNMENT),
        (Action.CREATE, ASSIGNMENT),
    ]
    recorded = await create(bench, store, wanted)
    for known in (True, False):
        found = await changes(store, wanted, recorded, known=known)
        assert (found.operations, found.conflicts) == ((), ())
        assert {each.claim for each in found.present.values()} == {Claim.OURS}
        assert store.readable(found.present) == {StaticSecret("airflow-a"), StaticSecret("airflow-b")}


async def test_what_a_fresh_process_sees_is_the_same(bench: Bench, store: AzureStore, opening: Opening) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    found = await changes(opening(bench.open()), wanted, recorded)
    assert (found.operations, found.conflicts) == ((), ())


async def test_a_bound_account_reads_its_secret_and_no_other_until_the_binding_goes(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    tasks = Issuer(ISSUER)
    azure.trust_issuer(ISSUER, tasks.keys)
    token = bench.folder / "task"
    token.write_text(tasks.token("system:serviceaccount:team:billing", expires=time.time() + 86400))
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    client_id = store.annotations(wanted.owner)["azure.workload.identity/client-id"]
    azure.clock.advance(3600)
    with clients.secrets(azure, VAULT, clients.workload(azure, client_id, token)) as reader:
        assert reader.get_secret("airflow-a").value == "value-of-airflow-a"
        with pytest.raises(HttpResponseError, match="Forbidden"):
            reader.get_secret("airflow-b")
    assert await remove(bench, store, wanted.owner, recorded) == [
        (Action.DELETE, ASSIGNMENT),
        (Action.DELETE, CREDENTIAL),
        (Action.DELETE, IDENTITY),
    ]
    azure.clock.advance(3600)
    with (
        clients.secrets(azure, VAULT, clients.workload(azure, client_id, token)) as reader,
        pytest.raises(ClientAuthenticationError, match="AADSTS"),
    ):
        reader.get_secret("airflow-a")
    found = await changes(store, wanted)
    assert {each.action for each in found.operations} == {Action.CREATE}


async def test_an_assignment_is_named_after_scope_principal_and_role_and_says_what_it_is(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    await create(bench, store, wanted)
    (made,) = azure.assignments(f"{store.place.vault_id}/secrets")
    with azure.world() as world:
        identity = next(each for each in world.identities.values() if each.name.startswith("airwarden-"))
    assert made.name == name_of(made.scope, identity.principal_id, SECRETS_USER)
    assert made.principal_type == "ServicePrincipal"
    assert made.description == f"{wanted.owner.mark} uid={bench.uid} for=account"
    (credential,) = identity.credentials.values()
    assert (credential.issuer, credential.subject) == (ISSUER, "system:serviceaccount:team:billing")
    assert credential.audiences == ("api://AzureADTokenExchange",)


async def test_the_operators_role_lets_it_hand_out_no_other_role(azure: AzureStandIn, bench: Bench) -> None:
    store = bench.open(roleID=SECRETS_OFFICER)
    wanted = bench.grant("airflow-a")
    with pytest.raises(Forbidden, match="azure-setup"):
        await create(bench, store, wanted)
    assert azure.assignments(f"{store.place.vault_id}/secrets") == []
    await store.close()


async def test_an_assignment_edited_by_hand_is_set_right(azure: AzureStandIn, bench: Bench, store: AzureStore) -> None:
    wanted = bench.grant("airflow-a", "airflow-b")
    recorded = await create(bench, store, wanted)
    azure.clock.advance(120)
    edited, deleted = azure.assignments(f"{store.place.vault_id}/secrets")
    with azure.world() as world:
        world.assignments[edited.name] = replace(edited, description="mine now")
    azure.revoke(deleted.name)
    second = bench.open()
    found = await changes(second, wanted, recorded)
    assert sorted(addressed(found)) == [(Action.CREATE, ASSIGNMENT), (Action.UPDATE, ASSIGNMENT)]
    assert {each.address for each in found.operations} == found.drifted
    await write(bench, second, found)
    assert (await changes(second, wanted, recorded)).operations == ()
    await second.close()


async def test_somebody_elses_assignment_with_the_same_triple_is_not_touched(
    azure: AzureStandIn, bench: Bench, store: AzureStore, opening: Opening
) -> None:
    wanted = bench.grant("airflow-a", "airflow-b")
    await create(bench, store, bench.grant("airflow-b"))
    with azure.world() as world:
        identity = next(each for each in world.identities.values() if each.name.startswith("airwarden-"))
    theirs = azure.grant(identity.principal_id, SECRETS_USER, f"{store.place.vault_id}/secrets/airflow-a")
    second = opening(bench.open())
    found = await changes(second, wanted, known=False)
    assert found.operations == ()
    (conflict,) = found.conflicts
    assert theirs.name in conflict.message
    assert "not made by Airwarden" in conflict.message
    await remove(bench, second, wanted.owner, {each.address: each.digest for each in second.render(wanted)})
    assert theirs in azure.assignments()


async def test_one_that_comes_between_the_look_and_the_write_is_not_touched_either(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    found = await changes(store, wanted)
    await write(bench, store, replace(found, operations=found.operations[:2]))
    with azure.world() as world:
        identity = next(each for each in world.identities.values() if each.name.startswith("airwarden-"))
    theirs = azure.grant(identity.principal_id, SECRETS_USER, f"{store.place.vault_id}/secrets/airflow-a")
    with pytest.raises(NotOwned, match=theirs.name):
        await store.apply(found.operations[2])
    assert azure.assignments(f"{store.place.vault_id}/secrets") == [theirs]


async def test_an_identity_that_was_made_anew_gets_its_assignments_anew_and_the_stale_ones_go(
    azure: AzureStandIn, bench: Bench, store: AzureStore, opening: Opening
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    with azure.world() as world:
        identity = next(each for each in world.identities.values() if each.name.startswith("airwarden-"))
    azure.remove_identity(identity)
    (stale,) = azure.assignments(f"{store.place.vault_id}/secrets")
    second = opening(bench.open())
    found = await changes(second, wanted, recorded)
    assert addressed(found) == [
        (Action.CREATE, IDENTITY),
        (Action.CREATE, CREDENTIAL),
        (Action.UPDATE, ASSIGNMENT),
    ]
    await write(bench, second, found)
    (made,) = azure.assignments(f"{store.place.vault_id}/secrets")
    assert made.principal != stale.principal
    assert (await changes(second, wanted, recorded)).operations == ()


async def test_two_clusters_on_one_vault_keep_their_own(
    azure: AzureStandIn, bench: Bench, store: AzureStore, opening: Opening
) -> None:
    other = Bench(azure, bench.folder / "second", cluster="c2", uid="33333333-aaaa-bbbb-cccc-444444444444")
    other.allow()
    second = opening(other.open())
    recorded = await create(bench, store, bench.grant("airflow-a"))
    await create(other, second, other.grant("airflow-a"))
    assert len(azure.assignments(f"{store.place.vault_id}/secrets")) == 2
    holdings = {str(each.owner) for each in await store.holdings()}
    assert holdings == {"team/billing"}
    await remove(bench, store, bench.grant().owner, recorded)
    assert (await changes(second, other.grant("airflow-a"))).operations == ()


async def test_two_clusters_of_one_name_do_not_take_each_other_for_themselves(bench: Bench, store: AzureStore) -> None:
    wanted = bench.grant("airflow-a")
    await create(bench, store, wanted)
    bench.uid = "33333333-aaaa-bbbb-cccc-444444444444"
    second = bench.open()
    with pytest.raises(ClusterIDConflict, match="11111111-aaaa"):
        await changes(second, wanted)
    assert await second.holdings() == frozenset()
    await second.close()


async def test_nor_where_they_share_an_identity_that_carries_no_mark(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    azure.add_identity("id-billing")
    identities = {
        "subscriptionID": azure.subscription,
        "resourceGroup": GROUP,
        "existing": [{"namespace": "team", "serviceAccount": "billing", "name": "id-billing"}],
    }
    wanted = bench.grant("airflow-a")
    await create(bench, opening(bench.open(identities=identities)), wanted)
    bench.uid = "33333333-aaaa-bbbb-cccc-444444444444"
    with pytest.raises(ClusterIDConflict, match="11111111-aaaa"):
        await changes(opening(bench.open(identities=identities)), wanted)


async def test_another_clusters_assignment_of_the_same_name_keeps_its_mark(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    azure.add_identity("id-billing")
    identities = {
        "subscriptionID": azure.subscription,
        "resourceGroup": GROUP,
        "existing": [{"namespace": "team", "serviceAccount": "billing", "name": "id-billing"}],
    }
    other = Bench(azure, bench.folder / "second", cluster="c2", uid="33333333-aaaa-bbbb-cccc-444444444444")
    other.allow(identities=identities)
    first, second = opening(bench.open(identities=identities)), opening(other.open(identities=identities))
    planned = await changes(second, other.grant("airflow-a"), known=False)
    (assignment,) = [each for each in planned.operations if each.address.kind == ASSIGNMENT]
    await create(bench, first, bench.grant("airflow-a"))
    (made,) = azure.assignments(f"{first.place.vault_id}/secrets")
    with pytest.raises(NotOwned, match=made.name):
        await second.apply(assignment)
    assert azure.assignments(f"{first.place.vault_id}/secrets") == [made]
    found = await changes(opening(other.open(identities=identities)), other.grant("airflow-a"))
    assert any("of cluster c1" in each.message for each in found.conflicts)


async def test_what_no_binding_has_any_more_is_found_and_can_be_removed(bench: Bench, store: AzureStore) -> None:
    wanted = bench.grant("airflow-a", "airflow-b")
    await create(bench, store, wanted)
    (holding,) = await store.holdings()
    assert holding.owner == wanted.owner
    seen = await store.observe(holding.owner, holding.present, known=True)
    assert {each.claim for each in seen.values() if not each.absent} == {Claim.OURS}
    assert await remove(bench, store, holding.owner, dict.fromkeys(holding.present, "")) == [
        (Action.DELETE, ASSIGNMENT),
        (Action.DELETE, ASSIGNMENT),
        (Action.DELETE, CREDENTIAL),
        (Action.DELETE, IDENTITY),
    ]
    assert await store.holdings() == frozenset()


@pytest.mark.parametrize("asked", ["from the first", "later"])
async def test_a_key_vault_keeps_nothing_for_who_has_gone(
    azure: AzureStandIn, bench: Bench, store: AzureStore, asked: str
) -> None:
    office = Office(azure, bench, store)
    office.cluster.backend_bodies["kv"]["spec"]["allow"][0]["orphan"] = True
    office.restart()
    if asked == "later":
        await office.make(ONE)
    office.declare(ONE, deletionPolicy="Orphan")
    await office.look(ONE)
    (secret,) = office.status(ONE)["secrets"]
    assert secret["reason"] == "OrphanNotAllowed"
    assert azure.assignments(f"{store.place.vault_id}/secrets") == []
    office.delete(ONE)
    await office.look(ONE)
    assert binding_path(*ONE) not in office.cluster.api.objects
    assert await store.holdings() == frozenset()
