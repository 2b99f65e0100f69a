"""Who makes pods under the account of a binding that names an environment, and for which DAGs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import pytest

from integration.admission.mapped import (
    AIRFLOW,
    BUNDLE,
    CREATOR,
    ENVIRONMENT,
    MARK,
    Airflow,
    Json,
    bound_pod,
    changed,
    forbidden,
    identity,
    plain_pod,
    pod_path,
)
from integration.admission.people import MERGE
from integration.objects import binding_path
from plane.errors import PlaneHTTPError
from plane.json_client import JsonClient
from plane.waiting import wait_for

Change = Callable[[Json], Json]
_REFERENCE: Final = {"name": ENVIRONMENT, "namespace": AIRFLOW}
_DAGS: Final = [{"bundle": BUNDLE, "ids": ["billing_*"]}]


@pytest.fixture(scope="module")
def billing(tasks: Airflow) -> str:
    """Return a binding of the DAGs billing_*, ledger and end.of.day, in force."""
    return tasks.bind("billing", ("billing_*", "ledger", "end.of.day"))


@pytest.fixture(scope="module")
def other_scheduler(tasks: Airflow) -> JsonClient:
    """Return the scheduler of another Airflow."""
    plane = tasks.cluster.plane
    return plane.api.client(token=plane.service_account_token(AIRFLOW, "another-scheduler"))


@pytest.mark.parametrize("dag", ["billing_daily", "billing_", "ledger", "end.of.day"])
def test_the_scheduler_makes_pods_for_the_dags_that_the_binding_claims(tasks: Airflow, billing: str, dag: str) -> None:
    assert tasks.refusal(bound_pod(billing, dag), tasks.scheduler) == ""


def test_nobody_else_makes_a_pod_under_the_account_not_even_one_that_is_marked_like_the_scheduler_s(
    tasks: Airflow, billing: str, other_scheduler: JsonClient
) -> None:
    for pod in (bound_pod(billing), plain_pod(billing), changed(bound_pod(billing), "metadata", "labels", to=None)):
        for somebody in (tasks.editor, tasks.masters, tasks.operator, other_scheduler):
            said = forbidden(somebody, "POST", pod_path(tasks.namespace), pod)
            assert said, f"{pod['metadata']} was made"
            # The operator may make no pods at all; and what is marked is refused by each binding of the environment.
            assert somebody is tasks.operator or "only the scheduler of" in said or "only its scheduler" in said
    said = tasks.refusal(plain_pod(billing), tasks.editor)
    assert said.startswith(f"service account {billing} carries the access of binding tasks/{billing}, and only")
    assert "can only create mirror pods" in forbidden(tasks.node, "POST", pod_path(tasks.namespace), bound_pod(billing))


def test_the_deprecated_second_name_of_the_account_is_no_way_around(tasks: Airflow, billing: str) -> None:
    pod = changed(
        changed(plain_pod(billing), "spec", "serviceAccountName", to=None), "spec", "serviceAccount", to=billing
    )
    assert "only the scheduler" in tasks.refusal(pod, tasks.editor)


def mark(key: str, to: str | None) -> Change:
    where = "labels" if key in ("identity", "environment", "binding") else "annotations"
    return lambda pod: changed(pod, "metadata", where, MARK + key, to=to)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (mark("dag-id", "payroll"), "DAG payroll of bundle billing-git is not one of binding tasks/"),
        (mark("dag-id", "billing"), "DAG billing of bundle"),
        (mark("dag-id", "ledger2"), "DAG ledger2 of bundle"),
        (mark("dag-id", "endXofXday"), "DAG endXofXday of bundle"),
        (mark("dag-id", "Billing_x"), "DAG Billing_x of bundle"),
        (mark("dag-id", None), "DAG  of bundle"),
        (mark("bundle", "other-git"), "of bundle other-git is not one"),
        (mark("bundle", None), "of bundle  is not one"),
        (mark("identity", "Unbound"), "must be marked"),
        (mark("identity", None), "must be marked"),
        (mark("environment", "second"), "must be marked"),
        (mark("environment", None), "must be marked"),
        (mark("binding", "elsewhere"), "must be marked"),
        (mark("binding", None), "must be marked"),
        (lambda pod: changed(pod, "metadata", "name", to="billing-daily"), "must begin with airwarden-"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_the_scheduler_itself_is_held_to_the_claims_in_force_and_to_its_marks(
    tasks: Airflow, billing: str, change: Change, words: str
) -> None:
    assert words in tasks.refusal(change(bound_pod(billing)), tasks.scheduler)


def test_a_generated_name_must_have_the_beginning_as_well(tasks: Airflow, billing: str) -> None:
    def generated(stem: str) -> Json:
        unnamed = changed(bound_pod(billing), "metadata", "name", to=None)
        return changed(unnamed, "metadata", "generateName", to=stem)

    assert tasks.refusal(generated("airwarden-x-"), tasks.scheduler) == ""
    assert "must begin with airwarden-" in tasks.refusal(generated("x-"), tasks.scheduler)


def test_a_job_with_the_account_gets_no_pods(tasks: Airflow, billing: str) -> None:
    template = {
        "metadata": bound_pod(billing)["metadata"],
        "spec": {**plain_pod(billing)["spec"], "restartPolicy": "Never"},
    }
    body = {"metadata": {"name": "hostile"}, "spec": {"template": template}}
    tasks.editor.request("POST", f"/apis/batch/v1/namespaces/{tasks.namespace}/jobs", body)

    def told() -> bool:
        query = "fieldSelector=involvedObject.name=hostile,reason=FailedCreate"
        found = tasks.masters.request("GET", f"/api/v1/namespaces/{tasks.namespace}/events?{query}")["items"]
        return any("not system:serviceaccount:kube-system:job-controller" in each["message"] for each in found)

    wait_for("the job is told why it has no pod", told, 30)
    selector = "labelSelector=batch.kubernetes.io/job-name=hostile"
    assert tasks.masters.request("GET", f"{pod_path(tasks.namespace)}?{selector}")["items"] == []
    tasks.masters.request("DELETE", f"/apis/batch/v1/namespaces/{tasks.namespace}/jobs/hostile")


# Marks.


def test_nobody_marks_a_pod_of_another_account_as_the_binding_s(tasks: Airflow, billing: str) -> None:
    pod = changed(bound_pod(billing), "spec", "serviceAccountName", to="unbound")
    assert "whose service account is" in tasks.refusal(pod, tasks.scheduler)
    for somebody in (tasks.editor, tasks.masters):
        assert "scheduler" in tasks.refusal(pod, somebody)


def test_only_the_scheduler_marks_a_pod_as_a_task_of_its_environment(tasks: Airflow, billing: str) -> None:
    pod = plain_pod("unbound")
    pod["metadata"]["labels"] = {f"{MARK}identity": "Unbound", f"{MARK}environment": ENVIRONMENT}
    assert tasks.refusal(pod, tasks.scheduler) == ""
    for somebody in (tasks.editor, tasks.masters):
        assert tasks.refusal(pod, somebody).startswith(
            "labels airwarden.dev/identity and airwarden.dev/environment mark"
        )
    made_up = changed(bound_pod("nobody-s"), "spec", "serviceAccountName", to="unbound")
    assert "mark a task of environment airflow/main" in tasks.refusal(made_up, tasks.editor)


def test_environments_of_one_name_do_not_share_a_namespace(tasks: Airflow, billing: str) -> None:
    reference = {"name": ENVIRONMENT, "namespace": "airflow-b"}
    name = tasks.declare("second", environmentRef=reference, dags=_DAGS)
    creator = f"system:serviceaccount:{AIRFLOW}:another-scheduler"
    tasks.map(name, {**identity({BUNDLE: ["billing_*"]}, creator), "environment": f"airflow-b/{ENVIRONMENT}"})
    plane = tasks.cluster.plane
    theirs = plane.api.client(token=plane.service_account_token(AIRFLOW, "another-scheduler"))
    tasks.wait(name, lambda: "of environment airflow-b/main" in tasks.refusal(bound_pod(billing), tasks.scheduler))
    assert "of environment airflow/main" in tasks.refusal(bound_pod(name), theirs)
    tasks.masters.request("DELETE", binding_path(tasks.namespace, name))
    tasks.wait(name, lambda: tasks.refusal(bound_pod(billing), tasks.scheduler) == "")


# Bindings that have no DAGs in force.


def test_while_a_binding_has_no_dags_in_force_nobody_makes_pods_under_its_account(tasks: Airflow) -> None:
    early = tasks.declare("early", environmentRef=_REFERENCE, dags=_DAGS)
    words = f"is that of binding tasks/{early}, which has no DAGs in force now"
    tasks.wait(early, lambda: words in tasks.refusal(bound_pod(early), tasks.scheduler))
    for somebody in (tasks.editor, tasks.masters):
        assert words in tasks.refusal(plain_pod(early), somebody)


def test_a_claim_that_is_withdrawn_admits_no_more_pods_to_anybody(tasks: Airflow) -> None:
    name = tasks.bind("withdrawn", ("billing_*", "ledger"))
    tasks.map(name, identity({BUNDLE: ["ledger"]}))
    tasks.wait(name, lambda: "is not one of binding" in tasks.refusal(bound_pod(name), tasks.scheduler))
    assert tasks.refusal(bound_pod(name, "ledger"), tasks.scheduler) == ""
    tasks.map(name, None)
    tasks.wait(name, lambda: "no DAGs in force" in tasks.refusal(bound_pod(name, "ledger"), tasks.scheduler))


def test_a_binding_that_is_being_deleted_gets_no_pods_though_no_operator_withdrew_its_claims(tasks: Airflow) -> None:
    name = tasks.bind("leaving")
    path = binding_path(tasks.namespace, name)
    tasks.masters.request("PATCH", path, {"metadata": {"finalizers": ["airwarden.dev/revoke-access"]}}, headers=MERGE)
    tasks.masters.request("DELETE", path)
    tasks.wait(name, lambda: "no DAGs in force" in tasks.refusal(bound_pod(name), tasks.scheduler))
    tasks.masters.request("PATCH", path, {"metadata": {"finalizers": None}}, headers=MERGE)
    tasks.wait(name, lambda: tasks.refusal(plain_pod(name), tasks.editor) == "")


# What is free.


def test_accounts_of_bindings_without_an_environment_are_free(tasks: Airflow) -> None:
    name = tasks.declare("free")
    assert tasks.refusal(plain_pod(name), tasks.editor) == ""
    assert tasks.refusal(plain_pod(name), tasks.masters) == ""


def test_other_accounts_of_the_namespace_are_free(tasks: Airflow, billing: str) -> None:
    for account in ("unbound", "default"):
        assert tasks.refusal(plain_pod(account), tasks.editor) == ""
        assert tasks.refusal(plain_pod(account, f"airwarden-{billing}"), tasks.editor) == ""


def test_a_namespace_without_bindings_is_free(tasks: Airflow, billing: str) -> None:
    tasks.cluster.plane.create_namespace("elsewhere")
    tasks.cluster.plane.api.create_service_account("elsewhere", billing)
    somebody = tasks.cluster.author("elsewhere", role="edit")
    assert tasks.refusal(bound_pod(billing), somebody, "elsewhere") == ""


def test_who_may_impersonate_the_scheduler_is_the_scheduler(tasks: Airflow, billing: str) -> None:
    path, as_scheduler = f"{pod_path(tasks.namespace)}?dryRun=All", {"Impersonate-User": CREATOR}
    for somebody in (tasks.cluster.author(AIRFLOW, role="edit"), tasks.masters):
        made = somebody.request("POST", path, bound_pod(billing), headers=as_scheduler)
        assert made["spec"]["serviceAccountName"] == billing
    with pytest.raises(PlaneHTTPError, match="cannot impersonate"):
        tasks.editor.request("POST", path, bound_pod(billing), headers=as_scheduler)


# What the policy goes by.


def test_nobody_but_the_operator_says_who_makes_pods(tasks: Airflow) -> None:
    name = tasks.bind("forged")
    path = f"{binding_path(tasks.namespace, name)}/status"
    statuses: Json = {
        "apiGroups": ["airwarden.dev"],
        "resources": ["airflowsecretbindings/status"],
        "verbs": ["patch", "update", "get"],
    }
    writer = tasks.cluster.author(tasks.namespace, statuses)
    for said in (identity({BUNDLE: ["*"]}), identity({BUNDLE: ["billing_*"]}, "somebody")):
        for somebody in (writer, tasks.masters):
            body = {"status": {"identity": said}}
            assert "only Airwarden writes it" in tasks.cluster.refusal("PATCH", path, body, somebody)
    for other in ({"observedGeneration": 7}, {"identity": None}):
        assert tasks.cluster.refusal("PATCH", path, {"status": other}, writer) == ""


def test_a_status_that_comes_with_a_new_binding_counts_for_nothing(tasks: Airflow) -> None:
    name = tasks.cluster.fresh("own-status")
    tasks.cluster.plane.api.create_service_account(tasks.namespace, name)
    secrets = [{"type": "Connection", "id": "a", "backendRef": {"name": "comes-later"}, "key": "shared/a"}]
    spec = {"environmentRef": _REFERENCE, "dags": _DAGS, "serviceAccount": {"name": name}, "secrets": secrets}
    body = {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBinding",
        "metadata": {"name": name},
        "spec": spec,
        "status": {"identity": identity({BUNDLE: ["*"]}, "somebody")},
    }
    made = tasks.editor.request("POST", binding_path(tasks.namespace), body)
    assert "status" not in made or "identity" not in made["status"]


@pytest.mark.parametrize("namespace", ["kube-system", "airwarden"])
def test_where_pods_are_not_judged_no_binding_names_an_environment(tasks: Airflow, namespace: str) -> None:
    secrets = [{"type": "Connection", "id": "a", "backendRef": {"name": "comes-later"}, "key": "shared/a"}]
    body: Json = {
        "metadata": {"name": "there", "namespace": namespace},
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBinding",
        "spec": {"serviceAccount": {"name": "there"}, "secrets": secrets},
    }
    assert tasks.cluster.asking(body) == ""
    body["spec"] |= {"environmentRef": _REFERENCE, "dags": _DAGS}
    assert f"bindings of namespace {namespace} cannot name an environment" in tasks.cluster.asking(body)


# Cost.


def test_the_largest_claims_are_judged(tasks: Airflow) -> None:
    claims = {f"{'b' * 190}{bundle:02d}": [f"{'d' * 240}{each:02d}*" for each in range(64)] for bundle in range(16)}
    dags = [{"bundle": bundle, "ids": ids} for bundle, ids in claims.items()]
    name = tasks.declare("largest", environmentRef=_REFERENCE, dags=dags)
    tasks.map(name, identity(claims))
    last = bound_pod(name, f"{'d' * 240}63x", f"{'b' * 190}15")
    tasks.wait(name, lambda: tasks.refusal(last, tasks.scheduler) == "")
    huge = bound_pod(name, "d" * 200_000, f"{'b' * 190}15")
    assert "is not one of binding" in tasks.refusal(huge, tasks.scheduler)
    assert len(json.dumps(dags)) > 200_000, "what was asked is not large"


def test_a_pod_is_judged_by_each_of_many_bindings(tasks: Airflow) -> None:
    names = [tasks.declare("many", environmentRef=_REFERENCE, dags=_DAGS) for _ in range(150)]
    for name in names:
        tasks.map(name, identity({BUNDLE: [f"{name}_*", *(f"{name}.{each:02d}" for each in range(63))]}))
    last = names[-1]
    tasks.wait(last, lambda: tasks.refusal(bound_pod(last, f"{last}.62"), tasks.scheduler) == "")
    assert "is not one of binding" in tasks.refusal(bound_pod(last, f"{names[0]}.62"), tasks.scheduler)
    assert tasks.refusal(plain_pod("unbound"), tasks.editor) == ""
    for name in names:
        tasks.masters.request("DELETE", binding_path(tasks.namespace, name))


def test_where_airflow_makes_no_pods_people_deploy_the_workers_of_a_binding(tasks: Airflow) -> None:
    """Executor Celery: the operator says so by the creator *, and nobody else can."""
    name = tasks.declare("queue", environmentRef=_REFERENCE, dags=_DAGS)
    tasks.wait(name, lambda: "no DAGs in" in tasks.refusal(plain_pod(name), tasks.editor))
    tasks.map(name, identity({}, creator="*"))
    tasks.wait(name, lambda: tasks.refusal(plain_pod(name), tasks.editor) == "")
    tasks.map(name, identity({BUNDLE: ["billing_*"]}))
    tasks.wait(name, lambda: tasks.refusal(plain_pod(name), tasks.editor) != "")
