"""The operator is killed at every write of one run of a rotation by Job, after it acted and before it is known.

In the end what the store serves logs in at a real PostgreSQL, and there was one candidate. Every request, also before
it is sent, is in `tests/faults/test_job_kills.py`, and in a fake world in `tests/unit/reconcile/test_job_runs.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.faults.job_placing import POINTS, Placing, live_through, placing_jobs
from plane.postgres_server import PostgresServer

CHOSEN = [each for each, (method, _, _) in POINTS.items() if method != "GET"]


@pytest.fixture(scope="module")
def placing(postgres: PostgresServer) -> Iterator[Placing]:
    """Run a control plane of its own with a node, and an operator behind proxies that runs Jobs."""
    with placing_jobs(postgres) as made:
        yield made


@pytest.mark.timeout(300)
@pytest.mark.parametrize("point", CHOSEN, ids=lambda each: each.replace(" ", "-"))
def test_killed_at_this_write_of_a_run_the_stores_value_logs_in_and_is_the_one_candidate(
    placing: Placing, point: str
) -> None:
    live_through(placing, point, after=True)
