"""Runs of DAGs in a whole Airflow beside a plane, and the pods that were made for them.

Used by the end-to-end tests and the demo. Whose a pod was is taken from the API server's audit log, not from Airflow.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from plane.airflow_servers import AirflowServers
from plane.control_plane import Plane
from plane.errors import PlaneError
from plane.json_client import Json
from plane.kubelet import Kubelet
from plane.waiting import wait_for

PARSED: Final = 180.0
"""Seconds within which the DAG processor must have seen all DAGs."""
DONE: Final = 480.0
"""Seconds within which a run must be over, while others share the machine."""


@dataclass(frozen=True)
class Made:
    """A pod that was made for a task, by the audit log."""

    user: str
    pod: Json
    task: Json
    """The task instance that it really runs: of the workload in its arguments, which no author can forge."""

    @property
    def account(self) -> tuple[str, str]:
        """Namespace and name of its account."""
        return self.pod["metadata"]["namespace"], self.pod["spec"]["serviceAccountName"]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.pod["metadata"]["name"])


@dataclass(frozen=True)
class AirflowRuns:
    """A running Airflow, asked by its REST API."""

    plane: Plane
    servers: AirflowServers
    kubelet: Kubelet

    def unpause(self, *dag_ids: str) -> None:
        """Wait until DAGs are parsed, and let them run."""

        def parsed() -> bool:
            return {*dag_ids} <= {each["dag_id"] for each in self.servers.request("GET", "dags?limit=100")["dags"]}

        wait_for("all DAGs are parsed", parsed, PARSED, 0.3)
        for each in dag_ids:
            self.servers.request("PATCH", f"dags/{each}?update_mask=is_paused", {"is_paused": False})

    def run(self, dag_id: str, **conf: object) -> str:
        """Begin a run as a person does; return its id."""
        asked = self.servers.request("POST", f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        return str(asked["dag_run_id"])

    def state(self, dag_id: str, run_id: str) -> str:
        """Wait until a run is over; return how it ended."""

        def over() -> str | None:
            state = str(self.servers.request("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])
            return state if state in {"success", "failed"} else None

        return wait_for(f"the run of {dag_id} is over", over, DONE, 0.3)

    def task(self, dag_id: str, run_id: str, task_id: str) -> Json:
        """Return a task of a run as Airflow shows it."""
        return self.servers.request("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return what a task returned, once its run is over. Raises PlaneError when it failed."""
        if self.state(dag_id, run_id) != "success":
            raise PlaneError(f"the run of {dag_id} failed\n{self.said(dag_id)}")
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.servers.request("GET", path)["value"]

    def made(self, dag_id: str) -> list[Made]:
        """Return the pods that were made for a DAG's tasks, in order."""
        found = []
        for user, pod in self.plane.api.audit.created_pods():
            arguments = pod["spec"]["containers"][0].get("args", [])
            if "--json-string" in arguments:
                task = json.loads(arguments[arguments.index("--json-string") + 1])["ti"]
                if task["dag_id"] == dag_id:
                    found.append(Made(user, pod, task))
        return found

    def output(self, made: Made) -> str:
        """Return what a pod said, as `kubectl logs` would."""
        return self.kubelet.output(made.account[0], made.name)

    def said(self, dag_id: str) -> str:
        """Return the last words of the scheduler and of a DAG's pods."""
        pods = "\n".join(self.output(each)[-6000:] for each in self.made(dag_id))
        return f"{self.servers.log('scheduler')[-4000:]}\n{pods}"
