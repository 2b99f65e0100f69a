"""A store that is down while a window is open: the run waits for the next opening, and is neither lost nor doubled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from airwarden.domain.errors import Sealed, Throttled, Unreachable
from airwarden.providers.kubernetes.objects import rotation_path
from unit.reconcile.rotation_fakes import WAREHOUSE, RotationBench

PATH: Final = rotation_path(*WAREHOUSE)
NIGHTLY: Final[dict[str, Any]] = {"schedule": "0 3 * * *", "window": {"opens": "0 3 * * *", "duration": "1h"}}
OUTAGES: Final = (Unreachable("no answer"), Sealed("sealed"), Throttled("slow down"))


@pytest.fixture
async def bench() -> AsyncIterator[RotationBench]:
    """Return an operator whose one rotation runs each night at three, within an hour."""
    made = RotationBench()
    made.declare(**NIGHTLY)
    await made.rest()
    yield made
    await made.engine.stop(0)


async def looked(bench: RotationBench, day: int, hour: int, minute: int = 0) -> RotationBench:
    """Let it be that time, and look; a new process does, so that no memory of the outage helps or hinders."""
    bench.bench.now = datetime(2031, 5, day, hour, minute, tzinfo=UTC)
    bench.restart()
    bench.cache.learn(bench.api.objects[PATH])
    await bench.reconciler.reconcile(WAREHOUSE)
    return bench


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda each: type(each).__name__)
async def test_before_it_began_a_run_waits_for_the_next_opening(bench: RotationBench, outage: Exception) -> None:
    bench.rotator.errors["look"] = outage
    for minute in (0, 20, 59):
        await looked(bench, 1, 3, minute)
    bench.rotator.errors.clear()
    await looked(bench, 1, 4, 30)
    assert bench.rotator.written == []
    assert bench.status()["next"] == "2031-05-02T03:00:00Z"
    assert bench.condition() == ("True", "Ready")
    await looked(bench, 2, 3)
    assert bench.rotator.written == [2]
    await looked(bench, 2, 3, 30)
    assert bench.rotator.written == [2], "one run makes up for both nights"
    assert (bench.status()["handledSlot"], bench.status()["next"]) == ("2031-05-02T03:00:00Z", "2031-05-03T03:00:00Z")


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda each: type(each).__name__)
async def test_a_run_on_record_that_wrote_nothing_waits_for_the_next_opening(
    bench: RotationBench, outage: Exception
) -> None:
    bench.rotator.errors["write"] = outage
    await looked(bench, 1, 3, 10)
    begun = bench.status()["run"]
    await looked(bench, 1, 3, 50)
    bench.rotator.errors.clear()
    await looked(bench, 1, 4, 30)
    assert bench.status()["run"] == begun
    assert (bench.status()["phase"], bench.status()["next"]) == ("Rotating", "2031-05-02T03:00:00Z")
    assert bench.rotator.written == []
    await looked(bench, 2, 3)
    await looked(bench, 2, 3, 1)
    assert bench.rotator.written == [2]
    assert bench.status()["lastRun"]["id"] == begun["id"]
    assert "run" not in bench.status()
    assert bench.status()["next"] == "2031-05-03T03:00:00Z"


async def test_a_run_whose_write_was_done_is_ended_though_the_window_is_closed(bench: RotationBench) -> None:
    bench.rotator.errors["mark"] = Unreachable("no answer")
    await looked(bench, 1, 3, 10)
    assert bench.rotator.written == [2]
    bench.rotator.errors.clear()
    await looked(bench, 1, 4, 30)
    assert (bench.rotator.written, bench.status()["lastRun"]["result"]) == ([2], "Succeeded")


async def test_with_a_deadline_a_run_that_missed_its_window_is_missed_once_and_told(bench: RotationBench) -> None:
    bench.declare(**NIGHTLY, startingDeadline="2h")
    bench.rotator.errors["look"] = Unreachable("no answer")
    await looked(bench, 1, 3, 10)
    bench.rotator.errors.clear()
    await looked(bench, 1, 5, 30)
    assert bench.status()["lastRun"]["result"] == "Missed"
    assert bench.condition("Healthy") == ("False", "RunMissed")
    await looked(bench, 2, 3)
    assert bench.rotator.written == [2]
    assert bench.told.count("RunMissed") == 1
