"""Fixtures of the contract tests of the Vault store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import pytest_asyncio

from airwarden.providers.ports import Store
from airwarden.providers.vault.setup import vault_setup
from airwarden.providers.vault.store import VaultStore
from contract.vault.bench import CLUSTER, NAMESPACE, OPERATOR, Bench, backend_of
from contract.vault.fenced_bench import FencedBench
from contract.vault.people_bench import PeopleBench
from contract.vault.rotation_bench import RotationBench
from contract.vault.ways import WAYS, Way, set_up
from plane.control_plane import Plane
from plane.printed import run_script, serving_keys
from plane.vault_admin import token_reviewer_jwt


@pytest.fixture(scope="session")
def bench(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Set Vault up by running the printed script with the vault command, as an admin would."""
    folder = tmp_path_factory.mktemp("contract")
    setup = vault_setup(backend_of(plane.vault_address), cluster=CLUSTER, operator=OPERATOR, enable_kv=True)
    reviewer = folder / "reviewer.jwt"
    reviewer.write_text(token_reviewer_jwt(plane, "contract-reviewer"))
    for _ in range(2):  # the second time, nothing must go wrong
        run_script(plane, setup.script, TOKEN_REVIEWER_JWT_FILE=str(reviewer))
    for namespace in (NAMESPACE, OPERATOR.namespace):
        plane.create_namespace(namespace)
    plane.api.create_service_account(OPERATOR.namespace, OPERATOR.name)
    tokens = folder / "tokens"
    tokens.mkdir()
    (tokens / "vault").write_text(plane.service_account_token(OPERATOR.namespace, OPERATOR.name, "vault"))
    return Bench(plane, setup, tokens)


@pytest_asyncio.fixture
async def store(bench: Bench) -> AsyncIterator[VaultStore]:
    """Return a store with the operator's own login, closed after the test."""
    opened = bench.open()
    as_reconciled: Store = opened  # the type checker holds it to the contract
    assert as_reconciled.sessions is not None
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def opening(bench: Bench) -> AsyncIterator[Callable[..., VaultStore]]:
    """Return a function that opens stores with other settings, all closed after the test."""
    stores: list[VaultStore] = []

    def open_one(**vault: object) -> VaultStore:
        stores.append(bench.open(**vault))
        return stores[-1]

    yield open_one
    for each in stores:
        await each.close()


@pytest.fixture(scope="session")
def fenced(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> FencedBench:
    """Set Vault up for mode Fenced by running the printed script, beside what is there for mode Roles."""
    return FencedBench.prepare(plane, tmp_path_factory.mktemp("fenced"))


@pytest.fixture(scope="session")
def people_bench(bench: Bench) -> PeopleBench:
    """Have people log in to Vault, and a backend that lets groups of theirs in, beside what is there."""
    return PeopleBench.prepare(bench)


@pytest.fixture(scope="session")
def rotating(bench: Bench) -> RotationBench:
    """Set Vault up for rotations by running the printed scripts, beside what is there."""
    return RotationBench.prepare(bench)


@pytest.fixture(scope="session")
def ways(bench: Bench) -> Iterator[Mapping[str, Way]]:
    """Set up every other way to log in as its printed script does it."""
    with serving_keys(bench.plane) as url:
        yield {name: set_up(bench, name, url) for name in WAYS}
