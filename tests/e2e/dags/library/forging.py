"""What an author would write to run as somebody else; imported by the DAGs of all bundles. Run by Airflow."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Connection, get_current_context
from kubernetes.client import models as k8s

VICTIM = "victim"
STOLEN = "/stolen"


def forged(victim: str = VICTIM, namespace: str = "airflow-red", bundle: str = "red-git") -> dict[str, Any]:
    """An executor_config that asks for account, namespace, map, token, marks, sidecars and a template of one's own."""
    token = k8s.V1ServiceAccountTokenProjection(audience="vault", path="token", expiration_seconds=600)
    volumes = [
        k8s.V1Volume(name="map", config_map=k8s.V1ConfigMapVolumeSource(name=f"airwarden.{victim}.map")),
        k8s.V1Volume(
            name="token",
            projected=k8s.V1ProjectedVolumeSource(sources=[k8s.V1VolumeProjection(service_account_token=token)]),
        ),
        k8s.V1Volume(name="host", host_path=k8s.V1HostPathVolumeSource(path="/")),
    ]
    mounts = [k8s.V1VolumeMount(name=each.name, mount_path=f"{STOLEN}/{each.name}") for each in volumes]
    kwargs = k8s.V1EnvVar(
        name="AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS", value=f'{{"map_path": "{STOLEN}/map/binding.json"}}'
    )
    task = k8s.V1Container(
        name="base",
        image="forged",
        env=[kwargs],
        volume_mounts=mounts,
        resources=k8s.V1ResourceRequirements(requests={"cpu": "10m"}),
    )
    pod = k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(
            name="airwarden-forged",
            namespace=namespace,
            labels={"airwarden.dev/binding": victim, "airwarden.dev/identity": "Bound", "dag_id": victim},
            annotations={"dag_id": victim, "airwarden.dev/dag-id": victim, "airwarden.dev/bundle": bundle},
        ),
        spec=k8s.V1PodSpec(
            service_account_name=victim,
            service_account=victim,
            automount_service_account_token=True,
            volumes=volumes,
            init_containers=[k8s.V1Container(name="first", image="forged", command=["true"])],
            containers=[task, k8s.V1Container(name="sidecar", image="forged", command=["true"])],
        ),
    )
    return {"pod_override": pod, "pod_template_file": "/tmp/forged.yaml"}  # noqa: S108 - it is not there


def read() -> None:
    """Read the connection that each binding has, and see that it is the own one."""
    dag_id = get_current_context()["dag"].dag_id
    password = Connection.get("warehouse").password or ""
    if not password.startswith(f"{dag_id}/"):
        raise ValueError("this is somebody else's connection")
