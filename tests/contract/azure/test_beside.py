"""Access beside what Airwarden gives is told, costs no look of its own, and is left to who made it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airwarden.api.reasons import Reason
from airwarden.domain.resources import Address, Grant
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import UID, VAULT, Bench, changes, create, remove
from stand_ins.azure.roles import SECRETS_OFFICER, SECRETS_USER
from stand_ins.azure.stand_in import GROUP, AzureStandIn
from stand_ins.azure.world import Identity

Opening = Callable[[AzureStore], AzureStore]
ELSEWHERE = "https://elsewhere.example"


async def told(store: AzureStore) -> str:
    """Return what a check tells of access beside ours."""
    found = [each for each in (await store.check()).notes if each.reason is Reason.ACCESS_BESIDE]
    assert len(found) <= 1
    return found[0].message if found else ""


def made(azure: AzureStandIn) -> Identity:
    """Return the one identity that Airwarden made for a binding of ours."""
    with azure.world() as world:
        (found,) = [each for each in world.identities.values() if each.tags.get("airwarden.dev-cluster-uid") == UID]
    return found


async def looked(azure: AzureStandIn, store: AzureStore, wanted: Grant, recorded: dict[Address, str]) -> str:
    """Have the binding checked for drift, and return what is told then."""
    azure.clock.advance(store.place.drift_age + 1)
    assert (await changes(store, wanted, recorded)).operations == ()
    return await told(store)


async def test_what_airwarden_gives_is_not_told(azure: AzureStandIn, bench: Bench, store: AzureStore) -> None:
    wanted = bench.grant("airflow-a", "airflow-b", people=(azure.add_group("analysts").id,))
    recorded = await create(bench, store, wanted)
    assert await told(store) == ""
    assert await looked(azure, store, wanted, recorded) == ""
    await store.observe(wanted.owner, [each for each in recorded if each.name.endswith("/airflow-a")], known=True)
    assert await told(store) == "", "a look at a part tells nothing of the rest"
    less = bench.grant("airflow-a")
    found = await changes(store, less, recorded)
    for each in found.operations:
        await store.apply(each)
    assert await told(store) == ""
    assert await looked(azure, store, less, {each.address: "" for each in store.render(less)}) == ""
    await remove(bench, store, wanted.owner, recorded)
    assert await told(store) == ""


async def test_another_credential_of_an_identity_that_we_made_is_told_and_left(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    identity = made(azure)
    (ours,) = identity.credentials
    azure.federate(identity, ELSEWHERE, "anybody")
    (other,) = identity.credentials.keys() - {ours}
    said = await looked(azure, store, wanted, recorded)
    assert said.startswith(f"credential {other} lets anybody of {ELSEWHERE} log in as the identity {identity.name}")
    assert "of binding team/billing" in said
    assert said.endswith("remove it by hand")
    assert identity.credentials.keys() == {ours, other}
    del identity.credentials[other]
    assert await looked(azure, store, wanted, recorded) == ""


@pytest.mark.parametrize(
    ("scope", "role", "where"),
    [
        ("{vault}", SECRETS_USER, "the whole vault"),
        ("{vault}/secrets/other", SECRETS_USER, "secret other"),
        ("{vault}/secrets/airflow-a", SECRETS_OFFICER, "secret airflow-a"),
        ("/subscriptions/{subscription}", SECRETS_USER, "/subscriptions/{subscription}"),
    ],
    ids=["whole-vault", "another-secret", "another-role", "above-the-vault"],
)
async def test_more_that_is_assigned_to_an_identity_that_we_made_is_told_and_left(
    azure: AzureStandIn, bench: Bench, store: AzureStore, scope: str, role: str, where: str
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    places = {"vault": store.place.vault_id, "subscription": azure.subscription}
    theirs = azure.grant(made(azure).principal_id, role, scope.format(**places))
    said = await looked(azure, store, wanted, recorded)
    assert (
        f"{theirs.name} gives role {role} at {where.format(**places)} to the identity of binding team/billing" in said
    )
    with azure.world() as world:
        assert theirs.name in world.assignments


async def test_a_mark_of_ours_where_nobody_asked_for_it_is_told(
    azure: AzureStandIn, bench: Bench, store: AzureStore, opening: Opening
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    (ours,) = azure.assignments(f"{store.place.vault_id}/secrets/airflow-a")
    somebody = azure.add_identity("somebody")
    theirs = azure.grant(somebody.principal_id, SECRETS_USER, f"{store.place.vault_id}/secrets/other")
    with azure.world() as world:
        object.__setattr__(world.assignments[theirs.name], "description", ours.description)
    said = await looked(azure, store, wanted, recorded)
    assert theirs.name in said
    assert f"to {somebody.principal_id}, as for binding team/billing" in said
    after_a_restart = opening(bench.open())
    await changes(after_a_restart, bench.grant("airflow-b", binding="second", account="second"))
    assert await told(after_a_restart) == "", "what the binding wants is not known before its first look"


async def test_what_an_administrator_gives_an_identity_of_theirs_is_theirs_to_know(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    theirs = azure.add_identity("id-billing")
    identities = {
        **bench.body()["spec"]["azureKeyVault"]["identities"],
        "resourceGroup": GROUP,
        "existing": [{"namespace": "team", "serviceAccount": "billing", "name": "id-billing"}],
    }
    store = opening(bench.open(identities=identities))
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    azure.federate(theirs, ELSEWHERE, "anybody")
    azure.grant(theirs.principal_id, SECRETS_USER, f"{store.place.vault_id}/secrets/other")
    assert await looked(azure, store, wanted, recorded) == ""


async def test_what_another_cluster_has_is_its_own_to_tell(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    theirs = azure.add_identity("airwarden-of-a-twin")
    theirs.tags = {**made(azure).tags, "airwarden.dev-cluster-uid": "another"}
    azure.grant(theirs.principal_id, SECRETS_USER, store.place.vault_id)
    assert await looked(azure, store, wanted, recorded) == ""


async def test_telling_costs_no_request_and_many_are_told_by_three_and_their_number(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, store, wanted)
    await store.check()
    azure.forget_requests()
    await store.check()
    usual = len(azure.requests())
    for number in range(5):
        azure.set_secret(VAULT, f"other-{number}", "value")
        azure.grant(made(azure).principal_id, SECRETS_USER, f"{store.place.vault_id}/secrets/other-{number}")
    azure.federate(made(azure), ELSEWHERE, "x" * 500)
    azure.clock.advance(store.place.drift_age + 1)
    await changes(store, wanted, recorded)
    await store.check()
    azure.forget_requests()
    said = await told(store)
    assert len(azure.requests()) == usual
    assert "; and 3 more. " in said
    assert len(said) < 1200
    assert said == await told(store)
