"""Fixtures of the fault tests: a plane of their own for what would disturb the others, and proxies in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.faults.placed import HEALED, Placed
from integration.handles import Backend
from integration.world import World
from plane.control_plane import ControlPlane, Plane
from plane.operator import install
from plane.proxy import Proxy
from plane.vault_admin import prepare_store


@pytest.fixture(scope="package")
def own_plane() -> Iterator[Plane]:
    """Run a control plane whose servers may be stopped and whose operators may be killed."""
    with ControlPlane() as running:
        install(running)
        prepare_store(running)
        yield running


@pytest.fixture(scope="package")
def placed(own_plane: Plane) -> Iterator[Placed]:
    """Return an operator behind proxies to both servers of its own plane. It may be killed and started again."""
    with Placed(own_plane) as made:
        yield made


@pytest.fixture
def store(placed: Placed) -> Iterator[Backend]:
    """Return a Ready backend behind the proxy."""
    placed.run()
    made = placed.backend()
    made.wait_ready(HEALED)
    yield made
    placed.world.delete(made.path)
    placed.world.wait_gone(made.path, HEALED)


@pytest.fixture
def vault_proxy(world: World) -> Iterator[Proxy]:
    """Return a proxy in front of the shared Vault, for backends that name its address."""
    with Proxy(world.plane.vault_address) as made:
        yield made
