"""What wakes rotations in the rotation namespace, and that a watch that breaks is begun anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from airwarden.api.templates import ROTATION, ROTATION_NAMESPACE
from airwarden.domain.errors import ClusterFailed
from airwarden.providers.kubernetes.api import Absent, Conflict
from airwarden.providers.kubernetes.jobs import Jobs
from airwarden.reconcile import job_watch
from airwarden.reconcile.job_watch import JobWatch
from airwarden.reconcile.rotation_engine import RotationEngine

LABELS = {ROTATION_NAMESPACE: "team", ROTATION: "warehouse"}


def job(*conditions: str, suspend: bool = False) -> dict[str, Any]:
    status = {"conditions": [{"type": each, "status": "True"} for each in conditions]}
    return {"metadata": {"labels": LABELS}, "spec": {"suspend": suspend}, "status": status}


class Heard(RotationEngine):
    """Notes who is woken."""

    def __init__(self) -> None:
        self.ended: list[object] = []
        self.templates: list[str] = []

    def job_ended(self, key: tuple[str, str]) -> None:
        self.ended.append(key)

    def see_template(self, name: str) -> None:
        self.templates.append(name)


class Played(Jobs):
    """Yields what it is given, and breaks in between."""

    def __init__(self, *rounds: list[tuple[str, dict[str, Any]]]) -> None:
        self.rounds = list(rounds)
        self.over = asyncio.Event()
        self.error: Exception = ClusterFailed("the watch broke")

    async def ended(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        if not self.rounds:
            self.over.set()
            await asyncio.Event().wait()
        for each in self.rounds.pop(0):
            yield each
        raise self.error

    async def templates(self) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        yield "ADDED", {"metadata": {"name": "change"}}
        await asyncio.Event().wait()


async def heard(*rounds: list[tuple[str, dict[str, Any]]], error: Exception | None = None) -> Heard:
    engine, played = Heard(), Played(*rounds)
    played.error = error or played.error
    task = asyncio.create_task(JobWatch(played, engine).run())
    await asyncio.wait_for(played.over.wait(), 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return engine


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no pause between two watches."""
    monkeypatch.setattr(job_watch, "_PAUSE", 0.0)


async def test_an_ended_job_wakes_its_rotation_and_one_under_way_does_not() -> None:
    under_way = [("ADDED", job(suspend=True)), ("MODIFIED", job()), ("MODIFIED", job("FailureTarget"))]
    assert (await heard(under_way)).ended == []
    for end in ("Complete", "Failed"):
        assert (await heard([("MODIFIED", job(end))])).ended == [("team", "warehouse")]
    assert (await heard([("DELETED", job())])).ended == [("team", "warehouse")]


@pytest.mark.parametrize("error", [ClusterFailed("the watch broke"), Conflict("not as assumed"), Absent("no kind")])
async def test_a_watch_that_breaks_is_begun_anew_with_what_is_there(error: Exception) -> None:
    found = await heard([("MODIFIED", job())], [("ADDED", job("Complete"))], error=error)
    assert found.ended == [("team", "warehouse")]
    assert found.templates == ["change"]
