"""A control plane on which no operator runs: here the API server alone is asked, and nobody else writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plane.control_plane import ControlPlane, Plane


@pytest.fixture(scope="package")
def plane() -> Iterator[Plane]:
    """Run a control plane for these tests alone."""
    with ControlPlane() as running:
        yield running
