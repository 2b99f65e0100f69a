"""What tasks ask of Vault through Airwarden's backend and through Airflow's own, as the benchmark counts it."""

from __future__ import annotations

import pytest
from benchmarks.scenarios.tasks import OURS, THEIRS, side_by_side

from plane.control_plane import Plane


@pytest.mark.timeout(600)  # the first run on a machine installs Airflow
def test_a_task_costs_one_login_one_request_an_id_and_none_for_what_is_not_bound(plane: Plane) -> None:
    count = 3
    found = side_by_side(plane, count, imports=1)
    ours = {name: found[OURS][name] for name in ("logins", "reads", "requests_unbound", "requests")}
    assert ours == {
        "logins": count,
        "reads": 2 * count,
        "requests_unbound": 0,
        "requests": 4 * count,  # with the end of the login
    }
    theirs = {name: found[THEIRS][name] for name in ours}
    assert theirs == {"logins": count, "reads": 5 * count, "requests_unbound": 2 * count, "requests": 6 * count}
    for each in found.values():
        assert 0 < each["lookup_ms_p50"] <= each["lookup_ms_p99"]
        assert each["import_ms"] > 0
