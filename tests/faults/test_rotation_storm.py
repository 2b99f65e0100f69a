"""500 rotations are due in one minute: spread by their jitter, each is done exactly once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from integration.faults.placed import TEAM, Placed
from integration.handles import Backend
from integration.rotations import (
    ROTATES,
    Rotation,
    make_rotation,
    permit_rotations,
    removing,
    rotating,
    rotation_path,
)
from integration.world import eventually
from plane.json_client import Json

COUNT = 500
SPREAD = 30
"""Seconds of jitter."""
LEAD = timedelta(minutes=3)
"""Time to make them all before they are due."""
DEADLINE = 600.0


@pytest.fixture
def rotates(placed: Placed) -> Backend:
    """Return a backend that lets the team rotate its tree."""
    permit_rotations(placed.world)
    placed.run()
    own = {"name": "own", "namespaces": {"names": [TEAM]}, "keyPrefixes": ["{namespace}/"]}
    found = placed.backend(**rotating(allow=[{**own, "operations": list(ROTATES)}]))
    found.wait_ready()
    return found


@pytest.mark.timeout(1200)
def test_each_of_five_hundred_rotations_that_are_due_together_is_done_once(placed: Placed, rotates: Backend) -> None:
    world = placed.world
    due = (datetime.now(UTC) + LEAD).replace(second=0, microsecond=0)
    schedule = f"{due.minute} {due.hour} {due.day} {due.month} *"
    made: list[Rotation] = []
    with removing(made):
        for _ in range(COUNT):
            made.append(make_rotation(world, TEAM, rotates, schedule=schedule, jitter=f"{SPREAD}s"))
        assert datetime.now(UTC) < due, "they were not made in time: this shows nothing"

        def listed() -> list[Json]:
            found: list[Json] = world.plane.api.admin.request("GET", rotation_path(TEAM))["items"]
            return found

        def all_done() -> bool:
            ended = [each.get("status", {}).get("lastRun", {}).get("result") for each in listed()]
            return ended.count("Succeeded") == COUNT

        eventually("all are done", all_done, DEADLINE)
        moments = {datetime.fromisoformat(each["status"]["lastRun"]["time"]) for each in listed()}
        assert min(moments) >= due
        assert len(moments) > SPREAD / 3, "they are spread"
        assert {each.version() for each in made} == {2}
