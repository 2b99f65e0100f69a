"""Fixtures for all tests: the local control plane, started once per session and only if a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings

from plane.control_plane import ControlPlane, Plane
from plane.postgres_server import PostgresServer

if TYPE_CHECKING:
    from stand_ins.azure.stand_in import AzureStandIn

# No deadlines: a busy machine is no failure. A breakage need not be shown in its smallest form.
settings.register_profile("airwarden", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "no-shrink", settings.get_profile("airwarden"), phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
settings.load_profile("airwarden")

TESTS = Path(__file__).parent
OWN_PLANES = ("own_plane", "quiet")
"""Fixtures that start a control plane beside the shared one."""
OWN_FOLDERS = ("admission/", "contract/provider/", "contract/vault/", "schema/")
"""Folders whose tests have a control plane to themselves, or need the shared one without its operator."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Say which tests stay together when several processes share the work: those of one control plane, or one file."""
    item.add_marker(pytest.mark.xdist_group(_company(item)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest and mostly waits: the last process would else be at it alone."""
    items.sort(key=lambda each: not {*OWN_PLANES} & {*_company(each).split("+")})


def _company(item: pytest.Item) -> str:
    needed = getattr(item, "fixturenames", ())
    place = item.path.relative_to(TESTS)
    planes = [each for each in OWN_PLANES if each in needed]
    return "+".join(planes) or next((each for each in OWN_FOLDERS if each in place.as_posix()), str(place))


@pytest.fixture(scope="session")
def plane() -> Iterator[Plane]:
    """Run one control plane for the whole session. Tests share it: each takes namespaces and mounts of its own."""
    with ControlPlane() as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run one PostgreSQL for the whole session. Tests share it: each makes users of its own."""
    with PostgresServer() as running:
        yield running


@pytest.fixture
def azure() -> Iterator[AzureStandIn]:
    """Run a stand-in for Azure with one empty subscription. It starts in a tenth of a second: each test has its own."""
    # Imported by whoever asks for it: it would cost every run of pytest a part of a second.
    from stand_ins.azure.stand_in import AzureStandIn

    with AzureStandIn() as running:
        yield running
