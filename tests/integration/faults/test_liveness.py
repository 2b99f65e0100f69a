"""A store that is down or hangs never restarts the pod, however short the time after which /healthz may fail.

That a pass which truly never ends does fail it is in `tests/unit/reconcile/test_engine.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from integration.faults.placed import Placed
from integration.handles import Backend
from integration.world import eventually
from plane.operator import OperatorProcess, Options
from plane.proxy import Hang, pass_all

SHORTEST = 10
"""Seconds: the shortest stall that may be set."""
LONG = 90.0


@pytest.fixture
def strict(placed: Placed) -> Iterator[Placed]:
    """Return the proxied plane with an operator whose health may fail as early as a setting permits."""
    placed.run()
    usual = placed.operator
    usual.stop()
    flags = (f"--kubeconfig={placed.kubeconfig}", f"--stall-seconds={SHORTEST}")
    placed.operator = OperatorProcess(placed.world.plane, Options(extra=flags), name="strict")
    placed.operator.start()
    yield placed
    placed.operator.stop()
    placed.operator = usual
    placed.vault.behaviour = pass_all


def healthz(placed: Placed) -> requests.Response:
    return requests.get(f"http://127.0.0.1:{placed.operator.port}/healthz", timeout=10)


@pytest.mark.timeout(240)
def test_passes_that_wait_for_a_hung_store_longer_than_the_stall_leave_the_health_good(strict: Placed) -> None:
    store: Backend = strict.backend(requests={"timeout": "15s"})
    store.wait_ready(LONG)
    hang = Hang()
    strict.vault.behaviour = hang
    bound = [strict.binding(store) for _ in range(5)]
    eventually("passes wait for the store", lambda: hang.held >= 2, LONG)

    def told() -> bool:
        assert healthz(strict).status_code == 200
        return all(each.conditions().get("Ready", {}).get("reason") == "BackendUnreachable" for each in bound)

    # Nothing ends for 15 s, one and a half stalls long; each look of this wait asks for the health.
    eventually("the passes gave up", told, LONG)
    strict.vault.behaviour = pass_all
    hang.release()
    for each in bound:
        each.wait_ready(LONG)
    for each in bound:
        each.delete()
    for each in bound:
        each.wait_gone(LONG)
