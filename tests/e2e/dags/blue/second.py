"""A DAG that chooses the second of its team's executors by its alias. Run by Airflow."""

from __future__ import annotations

from airflow.sdk import DAG, task
from forging import forged, read


@task(executor="second", executor_config=forged())
def reads() -> None:
    read()


with DAG("identity_second", schedule=None):
    reads()
