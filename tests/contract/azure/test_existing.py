"""An identity that others made is of one account: two that log in as it would read each other's secrets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airwarden.domain.errors import NotOwned
from airwarden.domain.resources import Action
from airwarden.providers.azure.naming import ASSIGNMENT, CREDENTIAL
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import ISSUER, Bench, changes, create, remove, write
from stand_ins.azure.stand_in import GROUP, AzureStandIn

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


async def test_credentials_of_other_issuers_are_the_administrators_business(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    theirs = azure.add_identity("id-1")
    azure.federate(theirs, "https://ci.example", "job")
    await create(bench, opening(bench.open(identities=existing(azure, "id-1"))), bench.grant("airflow-a"))
    assert {each.issuer for each in theirs.credentials.values()} == {ISSUER, "https://ci.example"}
