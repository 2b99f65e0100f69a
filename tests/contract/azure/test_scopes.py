"""With scope Vault one assignment opens the whole vault, and who looks is told; a change of scope leaves nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from airwarden.domain.resources import Action, Address, Grant
from airwarden.providers.azure.naming import ASSIGNMENT, CREDENTIAL, IDENTITY
from airwarden.providers.azure.store import AzureStore
from contract.azure import clients
from contract.azure.bench import ISSUER, VAULT, Bench, addressed, changes, create, remove, write
from contract.azure.issuer import Issuer
from contract.azure.test_shared_groups import ONE, Office
from stand_ins.azure.roles import SECRETS_OFFICER, SECRETS_USER
from stand_ins.azure.stand_in import AzureStandIn

Opening = Callable[[AzureStore], AzureStore]


def scopes(azure: AzureStandIn, store: AzureStore) -> list[str]:
    """Return where something is assigned to what the operator made, from the vault on."""
    with azure.world() as world:
        made = {each.principal_id for each in world.identities.values() if each.name.startswith("airwarden-")}
    found = [each.scope.lower() for each in azure.assignments() if each.principal in made]
    return sorted(each.removeprefix(store.place.vault_id) for each in found)


async def set_right(bench: Bench, store: AzureStore, wanted: Grant, recorded: Mapping[Address, str]) -> None:
    """Make it as it is wanted now, and see that nothing is left to do."""
    await write(bench, store, await changes(store, wanted, recorded))
    now = {each.address: each.digest for each in store.render(wanted)}
    found = await changes(store, wanted, now)
    assert (found.operations, found.conflicts) == ((), ())


async def test_one_assignment_at_the_vault_serves_all_secrets_of_a_binding_and_opens_every_other(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    store = opening(bench.open(scope="Vault"))
    tasks = Issuer(ISSUER)
    azure.trust_issuer(ISSUER, tasks.keys)
    token = bench.folder / "task"
    token.write_text(tasks.token("system:serviceaccount:team:billing", expires=time.time() + 86400))
    wanted = bench.grant("airflow-a", "airflow-b")
    assert addressed(await changes(store, wanted)) == [
        (Action.CREATE, IDENTITY),
        (Action.CREATE, CREDENTIAL),
        (Action.CREATE, ASSIGNMENT),
    ]
    recorded = await create(bench, store, wanted)
    assert scopes(azure, store) == [""]
    found = await changes(opening(bench.open(scope="Vault")), wanted, recorded)
    assert (found.operations, found.conflicts) == ((), ())
    client_id = store.annotations(wanted.owner)["azure.workload.identity/client-id"]
    azure.clock.advance(3600)
    with clients.secrets(azure, VAULT, clients.workload(azure, client_id, token)) as reader:
        for name in ("airflow-a", "airflow-b", "other"):
            assert reader.get_secret(name).value == f"value-of-{name}"
    (holding,) = await store.holdings()
    assert set(recorded) <= set(holding.present)
    assert [kind for _, kind in await remove(bench, store, wanted.owner, recorded)] == [
        ASSIGNMENT,
        CREDENTIAL,
        IDENTITY,
    ]
    assert scopes(azure, store) == []


async def test_a_scope_that_changes_takes_away_what_was_given_at_the_other(
    azure: AzureStandIn, bench: Bench, store: AzureStore, opening: Opening
) -> None:
    wanted = bench.grant("airflow-a", "airflow-b")
    recorded = await create(bench, store, wanted)
    wide = opening(bench.open(scope="Vault"))
    await set_right(bench, wide, wanted, recorded)
    assert scopes(azure, wide) == [""]
    recorded = {each.address: each.digest for each in wide.render(wanted)}
    narrow = opening(bench.open())
    await set_right(bench, narrow, wanted, recorded)
    assert scopes(azure, narrow) == ["/secrets/airflow-a", "/secrets/airflow-b"]


async def test_a_group_of_people_gets_the_whole_vault_too(azure: AzureStandIn, bench: Bench, opening: Opening) -> None:
    store = opening(bench.open(scope="Vault"))
    group = azure.add_group("analysts").id
    wanted = bench.grant("airflow-a", "airflow-b", people=(group,))
    recorded = await create(bench, store, wanted)
    given = [each for each in azure.assignments() if each.principal == group]
    assert [(each.scope.lower(), each.role) for each in given] == [(store.place.vault_id, SECRETS_USER)]
    await remove(bench, store, wanted.owner, recorded)
    assert not [each for each in azure.assignments() if each.principal == group]


async def test_the_role_is_the_one_that_the_backend_names_by_its_guid(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    bench.allow(roleID=SECRETS_OFFICER)
    store = opening(bench.open(roleID=SECRETS_OFFICER))
    await create(bench, store, bench.grant("airflow-a"))
    (made,) = azure.assignments(f"{store.place.vault_id}/secrets")
    assert made.role == SECRETS_OFFICER


async def test_whoever_looks_at_a_binding_or_its_backend_is_told_that_the_key_is_no_limit(
    azure: AzureStandIn, bench: Bench, store: AzureStore, opening: Opening
) -> None:
    office = Office(azure, bench, opening(bench.open(scope="Vault")))
    office.cluster.backend_bodies["kv"]["spec"]["azureKeyVault"]["scope"] = "Vault"
    office.restart()
    await office.make(ONE)
    told = {each["kind"]: each.get("reason") for each in office.status(ONE)["targets"] if each["backend"]}
    assert told == {
        ASSIGNMENT: "KeyNotEnforced",
        CREDENTIAL: "SessionTTLNotEnforced",
        IDENTITY: "SessionTTLNotEnforced",
    }
    assert "every secret in it" in (await office.store.check()).caveat
    narrow = Office(azure, bench, store)
    await narrow.make(ONE)
    assert {each.get("reason") for each in narrow.status(ONE)["targets"] if each["backend"]} == {
        "SessionTTLNotEnforced"
    }
    assert (await store.check()).caveat == ""
