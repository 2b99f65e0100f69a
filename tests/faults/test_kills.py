"""The operator is killed at each request of one life, before it acts and after it acted: `make test-faults`."""

from __future__ import annotations

import pytest

from integration.faults.placed import OTHERS, WRITES, Placed, Point, live_and_die


@pytest.mark.parametrize("after", [False, True], ids=["before-it-acts", "after-it-acted"])
@pytest.mark.parametrize("point", [*WRITES, *OTHERS], ids=lambda each: f"{each.act}-{each.label}")
def test_a_kill_at_this_request_leaks_nothing_and_the_next_process_finishes(
    placed: Placed, point: Point, after: bool
) -> None:
    live_and_die(placed, point, after=after)
