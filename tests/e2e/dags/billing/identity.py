"""One DAG for each way to a pod; each task reads its own connection and forges all it can. Run by Airflow."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import DAG, BaseOperator, get_current_context, task
from forging import forged, read

BEGAN = datetime(2026, 1, 1)  # noqa: DTZ001 - Airflow takes it as UTC
CONFIG = forged()


@task(executor_config=CONFIG)
def reads() -> None:
    read()


@task(executor_config=CONFIG)
def reads_one(which: int) -> None:
    read()


@task(executor_config=CONFIG)
def lists() -> list[int]:
    read()
    return [1, 2]


@task(executor_config=CONFIG, retries=1, retry_delay=timedelta(seconds=0))
def reads_twice() -> None:
    read()
    if get_current_context()["ti"].try_number == 1:
        raise RuntimeError("the first try fails")


@task(executor_config=CONFIG)
def waits() -> None:
    """Wait for a word at the port that the run's conf names."""
    read()
    port = get_current_context()["dag_run"].conf["port"]
    with socket.create_connection(("127.0.0.1", port)) as door:
        door.recv(1)


class Defers(BaseOperator):
    """Reads before and after its trigger."""

    def execute(self, context: Any) -> None:
        read()
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=0)), method_name="resumed")

    def resumed(self, context: Any, event: Any) -> None:
        read()


with DAG("identity_scheduled", schedule="@once", start_date=BEGAN):
    reads()
with DAG("identity_rest", schedule=None):
    reads()
with DAG("identity_triggering", schedule=None):
    TriggerDagRunOperator(task_id="triggers", trigger_dag_id="identity_triggered", executor_config=CONFIG)
with DAG("identity_triggered", schedule=None):
    reads()
with DAG("identity_backfilled", schedule="@daily", start_date=BEGAN, end_date=BEGAN + timedelta(days=1), catchup=False):
    reads()
with DAG("identity_cleared", schedule=None):
    reads()
with DAG("identity_retried", schedule=None):
    reads_twice()
with DAG("identity_literal", schedule=None):
    reads_one.expand(which=[1, 2])
with DAG("identity_dynamic", schedule=None):
    reads_one.expand(which=lists())
with DAG("identity_deferred", schedule=None):
    Defers(task_id="defers", executor_config=CONFIG)
with DAG("identity_unbound", schedule=None):
    reads()
with DAG("identity_waiting", schedule=None):
    waits()
