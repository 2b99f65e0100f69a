"""Runs one task as an Airflow worker does: Airflow's own supervisor, which forks the process that runs the task.

Run by Airflow's interpreter (`tests/contract/provider/airflow_task.py` starts it) with a JSON request on stdin. Of
Airflow's API server there is only what a task must have: it lets the task run, and knows no connection or variable.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import uuid
from typing import Any

BEGAN = "2026-01-01T00:00:00Z"
DAG_RUN: dict[str, Any] = {
    "run_id": "a-run",
    "logical_date": BEGAN,
    "data_interval_start": None,
    "data_interval_end": None,
    "start_date": BEGAN,
    "end_date": None,
    "run_after": BEGAN,
    "run_type": "manual",
    "state": "running",
    "partition_key": None,
    "consumed_asset_events": [],
}
SECRETS = ("/connections/", "/variables/")


def api_server(dag_id: str, request: Any) -> Any:
    """Answer one request of the supervisor."""
    response = importlib.import_module("httpx").Response
    path = request.url.path
    if path.endswith("/run"):
        return response(200, json={"dag_run": {**DAG_RUN, "dag_id": dag_id}, "max_tries": 0, "should_retry": False})
    if path.startswith(SECRETS):
        return response(404, json={"detail": {"reason": "not_found", "message": "not in the metastore"}})
    return response(200, json={"ok": True})


def main() -> None:
    """Run the task that the request names, and end as it ended."""
    request = json.load(sys.stdin)
    dag_id = request.get("dag", "bound")
    supervisor = importlib.import_module("airflow.sdk.execution_time.supervisor")
    models = importlib.import_module("airflow.sdk.api.datamodels._generated")
    client: Any = importlib.import_module("airflow.sdk.api.client")
    client.noop_handler = functools.partial(api_server, dag_id)
    instance = models.TaskInstance(
        id=uuid.uuid4(),
        task_id=request["task"],
        dag_id=dag_id,
        run_id="a-run",
        try_number=2,
        dag_version_id=uuid.uuid4(),
    )
    status = supervisor.supervise_task(
        ti=instance,
        bundle_info=models.BundleInfo(name="tests"),
        dag_rel_path=request.get("file", "bound.py"),
        token="",
        dry_run=True,
        log_path="task.log",
    )
    sys.exit(status)


if __name__ == "__main__":
    main()
