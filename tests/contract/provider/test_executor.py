"""The executor in Airflow itself: what becomes of a job before its pod is made, and what nobody may make it do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from airwarden.api import environment as declaration
from airwarden.domain.environment.components import components_of
from contract.provider.airflow_task import AirflowEnvironment
from contract.provider.executor_drive import ACCOUNT, MORE_PODS, PODS, SOON, Cluster, DrivenExecutor, accounts, map_text
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.errors import PlaneError
from plane.waiting import wait_for

pytestmark = pytest.mark.timeout(600)  # the first run on a machine installs Airflow

NAMES = """
import inspect
from airflow.executors.workloads import ExecuteCallback, ExecuteTask
from airflow.providers.cncf.kubernetes import kube_client
from airflow.providers.cncf.kubernetes.executors import kubernetes_executor_utils as utils
from airflow.providers.cncf.kubernetes.executors.kubernetes_executor import KubernetesExecutor as base
from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_types import KubernetesJob
from airflow_airwarden.executor import AirwardenKubernetesExecutor as ours, JobDiscarded, check_provider
from importlib import metadata
def names(function): return list(inspect.signature(function).parameters)
for each in ("execute_async", "queue_workload", "start", "end", "_handle_pod_publish_error", "_get_pod_namespace"):
    assert names(getattr(base, each)) == names(getattr(ours, each)), each
assert names(base.execute_async) == ["self", "key", "command", "queue", "executor_config"]
assert names(utils.AirflowKubernetesScheduler._build_pod_request) == ["self", "next_job"]
for each in ("run_next", "run_next_batch"):
    assert "self._build_pod_request(" in inspect.getsource(getattr(utils.AirflowKubernetesScheduler, each)), each
assert [*KubernetesJob._fields[:3]] == ["key", "command", "kube_executor_config"]
assert {"ti", "bundle_info"} <= set(ExecuteTask.model_fields)
assert "queue" in ExecuteTask.model_fields["ti"].annotation.model_fields
assert names(base._coordinator_extra) == ["self", "queue"]
assert {"callback", "bundle_info"} <= set(ExecuteCallback.model_fields)
for each in ("_create_pods_sequentially", "_create_pods_concurrently"):
    assert "_handle_pod_publish_error(" in inspect.getsource(getattr(base, each)), each
assert "PodMutationHookException" in inspect.getsource(base._create_pods_sequentially)
assert names(kube_client._get_executor_kube_client) == ["team_name"]
assert names(base._make_safe_label_value) == ["self", "input_value"]
assert base.supports_callbacks is False and ours.supports_multi_team is True
check_provider(metadata.version("apache-airflow-providers-cncf-kubernetes"))
print("held")
"""


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> AirflowEnvironment:
    return AirflowEnvironment.prepare(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def cluster(plane: Plane) -> Cluster:
    found = Cluster(plane)
    found.prepare()
    found.write_map(map_text("billing"))
    return found


@pytest.fixture(scope="module", params=["one by one", "at once"])
def running(
    request: pytest.FixtureRequest,
    airflow: AirflowEnvironment,
    cluster: Cluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DrivenExecutor]:
    """Run the executor in each of the two ways in which it makes pods."""
    at_once = {"AIRFLOW__KUBERNETES_EXECUTOR__ASYNC_POD_CREATION": str(request.param == "at once")}
    with DrivenExecutor(airflow, cluster, tmp_path_factory.mktemp("executor"), at_once) as executor:
        yield executor


@pytest.fixture
def executor(running: DrivenExecutor, cluster: Cluster) -> DrivenExecutor:
    """The executor with no pods, and billing bound."""
    cluster.remove_pods()
    cluster.write_map(map_text("billing"))
    running.wait_for("Bound")
    return running


def test_the_names_of_the_kubernetes_provider_are_the_real_ones(airflow: AirflowEnvironment, tmp_path: Path) -> None:
    done = airflow.run(tmp_path, "-c", NAMES)
    assert done.stdout.strip().endswith("held"), done.stderr


def test_a_bound_task_is_queued_without_a_pod_and_then_has_its_own(executor: DrivenExecutor, cluster: Cluster) -> None:
    assert executor.step("queue", override="hostile")["events"] == [["queued", "driven"]]
    assert cluster.pods() == []
    assert executor.step("sync")["events"] == []
    assert accounts(cluster.pods()) == ["billing"]
    left_out = "pod_template_file, pod_override.metadata.namespace, pod_override.spec.serviceAccountName"
    assert f"leaves out {left_out}" in executor.log()


def test_a_bound_task_that_a_coordinator_would_run_has_no_pod_when_it_is_queued_and_when_it_is_bound_meanwhile(
    executor: DrivenExecutor, cluster: Cluster
) -> None:
    [[state, reason]] = executor.step("queue", queue="java")["events"]
    assert state == "failed"
    assert "a coordinator runs the tasks of queue 'java'" in reason
    assert f"binding {PODS}/billing" in reason
    executor.step("queue", "reports", queue="java")
    cluster.write_map(map_text("billing", "reports"))
    executor.wait_for("Bound", "reports")
    [[state, reason]] = executor.step("sync", "reports")["events"]
    assert state == "failed"
    assert "a coordinator runs the tasks of queue 'java'" in reason
    assert cluster.pods() == []


def test_an_unbound_task_has_its_coordinators_pod_under_the_powerless_account(
    executor: DrivenExecutor, cluster: Cluster
) -> None:
    executor.step("queue", "another", queue="java")
    executor.step("sync", "another")
    assert accounts(cluster.pods()) == ["unbound"]
    (pod,) = cluster.pods()
    assert [each["image"] for each in pod["spec"]["containers"]] == ["registry.test/jre:21"]


def test_a_tasks_log_is_looked_for_where_its_pod_is_whatever_its_author_says(executor: DrivenExecutor) -> None:
    executor.step("queue", override="hostile")
    executor.step("sync")
    assert executor.step("find")["namespace"] == PODS
    assert executor.step("find", "another")["namespace"] in {PODS, MORE_PODS}


LOG = """
from types import SimpleNamespace
from airflow_airwarden.executor import AirwardenKubernetesExecutor
print("looks in", AirwardenKubernetesExecutor()._get_pod_namespace(SimpleNamespace(executor_config={})))
"""


def test_airflows_api_server_looks_for_it_in_the_worker_namespace_with_what_the_operator_renders(
    airflow: AirflowEnvironment, tmp_path: Path
) -> None:
    declared = yaml.safe_load((REPOSITORY / "examples" / "airflow" / "environment.yaml").read_text())
    rendered = components_of(declaration.AirflowEnvironment.model_validate(declared)).wanted["api-server"].data
    variables = {"AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": "airflow", **rendered}
    done = airflow.run(tmp_path, "-c", LOG, variables=variables)
    assert "looks in airflow-prod" in done.stdout.splitlines(), done.stderr


def test_a_task_that_was_queued_before_its_binding_was_removed_has_no_pod(
    executor: DrivenExecutor, cluster: Cluster
) -> None:
    executor.step("queue")
    cluster.write_map(map_text())
    executor.wait_for("Unbound")
    [[state, reason]] = executor.step("sync")["events"]
    assert state == "failed"
    assert f"the task was queued for binding {PODS}/billing, which has its DAG no longer" in reason
    assert cluster.pods() == []
    assert reason in executor.log()


def test_a_task_whose_binding_came_meanwhile_runs_under_it(executor: DrivenExecutor, cluster: Cluster) -> None:
    executor.step("queue", "reports")
    cluster.write_map(map_text("billing", "reports"))
    executor.wait_for("Bound", "reports")
    executor.step("sync", "reports")
    assert accounts(cluster.pods()) == ["billing"]


def test_a_broken_map_gives_the_powerless_account_and_refuses_lookups(
    executor: DrivenExecutor, cluster: Cluster
) -> None:
    executor.step("queue")
    cluster.write_map(map_text("billing")[:-9])
    executor.wait_for("Unbound")
    assert executor.step("sync")["events"] == []
    [pod] = cluster.pods()
    assert accounts([pod]) == ["unbound"]
    variables = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0]["env"]}
    assert variables["AIRFLOW__WORKERS__SECRETS_BACKEND"] == "airflow_airwarden.backend.AirwardenBackend"


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("no dictionary", "executor_config is no dictionary"),
        ("no pod", "pod_override is no kubernetes.client.models.V1Pod"),
        ("unreadable", "pod_override cannot be read"),
    ],
)
def test_a_hostile_executor_config_fails_its_own_task_alone(
    executor: DrivenExecutor, cluster: Cluster, override: str, reason: str
) -> None:
    [[state, said]] = executor.step("queue", override=override)["events"]
    assert state == "failed"
    assert reason in said
    executor.step("sync")
    assert cluster.pods() == []


def test_what_is_no_task_of_airflow_3_has_no_pod(executor: DrivenExecutor, cluster: Cluster) -> None:
    [[state, reason]] = executor.step("command")["events"]
    assert (state, "nobody says whose DAG it is" in reason) == ("failed", True)
    assert cluster.pods() == []


def test_a_callback_is_refused_with_the_reason_and_the_scheduler_goes_on(executor: DrivenExecutor) -> None:
    [[state, reason]] = executor.step("queue callback")["events"]
    assert (state, "gives them no identity" in reason) == ("failed", True)


def test_a_task_costs_one_request_to_the_api_server(executor: DrivenExecutor, cluster: Cluster) -> None:
    executor.step("sync")
    audit = cluster.plane.api.audit
    mark = audit.mark()
    for _ in range(5):
        executor.step("queue")
    executor.step("sync")
    user = f"system:serviceaccount:executor-env:{ACCOUNT}"
    made = wait_for("all are made", lambda: len(cluster.pods()) == 5, SOON)
    asked = [each for each in audit.entries(mark) if each.user == user and each.verb != "watch"]
    assert made
    assert [(each.verb, each.resource) for each in asked] == [("create", "pods")] * 5


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"AIRFLOW__AIRWARDEN__ENVIRONMENT": ""}, "[airwarden] environment must be the environment's namespace/name"),
        (
            {"AIRFLOW__KUBERNETES_EXECUTOR__MULTI_NAMESPACE_MODE": "False"},
            "[kubernetes_executor] multi_namespace_mode must be on",
        ),
    ],
)
def test_the_scheduler_does_not_start_without_what_the_operator_renders(
    airflow: AirflowEnvironment, cluster: Cluster, tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    with DrivenExecutor(airflow, cluster, tmp_path, settings) as stopped, pytest.raises(PlaneError) as ended:
        stopped.step("look")
    assert f"AirwardenKubernetesExecutor cannot start: {said}" in str(ended.value)


@pytest.mark.parametrize(("version", "taken"), [("10.24.9", False), ("10.25.0", True), ("10.26.0", False)])
def test_only_the_known_range_of_the_kubernetes_provider_is_taken(
    airflow: AirflowEnvironment, tmp_path: Path, version: str, taken: bool
) -> None:
    done = airflow.run(
        tmp_path, "-c", f"from airflow_airwarden.executor import check_provider; check_provider({version!r})"
    )
    assert (done.returncode == 0) is taken
    assert taken or f"and this is {version}" in done.stderr
