"""Fixtures for all tests: the local control plane, started once per session and only if a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from plane.control_plane import ControlPlane, Plane

# No deadlines: a busy machine is no failure. A breakage need not be shown in its smallest form.
settings.register_profile("airwarden", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "no-shrink", settings.get_profile("airwarden"), phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
settings.load_profile("airwarden")


@pytest.fixture(scope="session")
def plane() -> Iterator[Plane]:
    """Run one control plane for the whole session. Tests share it: each takes namespaces and mounts of its own."""
    with ControlPlane() as running:
        yield running
