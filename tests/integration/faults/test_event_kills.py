"""The operator is killed at the Events of one life: at most the Event is lost."""

from __future__ import annotations

import pytest

from integration.faults.placed import HEALED, Placed, Point, nothing_left, unborn
from integration.faults.test_kills import die_again_and_again
from integration.handles import Backend


@pytest.mark.timeout(300)
@pytest.mark.parametrize("after", [False, True], ids=["before-it-is-sent", "after-it-acted"])
def test_a_kill_at_an_event_loses_at_most_the_event(placed: Placed, store: Backend, after: bool) -> None:
    bound = unborn(placed, store)
    for act in ("create", "tighten"):
        die_again_and_again(placed, bound, act, [(Point(act, "event", "POST", "/events$"), after)])
    bound.delete()
    bound.wait_gone(HEALED)
    nothing_left(placed, bound)
