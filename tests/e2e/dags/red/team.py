"""A DAG of a team with an executor of its own, and one with the id of another bundle's. Run by Airflow."""

from __future__ import annotations

from airflow.sdk import DAG, task
from forging import forged, read


@task(executor_config=forged())
def reads() -> None:
    read()


with DAG("identity_team", schedule=None):
    reads()
with DAG("identity_rest_of_another_bundle", schedule=None):
    reads()
