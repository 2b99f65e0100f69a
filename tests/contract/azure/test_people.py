"""Groups of people read what the binding's tasks read, while the binding and the backend say so; never a person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from airwarden.domain.resources import Action, StaticSecret
from airwarden.providers.azure.answers import PrincipalInvalid
from airwarden.providers.azure.naming import ASSIGNMENT
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import Bench, addressed, changes, create, remove
from stand_ins.azure.roles import SECRETS_USER
from stand_ins.azure.stand_in import AzureStandIn

Opening = Callable[[AzureStore], AzureStore]


async def test_a_group_is_assigned_each_secret_and_loses_it_alone(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    group = azure.add_group("analysts").id
    wanted = bench.grant("airflow-a", "airflow-b", people=(group,))
    recorded = await create(bench, store, wanted)
    given = azure.assignments(f"{store.place.vault_id}/secrets")
    assert sorted((each.principal_type, each.role) for each in given) == [
        *[("Group", SECRETS_USER)] * 2,
        *[("ServicePrincipal", SECRETS_USER)] * 2,
    ]
    found = await changes(store, wanted, recorded)
    assert (found.operations, found.conflicts) == ((), ())
    assert store.readable(found.present) == {StaticSecret("airflow-a"), StaticSecret("airflow-b")}
    fewer = replace(wanted, people=frozenset(), for_people=frozenset())
    assert addressed(await changes(store, fewer, recorded)) == [(Action.DELETE, ASSIGNMENT)] * 2
    await remove(bench, store, wanted.owner, recorded)
    assert azure.assignments(f"{store.place.vault_id}/secrets") == []


async def test_a_group_that_an_admin_let_in_is_left_alone(azure: AzureStandIn, bench: Bench, store: AzureStore) -> None:
    group = azure.add_group("analysts").id
    theirs = azure.grant(group, SECRETS_USER, f"{store.place.vault_id}/secrets/airflow-a")
    found = await changes(store, bench.grant("airflow-a", people=(group,)), known=False)
    (conflict,) = found.conflicts
    assert theirs.name in conflict.message
    assert [each.kind for each in (one.address for one in found.operations)].count(ASSIGNMENT) == 1


async def test_a_person_or_an_application_is_not_taken_for_a_group(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    person = azure.add_user("somebody").id
    with pytest.raises(PrincipalInvalid, match="never that of a person"):
        await create(bench, store, bench.grant("airflow-a", people=(person,)))
    application = azure.add_application("app")
    with pytest.raises(PrincipalInvalid, match="enterprise applications"):
        await create(bench, store, bench.grant("airflow-a", people=(application.object_id,)))


async def test_a_suspended_binding_lets_in_only_the_groups_that_are_in_already(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    one, two = azure.add_group("one").id, azure.add_group("two").id
    recorded = await create(bench, store, bench.grant("airflow-a", people=(one,)))
    wanted = bench.grant("airflow-a", "airflow-b", people=(one, two))
    order = store.addresses(wanted.owner, [*(each.address for each in store.render(wanted)), *recorded])
    kept = store.narrowed(wanted, await store.observe(wanted.owner, order, known=True))
    assert kept is not None
    assert kept.readable == {StaticSecret("airflow-a")}
    assert kept.people == {one}
