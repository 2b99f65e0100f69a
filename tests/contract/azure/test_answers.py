"""Answers that are not as they should be: they pass, and nothing but the request that got them suffers."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import pytest

from airwarden.domain.errors import StoreFailed, Throttled
from airwarden.providers.azure.login import Login
from airwarden.providers.azure.opening import connection_of, settings
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import Bench, changes
from stand_ins.azure.stand_in import AzureStandIn


async def test_a_pause_is_an_hour_at_most(azure: AzureStandIn, store: AzureStore) -> None:
    azure.throttle(azure.subscription, 10**9)
    with pytest.raises(Throttled) as caught:
        await store.check()
    assert caught.value.retry_after is not None
    assert caught.value.retry_after <= 3600


async def test_an_answer_without_its_list_is_the_stores_failure(
    azure: AzureStandIn, bench: Bench, store: AzureStore
) -> None:
    azure.fail_next(HTTPStatus.OK, "x", path="roleAssignments")
    with pytest.raises(StoreFailed, match="listing the role assignments of vault kv-one: the answer cannot be read"):
        await changes(store, bench.grant("airflow-a"))
    assert (await changes(store, bench.grant("airflow-a"))).operations != ()


async def test_requests_that_were_refused_together_get_one_new_token(azure: AzureStandIn, bench: Bench) -> None:
    backend = bench.backend()
    connection = connection_of(backend, settings(backend), bench.folder, bench.ca)
    store = bench.open()
    arm = store._arm
    login = Login(connection, arm._transport)
    scope = connection.scope
    first = await login.get_token(scope)
    begun = login.number

    async def refused() -> str:
        login.renew(begun)
        return (await login.get_token(scope)).token

    tokens = set(await asyncio.gather(*(refused() for _ in range(8))))
    tokens |= {await refused()}
    assert len(tokens) == 1
    assert first.token not in tokens
    assert len(azure.requests(service="entra", method="POST")) == 2
    await store.close()
