"""Gives logins and leases up when a task is over, before Airflow ends its process.

An entry point in pyproject.toml has Airflow load it. `processes.py` does the same once more at the process's end,
for processes in which no task runs.
"""

from __future__ import annotations

from airflow_airwarden import airflow_version  # noqa: F401 - first: of what else is imported, older Airflow has not all

# isort: split

import sys

from airflow.listeners import hookimpl
from airflow.sdk.plugins_manager import AirflowPlugin

from airflow_airwarden.processes import THIS_PROCESS


@hookimpl
def before_stopping(component: object) -> None:  # noqa: ARG001 - the hook's signature
    """End this process's sessions."""
    THIS_PROCESS.end()


class AirwardenPlugin(AirflowPlugin):
    """The listener, as Airflow finds it."""

    name = "airwarden"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - Airflow's own attribute
