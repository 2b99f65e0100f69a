"""One thing has one spelling: names of identities and ids of groups are compared as Azure does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from airwarden.providers.azure.naming import ASSIGNMENT
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import Bench, changes, create, remove
from contract.azure.test_existing import existing
from stand_ins.azure.stand_in import AzureStandIn

Opening = Callable[[AzureStore], AzureStore]


async def test_an_existing_identity_whose_name_is_spelt_anew_keeps_its_credential(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    theirs = azure.add_identity("id-Billing")
    wanted = bench.grant("airflow-a")
    recorded = await create(bench, opening(bench.open(identities=existing(azure, "id-Billing"))), wanted)
    found = await changes(opening(bench.open(identities=existing(azure, "id-billing"))), wanted, recorded)
    assert (found.operations, found.conflicts) == ((), ())
    found = await changes(opening(bench.open(identities=existing(azure, "ID-Billing"))), wanted, recorded)
    assert (found.operations, found.conflicts) == ((), ())
    once = {
        replace(each, name=each.name.replace("id-billing", "id-Billing")): each_one
        for each, each_one in recorded.items()
    }
    found = await changes(opening(bench.open(identities=existing(azure, "id-billing"))), wanted, {**recorded, **once})
    assert found.operations == (), "a record from when the spelling was kept"
    assert len(theirs.credentials) == 1


async def test_a_groups_id_in_upper_case_is_written_once_and_removed(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    group = azure.add_group("analysts").id
    wanted = bench.grant("airflow-a", people=(group.upper(),))
    recorded = await create(bench, store, wanted)
    found = await changes(store, wanted, recorded)
    assert (found.operations, found.conflicts) == ((), ())
    order = store.addresses(wanted.owner, recorded)
    kept = store.narrowed(wanted, await store.observe(wanted.owner, order, known=True))
    assert kept is not None
    assert kept.people == {group.upper()}
    await remove(bench, store, wanted.owner, recorded)
    assert [each for each in azure.assignments(f"{store.place.vault_id}/secrets") if each.principal == group] == []


def test_both_spellings_of_a_group_are_one(bench: Bench) -> None:
    store = bench.open()
    group = "3F0C0000-0000-4000-8000-000000000000"
    both = store.render(bench.grant("airflow-a", people=(group, group.lower())))
    assert len([each for each in both if each.address.kind == ASSIGNMENT]) == 2
