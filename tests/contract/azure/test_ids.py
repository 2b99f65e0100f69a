"""Entra knows a thing by several ids: whoever gives the wrong one is told which is meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airwarden.domain.errors import Unauthorized
from airwarden.providers.azure.answers import PrincipalInvalid, PrincipalNotFound
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import Bench, create
from stand_ins.azure.stand_in import AzureStandIn

Opening = Callable[[AzureStore], AzureStore]


@pytest.mark.parametrize("name", ["analysts", "3f0c0000-aaaa-bbbb-cccc"])
async def test_a_groups_name_is_not_its_id(bench: Bench, store: AzureStore, name: str) -> None:
    with pytest.raises(PrincipalInvalid, match="object id of the group, a GUID"):
        await create(bench, store, bench.grant("airflow-a", people=(name,)))


async def test_the_client_id_of_an_application_is_nobodys_object_id(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    application = azure.add_application("app")
    with pytest.raises(PrincipalNotFound, match="object id, not the client id of an application") as caught:
        await create(bench, store, bench.grant("airflow-a", people=(application.app_id,)))
    assert caught.value.retryable, "a group that is only new is not known at once either"


async def test_the_object_id_of_the_operators_identity_is_not_its_client_id(bench: Bench, opening: Opening) -> None:
    login = {"method": "WorkloadIdentity", "clientID": bench.operator.principal_id, "file": "azure"}
    with pytest.raises(Unauthorized, match=r"AADSTS700016.*login\.clientID.*not its object id"):
        await opening(bench.open(login=login)).check()
