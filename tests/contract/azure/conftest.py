"""Fixtures of the Azure store's contract: a bench on the stand-in, and stores that are closed after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from airwarden.providers.azure.store import AzureStore
from airwarden.providers.ports import Store
from contract.azure.bench import VAULT, Bench
from contract.azure.showing_cluster import Cluster, azure_login, filled, serving, somebody
from integration.commands.running import Person
from stand_ins.azure.stand_in import AzureStandIn


@pytest.fixture
def bench(azure: AzureStandIn, tmp_path: Path) -> Bench:
    """A vault with two secrets, and an operator that may do what azure-setup grants."""
    azure.add_vault(VAULT)
    for name in ("airflow-a", "airflow-b", "other"):
        azure.set_secret(VAULT, name, f"value-of-{name}")
    made = Bench(azure, tmp_path)
    made.allow()
    return made


@pytest_asyncio.fixture
async def opening() -> AsyncIterator[Callable[[AzureStore], AzureStore]]:
    """Return a function that takes note of a store, to close it after the test."""
    opened: list[AzureStore] = []

    def note(store: AzureStore) -> AzureStore:
        opened.append(store)
        return store

    yield note
    for each in opened:
        await each.close()


@pytest_asyncio.fixture
async def store(bench: Bench, opening: Callable[[AzureStore], AzureStore]) -> AzureStore:
    """Return a store with the operator's own login."""
    opened = opening(bench.open())
    as_reconciled: Store = opened  # the type checker holds it to the contract
    assert as_reconciled.sessions is None
    return opened


@pytest.fixture
def cluster(bench: Bench) -> Cluster:
    """Return a cluster with the bench's backend and without bindings."""
    return filled(bench)


@pytest.fixture
def person(cluster: Cluster, azure: AzureStandIn, tmp_path: Path) -> Iterator[Callable[..., Person]]:
    """Return a function that returns somebody with these roles in Azure; without one, not logged in there."""
    home = tmp_path / "home"
    home.mkdir()
    with serving(cluster) as address:
        yield lambda *roles, **where: somebody(home, address, azure_login(azure, *roles, **where) if roles else {})
