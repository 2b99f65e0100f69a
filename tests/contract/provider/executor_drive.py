"""One real executor in Airflow's own environment, against the real API server, under the scheduler's own rights.

Used by `test_executor.py` beside this module.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from airflow_airwarden.dag_map import map_name
from contract.provider.airflow_task import AirflowEnvironment
from plane.airflow import KEPT_VARIABLES
from plane.binaries import TOOLS
from plane.control_plane import Plane
from plane.errors import PlaneError
from plane.json_client import Json
from plane.waiting import wait_for

ENVIRONMENT, BUNDLE, ACCOUNT = "executor-env/main", "billing-git", "airflow-scheduler"
PODS, MORE_PODS = "executor-pods", "executor-more"
MAP: Final = map_name("main", BUNDLE)
JAVA: Final = {"worker_container_repository": "registry.test/jre", "worker_container_tag": "21"}
"""What a coordinator of the administrator's says of the pods of its queue."""
SOON: Final = 60.0
_ANSWER: Final = "answer: "


def map_text(*ids: str, binding: str = "billing") -> str:
    """A DAG map with one binding of these ids; with none where there are no ids."""
    claim = {"binding": f"{PODS}/{binding}", "account": binding, "ids": list(ids), "mounts": [], "labels": {}}
    body = {
        "version": 1,
        "environment": ENVIRONMENT,
        "bundle": BUNDLE,
        "mounts": {},
        "bindings": [claim] if ids else [],
        "withheld": [],
    }
    return json.dumps(body)


@dataclass
class Cluster:
    """The objects around the executor."""

    plane: Plane

    def prepare(self) -> None:
        """Make namespaces, accounts and rights."""
        for each in ("executor-env", PODS, MORE_PODS):
            self.plane.create_namespace(each)
        self.plane.api.create_service_account("executor-env", ACCOUNT)
        for each in ("billing", "unbound"):
            self.plane.api.create_service_account(PODS, each)
        self._permit("executor-env", {"resources": ["configmaps"], "resourceNames": [MAP], "verbs": ["list", "watch"]})
        verbs = ["create", "get", "list", "watch", "patch", "delete"]
        for each in (PODS, MORE_PODS):
            self._permit(each, {"resources": ["pods"], "verbs": verbs})

    def write_map(self, text: str) -> None:
        """Write the DAG map as the operator does."""
        metadata = {"name": MAP, "namespace": "executor-env"}
        self.plane.api.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"map.json": text}}
        )

    def pods(self) -> list[Json]:
        """Return all pods that there are."""
        return list(self.plane.api.admin.request("GET", f"/api/v1/namespaces/{PODS}/pods")["items"])

    def remove_pods(self) -> None:
        """Remove them."""
        self.plane.kubectl("delete", "pods", "--all", "-n", PODS, "--grace-period=0", "--force")

    def _permit(self, namespace: str, rule: Mapping[str, Any]) -> None:
        group = "rbac.authorization.k8s.io"
        metadata = {"name": "executor", "namespace": namespace}
        self.plane.api.apply(
            {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": [{"apiGroups": [""], **rule}]},
            {
                "apiVersion": f"{group}/v1",
                "kind": "RoleBinding",
                "metadata": metadata,
                "roleRef": {"apiGroup": group, "kind": "Role", "name": "executor"},
                "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "executor-env"}],
            },
        )


@dataclass
class DrivenExecutor:
    """The executor in its process; a context manager. ``settings`` change or add variables."""

    airflow: AirflowEnvironment
    cluster: Cluster
    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "template.yaml").write_text(
            json.dumps({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "base", "image": "any"}]}})
        )
        self._log, self._said = self.home / "executor.log", list[str]()
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [str(self.airflow.python), str(TOOLS / "airflow" / "drive_executor.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.home,
                env=self._environment(),
                text=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stdin.close() if self._process.stdin else None
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def step(self, do: str, dag: str = "billing", **more: str) -> Json:
        """Have the executor do something; return its events and whose the DAG is by now."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"do": do, "dag": dag, "bundle": BUNDLE, **more}) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith(_ANSWER):
                answer: Json = json.loads(line.removeprefix(_ANSWER))
                return answer
            self._said.append(line)
        raise PlaneError(f"the executor ended with {process.wait()}\n{self.log()[-4000:]}")

    def wait_for(self, identity: str, dag: str = "billing") -> None:
        """Wait until the executor knows whose the DAG is."""
        wait_for(f"{dag} is {identity}", lambda: self.step("look", dag)["identity"] == identity, SOON)

    def log(self) -> str:
        """Return what it said."""
        return "".join(self._said) + self._log.read_text()

    def _environment(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
            "HOME": str(self.home),
            "AIRFLOW_HOME": str(self.home),
            "PYTHONPATH": str(self.airflow.installed),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-this-test-alone-and-long-enough",
            "AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER": "False",
            "AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE": str(
                self.cluster.plane.kubeconfig_for("executor-env", ACCOUNT)
            ),
            "AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE": str(self.home / "template.yaml"),
            "AIRFLOW__KUBERNETES_EXECUTOR__MULTI_NAMESPACE_MODE": "True",
            "AIRFLOW__KUBERNETES_EXECUTOR__MULTI_NAMESPACE_MODE_NAMESPACE_LIST": f"{MORE_PODS},{PODS}",
            "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_PODS_CREATION_BATCH_SIZE": "8",
            "AIRFLOW__SDK__COORDINATORS": json.dumps({"java": {"classpath": "made.up.Coordinator", "extra": JAVA}}),
            "AIRFLOW__SDK__QUEUE_TO_COORDINATOR": json.dumps({"java": "java"}),
            "AIRFLOW__AIRWARDEN__ENVIRONMENT": ENVIRONMENT,
            "AIRFLOW__AIRWARDEN__BUNDLES": BUNDLE,
            "AIRFLOW__AIRWARDEN__UNBOUND_NAMESPACE": PODS,
            "AIRFLOW__AIRWARDEN__UNBOUND_SERVICE_ACCOUNT": "unbound",
            **self.settings,
        }


def accounts(pods: Sequence[Json]) -> list[str]:
    """Return the accounts of pods."""
    return sorted(str(each["spec"]["serviceAccountName"]) for each in pods)
