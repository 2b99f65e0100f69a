"""The runtime of a backend is that of its newest declaration, also when an edit comes while its store is opened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from airwarden.api.backend import AirflowSecretBackend
from airwarden.providers.ports import Store
from airwarden.reconcile.backends import Backends, Runtime
from unit.reconcile.fakes import Bench, FakeStore, backend_body


class SlowOpener:
    """Opens stores of a fake world, each when it is let."""

    def __init__(self) -> None:
        bench = Bench()
        self.opened: list[tuple[AirflowSecretBackend, FakeStore]] = []
        self.begun = asyncio.Event()
        self.let = asyncio.Event()
        self._new: Callable[[], FakeStore] = lambda: FakeStore("vault", bench.journal, bench.api)

    async def __call__(self, backend: AirflowSecretBackend) -> Store:
        """Open one store."""
        store = self._new()
        self.opened.append((backend, store))
        self.begun.set()
        await self.let.wait()
        return store


@pytest.fixture
def opener() -> SlowOpener:
    """Return an opener that waits."""
    return SlowOpener()


@pytest.fixture
def backends(opener: SlowOpener) -> Backends:
    """Return backends of which one is known."""
    made = Backends(opener, lambda _: None)
    made.learn(backend_body())
    return made


async def test_rules_that_are_taken_away_while_the_store_is_opened_are_gone_from_its_runtime(
    backends: Backends, opener: SlowOpener
) -> None:
    opening = asyncio.create_task(backends.open("vault"))
    await opener.begun.wait()
    assert backends.learn(backend_body(prefixes=(), version=2))
    opener.let.set()
    runtime = await opening
    assert isinstance(runtime, Runtime)
    assert runtime.view().allow == ()
    assert len(opener.opened) == 1  # the connection is the same, and so is the login


async def test_a_store_that_was_moved_while_it_was_opened_is_opened_where_it_is_now(
    backends: Backends, opener: SlowOpener
) -> None:
    opening = asyncio.create_task(backends.open("vault"))
    await opener.begun.wait()
    body = backend_body(version=2)
    body["spec"]["vault"]["address"] = "https://moved.test:8200"
    backends.learn(body)
    opener.let.set()
    runtime = await opening
    assert isinstance(runtime, Runtime)
    (_, left), (declared, used) = opener.opened
    assert left.closed
    assert not used.closed
    assert runtime.store is used
    assert declared.spec.vault is not None
    assert declared.spec.vault.address == "https://moved.test:8200"


async def test_a_backend_that_goes_while_it_is_opened_leaves_no_login(backends: Backends, opener: SlowOpener) -> None:
    opening = asyncio.create_task(backends.open("vault"))
    await opener.begun.wait()
    backends.forget("vault")
    opener.let.set()
    assert await opening is None
    assert [store.closed for _, store in opener.opened] == [True]


async def test_a_backend_that_goes_and_comes_while_it_is_opened_is_opened_once(
    backends: Backends, opener: SlowOpener
) -> None:
    first = asyncio.create_task(backends.open("vault"))
    await opener.begun.wait()
    backends.forget("vault")
    backends.learn(backend_body(version=5))
    second = asyncio.create_task(backends.open("vault"))
    opener.let.set()
    assert await first is await second
    assert len(opener.opened) == 1
