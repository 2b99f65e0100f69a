"""What is made of marks on task pods, which whoever makes pods may have written."""

from __future__ import annotations

from typing import Final

import pytest

from airwarden.domain.environment.isolation import isolated
from airwarden.domain.environment.sight import UNKNOWN, Sight, TaskPod, see
from unit.domain.environment.making import environment

LARGEST_CONDITION: Final = 32_768


def task_pod(holds: str = "", digest: str = "d", **labels: str) -> TaskPod:
    marks = {"airwarden.dev/identity": "Bound", "airwarden.dev/environment": "main", **labels}
    return TaskPod(
        "prod/airwarden-x", marks, {"airwarden.dev/worker-holds": holds, "airwarden.dev/environment-digest": digest}
    )


def seen(*pods: TaskPod) -> Sight:
    return see(pods, "main", "d", guarded=True)


def test_what_the_executor_says_is_told() -> None:
    found = seen(
        task_pod("DatabaseCredentials,FernetKey,envFrom:Secret/team.db,envFrom:ConfigMap/airwarden.main.workers")
    )
    assert (found.holds, found.opaque) == (("DatabaseCredentials", "FernetKey"), ("Secret/team.db",))


@pytest.mark.parametrize(
    "forged",
    [
        "A" * 200_000,
        "," * 200_000,
        "\x1b[2J",
        "FernetKey\n",
        "your cluster is down: call 0900-1",
        "envFrom:Secret/Not A Name",
        "envFrom:Pod/x",
        "envFrom:Secret/" + "x" * 254,
        ",".join(f"envFrom:Secret/s{number}" for number in range(10_000)),
    ],
    ids=["long", "empty names", "terminal", "a line more", "a message", "no name", "no kind", "a long name", "many"],
)
def test_text_that_no_executor_writes_is_not_repeated_and_not_held_for_nothing(forged: str) -> None:
    found = seen(task_pod(forged))
    assert found.holds == ()
    assert found.opaque == (UNKNOWN,)
    said = isolated(environment(), None, found)
    assert (said.status, said.reason.word) == ("Unknown", "WorkerEnvironmentHidden")
    assert len(said.message) < LARGEST_CONDITION


def test_a_forged_mark_hides_no_true_one() -> None:
    found = seen(task_pod("A" * 200_000), task_pod("FernetKey"))
    assert found.holds == ("FernetKey",)


def test_however_many_sources_there_are_the_condition_can_be_written() -> None:
    found = seen(*(task_pod(f"envFrom:Secret/s{number:03}{'x' * 240}") for number in range(200)))
    assert len(isolated(environment(), None, found).message) < LARGEST_CONDITION
