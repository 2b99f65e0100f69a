"""Fixtures of the provider's contract tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contract.provider.bench import ENGINE, ProviderBench, connect_database
from plane.control_plane import Plane
from plane.postgres_server import PostgresServer
from plane.proxy import Proxy


@pytest.fixture(scope="session")
def tasks(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> ProviderBench:
    """Prepare the Vault that the tests' tasks read."""
    return ProviderBench.prepare(plane, tmp_path_factory.mktemp("provider"))


@pytest.fixture(scope="session")
def database(tasks: ProviderBench, postgres: PostgresServer) -> Iterator[PostgresServer]:
    """Have Vault make users of a real PostgreSQL; its end waits until Vault has let go of it."""
    connect_database(tasks.plane, postgres)
    yield postgres
    tasks.plane.vault.request("DELETE", f"sys/mounts/{ENGINE}")


@pytest.fixture
def proxy(plane: Plane) -> Iterator[Proxy]:
    """Stand between a task and Vault."""
    with Proxy(plane.vault_address) as running:
        yield running
