"""The operator is killed at every request of one run of a rotation by Job: before it is sent, after it acted unseen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.faults.job_placing import POINTS, Placing, live_through, placing_jobs
from plane.postgres_server import PostgresServer


@pytest.fixture(scope="module")
def placing(postgres: PostgresServer) -> Iterator[Placing]:
    """Run a control plane of its own with a node, and an operator behind proxies that runs Jobs."""
    with placing_jobs(postgres) as made:
        yield made


@pytest.mark.timeout(300)
@pytest.mark.parametrize("after", [False, True], ids=["before-it-acts", "after-it-acted"])
@pytest.mark.parametrize("point", POINTS, ids=lambda each: each.replace(" ", "-"))
def test_killed_at_this_request_of_a_run_the_stores_value_logs_in_and_is_the_one_candidate(
    placing: Placing, point: str, after: bool
) -> None:
    live_through(placing, point, after=after)
