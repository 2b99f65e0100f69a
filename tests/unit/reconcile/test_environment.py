"""A binding that names an environment: its map, its DAGs in force, and the order in which they come and go."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from airflow_airwarden.map_file import parse_map
from airwarden.domain.errors import ClusterFailed, ObjectRejected, Unreachable
from airwarden.providers.kubernetes.api import Rejected
from airwarden.providers.kubernetes.objects import binding_path
from airwarden.reconcile.queue import Urgency
from unit.reconcile.fake_cluster import Killed
from unit.reconcile.fakes import CLUSTER, KEY, Bench, backend_body
from unit.reconcile.test_engine import Seat

MAP: Final = "/api/v1/namespaces/team/configmaps/airwarden.billing.map"
MAPS: Final = "/api/v1/namespaces/team/configmaps"
ACCOUNTS: Final = "/api/v1/namespaces/team/serviceaccounts"
CLAIMS: Final[dict[str, Any]] = {
    "environmentRef": {"name": "main", "namespace": "airflow"},
    "dags": [{"bundle": "git", "ids": ["billing_*"]}],
}
SMTP: Final = {"type": "Connection", "id": "smtp", "backendRef": {"name": "vault"}, "key": "airflow/smtp"}


@pytest.fixture
def bench() -> Bench:
    """Return a world with one environment, and a binding that names it, for which nothing was done yet."""
    made = Bench()
    made.declare_environment()
    made.declare("team/db", **CLAIMS)
    return made


@pytest.fixture
async def settled(bench: Bench) -> Bench:
    """Return a world in which the binding is Ready and mapped; its journal starts afterwards."""
    await bench.settle()
    assert bench.ready == ("True", "Ready")
    assert bench.identity() == ["billing_*"]
    bench.journal.lines.clear()
    return bench


def the_map(bench: Bench) -> dict[str, Any]:
    """Return the binding's map, which the provider takes."""
    text = bench.api.objects[MAP]["data"]["binding.json"]
    parse_map(text.encode(), "binding.json")
    found: dict[str, Any] = json.loads(text)
    return found


def refused(bench: Bench) -> dict[str, str]:
    return {each["id"]: each["reason"] for each in the_map(bench)["refused"]}


def readable_paths(bench: Bench) -> list[Any]:
    """Return what each policy in the store lets its holder read."""
    return [fields["paths"] for fields in bench.store.contents.values() if "paths" in fields]


def rival(bench: Bench, *ids: str, version: int = 5000, **metadata: Any) -> None:
    """Let another binding come, or change, that claims DAGs of the same environment."""
    claims = {**CLAIMS, "dags": [{"bundle": "git", "ids": list(ids)}]}
    named = {"name": "rival", "namespace": "team", "uid": "uid-rival", "resourceVersion": str(version), **metadata}
    spec = {"serviceAccount": {"name": "rival"}, "secrets": bench.binding["spec"]["secrets"], **claims}
    bench.cache.learn_binding({"metadata": named, "spec": spec})


async def test_a_new_binding_s_map_is_recorded_before_and_written_after_account_and_stores(bench: Bench) -> None:
    await bench.look()
    assert bench.journal.kinds() == [
        "PATCH billing finalizer on",
        "PATCH billing status Pending",
        f"POST {ACCOUNTS}",
        "Create Policy in vault",
        "Create Role in vault",
        f"POST {MAPS}",
        "PATCH billing status Ready",
    ]
    assert bench.targets == {
        "ConfigMap": "Present",
        "ServiceAccount": "Present",
        "Policy": "Present",
        "Role": "Present",
    }
    assert [each["id"] for each in the_map(bench)["secrets"]] == ["id0"]
    assert bench.binding["status"]["identity"] == {
        "environment": "airflow/main",
        "podCreator": "system:serviceaccount:airflow:airflow-scheduler",
        "dags": [{"bundle": "git", "ids": ["billing_*"]}],
    }


async def test_a_store_that_tells_only_when_written_how_tasks_log_in_is_in_the_map_at_once(bench: Bench) -> None:
    bench.store.tells_when_written = True
    await bench.look()
    assert bench.ready == ("True", "Ready")
    assert [each["id"] for each in the_map(bench)["secrets"]] == ["id0"]


async def test_a_second_look_reads_the_map_and_writes_nothing(settled: Bench) -> None:
    await settled.look()
    assert sorted(settled.journal.lines) == [f"GET {MAP}", "observe vault one by one"]


async def test_a_restart_writes_nothing(settled: Bench) -> None:
    settled.restart()
    await settled.look()
    assert settled.journal.kinds() == []


async def test_a_binding_without_an_environment_has_no_map_and_costs_no_look_at_one() -> None:
    bench = Bench()
    bench.declare("team/db")
    await bench.settle()
    assert MAP not in bench.api.objects
    assert not any("configmaps" in line for line in bench.journal.lines)


async def test_a_changed_map_is_set_right_and_told(settled: Bench) -> None:
    settled.api.change(MAP, lambda body: body["data"].update({"binding.json": "{}", "more": "x"}))
    await settled.look()
    assert settled.journal.kinds() == [f"PATCH {MAP} data", "PATCH billing status Ready"]
    assert settled.api.objects[MAP]["data"].keys() == {"binding.json"}
    assert any(each["reason"] == "DriftCorrected" for each in settled.api.events)
    assert settled.identity() == ["billing_*"]


async def test_a_map_that_went_is_made_anew(settled: Bench) -> None:
    del settled.api.objects[MAP]
    await settled.look()
    assert settled.journal.kinds() == [f"POST {MAPS}", "PATCH billing status Ready"]


async def test_a_foreign_map_is_not_touched_and_no_dag_is_mapped_meanwhile(bench: Bench) -> None:
    bench.api.put(MAP, {"metadata": {"name": "airwarden.billing.map", "namespace": "team"}, "data": {"x": "y"}})
    await bench.settle()
    assert bench.api.objects[MAP]["data"] == {"x": "y"}
    assert bench.ready[0] == "False"
    assert bench.ready[1] == "MapNotOwned"
    assert bench.identity() is None
    assert bench.store.contents, "the access itself does not hang on the map"
    assert [each["state"] for each in bench.binding["status"]["secrets"]] == ["Granted"]
    del bench.api.objects[MAP]
    await bench.settle()
    assert (bench.ready, bench.identity()) == (("True", "Ready"), ["billing_*"])


async def test_a_map_that_becomes_foreign_takes_the_dags_out_of_force(settled: Bench) -> None:
    settled.api.change(MAP, lambda body: body["metadata"].update(labels={}))
    await settled.look()
    assert settled.identity() is None
    assert settled.ready[0] == "False"
    settled.delete()
    await settled.look()
    assert MAP in settled.api.objects, "what is not ours is not deleted"
    assert binding_path(*KEY) not in settled.api.objects


async def test_a_rival_withholds_the_dags_and_leaves_the_access(settled: Bench) -> None:
    contents = dict(settled.store.contents)
    rival(settled, "billing_daily")
    await settled.look()
    assert settled.ready == ("False", "DagConflict")
    assert settled.identity() is None
    assert settled.store.contents == contents
    assert settled.journal.kinds() == ["PATCH billing status DagConflict"]
    settled.cache.forget_binding(("team", "rival"), "uid-rival")
    await settled.look()
    assert (settled.ready, settled.identity()) == (("True", "Ready"), ["billing_*"])


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"workerNamespaces": ["other"], "unbound": {"namespace": "other", "serviceAccountName": "u"}}, None),
        ({"bundles": [{"name": "git", "namespaces": ["other"]}]}, "BundleNotClaimable"),
    ],
)
async def test_what_the_environment_does_not_admit_is_not_mapped(
    settled: Bench, spec: dict[str, Any], reason: str | None
) -> None:
    settled.declare_environment(**spec)
    await settled.look()
    assert settled.ready == ("False", reason or "NamespaceNotAWorker")
    assert settled.identity() is None
    assert settled.store.contents


async def test_without_its_environment_no_dag_is_mapped_until_it_comes_back(settled: Bench) -> None:
    settled.remove_environment()
    await settled.look()
    assert settled.ready == ("False", "EnvironmentNotFound")
    assert settled.identity() is None
    assert the_map(settled)["unboundIDs"] == "Refuse"
    settled.declare_environment()
    await settled.look()
    assert (settled.ready, settled.identity()) == (("True", "Ready"), ["billing_*"])


async def test_an_environment_that_is_not_there_yet_gets_no_map() -> None:
    bench = Bench()
    bench.declare("team/db", **CLAIMS)
    await bench.settle()
    assert bench.ready == ("False", "EnvironmentNotFound")
    assert MAP not in bench.api.objects
    assert bench.store.contents


async def test_an_environment_that_cannot_be_read_changes_nothing(settled: Bench) -> None:
    before = settled.api.objects[MAP]
    settled.declare_environment(executor="Edge")
    await settled.look()
    assert settled.ready == ("False", "EnvironmentInvalid")
    assert settled.identity() == ["billing_*"]
    assert settled.api.objects[MAP] == before
    assert settled.store.contents


@pytest.mark.parametrize("executor", ["Celery", "Local"])
async def test_with_other_executors_people_deploy_workers_and_no_dag_is_the_binding_s(
    settled: Bench, executor: str
) -> None:
    settled.declare_environment(executor=executor, unbound=None)
    await settled.look()
    assert settled.ready == ("True", "Ready")
    assert settled.binding["status"]["identity"] == {"environment": "airflow/main", "podCreator": "*"}
    assert MAP in settled.api.objects
    settled.journal.lines.clear()
    await settled.look()
    assert sorted(settled.journal.lines) == [f"GET {MAP}", "observe vault one by one"]


async def test_a_change_of_the_executor_ends_who_anybody_may_be(settled: Bench) -> None:
    settled.declare_environment(executor="Celery", unbound=None)
    await settled.look()
    settled.declare_environment()
    await settled.look()
    assert settled.binding["status"]["identity"]["podCreator"] == "system:serviceaccount:airflow:airflow-scheduler"
    assert settled.identity() == ["billing_*"]


async def test_another_scheduler_is_another_creator(settled: Bench) -> None:
    settled.declare_environment(components={"scheduler": {"serviceAccountName": "other"}})
    await settled.look()
    assert settled.binding["status"]["identity"]["podCreator"] == "system:serviceaccount:airflow:other"


async def test_common_secrets_are_granted_and_shown_apart(bench: Bench) -> None:
    bench.backend_bodies["vault"]["spec"]["allow"][0]["namespaces"]["names"].append("airflow")
    bench.restart()
    bench.declare_environment(SMTP)
    await bench.settle()
    assert bench.ready == ("True", "Ready")
    assert [(each["id"], each.get("common", False)) for each in bench.binding["status"]["secrets"]] == [
        ("id0", False),
        ("smtp", True),
    ]
    assert readable_paths(bench) == [("airflow/smtp", "team/db")]
    bench.declare_environment()
    await bench.settle()
    assert readable_paths(bench) == [("team/db",)]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (
            {"workerNamespaces": ["other"], "unbound": {"namespace": "other", "serviceAccountName": "u"}},
            "NamespaceNotAWorker",
        ),
        ({"bundles": [{"name": "git", "namespaces": ["other"]}]}, "BundleNotClaimable"),
        ({"unbound": {"namespace": "team", "serviceAccountName": "billing"}}, "ServiceAccountTaken"),
    ],
)
async def test_a_binding_that_the_environment_does_not_admit_gets_none_of_its_common_secrets(
    bench: Bench, spec: dict[str, Any], reason: str
) -> None:
    bench.backend_bodies["vault"]["spec"]["allow"][0]["namespaces"]["names"].append("airflow")
    bench.restart()
    bench.declare_environment(SMTP, **spec)
    await bench.settle()
    assert bench.ready == ("False", reason)
    assert readable_paths(bench) == [("team/db",)]
    assert [each["id"] for each in bench.binding["status"]["secrets"]] == ["id0"]
    bench.declare_environment(SMTP)
    await bench.settle()
    assert readable_paths(bench) == [("airflow/smtp", "team/db")]
    bench.declare_environment(SMTP, **spec)
    await bench.settle()
    assert readable_paths(bench) == [("team/db",)], "what it had ends with its admission"


async def test_a_rival_takes_no_common_secret(bench: Bench) -> None:
    bench.backend_bodies["vault"]["spec"]["allow"][0]["namespaces"]["names"].append("airflow")
    bench.restart()
    bench.declare_environment(SMTP)
    rival(bench, "billing_daily")
    await bench.settle()
    assert bench.ready == ("False", "DagConflict")
    assert readable_paths(bench) == [("airflow/smtp", "team/db")]


async def test_common_secrets_are_judged_for_the_environment_s_namespace_alone(bench: Bench) -> None:
    bench.declare_environment(SMTP, {**SMTP, "id": "own", "key": "team/own"})
    await bench.settle()
    assert bench.ready == ("False", "KeyNotAllowed")
    assert refused(bench) == {"smtp": "KeyNotAllowed", "own": "KeyNotAllowed"}
    assert bench.identity() == ["billing_*"], "its DAGs run, and are refused what is not admitted"


async def test_an_own_secret_of_the_same_name_wins(bench: Bench) -> None:
    bench.declare_environment({**SMTP, "id": "id0"})
    await bench.settle()
    assert bench.ready == ("True", "Ready")
    assert [(each["id"], each["key"]) for each in the_map(bench)["secrets"]] == [("id0", "team/db")]


async def test_common_secrets_in_a_store_of_their_own_are_written_there() -> None:
    bench = Bench(("vault", "shared"))
    rules = [{"name": "r", "namespaces": {"names": ["airflow"]}, "keyPrefixes": ["airflow/"]}]
    bench.backend_bodies["shared"] = backend_body("shared", allow=rules)
    bench.restart()
    bench.declare_environment({**SMTP, "backendRef": {"name": "shared"}})
    bench.declare("team/db", **CLAIMS)
    await bench.settle()
    assert bench.ready == ("True", "Ready")
    assert bench.stores["shared"].contents
    assert bench.cache.using_backend("shared") == (KEY,)
    assert set(the_map(bench)["stores"]) == {"vault", "shared"}
    bench.declare_environment(executor="Edge")
    await bench.settle()
    assert bench.stores["shared"].contents, "what cannot be read is not held for absent"
    bench.declare_environment()
    await bench.settle()
    assert not bench.stores["shared"].contents


def refuse_statuses(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the API server hold statuses to another schema than the operator's."""
    patch = bench.api.patch

    async def refusing(path: str, operations: Any) -> Any:
        if path.endswith("/status"):
            raise Rejected("status.identity: unknown")
        return await patch(path, operations)

    monkeypatch.setattr(bench.api, "patch", refusing)


async def test_what_must_go_does_not_wait_for_a_status_that_is_refused(
    settled: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled.backend_bodies["vault"]["spec"]["allow"][0]["keyPrefixes"] = ["elsewhere/"]
    settled.restart()
    settled.remove_environment()
    refuse_statuses(settled, monkeypatch)
    with pytest.raises(ObjectRejected, match="apply crds/"):
        await settled.look()
    assert settled.store.contents == {}


async def test_a_new_binding_whose_record_is_refused_is_given_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_statuses(bench, monkeypatch)
    with pytest.raises(ObjectRejected):
        await bench.look()
    assert bench.store.contents == {}
    assert MAP not in bench.api.objects


async def test_a_deletion_does_not_wait_for_a_status_that_is_refused(
    settled: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_statuses(settled, monkeypatch)
    settled.delete()
    await settled.look()
    assert settled.api.objects == {}
    assert settled.store.contents == {}


async def test_a_deletion_takes_the_dags_first_and_the_map_last(settled: Bench) -> None:
    settled.delete()
    await settled.look()
    assert settled.journal.kinds() == [
        "PATCH billing status Deleting",
        "Delete Policy in vault",
        "Delete Role in vault",
        f"DELETE {ACCOUNTS}/billing",
        f"DELETE {MAP}",
        "PATCH billing finalizer off",
    ]
    assert settled.api.objects == {}


async def test_a_deletion_keeps_on_record_what_is_still_to_be_removed(settled: Bench) -> None:
    settled.delete()
    settled.journal.fail_at, settled.journal.error = 2, Killed()
    settled.journal.lines.clear()
    with pytest.raises(Killed):
        await settled.look()
    assert settled.identity() is None
    assert set(settled.targets) == {"ConfigMap", "ServiceAccount", "Policy", "Role"}


async def test_a_deletion_waits_for_its_map(settled: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    settled.delete()
    delete = settled.api.delete

    async def but_for_the_map(path: str, *, uid: str) -> None:
        if path == MAP:
            raise ClusterFailed("no")
        await delete(path, uid=uid)

    with monkeypatch.context() as patched:
        patched.setattr(settled.api, "delete", but_for_the_map)
        await settled.look()
    assert (MAP in settled.api.objects, settled.account()) == (True, None)
    assert settled.ready == ("False", "DeletionBlocked")
    await settled.look()
    assert settled.api.objects == {}


async def test_orphaned_access_has_no_map(settled: Bench) -> None:
    settled.backend_bodies["vault"]["spec"]["allow"][0]["orphan"] = True
    settled.restart()
    settled.declare("team/db", **CLAIMS, deletionPolicy="Orphan")
    await settled.settle()
    settled.delete()
    await settled.look()
    assert settled.store.contents, "the access stays"
    assert settled.account() is not None
    assert MAP not in settled.api.objects, "and no DAG has it any more"


async def test_the_end_of_the_access_takes_the_dags_before_it_takes_the_access(settled: Bench) -> None:
    settled.declare("team/db", **CLAIMS, access={"notAfter": "2031-05-01T01:00:00Z"})
    await settled.settle()
    settled.journal.lines.clear()
    settled.now = settled.now.replace(hour=2)
    await settled.look()
    assert settled.identity() is None
    kinds = settled.journal.kinds()
    assert kinds[0].startswith("PATCH billing status")
    assert kinds[1:3] == ["Delete Policy in vault", "Delete Role in vault"]
    assert refused(settled) == {"id0": "Expired"}


async def test_a_suspended_binding_keeps_its_dags_and_gets_no_new_ones(settled: Bench) -> None:
    settled.declare("team/db", **{**CLAIMS, "dags": [{"bundle": "git", "ids": ["billing_*", "more"]}]}, suspend=True)
    await settled.look()
    assert (settled.ready, settled.identity()) == (("False", "Suspended"), ["billing_*"])
    settled.declare("team/db", **{**CLAIMS, "dags": [{"bundle": "git", "ids": ["billing_*", "more"]}]})
    await settled.look()
    assert (settled.ready, settled.identity()) == (("True", "Ready"), ["billing_*", "more"])


async def test_a_binding_that_is_new_and_suspended_has_neither_dags_nor_map() -> None:
    bench = Bench()
    bench.declare_environment()
    bench.declare("team/db", **CLAIMS, suspend=True)
    await bench.settle()
    assert bench.identity() is None
    assert MAP not in bench.api.objects


async def test_a_taken_account_is_mapped_to_nothing(settled: Bench) -> None:
    labels = {
        "airwarden.dev/binding": "other",
        "airwarden.dev/cluster": CLUSTER,
        "airwarden.dev/allow-binding": "other",
    }
    settled.api.change(f"{ACCOUNTS}/billing", lambda body: body["metadata"].update(labels=labels))
    await settled.look()
    assert (settled.ready, settled.identity()) == (("False", "ServiceAccountTaken"), None)
    kinds = settled.journal.kinds()
    assert kinds.index("Delete Policy in vault") > 0, "the DAGs went first"


async def test_a_store_that_is_down_takes_no_dags(settled: Bench) -> None:
    settled.store.errors["observe"] = Unreachable("down")
    settled.restart()
    settled.declare("team/db", "team/more", **CLAIMS)
    await settled.look()
    assert settled.ready[0] == "False"
    assert settled.identity() == ["billing_*"]
    assert [each["id"] for each in the_map(settled)["secrets"]] == ["id0", "id1"]


async def test_a_map_that_cannot_be_read_or_written_takes_no_dags(settled: Bench) -> None:
    settled.journal.fail_at, settled.journal.error = 2, ClusterFailed("no")
    await settled.look()
    assert settled.identity() == ["billing_*"]
    assert settled.ready == ("False", "ClusterUnavailable")
    assert settled.targets["ConfigMap"] == "Present"


async def test_what_is_no_longer_admitted_is_refused_in_the_map(settled: Bench) -> None:
    settled.tighten()
    await settled.look()
    assert refused(settled) == {"id0": "KeyNotAllowed"}
    assert settled.identity() == ["billing_*"]


async def test_a_status_that_names_a_map_is_no_reason_to_touch_one(settled: Bench) -> None:
    other = "/api/v1/namespaces/team/configmaps/airwarden.other.map"
    labels = settled.api.objects[MAP]["metadata"]["labels"]
    settled.api.put(other, {"metadata": {"name": "airwarden.other.map", "namespace": "team", "labels": labels}})
    forged = {"kind": "ConfigMap", "name": "airwarden.other.map", "state": "Present", "backend": ""}
    settled.api.change(binding_path(*KEY), lambda body: body["status"]["targets"].append(forged))
    settled.delete()
    await settled.look()
    assert other in settled.api.objects


@pytest.mark.parametrize("when", ["before", "after"])
async def test_wherever_a_life_breaks_off_the_next_process_ends_at_the_same(when: Any) -> None:
    """Create, edit, delete: killed at every request of it, before and after it acts."""

    async def live(bench: Bench) -> None:
        bench.declare_environment()
        bench.declare("team/db", **CLAIMS)
        await bench.settle()
        bench.declare("team/db", "team/more", **CLAIMS)
        await bench.settle()

    whole = Bench()
    await live(whole)
    ended, requests = whole.world(), len(whole.journal.lines)
    whole.delete()
    await whole.settle()
    for number in range(1, len(whole.journal.lines) + 1):
        bench = Bench()
        bench.journal.fail_at, bench.journal.when, bench.journal.error = number, when, Killed()
        try:
            await live(bench)
            bench.delete()
            await bench.settle()
        except Killed:
            pass
        else:
            assert "GET" in whole.journal.lines[number - 1], "only the answer that there is nothing has no end here"
            continue
        bench.journal.error = None
        bench.restart()
        bench.declare_environment()
        if number <= requests:
            bench.declare("team/db", "team/more", **CLAIMS)
            await bench.settle()
            assert bench.world() == ended, f"killed {when} request {number}"
            bench.delete()
        if binding_path(*KEY) in bench.api.objects:
            await bench.settle()
        assert bench.api.objects == {}, f"killed {when} request {number}"
        assert bench.store.contents == {}, f"killed {when} request {number}"


async def test_what_others_wrote_into_the_map_is_not_kept_while_a_store_is_unknown(settled: Bench) -> None:
    body = the_map(settled)
    body["stores"]["vault"]["addresses"] = ["https://elsewhere.test"]
    settled.api.change(MAP, lambda found: found["data"].update({"binding.json": json.dumps(body)}))
    settled.backends.forget("vault")
    await settled.look()
    assert refused(settled) == {"id0": "BackendNotFound"}
    assert settled.identity() == ["billing_*"]


async def test_the_map_of_a_binding_that_came_in_place_of_another_is_not_removed(settled: Bench) -> None:
    path = binding_path(*KEY)
    del settled.api.objects[path]
    spec = {**CLAIMS, "serviceAccount": {"name": "other"}, "secrets": settled.model.model_dump()["spec"]["secrets"]}
    settled.api.put(path, {"metadata": {"name": "billing", "namespace": "team", "uid": "uid-new"}, "spec": spec})
    settled.declare("team/db", account="other", **CLAIMS)
    await settled.look()
    assert f"DELETE {ACCOUNTS}/billing" in settled.journal.kinds()
    assert f"DELETE {MAP}" not in settled.journal.kinds()
    assert MAP in settled.api.objects


@pytest.fixture
async def seat(settled: Bench) -> Seat:
    """Return an engine that has looked at the mapped binding; what it looks at from now on is on record."""
    made = Seat(settled)
    made.engine.go_live()
    made.hear()
    await made.rest()
    made.looks.clear()
    return made


async def test_a_rival_s_coming_and_going_is_looked_at_at_once(seat: Seat) -> None:
    rival(seat.bench, "billing_daily")
    await seat.rest()
    assert [each for each in seat.looks if each[0] == KEY] == [(KEY, Urgency.REMOVAL)]
    assert seat.bench.identity() is None
    seat.looks.clear()
    seat.bench.cache.forget_binding(("team", "rival"), "uid-rival")
    await seat.rest()
    assert [each for each in seat.looks if each[0] == KEY] == [(KEY, Urgency.CHANGE)]
    assert seat.bench.identity() == ["billing_*"]


async def test_a_binding_that_claims_other_dags_wakes_nobody(seat: Seat) -> None:
    rival(seat.bench, "reporting")
    await seat.rest()
    assert seat.looks == []


async def test_an_edit_of_the_environment_wakes_its_bindings_and_its_status_does_not(seat: Seat) -> None:
    seat.bench.declare_environment()
    await seat.rest()
    assert seat.looks == []
    seat.bench.declare_environment(reader={"cacheTTL": "5s"})
    await seat.rest()
    assert seat.looks == [(KEY, Urgency.CHANGE)]
    assert the_map(seat.bench)["cacheTTLSeconds"] == 5
    seat.looks.clear()
    seat.bench.remove_environment()
    await seat.rest()
    assert seat.looks == [(KEY, Urgency.REMOVAL)]


async def test_before_everything_is_known_nobody_is_woken(settled: Bench) -> None:
    seat = Seat(settled)
    settled.watch()
    rival(settled, "billing_daily")
    await seat.rest()
    assert seat.looks == []


async def test_a_map_that_went_and_cannot_be_made_anew_takes_the_dags_out_of_force(settled: Bench) -> None:
    del settled.api.objects[MAP]
    settled.journal.fail_at, settled.journal.error = 3, ClusterFailed("no")
    await settled.look()
    assert settled.journal.lines[2] == f"POST {MAPS}"
    assert (settled.ready, settled.targets["ConfigMap"]) == (("False", "ClusterUnavailable"), "Failed")
    assert settled.identity() is None
    settled.journal.error = None
    await settled.look()
    assert settled.identity() == ["billing_*"]


async def test_of_orphaned_access_what_was_common_goes(bench: Bench) -> None:
    rule = bench.backend_bodies["vault"]["spec"]["allow"][0]
    rule["orphan"] = True
    rule["namespaces"]["names"].append("airflow")
    bench.restart()
    bench.declare_environment(SMTP)
    bench.declare("team/db", **CLAIMS, deletionPolicy="Orphan")
    await bench.settle()
    bench.delete()
    await bench.look()
    paths = [fields["paths"] for fields in bench.store.contents.values() if "paths" in fields]
    assert paths == [("team/db",)]
