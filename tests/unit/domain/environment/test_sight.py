"""What is made of marks on task pods, which whoever makes pods may have written."""

from __future__ import annotations

from typing import Final

import pytest

from airwarden.api.conditions import Condition
from airwarden.api.reasons import Reason
from airwarden.domain.conditions import Said
from airwarden.domain.environment.guards import Guards
from airwarden.domain.environment.isolation import isolated
from airwarden.domain.environment.sight import UNKNOWN, Sight, TaskPod, see
from unit.domain.environment.making import environment

LARGEST_CONDITION: Final = 32_768
EARLIER, MADE, TOO_SOON, JUDGED, LATER = (
    f"2026-07-01T{time}Z" for time in ("10:00:00", "11:00:00", "11:00:29", "11:00:30", "12:00:00")
)


def task_pod(
    holds: str = "", digest: str = "d", *, namespace: str = "prod", created: str = JUDGED, **marks: str
) -> TaskPod:
    labels = {"identity": "Bound", "environment": "main", "binding": "billing", **marks}
    return TaskPod(
        (namespace, "airwarden-x"),
        {f"airwarden.dev/{key}": text for key, text in labels.items()},
        {"airwarden.dev/worker-holds": holds, "airwarden.dev/environment-digest": digest},
        created,
    )


def seen(*pods: TaskPod, guards: Guards | None = None) -> Sight:
    mapped = {("prod", "billing"): MADE, ("prod", "reports"): LATER}
    others = {("prod", "main"), ("prod", "other")}
    return see(pods, "main", "d", guards=guards or Guards((), MADE), mapped=mapped, others=others)


def said(sight: Sight, before: Condition | None = None) -> Said:
    return isolated(environment(), before, sight, "", LATER)


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
    told = said(found)
    assert (told.status, told.reason.word) == ("Unknown", "WorkerEnvironmentHidden")
    assert len(told.message) < LARGEST_CONDITION


def test_a_forged_mark_hides_no_true_one() -> None:
    found = seen(task_pod("A" * 200_000), task_pod("FernetKey"))
    assert found.holds == ("FernetKey",)


def test_however_many_sources_there_are_the_condition_can_be_written() -> None:
    found = seen(*(task_pod(f"envFrom:Secret/s{number:03}{'x' * 240}") for number in range(200)))
    assert len(said(found).message) < LARGEST_CONDITION


@pytest.mark.parametrize(
    "pod",
    [
        task_pod(identity="Unbound"),
        task_pod(binding="nobodys"),
        task_pod(binding="billing", namespace="lab"),
        task_pod(environment="other"),
        task_pod(created=EARLIER),
        task_pod(binding="reports"),
    ],
    ids=[
        "unbound",
        "no binding",
        "no binding there",
        "another environment",
        "before the policies",
        "before the binding",
    ],
)
def test_a_mark_that_nothing_guards_proves_nothing(pod: TaskPod) -> None:
    assert seen(task_pod()).bound == 1
    assert seen(pod).bound == 0
    assert said(seen(pod)).status == "Unknown"


@pytest.mark.parametrize(("created", "counted"), [(MADE, 0), (TOO_SOON, 0), (JUDGED, 1)])
def test_a_pod_counts_when_every_api_server_surely_knew_of_policies_and_binding(created: str, counted: int) -> None:
    assert seen(task_pod(created=created)).bound == counted
    policies_first = see(
        [task_pod(created=created)], "main", "d", guards=Guards((), EARLIER), mapped={("prod", "billing"): MADE}
    )
    binding_first = see(
        [task_pod(created=created)], "main", "d", guards=Guards((), MADE), mapped={("prod", "billing"): EARLIER}
    )
    assert (policies_first.bound, binding_first.bound) == (counted, counted)


def test_a_binding_or_policies_of_an_unknown_age_prove_nothing() -> None:
    assert seen(task_pod(), guards=Guards((), "")).bound == 0
    assert see([task_pod()], "main", "d", guards=Guards((), MADE), mapped={("prod", "billing"): ""}).bound == 0


@pytest.mark.parametrize(
    ("namespace", "name"), [("prod", "nobodys"), ("lab", "other"), ("prod", "")], ids=["nobody's", "not there", "none"]
)
def test_a_pod_of_another_executor_does_not_hide_behind_an_environment_that_does_not_work_there(
    namespace: str, name: str
) -> None:
    hidden = task_pod(namespace=namespace, environment=name, identity="Unbound")
    assert seen(task_pod(), hidden).unmarked == f"{namespace}/airwarden-x"
    assert seen(task_pod(), task_pod(environment="other")).unmarked == ""


def test_without_all_policies_no_mark_counts() -> None:
    found = seen(task_pod(), guards=Guards(("bound-tokens.airwarden.dev is not there",), MADE))
    assert found.bound == 0
    assert said(found).reason is Reason.POLICY_MISSING


def test_what_a_pod_says_that_anybody_may_have_made_leaves_isolation_unknown() -> None:
    found = seen(task_pod(), task_pod("FernetKey", namespace="lab"))
    assert (found.holds, found.doubtful) == ((), "lab/airwarden-x")
    assert (said(found).status, said(found).reason) == ("Unknown", Reason.UNGUARDED_MARKS)
    assert "pod lab/airwarden-x" in said(found).message


def test_what_unbound_tasks_hold_counts_where_admission_guards_their_marks() -> None:
    assert seen(task_pod("FernetKey", identity="Unbound", binding="")).holds == ("FernetKey",)
