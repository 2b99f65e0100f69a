"""One environment is rendered, kept true, and taken away; what is not ours is left; nothing is written twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
import structlog

from airwarden.api import FINALIZER
from airwarden.api.fields import moment_text
from airwarden.domain.environment import dag_map, rendering
from airwarden.domain.environment.fitting import Fitting, fit
from airwarden.domain.environment.guards import Guards
from airwarden.domain.environment.sight import TaskPod
from airwarden.domain.errors import ClusterFailed, ClusterForbidden, ObjectGone
from airwarden.domain.owner import Owner
from airwarden.domain.slices import Steps
from airwarden.domain.task_access import TaskAccess
from airwarden.providers.kubernetes.api import Rejected
from airwarden.reconcile import environments
from unit.reconcile.environment_fakes import BILLING, INTERVAL, LONG_AGO, MAPS, EnvironmentBench
from unit.reconcile.fakes import FakeStore

SCHEDULER = f"{MAPS}/airwarden.main.scheduler"


@pytest.fixture
async def bench() -> EnvironmentBench:
    """Return an environment with one mapped binding, settled."""
    made = EnvironmentBench()
    made.declare()
    made.bind("billing", "billing_*")
    await made.settle()
    return made


async def test_a_new_environment_is_recorded_before_it_is_written_and_costs_three_patches() -> None:
    bench = EnvironmentBench()
    bench.declare()
    bench.bind("billing", "billing_*")
    await bench.look()
    assert bench.journal.kinds() == [
        "PATCH main finalizer on",
        "PATCH main status Pending",
        f"POST {MAPS}",
        f"POST {MAPS}",
        f"POST {MAPS}",
        "PATCH main status Ready",
    ]
    assert bench.mapped() == {"team/billing": ["billing_*"]}
    assert set(bench.maps) == {"airwarden.main.dags.0c95c7ece1ce", "airwarden.main.scheduler", "airwarden.main.workers"}
    assert bench.status["bindings"] == {"total": 1, "mapped": 1}
    assert [each["content"] for each in bench.status["rendered"]] == ["dags/billing", "scheduler", "workers"]
    assert bench.status["digest"] == bench.maps["airwarden.main.scheduler"]["AIRFLOW__AIRWARDEN__DIGEST"]
    text = bench.maps["airwarden.main.dags.0c95c7ece1ce"]["map.json"]
    assert bench.status["rendered"][0]["digest"] == hashlib.sha256(text.encode()).hexdigest()[:32]


async def test_a_settled_environment_costs_nothing_and_a_look_only_reads(bench: EnvironmentBench) -> None:
    assert await bench.change() == []
    bench.monotonic += INTERVAL
    assert {each.split()[0] for each in await bench.change()} == {"GET"}


async def test_a_restart_writes_nothing(bench: EnvironmentBench) -> None:
    bench.restart()
    assert {each.split()[0] for each in await bench.change()} == {"GET"}
    assert bench.mapped() == {"team/billing": ["billing_*"]}


async def test_a_new_binding_costs_one_write_of_its_map_and_one_of_the_status(bench: EnvironmentBench) -> None:
    bench.bind("reports", "reports_*")
    assert await bench.change() == [f"PATCH {BILLING} data", "PATCH main status Ready"]
    assert bench.mapped() == {"team/billing": ["billing_*"], "team/reports": ["reports_*"]}


async def test_a_store_is_asked_how_tasks_read_it_with_the_account_that_they_have(
    bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    access = FakeStore.task_access

    def noted(store: FakeStore, owner: Owner) -> TaskAccess:
        asked.append((owner.binding, owner.account))
        return access(store, owner)

    monkeypatch.setattr(FakeStore, "task_access", noted)
    bench.bind("reports", "reports_*")
    await bench.look()
    assert asked == [("billing", "billing"), ("reports", "reports")]


async def test_a_binding_that_goes_leaves_the_map(bench: EnvironmentBench) -> None:
    bench.bind("billing", "billing_*", metadata={"deletionTimestamp": "2031-05-01T00:00:00Z"})
    await bench.look()
    assert bench.mapped() == {}
    assert bench.status["bindings"] == {"total": 0, "mapped": 0}


async def test_bindings_in_conflict_are_named_and_get_their_dags_when_it_ends(bench: EnvironmentBench) -> None:
    bench.bind("thief", "billing_pay")
    await bench.look()
    assert bench.mapped() == {}
    assert [(each["binding"], each["reason"]) for each in bench.status["conflicts"]] == [
        ("team/billing", "DagConflict"),
        ("team/thief", "DagConflict"),
    ]
    assert bench.condition() == ("True", "Ready")
    bench.unbind("thief")
    await bench.look()
    assert bench.mapped() == {"team/billing": ["billing_*"]}
    assert "conflicts" not in bench.status


async def test_a_binding_is_mapped_once_it_has_its_account(bench: EnvironmentBench) -> None:
    bench.bind("late", "late", account=False)
    await bench.look()
    assert "team/late" not in bench.mapped()
    bench.bind("late", "late")
    await bench.look()
    assert "team/late" in bench.mapped()


async def test_a_binding_that_names_anothers_account_is_not_mapped(bench: EnvironmentBench) -> None:
    bench.bind("thief", "other", account=False, serviceAccount={"name": "billing"})
    await bench.look()
    assert bench.mapped() == {"team/billing": ["billing_*"]}


async def test_an_external_account_is_mapped_only_for_whom_its_owner_allows(bench: EnvironmentBench) -> None:
    bench.bind("guest", "guest", account=False, serviceAccount={"name": "billing", "mode": "External"})
    await bench.look()
    assert "team/guest" not in bench.mapped()


async def test_the_end_of_a_bindings_access_is_a_turn_of_the_environment(bench: EnvironmentBench) -> None:
    bench.bind("billing", "billing_*", access={"notAfter": "2031-06-01T00:00:00Z"})
    following = await bench.look()
    assert following.turn is not None
    assert bench.mapped() != {}
    bench.bench.now = following.turn
    await bench.look()
    assert bench.mapped() == {}


@pytest.mark.parametrize(
    "spoil",
    [
        {"map.json": "{}"},
        {"map.json": None, "other": "x"},
        {"more": "AIRFLOW__CORE__FERNET_KEY"},
    ],
)
async def test_what_was_changed_by_hand_is_set_right_at_the_next_look(
    bench: EnvironmentBench, spoil: dict[str, str | None]
) -> None:
    def change(body: dict[str, Any]) -> None:
        body["data"] = {key: text for key, text in {**body["data"], **spoil}.items() if text is not None}

    before = bench.api.objects[BILLING]["data"]
    bench.api.change(BILLING, change)
    bench.monotonic += INTERVAL
    await bench.look()
    assert bench.api.objects[BILLING]["data"] == before


async def test_a_map_that_changed_since_it_was_read_is_not_overwritten_unread(bench: EnvironmentBench) -> None:
    bench.api.change(BILLING, lambda body: body["metadata"]["labels"].clear())
    bench.bind("reports", "reports_*")
    following = await bench.look()
    assert following.kind == "retry"
    await bench.look()
    assert bench.condition() == ("False", "MapNotOwned")
    assert "reports" not in bench.api.objects[BILLING]["data"]["map.json"]


@pytest.mark.parametrize("field", ["binaryData", "immutable"])
async def test_what_a_config_map_holds_beside_its_data_is_taken_away(bench: EnvironmentBench, field: str) -> None:
    value: object = {"x": "eA=="} if field == "binaryData" else True
    bench.api.change(SCHEDULER, lambda body: body.update({field: value, "data": {"other": "x"}}))
    bench.monotonic += INTERVAL
    await bench.look()
    assert field not in bench.api.objects[SCHEDULER]
    assert "AIRFLOW__CORE__EXECUTOR" in bench.api.objects[SCHEDULER]["data"]


async def test_a_foreign_config_map_is_neither_written_nor_deleted() -> None:
    bench = EnvironmentBench()
    foreign = {"metadata": {"name": "airwarden.main.dags.0c95c7ece1ce"}, "data": {"map.json": "theirs"}}
    bench.api.put(BILLING, foreign)
    bench.declare()
    bench.bind("billing", "billing_*")
    await bench.look()
    assert bench.condition() == ("False", "MapNotOwned")
    assert [(each["content"], each.get("reason", "")) for each in bench.status["rendered"]] == [
        ("dags/billing", "MapNotOwned"),
        ("scheduler", ""),
        ("workers", ""),
    ]
    bench.delete()
    await bench.look()
    assert bench.api.objects[BILLING]["data"] == {"map.json": "theirs"}
    assert set(bench.maps) == {"airwarden.main.dags.0c95c7ece1ce"}
    assert bench.path not in bench.api.objects


async def test_a_map_of_another_environment_is_not_this_ones(bench: EnvironmentBench) -> None:
    bench.api.change(BILLING, lambda body: body["metadata"]["labels"].update({"airwarden.dev/environment": "other"}))
    bench.restart()
    await bench.look()
    assert bench.condition() == ("False", "MapNotOwned")


async def test_the_map_of_a_bundle_that_is_no_longer_declared_is_removed(bench: EnvironmentBench) -> None:
    bench.declare(bundles=[{"name": "other", "namespaces": ["team"]}])
    await bench.look()
    assert BILLING not in bench.api.objects
    assert [each["content"] for each in bench.status["rendered"]] == ["dags/other", "scheduler", "workers"]


async def test_all_bundles_may_be_others_at_once(bench: EnvironmentBench) -> None:
    for stem in ("old", "new"):
        bench.declare(bundles=[{"name": f"{stem}-{number}", "namespaces": ["team"]} for number in range(64)])
        await bench.look()
        assert len(bench.maps) == 64 + 2
        recorded = [line for line in bench.journal.lines if line == "PATCH main status Pending"]
        assert recorded
    assert max(bench.recorded) <= 128


async def test_a_status_names_nothing_but_what_the_environment_could_have(bench: EnvironmentBench) -> None:
    victim = f"{MAPS}/airwarden.other.scheduler"
    labels = {"app.kubernetes.io/managed-by": "airwarden", "airwarden.dev/environment": "main"}
    metadata = {"name": "airwarden.other.scheduler", "namespace": "airflow", "labels": labels}
    bench.api.put(victim, {"metadata": metadata, "data": {}})
    forged = {"name": "airwarden.other.scheduler", "content": "scheduler"}
    bench.api.change(bench.path, lambda body: body["status"]["rendered"].append(forged))
    bench.restart()
    await bench.look()
    assert victim in bench.api.objects
    bench.api.change(bench.path, lambda body: body["status"]["rendered"].append(forged))
    bench.delete()
    await bench.look()
    assert victim in bench.api.objects


async def test_a_map_that_is_too_large_keeps_what_it_had_without_what_was_withdrawn(
    bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.bind("reports", "reports_*")
    await bench.look()
    monkeypatch.setattr(dag_map, "LARGEST", 10)
    bench.unbind("reports")
    bench.bind("late", "late_*")
    bench.bind("billing", "billing_*", "billing-more")
    await bench.look()
    assert bench.condition() == ("False", "MapTooLarge")
    assert bench.mapped() == {"team/billing": ["billing_*"]}
    withheld = json.loads(bench.api.objects[BILLING]["data"]["map.json"])["withheld"]
    assert withheld == [{"ids": ["*"], "reason": "MapTooLarge"}]
    assert await bench.change() == []
    monkeypatch.undo()
    bench.restart()
    await bench.look()
    assert bench.mapped() == {"team/billing": ["billing-more", "billing_*"], "team/late": ["late_*"]}
    assert bench.condition() == ("True", "Ready")


async def test_claims_in_vain_take_no_room_from_those_in_force(
    bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        bench.bind(f"rival-{number}", "one_and_the_same_dag")
        bench.bind(f"vain-{number}", "x" * 200 + f"_{number}", "y" * 200)
    bench.bind("billing", "billing_*")
    monkeypatch.setattr(dag_map, "LARGEST", 700)
    await bench.look()
    assert bench.mapped() == {"team/billing": ["billing_*"]}
    withheld = json.loads(bench.api.objects[BILLING]["data"]["map.json"])["withheld"]
    assert withheld == [{"ids": ["*"], "reason": "MapTooLarge"}]
    assert bench.condition() == ("False", "MapTooLarge")


async def test_a_map_that_fills_up_is_named_while_all_of_it_is_there(
    bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(bench.api.objects[BILLING]["data"]["map.json"]) + len("map.json")
    bench.monotonic += INTERVAL
    for largest, said in ((size * 5 // 4 + 9, ""), (size * 5 // 4 - 9, "MapFillsUp")):
        monkeypatch.setattr(dag_map, "LARGEST", largest)
        await bench.look()
        [rendered] = [each for each in bench.status["rendered"] if each["content"] == "dags/billing"]
        assert rendered.get("reason", "") == said
        assert bench.condition() == ("True", "Ready")
    assert bench.mapped() == {"team/billing": ["billing_*"]}
    assert await bench.change() == []


async def test_others_have_their_turn_while_many_bindings_are_rendered(
    bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "STEP", 4)
    for number in range(100):
        bench.bind(f"b{number:03}", f"dag_{number:03}")
    turns, looking = 0, asyncio.create_task(bench.look())
    while not looking.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 2 * 100 / 4
    assert len(bench.mapped()) == 101


@pytest.mark.parametrize("spec", [{"workerNamespaces": []}, None], ids=["unreadable", "gone"])
async def test_an_environment_that_goes_or_cannot_be_read_in_the_middle_of_a_pass_leaves_the_maps_as_they_are(
    bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any] | None
) -> None:
    def away(_: FakeStore, __: Owner) -> TaskAccess:
        if spec is None:
            bench.bench.cache.environments.forget(("airflow", "main"), "")
        else:
            bench.api.change(bench.path, lambda body: body["spec"].update(spec))
            bench.watch()
        return TaskAccess({})

    bench.bind("reports", "reports_*")
    before = bench.maps
    bench.watch()
    monkeypatch.setattr(FakeStore, "task_access", away)
    with pytest.raises(ObjectGone):
        await bench.reconciler.reconcile(("airflow", "main"))
    assert bench.maps == before


async def test_an_environment_that_goes_while_its_maps_are_fitted_is_not_written(
    bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*rendered: Any) -> Steps[Fitting]:
        bench.bench.cache.environments.forget(("airflow", "main"), "")
        return fit(*rendered)

    bench.unbind("billing")
    bench.watch()
    monkeypatch.setattr(environments, "fit", away)
    with pytest.raises(ObjectGone):
        await bench.reconciler.reconcile(("airflow", "main"))
    assert bench.mapped() == {"team/billing": ["billing_*"]}


async def test_a_map_that_was_too_large_from_the_first_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_map, "LARGEST", 10)
    bench = EnvironmentBench()
    bench.declare()
    bench.bind("billing", "billing_*")
    await bench.look()
    assert bench.mapped() == {}
    assert bench.condition() == ("False", "MapTooLarge")


async def test_a_deleted_environment_takes_its_config_maps_along_and_then_goes(bench: EnvironmentBench) -> None:
    bench.delete()
    await bench.look()
    assert bench.maps == {}
    assert bench.path not in bench.api.objects


async def test_without_a_status_all_that_the_spec_comes_to_is_removed(bench: EnvironmentBench) -> None:
    bench.api.change(bench.path, lambda body: body.pop("status"))
    bench.delete()
    await bench.look()
    assert bench.maps == {}


async def test_a_deletion_that_cannot_be_done_says_so_and_is_done_later(bench: EnvironmentBench) -> None:
    bench.delete()
    bench.journal.fail_at, bench.journal.error = len(bench.journal.lines) + 2, ClusterFailed("no answer")
    following = await bench.look()
    assert following.kind == "retry"
    assert bench.condition() == ("False", "DeletionBlocked")
    bench.journal.error = None
    await bench.look()
    assert bench.path not in bench.api.objects


async def test_an_environment_that_does_not_hold_to_its_schema_changes_nothing(bench: EnvironmentBench) -> None:
    before = bench.maps
    bench.api.change(bench.path, lambda body: body["spec"].update(workerNamespaces=[]))
    await bench.look()
    assert bench.condition() == ("False", "InvalidSpec")
    assert bench.maps == before
    bench.bind("late", "late")
    assert await bench.change() == []
    bench.delete()
    await bench.look()
    assert bench.maps == {}


async def test_our_finalizer_is_on_before_anything_is_written() -> None:
    bench = EnvironmentBench()
    bench.declare()
    await bench.look()
    assert bench.journal.kinds()[0] == "PATCH main finalizer on"
    assert bench.body["metadata"]["finalizers"] == [FINALIZER]


async def test_transitions_are_told_once(bench: EnvironmentBench) -> None:
    bench.monotonic += INTERVAL
    await bench.look()
    assert [each["reason"] for each in bench.api.events] == ["Ready"]


def pod(
    identity: str = "Bound", environment: str = "main", digest: str = "", holds: str = "", binding: str = "billing"
) -> TaskPod:
    marks = {"identity": identity, "environment": environment, "binding": binding} if identity else {}
    labels = {f"airwarden.dev/{key}": text for key, text in marks.items()}
    annotations = {"airwarden.dev/environment-digest": digest, "airwarden.dev/worker-holds": holds}
    return TaskPod(("team", "airwarden-1"), labels, annotations, "2031-05-01T00:00:00Z")


async def test_without_leave_to_look_at_pods_nothing_is_claimed(bench: EnvironmentBench) -> None:
    assert bench.condition("IdentityEnforced") == ("Unknown", "TaskPodsNotVisible")
    assert bench.condition("Isolated") == ("Unknown", "TaskPodsNotVisible")


async def test_identities_count_as_enforced_when_bound_pods_were_seen_while_the_policies_are_there(
    bench: EnvironmentBench,
) -> None:
    pods = bench.see_pods()
    pods.guarding = Guards(("bound-tokens.airwarden.dev is not there",))
    await bench.look()
    assert bench.condition("IdentityEnforced") == ("False", "PolicyMissing")

    async def next_look() -> tuple[str, str]:
        bench.monotonic += INTERVAL
        await bench.look()
        return bench.condition("IdentityEnforced")

    pods.guarding = Guards((), LONG_AGO)
    pods.found = [pod(environment="other")]
    assert await next_look() == ("False", "UnmarkedTaskPods")
    bench.bench.cache.environments.learn(
        {**bench.body, "metadata": {"name": "other", "namespace": "lab", "uid": "uid-other"}}
    )
    for other in ([], [pod(environment="other")], [pod(identity="Unbound")], [pod(binding="none")]):
        pods.found = other
        assert await next_look() == ("False", "NoMarkedPods")
    pods.found = [pod()]
    assert await next_look() == ("True", "IdentityEnforced")
    pods.found = []
    assert await next_look() == ("True", "IdentityEnforced")
    pods.found = [pod(), pod(identity="")]
    assert await next_look() == ("False", "UnmarkedTaskPods")
    pods.found = []
    assert await next_look() == ("Unknown", "NoMarkedPods")
    pods.error = ClusterForbidden("the Kubernetes API refused GET /api/v1/namespaces/team/pods")
    assert await next_look() == ("Unknown", "TaskPodsNotVisible")
    pods.error, pods.found = None, [pod()]
    assert await next_look() == ("True", "IdentityEnforced")
    pods.guarding = Guards(("bound-tokens.airwarden.dev is not there",))
    assert await next_look() == ("False", "PolicyMissing")


async def test_the_last_sight_is_told_to_the_hour_and_counts_for_a_week(bench: EnvironmentBench) -> None:
    pods = bench.see_pods()
    pods.found = [pod()]
    await bench.look()
    hour = bench.status["pods"]["last"]
    assert hour == moment_text(bench.bench.now.replace(minute=0, second=0))
    pods.found = []
    said = []
    for days in (0, 6, 1, 1):
        bench.bench.now += timedelta(days=days)
        bench.monotonic += INTERVAL
        await bench.look()
        said.append((bench.condition("IdentityEnforced"), bench.condition("Isolated")))
        message = next(each["message"] for each in bench.status["conditions"] if each["type"] == "IdentityEnforced")
        assert hour in message
    held = (("True", "IdentityEnforced"), ("True", "Isolated"))
    gone = (("Unknown", "NoMarkedPods"), ("Unknown", "NoMarkedPods"))
    assert said == [held, held, gone, gone]


async def test_bound_pods_that_are_seen_again_and_again_cost_one_write_an_hour(bench: EnvironmentBench) -> None:
    pods = bench.see_pods()
    pods.found = [pod()]
    await bench.look()
    bench.bench.now = bench.bench.now.replace(minute=0)
    for _ in range(59):
        bench.monotonic += INTERVAL
        bench.bench.now += timedelta(minutes=1)
        assert "PATCH main status Ready" not in await bench.change()
    bench.monotonic += INTERVAL
    bench.bench.now += timedelta(minutes=1)
    assert "PATCH main status Ready" in await bench.change()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"guarding": Guards(("bound-pods.airwarden.dev is not bound",))}, ("Unknown", "PolicyMissing")),
        ({"found": [pod(), pod(identity="")]}, ("Unknown", "UnmarkedTaskPods")),
    ],
)
async def test_isolation_is_no_longer_claimed_when_its_ground_is_gone(
    bench: EnvironmentBench, spoil: dict[str, Any], said: tuple[str, str]
) -> None:
    pods = bench.see_pods()
    pods.found = [pod()]
    await bench.look()
    assert bench.condition("Isolated") == ("True", "Isolated")
    for name, value in spoil.items():
        setattr(pods, name, value)
    bench.monotonic += INTERVAL
    await bench.look()
    assert bench.condition("Isolated") == said


async def test_the_policies_are_read_once_for_looks_that_come_together(bench: EnvironmentBench) -> None:
    pods = bench.see_pods()
    for after in (0, INTERVAL, INTERVAL + 1):
        bench.monotonic = after
        bench.reconciler.forget(("airflow", "main"))
        await bench.look()
    assert (pods.looks, pods.policy_looks) == (3, 2)


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        ("", ("True", "Isolated")),
        ("DatabaseCredentials,FernetKey", ("False", "WorkersHoldDatabaseCredentials")),
        ("envFrom:Secret/airflow", ("Unknown", "WorkerEnvironmentHidden")),
        ("JWTSecret,envFrom:Secret/airflow", ("False", "WorkersHoldDatabaseCredentials")),
        ("envFrom:ConfigMap/airwarden.main.workers", ("True", "Isolated")),
        ("envFrom:ConfigMap/airwarden.other.workers", ("Unknown", "WorkerEnvironmentHidden")),
        ("envFrom:Secret/airwarden.main.workers", ("Unknown", "WorkerEnvironmentHidden")),
    ],
)
async def test_what_task_pods_hold_says_whether_they_are_isolated_also_when_they_are_gone(
    bench: EnvironmentBench, holds: str, said: tuple[str, str]
) -> None:
    pods = bench.see_pods()
    await bench.look()
    assert bench.condition("Isolated") == ("Unknown", "NoMarkedPods")
    pods.found = [pod(holds=holds)]
    for _ in range(2):
        bench.monotonic += INTERVAL
        await bench.look()
        assert bench.condition("Isolated") == said
        pods.found = []


async def test_a_triggerer_is_shared(bench: EnvironmentBench) -> None:
    pods = bench.see_pods()
    pods.found = [pod()]
    components = {name: {"serviceAccountName": f"airflow-{name}"} for name in ("scheduler", "triggerer")}
    bench.declare(components=components)
    await bench.look()
    assert bench.condition("Isolated") == ("False", "TriggererShared")


@pytest.mark.parametrize("executor", ["Celery", "Local"])
async def test_another_executor_claims_no_isolation(bench: EnvironmentBench, executor: str) -> None:
    bench.declare(executor=executor, unbound=None)
    await bench.look()
    assert bench.condition("IdentityEnforced") == ("False", "ExecutorSharesIdentity")
    assert bench.condition("Isolated") == ("False", "ExecutorSharesIdentity")
    assert bench.condition() == ("True", "Ready")


async def test_pods_of_an_older_scheduler_are_counted_once_a_look(bench: EnvironmentBench) -> None:
    pods = bench.see_pods()
    pods.found = [pod(digest=bench.status["digest"]), pod(digest="old"), pod(identity="Unbound", digest="old")]
    await bench.look()
    last = bench.status["pods"].pop("last")
    assert (bench.status["pods"], bool(last)) == ({"bound": 2, "older": 2}, True)
    bench.bind("reports", "reports_*")
    await bench.look()
    assert pods.looks == 1


def refuse_statuses(bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the API server hold statuses to another schema than the operator's."""
    patch = bench.api.patch

    async def refusing(path: str, operations: Any) -> Any:
        if path.endswith("/status"):
            raise Rejected("status.pods.last: unknown")
        return await patch(path, operations)

    monkeypatch.setattr(bench.api, "patch", refusing)


async def test_maps_do_not_wait_for_a_status_that_is_refused(
    bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_statuses(bench, monkeypatch)
    bundles = [{"name": name, "namespaces": ["team"]} for name in ("billing", "later")]
    bench.declare(bundles=bundles)
    bench.unbind("billing")
    bench.bind("reports", "reports_*")
    following = await bench.look()
    assert bench.mapped() == {"team/reports": ["reports_*"]}
    assert following.kind == "check"
    assert len(bench.maps) == 3  # nothing is made without a record
    monkeypatch.undo()
    await bench.settle()
    assert len(bench.maps) == 4
    assert bench.condition() == ("True", "Ready")


async def test_a_map_of_a_bundle_that_went_goes_whatever_becomes_of_the_status(
    bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_statuses(bench, monkeypatch)
    bench.declare(bundles=[{"name": "other", "namespaces": ["team"]}])
    await bench.look()
    assert BILLING not in bench.api.objects


async def test_a_status_that_is_refused_is_told_once_until_one_is_taken(
    bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> int:
        return [each["reason"] for each in bench.api.events].count("ObjectRejected")

    for rounds in (1, 2):
        with monkeypatch.context() as patched, structlog.testing.capture_logs() as logs:
            refuse_statuses(bench, patched)
            for number in range(3):
                bench.bind(f"more-{rounds}-{number}", f"dag_{rounds}_{number}")
                await bench.look()
        assert [each["event"] for each in logs] == ["status not written"]
        assert "apply crds/" in logs[0]["error"]
        assert told() == rounds
        await bench.look()
    refused = bench.metrics.registry.get_sample_value(
        "airwarden_statuses_refused_total", {"kind": "AirflowEnvironment"}
    )
    assert refused == 6


async def test_a_refused_status_is_no_state_that_was_seen_to(
    bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_statuses(bench, monkeypatch)
    bench.bind("reports", "reports_*")
    following = await bench.look()
    assert following.state == bench.bench.cache.environments.known["airflow", "main"].state


async def test_an_environment_goes_although_its_status_is_refused(
    bench: EnvironmentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.delete()
    refuse_statuses(bench, monkeypatch)
    bench.journal.fail_at, bench.journal.error = len(bench.journal.lines) + 2, ClusterFailed("no answer")
    assert (await bench.look()).kind == "retry"
    bench.journal.error = None
    await bench.look()
    assert bench.path not in bench.api.objects


async def test_one_that_is_made_again_under_its_name_is_another(bench: EnvironmentBench) -> None:
    bench.delete()
    await bench.look()
    bench.watch()
    bench.reconciler.forget(("airflow", "main"))
    bench.declare()
    await bench.look()
    assert bench.condition() == ("True", "Ready")
    assert bench.mapped() == {"team/billing": ["billing_*"]}
    assert json.loads(bench.api.objects[BILLING]["data"]["map.json"])["environment"] == "airflow/main"
