"""An identity that others made is of one account: two that log in as it would read each other's secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from airwarden.domain.errors import NotOwned
from airwarden.domain.holdings import Use, owns
from airwarden.domain.resources import Action
from airwarden.providers.azure.naming import ASSIGNMENT, CREDENTIAL
from airwarden.providers.azure.store import AzureStore
from airwarden.providers.kubernetes.live import LiveObjects
from airwarden.providers.kubernetes.objects import binding_path
from airwarden.reconcile import sweep
from airwarden.reconcile.backends import Runtime
from contract.azure.bench import ISSUER, Bench, changes, create, remove, write
from contract.azure.test_shared_groups import ONE, Office
from stand_ins.azure.stand_in import GROUP, AzureStandIn
from stand_ins.azure.world import Identity

Opening = Callable[[AzureStore], AzureStore]


def existing(azure: AzureStandIn, name: str, account: str = "billing") -> dict[str, Any]:
    """Return the identities of a backend of which one account has this one."""
    given = {"namespace": "team", "serviceAccount": account, "name": name}
    return {"subscriptionID": azure.subscription, "resourceGroup": GROUP, "existing": [given]}


async def test_another_backend_does_not_give_an_identity_to_a_second_account(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    theirs = azure.add_identity("id-x")
    first = opening(bench.open(identities=existing(azure, "id-x")))
    other = Bench(azure, bench.folder / "second", name="kv2", cluster="c2")
    other.cluster = bench.cluster
    second_place = existing(azure, "id-x", "reporting")
    other.allow(identities=second_place)
    second = opening(other.open(identities=second_place))
    wanted = other.grant("airflow-b", binding="reporting", account="reporting")
    planned = await changes(second, wanted, known=False)
    await create(bench, first, bench.grant("airflow-a"))
    found = await changes(second, wanted, known=False)
    (conflict,) = found.conflicts
    assert "system:serviceaccount:team:billing" in conflict.message
    assert found.operations == ()
    with pytest.raises(NotOwned, match="read each other's secrets"):
        await write(bench, second, planned)
    assert len(theirs.credentials) == 1
    assert len(azure.assignments(f"{first.place.vault_id}/secrets")) == 1


async def test_an_identity_goes_from_one_account_to_another_once_the_first_has_let_go(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    theirs = azure.add_identity("id-1")
    first = opening(bench.open(identities=existing(azure, "id-1")))
    recorded = await create(bench, first, bench.grant("airflow-a"))
    second = opening(bench.open(identities=existing(azure, "id-1", "reporting")))
    wanted = bench.grant("airflow-b", binding="reporting", account="reporting")
    assert (await changes(second, wanted, known=False)).operations == ()
    assert await remove(bench, second, bench.grant().owner, recorded) == [
        (Action.DELETE, ASSIGNMENT),
        (Action.DELETE, CREDENTIAL),
    ]
    await create(bench, second, wanted)
    (credential,) = theirs.credentials.values()
    assert credential.subject == "system:serviceaccount:team:reporting"


async def test_an_identity_that_its_owner_made_anew_gets_assignments_anew_and_keeps_none_of_the_old(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    gone, given = azure.add_identity("id-1"), existing(azure, "id-1")
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, opening(bench.open(identities=given)), wanted)
    azure.remove_identity(gone)
    theirs = azure.add_identity("id-1")
    store = opening(bench.open(identities=given))
    await write(bench, store, await changes(store, wanted, recorded))
    (made,) = azure.assignments(f"{store.place.vault_id}/secrets")
    assert made.principal == theirs.principal_id != gone.principal_id
    assert [each.subject for each in theirs.credentials.values()] == ["system:serviceaccount:team:billing"]
    assert (await changes(store, wanted, recorded)).operations == ()


async def test_credentials_of_other_issuers_are_the_administrators_business(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    theirs = azure.add_identity("id-1")
    azure.federate(theirs, "https://ci.example", "job")
    await create(bench, opening(bench.open(identities=existing(azure, "id-1"))), bench.grant("airflow-a"))
    assert {each.issuer for each in theirs.credentials.values()} == {ISSUER, "https://ci.example"}


async def lost(azure: AzureStandIn, bench: Bench, opening: Opening) -> tuple[Office, Identity]:
    """Return an operator whose one binding, on an identity of others, went while nobody looked."""
    theirs = azure.add_identity("id-x")
    azure.federate(theirs, "https://ci.example", "job")
    given = existing(azure, "id-x")
    bench.allow(identities=given)
    office = Office(azure, bench, opening(bench.open(identities=given)))
    await office.make(ONE, people=False)
    assert len(theirs.credentials) == 2
    del office.cluster.api.objects[binding_path(*ONE)]
    office.restart()
    office.watch()
    return office, theirs


async def swept(office: Office) -> list[str]:
    """Sweep once; return what was said of what is still there."""
    runtime = await office.cluster.backends.open("kv")
    assert isinstance(runtime, Runtime)
    live = LiveObjects(office.cluster.api)
    return [await sweep.take_away(runtime, each, live) for each in await office.store.holdings()]


async def test_the_sweep_takes_a_lost_bindings_credential_from_an_identity_of_others(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    office, theirs = await lost(azure, bench, opening)
    azure.fail_next(500, "InternalServerError", method="DELETE", path="/federatedidentitycredentials", times=1)
    assert await swept(office) != [""]
    assert azure.assignments(f"{office.store.place.vault_id}/secrets") == []
    assert len(theirs.credentials) == 2, "while the assignments, by which it was known, have gone"
    for _ in range(4):
        azure.clock.advance(10)
        await swept(office)
    assert [each.issuer for each in theirs.credentials.values()] == ["https://ci.example"]
    assert await office.store.holdings() == frozenset()


async def test_another_binding_has_the_identity_after_the_sweep(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    office, _ = await lost(azure, bench, opening)
    for _ in range(4):
        await swept(office)
        azure.clock.advance(10)
    second = bench.grant("airflow-a", binding="second")
    assert (await changes(office.store, second, known=False)).conflicts == ()


async def test_a_living_bindings_credential_on_an_identity_of_others_is_its_own(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    given = existing(azure, azure.add_identity("id-x").name)
    store = opening(bench.open(identities=given))
    recorded = await create(bench, store, bench.grant("airflow-a"))
    (held,) = await store.holdings()
    assert {*held.present} >= {*recorded}
    assert owns(Use(frozenset({"kv"})), held)


async def test_a_credential_under_our_name_for_tokens_of_others_is_no_leftover(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    theirs = azure.add_identity("id-x")
    given = existing(azure, "id-x")
    await create(bench, opening(bench.open(identities=given)), bench.grant("airflow-a"))
    (credential,) = theirs.credentials.values()
    theirs.credentials[credential.name] = replace(credential, issuer="https://ci.example")
    (held,) = await opening(bench.open(identities=given)).holdings()
    assert all(not each.name.endswith("/id-x") for each in held.present)
