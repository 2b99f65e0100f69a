"""A DAG of bundle reporting-git that takes the other bundle's prefix and its account. Run by Airflow in the demo."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, Connection, task
from kubernetes.client import models as k8s

ACCOUNT = k8s.V1Pod(
    metadata=k8s.V1ObjectMeta(annotations={"dag_id": "billing_daily"}),
    spec=k8s.V1PodSpec(service_account_name="billing", containers=[k8s.V1Container(name="base")]),
)


@task(executor_config={"pod_override": ACCOUNT})
def take() -> dict[str, str]:
    """Ask for what is the other bundle's, and look for a token."""
    tokens = [str(each) for each in Path("/var/run/secrets").rglob("token")]
    try:
        got = f"read: {Connection.get('warehouse').host}"
    except Exception as refusal:  # noqa: BLE001 - shown as it is
        got = f"refused: {refusal}"
    return {"warehouse": got, "tokens": str(len(tokens))}


with DAG("billing_copy", schedule=None):
    take()
