"""The operator is killed at every request of one life, before it is sent and when it has acted unseen.

A proxy holds the request; the next process starts on what the last one left, and is killed at the next request.
Here one binding is killed through its whole life. Each kill by itself, and 200 seeded ones among a hundred
bindings, are in `tests/faults`; every request of a fake world is in `tests/unit/reconcile/test_kills.py`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from integration.faults.placed import (
    OTHERS,
    OWN_TREE,
    WRITES,
    Placed,
    Point,
    do,
    nothing_left,
    unborn,
    wait_settled,
)
from integration.handles import Backend, Binding

LIFE = {
    "create": ("finalizer", "list-policies", "list-roles", "pending", "account", "policy", "role", "status"),
    "edit": ("read-policy", "read-role", "policy", "status"),
    "tighten": ("read-policy", "read-role", "policy", "role", "status"),
    "delete": ("read-policy", "read-role", "policy", "role", "read-account", "account", "finalizer"),
}
"""The requests of each act in their order. An Event comes after the status, in the same pass or never."""
POINTS = {(each.act, each.label): each for each in (*WRITES, *OTHERS)}


def kills_of(act: str) -> list[tuple[Point, bool]]:
    """Return the kills of one act in their order. After the first ones the record is there, and not written again."""
    return [(replace(POINTS[act, label], nth=1), after) for label in LIFE[act] for after in (False, True)]


def die_again_and_again(placed: Placed, bound: Binding, act: str, kills: list[tuple[Point, bool]]) -> None:
    """Do one act, with a kill at each of the points; the last process is let live and finishes it."""
    for number, (point, after) in enumerate(kills):
        stop = point.stop(bound, after=after)
        placed.stop_at(stop)
        if number == 0:
            do(placed, bound, act)
        else:
            placed.operator.start(wait=False)
        placed.kill_at(stop)
    placed.operator.start()
    wait_settled(placed, bound, act)


@pytest.mark.timeout(600)
def test_killed_at_every_request_of_its_life_a_binding_still_gets_has_and_leaves_what_it_should(
    placed: Placed, store: Backend
) -> None:
    bound = unborn(placed, store)
    for act in LIFE:
        if act == "delete":
            store.edit(allow=[OWN_TREE])  # so that there is something to take away
            wait_settled(placed, bound, "edit")
        die_again_and_again(placed, bound, act, kills_of(act))
    nothing_left(placed, bound)
