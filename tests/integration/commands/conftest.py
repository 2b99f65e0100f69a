"""People who run the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration.commands.running import Person, admin
from integration.world import World


@pytest.fixture
def boss(world: World, tmp_path: Path) -> Person:
    """Return somebody with every right in the cluster and in Vault."""
    return admin(world.plane, tmp_path)
