"""Who asks: the DAG, task, run and try of this process, as far as Airflow tells.

Called by `sessions.py` for the audit line and the hint to the store. All of it is the process's own word, and a DAG
author can change it; what decides is the pod's identity at the store. Nothing is imported here that the task's
process has not loaded, so that a lookup in the middle of Airflow's own start is safe.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from urllib.parse import quote

_RUNNER = "airflow.sdk.execution_time.task_runner"
_PARSING = {"dag": "_AIRFLOW_PARSING_CONTEXT_DAG_ID", "task": "_AIRFLOW_PARSING_CONTEXT_TASK_ID"}


def in_task() -> bool:
    """Tell whether this process runs a task."""
    return _RUNNER in sys.modules


def asker() -> Mapping[str, str | int]:
    """Return dag, task, run, try and mapIndex, each only if known."""
    return _running() or {key: os.environ[name] for key, name in _PARSING.items() if os.environ.get(name)}


def _running() -> Mapping[str, str | int]:
    if not in_task():
        return {}
    from airflow.sdk import get_current_context  # noqa: PLC0415 - loaded, since a task runs

    try:
        instance = get_current_context()["ti"]
    except RuntimeError:  # Airflow's word for: the file is still being parsed
        return {}
    found: dict[str, str | int] = {
        "dag": instance.dag_id,
        "task": instance.task_id,
        "run": instance.run_id,
        "try": instance.try_number,
    }
    if instance.map_index is not None and instance.map_index >= 0:
        found["mapIndex"] = instance.map_index
    return found


def correlation(asked: Mapping[str, str | int]) -> str:
    """Return a header value that names the asker; Vault's audit log has it without any set-up."""
    parts = [quote(str(asked.get(name, "")), safe="")[:100] for name in ("dag", "task", "run", "try")]
    return "/".join(parts) if any(parts) else ""
