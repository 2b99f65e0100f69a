"""A DAG map, a template and hostile overrides, for the tests beside this module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.client import models as k8s

from airflow_airwarden.dag_map import DagMap, parse_dag_map
from airflow_airwarden.pod_identity import Unprivileged

ENVIRONMENT, BUNDLE = "airflow/main", "billing-git"
UNBOUND = Unprivileged("airflow-prod", "airflow-unbound")
DIGEST = "0" * 32


def claim_body(**changes: Any) -> dict[str, Any]:
    return {
        "binding": "airflow-prod/billing",
        "account": "billing",
        "ids": ["billing_*", "invoices"],
        "mounts": ["vault"],
        "labels": {},
        **changes,
    }


def map_body(*claims: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "environment": ENVIRONMENT,
        "bundle": BUNDLE,
        "mounts": {"vault": {"audience": "vault", "path": "vault/token", "expirationSeconds": 600}},
        "bindings": list(claims) or [claim_body()],
        "withheld": [],
        **changes,
    }


def map_text(*claims: Mapping[str, Any], **changes: Any) -> str:
    return json.dumps(map_body(*claims, **changes))


def dag_map(*claims: Mapping[str, Any], **changes: Any) -> DagMap:
    return parse_dag_map(map_text(*claims, **changes), ENVIRONMENT, BUNDLE)


def built_pod(**changes: Any) -> k8s.V1Pod:
    """What Airflow has made of a template and its own parts, before identity."""
    task = k8s.V1Container(
        name="base",
        args=["run"],
        env=[k8s.V1EnvVar(name="AIRFLOW_HOME", value="/opt/airflow")],
        volume_mounts=[k8s.V1VolumeMount(name="logs", mount_path="/opt/airflow/logs")],
    )
    spec = {
        "containers": [task],
        "service_account_name": "of-the-template",
        "volumes": [k8s.V1Volume(name="logs", empty_dir=k8s.V1EmptyDirVolumeSource())],
        **changes,
    }
    return k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(
            name="billing-daily-load-abcd1234",
            namespace="airflow",
            labels={"dag_id": "billing_daily"},
            annotations={"dag_id": "billing_daily"},
        ),
        spec=k8s.V1PodSpec(**spec),
    )


def as_json(pod: k8s.V1Pod) -> dict[str, Any]:
    """The pod as it goes to the API server."""
    body: dict[str, Any] = ApiClient().sanitize_for_serialization(pod)  # type: ignore[no-untyped-call]
    return body
