"""Whichever way a task comes to its pod, the pod has its own binding's account, whatever the DAG's author asks for.

One real Airflow with three of our executors in one scheduler; each task forges all that an executor_config can say.
What counts is what the API server's audit log says of the pod's creation, and Vault's of the login.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.airflow_world import SOON, UNBOUND, AirflowWorld, Binding, finished
from plane.airflow_servers import AirflowServers
from plane.control_plane import ControlPlane, Plane
from plane.kubelet import Kubelet
from plane.postgres_server import PostgresServer
from plane.waiting import wait_for

pytestmark = pytest.mark.timeout(1200)  # the first run on a machine installs Airflow

DONE = 480.0
"""Seconds within which a run must be over, while all of them share the machine."""
SCHEDULER = "system:serviceaccount:airflow:airflow-scheduler"
VICTIMS = (
    Binding("red-git", ("victim",), "victim", "airflow-red"),
    Binding("billing-git", ("victim",), "victim", "airflow-prod"),
)


def bound(dag: str, bundle: str = "billing-git", namespace: str = "airflow-prod", ids: str = "") -> Binding:
    return Binding(bundle, (ids or f"identity_{dag}",), f"identity-{dag}", namespace)


BINDINGS = (
    bound("scheduled"),
    bound("rest", ids="identity_rest*"),
    bound("triggering"),
    bound("triggered"),
    bound("backfilled"),
    bound("cleared"),
    bound("retried"),
    bound("literal"),
    bound("dynamic"),
    bound("deferred"),
    bound("waiting"),
    bound("team", "red-git", "airflow-red"),
    bound("second", "blue-git"),
    *VICTIMS,
)


@dataclass(frozen=True)
class Made:
    """A pod that was made for a task, by the audit log."""

    user: str
    pod: dict[str, Any]
    task: dict[str, Any]
    """The task instance that it really runs: of the workload in its arguments, which no author can forge."""

    @property
    def account(self) -> tuple[str, str]:
        """Namespace and name of its account."""
        return self.pod["metadata"]["namespace"], self.pod["spec"]["serviceAccountName"]


@dataclass(frozen=True)
class Deployment:
    """The running Airflow, with all runs begun."""

    plane: Plane
    servers: AirflowServers
    kubelet: Kubelet

    def made(self, dag_id: str) -> list[Made]:
        """Return the pods that were made for a DAG's tasks."""
        found = []
        for user, pod in self.plane.api.audit.created_pods():
            arguments = pod["spec"]["containers"][0]["args"]
            task = json.loads(arguments[arguments.index("--json-string") + 1])["ti"]
            if task["dag_id"] == dag_id:
                found.append(Made(user, pod, task))
        return found

    def logins(self) -> list[tuple[str, str]]:
        """Return namespace and name of each account that logged in to Vault as a task."""
        entries = self.plane.vault.audit.entries()
        taken = [each for each in entries if each.path == "auth/kubernetes/login" and not each.error]
        return [(each.metadata["service_account_namespace"], each.metadata["service_account_name"]) for each in taken]

    def said(self, made: Sequence[Made]) -> str:
        """Return the last words of pods."""
        return "\n".join(self.kubelet.output(each.account[0], each.pod["metadata"]["name"])[-6000:] for each in made)

    def run(self, dag_id: str, **conf: int) -> None:
        """Have a run begun, as a person does."""
        self.servers.request("POST", f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})

    def succeeded(self, dag_id: str) -> None:
        """Wait until the DAG's runs are over, and well."""
        states = [each["state"] for each in finished(self.servers, dag_id, DONE)]
        said = self.kubelet.outputs()[-6000:] if "failed" in states else ""
        assert set(states) == {"success"}, f"{self.servers.log('scheduler')[-6000:]}\n{said}"


@pytest.fixture(scope="module")
def deployment(postgres: PostgresServer) -> Iterator[Deployment]:
    """Start all, and begin a run in every way at once: they wait for one another more than they work."""
    with ControlPlane() as plane:
        world = AirflowWorld(plane, BINDINGS)
        world.prepare()
        with Kubelet(plane) as kubelet, world.servers(postgres) as servers:
            found = Deployment(plane, servers, kubelet)
            _begin(found)
            yield found
        assert kubelet.faults == []


def _begin(deployment: Deployment) -> None:
    servers = deployment.servers
    wanted = {f"identity_{each.name.removeprefix('identity-')}" for each in BINDINGS if each not in VICTIMS}
    wanted |= {"identity_unbound", "identity_rest_of_another_bundle"}

    def parsed() -> bool:
        return wanted <= {each["dag_id"] for each in servers.request("GET", "dags?limit=100")["dags"]}

    wait_for("all DAGs are parsed", parsed, SOON, 0.3)
    for dag_id in sorted(wanted):
        servers.request("PATCH", f"dags/{dag_id}?update_mask=is_paused", {"is_paused": False})
    for dag in ("rest", "triggering", "cleared", "retried", "literal", "dynamic", "deferred", "team", "second"):
        deployment.run(f"identity_{dag}")
    deployment.run("identity_rest_of_another_bundle")
    deployment.run("identity_unbound")
    day = {"from_date": "2026-01-01T00:00:00Z", "to_date": "2026-01-01T00:00:00Z"}
    servers.request("POST", "backfills", {"dag_id": "identity_backfilled", **day})


@dataclass(frozen=True)
class Way:
    """A way to a pod: whose DAG it is, how many pods it makes, and which of them it is about."""

    dag: str
    pods: int = 1
    first: int = 0
    last: int | None = None


WAYS = {
    "scheduled": Way("scheduled"),
    "rest": Way("rest"),
    "trigger-dagrun": Way("triggered"),
    "backfill": Way("backfilled"),
    "clear": Way("cleared", 2, 1, 2),
    "retry": Way("retried", 2, 1, 2),
    "expand-literal": Way("literal", 2),
    "expand-dynamic": Way("dynamic", 3, 1, 3),
    "deferral": Way("deferred", 2, 0, 1),
    "resume": Way("deferred", 2, 1, 2),
    "team-executor": Way("team"),
    "second-executor": Way("second"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_pod_has_its_own_bindings_account_whatever_its_author_forges(deployment: Deployment, way: str) -> None:
    wanted = WAYS[way]
    dag_id, account = f"identity_{wanted.dag}", f"identity-{wanted.dag}"
    deployment.succeeded(dag_id)
    if way == "clear":
        _clear(deployment, dag_id)
    (binding,) = [each for each in BINDINGS if each.name == account]
    own = (binding.namespace, account)
    made = deployment.made(dag_id)
    assert len(made) == wanted.pods
    _about(made, wanted, way)
    assert {each.account for each in made[wanted.first : wanted.last]} == {own}
    for each in made:
        assert each.user == SCHEDULER
        _is_bound(each, binding, dag_id)
    assert deployment.logins().count(own) == wanted.pods, deployment.said(made)
    assert not {each for each in deployment.logins() if each[1] == "victim"}


def _clear(deployment: Deployment, dag_id: str) -> None:
    deployment.servers.request("POST", f"dags/{dag_id}/clearTaskInstances", {"dry_run": False, "only_failed": False})
    wait_for("the second pod is made", lambda: len(deployment.made(dag_id)) == 2, DONE, 0.3)
    deployment.succeeded(dag_id)


def _about(made: Sequence[Made], wanted: Way, way: str) -> None:
    """See that the pods came the way that they are said to have come."""
    runs, tries = {each.task["run_id"] for each in made}, [each.task["try_number"] for each in made]
    indices = sorted(each.task["map_index"] for each in made[wanted.first : wanted.last])
    expected = {"expand-literal": [0, 1], "expand-dynamic": [0, 1]}
    assert indices == expected.get(way, [-1])
    assert len(runs) == 1
    if way in {"clear", "retry"}:
        assert tries == [1, 2]
    kinds = {"scheduled": "scheduled__", "backfill": "backfill__", "rest": "manual__", "trigger-dagrun": "manual__"}
    assert all(each.startswith(kinds.get(way, "")) for each in runs)


def _is_bound(made: Made, binding: Binding, dag_id: str) -> None:
    """See that nothing of the override is in the pod but the amounts of resources."""
    metadata, spec = made.pod["metadata"], made.pod["spec"]
    marks = {name: value for name, value in metadata["labels"].items() if name.startswith("airwarden.dev/")}
    assert marks == {
        "airwarden.dev/identity": "Bound",
        "airwarden.dev/environment": "main",
        "airwarden.dev/binding": binding.name,
    }
    notes = metadata["annotations"]
    assert (notes["airwarden.dev/bundle"], notes["airwarden.dev/dag-id"]) == (binding.bundle, dag_id)
    assert notes["dag_id"] == dag_id
    assert notes["airwarden.dev/worker-holds"] == ""
    assert metadata["name"].startswith("airwarden-identity-")
    (task,) = spec["containers"]
    assert "initContainers" not in spec
    assert task["image"] == "airflow:any"
    assert task["resources"] == {"requests": {"cpu": "10m"}}
    named = [each["name"] for each in spec["volumes"] if not each["name"].startswith("kube-api-access-")]
    assert named == ["airwarden-map", "airwarden-tokens"]
    assert spec["volumes"][0]["configMap"]["name"] == f"airwarden.{binding.name}.map"
    assert "victim" not in json.dumps({**made.pod, "metadata": {**metadata, "managedFields": []}})


@pytest.mark.parametrize("dag_id", ["identity_unbound", "identity_rest_of_another_bundle"])
def test_a_dag_that_no_binding_names_has_the_powerless_account(deployment: Deployment, dag_id: str) -> None:
    finished(deployment.servers, dag_id, DONE)
    (made,) = deployment.made(dag_id)
    assert made.account == ("airflow-prod", UNBOUND)
    assert made.pod["metadata"]["labels"]["airwarden.dev/identity"] == "Unbound"
    assert not [each for each in made.pod["spec"]["volumes"] if each["name"].startswith("airwarden-")]
    assert ("airflow-prod", UNBOUND) not in deployment.logins()


def test_a_scheduler_that_was_lost_leaves_its_pods_to_the_next(deployment: Deployment) -> None:
    dag_id = "identity_waiting"
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(DONE)
        deployment.run(dag_id, port=door.getsockname()[1])
        task, _ = door.accept()
        with task:
            deployment.servers.lose_scheduler()
            (made,) = deployment.made(dag_id)
            adopted = f"attempting to adopt pod {made.pod['metadata']['name']}"
            wait_for("the pod is adopted", lambda: adopted in deployment.servers.log("scheduler"), DONE, 0.3)
            task.sendall(b".")
    deployment.succeeded(dag_id)
    assert len(deployment.made(dag_id)) == 1
    deployment.run("identity_rest")
    wait_for("the next one makes pods", lambda: len(deployment.made("identity_rest")) == 2, DONE, 0.3)
    assert {each.account for each in deployment.made("identity_rest")} == {("airflow-prod", "identity-rest")}
