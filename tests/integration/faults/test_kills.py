"""The operator is killed at a request that a proxy holds, and started again: the act is finished, nothing leaks.

Here at each write, once it has acted and before its answer is seen; all other requests, and kills before
they act, are in `tests/faults`, and at every request of a fake world in `tests/unit/reconcile/test_kills.py`.
"""

from __future__ import annotations

import pytest

from integration.faults.placed import WRITES, Placed, Point, live_and_die


@pytest.mark.parametrize("point", WRITES, ids=lambda each: f"{each.act}-{each.label}")
def test_a_kill_right_after_a_write_leaks_nothing_and_the_next_process_finishes(placed: Placed, point: Point) -> None:
    live_and_die(placed, point, after=True)
