"""A Vault that is sealed while a rotation's window is open: the run waits for the next opening, and is done once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

import pytest

from integration.conftest import MakeBackend
from integration.rotations import Rotation, make_rotation, permit_rotations, removing, rotating
from integration.world import World, eventually

OPEN: Final = 25
"""Seconds of each minute in which the window is open."""
DEADLINE: Final = 200.0


@pytest.fixture
def sealed_rotation(other_world: World, backend: MakeBackend, make_namespace: Callable[..., str]) -> Iterator[Rotation]:
    """Return a rotation that runs at the beginning of each minute only, in a Vault of its own."""
    tenant = make_namespace(also=other_world)
    permit_rotations(other_world)
    store = backend(world=other_world, **rotating(requests={"timeout": "2s"}))
    made: list[Rotation] = []
    with removing(made):
        window = {"opens": "* * * * *", "duration": f"{OPEN}s"}
        made.append(make_rotation(other_world, tenant, store, schedule="0 3 1 1 *", window=window))
        made[0].wait_ready()
        yield made[0]


def second() -> int:
    """Return the second of the minute."""
    return datetime.now(UTC).second


@pytest.mark.timeout(420)
def test_a_store_that_is_sealed_through_a_window_has_its_run_at_a_later_opening_and_once(
    sealed_rotation: Rotation,
) -> None:
    made, vault = sealed_rotation, sealed_rotation.world.plane.vault
    vault.seal()
    try:
        past = {**made.status(), "handledSlot": "2020-06-01T00:00:00Z"}
        made.world.merge(f"{made.path}/status", {"status": past})
        eventually("a window is open", lambda: second() < OPEN - 5, DEADLINE)
        eventually("the run is due and cannot begin", lambda: _is_hindered(made), DEADLINE)
        eventually("the window is closed again", lambda: OPEN + 2 < second() < OPEN + 10, DEADLINE)
    finally:
        vault.unseal()
    assert made.version() == 1
    eventually("it is done", lambda: made.status().get("lastRun", {}).get("result") == "Succeeded", DEADLINE)
    ended = datetime.fromisoformat(made.status()["lastRun"]["time"])
    assert ended.second <= OPEN + 5, "it began while a window was open"
    assert made.version() == 2
    eventually("another opening has come", lambda: _later_opening(ended), DEADLINE)
    assert made.version() == 2
    assert made.status()["handledSlot"].endswith("-01-01T03:00:00Z")


def _is_hindered(made: Rotation) -> bool:
    """Tell whether the rotation says that its store does not answer."""
    found = made.status().get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "False" for each in found)


def _later_opening(ended: datetime) -> bool:
    now = datetime.now(UTC)
    return now.replace(second=0, microsecond=0) > ended and now.second > 3
