"""Fixtures for all tests: the local control plane, started once per session and only if a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from plane.control_plane import ControlPlane, Plane


@pytest.fixture(scope="session")
def plane() -> Iterator[Plane]:
    """Run one control plane for the whole session. Tests share it: each takes namespaces and mounts of its own."""
    with ControlPlane() as running:
        yield running
