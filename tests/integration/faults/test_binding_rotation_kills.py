"""The operator is killed where it makes, changes and deletes the rotation of a binding, before and after it acted.

The next process finishes what the last one began. Every request of a fake world is in
`tests/unit/reconcile/test_binding_rotations.py`.
"""

from __future__ import annotations

import re
from typing import Final

import pytest

from airwarden.domain.rotation.sugar import name_of
from integration.faults.placed import HEALED, OWN_TREE, TEAM, Placed
from integration.handles import Binding
from integration.rotations import ROTATES, Rotation, permit_rotations, rotating
from integration.world import eventually
from plane.proxy import Request, Stop

POINTS: Final = {
    "make": ("POST", "/airflowsecretrotations$"),
    "change": ("PATCH", "/airflowsecretrotations/{name}$"),
    "take away": ("DELETE", "/airflowsecretrotations/{name}$"),
    "delete": ("DELETE", "/airflowsecretrotations/{name}$"),
}


def stop_at(made: Rotation, point: str, *, after: bool) -> Stop:
    """Return what holds the point's request."""
    method, path = POINTS[point]
    pattern = re.compile(path.format(name=re.escape(made.name)))

    def chosen(request: Request) -> bool:
        return request.method == method and pattern.search(request.path.partition("?")[0]) is not None

    return Stop(chosen, after=after)


@pytest.fixture
def reader(placed: Placed) -> Binding:
    """Return a Ready binding whose secret may be rotated, and is not yet."""
    permit_rotations(placed.world)
    placed.run()
    store = placed.backend(**rotating(allow=[{**OWN_TREE, "operations": list(ROTATES)}]))
    store.wait_ready()
    made = placed.binding(store)
    made.wait_ready(HEALED)
    return made


@pytest.mark.timeout(600)
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_each_write_of_a_binding_s_rotation_the_next_process_finishes_it(
    placed: Placed, reader: Binding, *, after: bool
) -> None:
    made = Rotation(placed.world, TEAM, name_of(reader.name, "Connection/warehouse"), f"{TEAM}/connections/a")
    made.write(password="first")
    before = made.version()
    for point, schedule in (
        ("make", "@daily"),
        ("change", "@weekly"),
        ("take away", ""),
        ("make", "@yearly"),
        ("delete", ""),
    ):
        placed.run()
        stop = stop_at(made, point, after=after)
        placed.stop_at(stop)
        if point == "delete":
            reader.delete()
        else:
            reader.edit(rotation={"schedule": schedule} if schedule else None)
        placed.kill_at(stop)
        placed.operator.start()
        if schedule:
            made.wait_ready(HEALED)
            eventually("it is as declared", lambda: made.body()["spec"]["schedule"] == schedule, HEALED)  # noqa: B023
            coming = made.status()["next"]
            eventually(
                "the binding shows it",
                lambda: reader.status()["summary"].get("nextRotation") == coming,  # noqa: B023
                HEALED,
            )
        else:
            placed.world.wait_gone(made.path, HEALED)
    reader.wait_gone(HEALED)
    assert made.version() == before, "no run was asked for"
