"""Drives one real AirwardenKubernetesExecutor as the scheduler does, step by step.

Run by Airflow's interpreter (`tests/contract/provider/executor_drive.py` starts it): each line of stdin is a JSON
object that says what to do, and the answer is one JSON object on stdout. Of Airflow there is no scheduler and no
database: the executor's job has no number, so that nothing of it is looked up there.
"""

from __future__ import annotations

import importlib
import json
import sys
import uuid
from typing import Any

ANSWER = "answer: "


class Weird:
    """An author's object that cannot be read."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def override(name: str) -> Any:
    """Return the executor_config of that name."""
    k8s = importlib.import_module("kubernetes.client.models")
    broken = k8s.V1Pod()
    broken.spec = Weird()
    hostile = k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(namespace="kube-system"),
        spec=k8s.V1PodSpec(containers=[k8s.V1Container(name="base")], service_account_name="other"),
    )
    return {
        "none": None,
        "hostile": {"pod_override": hostile, "pod_template_file": "/tmp/forged.yaml"},  # noqa: S108 - it is not there
        "no dictionary": ["x"],
        "no pod": {"pod_override": {"spec": {}}},
        "unreadable": {"pod_override": broken},
        "legacy": {"KubernetesExecutor": {"image": "x"}},
    }[name]


def task(step: dict[str, Any]) -> Any:
    """Return a task's workload, as the scheduler hands it over."""
    workloads = importlib.import_module("airflow.executors.workloads")
    instance = workloads.TaskInstanceDTO(
        id=uuid.uuid4(),
        task_id="reads",
        dag_id=step["dag"],
        run_id="a-run",
        try_number=1,
        dag_version_id=uuid.uuid4(),
        pool_slots=1,
        priority_weight=1,
        queue=step.get("queue", "default"),
    )
    bundle = workloads.BundleInfo(name=step["bundle"])
    return workloads.ExecuteTask(ti=instance, dag_rel_path="x.py", token="", log_path=None, bundle_info=bundle)


def callback(step: dict[str, Any]) -> Any:
    """Return a callback's workload."""
    workloads = importlib.import_module("airflow.executors.workloads")
    details = importlib.import_module("airflow.executors.workloads.callback")
    told = details.CallbackDTO(id=str(uuid.uuid4()), fetch_method="import_path", data={"path": "x.y"})
    bundle = workloads.BundleInfo(name=step["bundle"])
    return workloads.ExecuteCallback(callback=told, dag_rel_path="x.py", token="", log_path=None, bundle_info=bundle)


def queue(executor: Any, step: dict[str, Any]) -> None:
    """Hand a task over as the scheduler's loop does."""
    workload = task(step)
    executor.running.add(workload.ti.key)
    config = override(step.get("override", "none"))
    executor.execute_async(workload.ti.key, [workload], queue=workload.ti.queue, executor_config=config)


def act(executor: Any, step: dict[str, Any]) -> dict[str, Any]:
    """Do one step; return the executor's events since the last one."""
    if step["do"] == "queue":
        queue(executor, step)
    elif step["do"] == "queue callback":
        executor.queue_workload(callback(step), None)
    elif step["do"] == "sync":
        executor.sync()
    elif step["do"] == "command":
        executor.execute_async(task(step).ti.key, ["airflow", "tasks", "run"])
    elif step["do"] == "find":
        forged = task(step).ti.model_copy(update={"executor_config": override("hostile")})
        return {"namespace": executor._get_pod_namespace(forged)}  # noqa: SLF001 - what a task's log is read by
    identity = executor._identities.of(step["bundle"], step["dag"])  # noqa: SLF001 - nobody else asks
    events = [[str(state), str(info or "")] for state, info in executor.get_event_buffer().values()]
    return {"events": events, "identity": type(identity).__name__, "digest": identity.digest}


def main() -> None:
    """Start the executor and do what the lines say, until there are no more."""
    module = importlib.import_module("airflow_airwarden.executor")
    executor = module.AirwardenKubernetesExecutor()
    executor.job_id = "driven"
    executor.start()
    try:
        for line in sys.stdin:
            print(ANSWER + json.dumps(act(executor, json.loads(line))), flush=True)
    finally:
        for each in executor.kube_scheduler.kube_watchers.values():
            each.kill()  # asked to end, they take 20 s
        executor.end()


if __name__ == "__main__":
    main()
