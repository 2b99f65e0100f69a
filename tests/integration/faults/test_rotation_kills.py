"""The operator is killed at every request of one run, before it is sent and when it has acted unseen.

In the end there is one new version, and the run is done with. Every request of a fake world is in
`tests/unit/reconcile/test_rotations.py`.
"""

from __future__ import annotations

import re
from typing import Final

import pytest

from integration.faults.placed import HEALED, TEAM, Placed
from integration.handles import Backend
from integration.rotations import Rotation, make_rotation, permit_rotations, rotating
from plane.proxy import Fate, Request, Stop

STATUS: Final = "/airflowsecretrotations/{name}/status$"
POINTS: Final = {
    "look": ("GET", "/v1/airflow/metadata/{key}$", 1),
    "record": ("PATCH", STATUS, 1),
    "write": ("PATCH", "/v1/airflow/data/{key}$", 1),
    "mark": ("PATCH", "/v1/airflow/metadata/{key}$", 1),
    "report": ("PATCH", STATUS, 2),
}


def stop_at(made: Rotation, point: str, *, after: bool) -> Stop:
    """Return what holds the point's request of the rotation."""
    method, path, nth = POINTS[point]
    pattern = re.compile(path.format(name=made.name, key=re.escape(made.key)))
    seen: list[Request] = []

    def chosen(request: Request) -> bool:
        if request.method == method and pattern.search(request.path.partition("?")[0]):
            seen.append(request)
            return len(seen) == nth
        return False

    return Stop(chosen, after=after)


@pytest.fixture
def rotates(placed: Placed) -> Backend:
    """Return a backend behind the proxy that lets the team rotate its tree."""
    permit_rotations(placed.world)
    placed.run()
    own = {"name": "own", "namespaces": {"names": [TEAM]}, "keyPrefixes": ["{namespace}/"]}
    store = placed.backend(**rotating(allow=[{**own, "operations": ["Read", "RotateGenerate"]}]))
    store.wait_ready()
    return store


@pytest.mark.timeout(600)
def test_killed_at_every_request_of_a_run_the_operator_makes_one_version(placed: Placed, rotates: Backend) -> None:
    for point in POINTS:
        for after in (False, True):
            placed.run()
            made = make_rotation(placed.world, TEAM, rotates)
            made.wait_ready()
            stop = stop_at(made, point, after=after)
            placed.stop_at(stop)
            made.ask("now")
            placed.kill_at(stop)
            placed.operator.start()
            last = made.wait_done("now", deadline=HEALED)
            assert (made.version(), last["version"]) == (2, 2), f"killed at {point}, after={after}"
            assert made.values()["password"] != made.before["password"]
            assert made.metadata()["custom_metadata"]["airwarden.dev/run"] == last["id"]
            placed.world.delete(made.path)


@pytest.mark.timeout(300)
def test_a_version_made_by_hand_while_a_write_is_on_its_way_stands(placed: Placed, rotates: Backend) -> None:
    placed.run()
    made = make_rotation(placed.world, TEAM, rotates)
    made.wait_ready()
    by_hand: list[Request] = []

    def first_by_hand(request: Request) -> Fate:
        if request.method == "PATCH" and request.path.endswith(f"/data/{made.key}") and not by_hand:
            by_hand.append(request)
            made.write(user="billing", password="by-hand")
        return Fate.PASS

    placed.vault.behaviour = first_by_hand
    made.ask("now")
    last = made.wait_done("now", "Superseded", HEALED)
    assert last["reason"] == "Superseded"
    assert made.version() == 2
    assert made.values()["password"] == "by-hand"
    made.ask("again")
    made.wait_done("again", deadline=HEALED)
    assert made.version() == 3
    placed.world.delete(made.path)
