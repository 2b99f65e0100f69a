"""Puts the chosen identity on a finished pod: account, namespace, map, tokens, marks.

Called by `executor.py` as the last step before the pod goes to the API server, after template, override and
`pod_mutation_hook`: whatever these say about an identity is overwritten. Needs Kubernetes' client, nothing of Airflow.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kubernetes.client import models as k8s

from airflow_airwarden.dag_map import OURS, Claim, TokenMount
from airflow_airwarden.identities import Bound, Identity, Unbound
from airflow_airwarden.pod_override import TASK_CONTAINER, Allowed

QUEUED_FOR: Final = f"{OURS}queued-for"
"""Annotation of a queued job alone: the binding that had its DAG then. No pod has it."""
NAME_PREFIX: Final = "airwarden-"
"""Names of bound pods begin so, which lets admission know them where it sees no more than a name."""
MAP_FOLDER: Final = "/etc/airwarden"
TOKEN_FOLDER: Final = "/var/run/secrets/airwarden"  # noqa: S105 - a folder
BACKEND: Final = "airflow_airwarden.backend.AirwardenBackend"
BACKEND_VARIABLE: Final = "AIRFLOW__WORKERS__SECRETS_BACKEND"
KWARGS_VARIABLE: Final = f"{BACKEND_VARIABLE}_KWARGS"
_MAP_VOLUME, _TOKEN_VOLUME = "airwarden-map", "airwarden-tokens"
_LONGEST_NAME = 63
_SUFFIX = 9
"""Length of the dash and the random letters with which Airflow ends a pod's name."""
_HOLDINGS: Final = (
    ("DatabaseCredentials", ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN")),
    ("FernetKey", ("AIRFLOW__CORE__FERNET_KEY",)),
    ("JWTSecret", ("AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API_AUTH__JWT_PRIVATE_KEY")),
)
"""What Airflow's own processes hold, and with which a task could pass Airwarden by."""


@dataclass(frozen=True, slots=True)
class Unprivileged:
    """Where tasks that no binding names run."""

    namespace: str
    account: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """All that is put on one pod."""

    environment: str
    """The environment's name alone."""
    environment_digest: str
    bundle: str
    dag_id: str
    identity: Identity
    unbound: Unprivileged


def queued_override(allowed: Allowed, unbound: Unprivileged, queued_for: str) -> k8s.V1Pod:
    """Return the override that is queued: what is allowed, under the powerless account.

    The real account comes with the pod. Should a job ever become a pod without that step, it can read nothing.
    """
    resources = k8s.V1ResourceRequirements(limits=dict(allowed.limits) or None, requests=dict(allowed.requests) or None)
    container = k8s.V1Container(
        name=TASK_CONTAINER,
        image=allowed.image or None,
        resources=resources if allowed.limits or allowed.requests else None,
    )
    return k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(namespace=unbound.namespace, annotations={QUEUED_FOR: queued_for}),
        spec=k8s.V1PodSpec(containers=[container], service_account_name=unbound.account),
    )


def queued_for(override: k8s.V1Pod) -> str:
    """Return the binding that had the DAG when the job was queued, empty for none."""
    return (_metadata(override).annotations or {}).get(QUEUED_FOR, "")


def stamped(pod: k8s.V1Pod, stamp: Stamp) -> k8s.V1Pod:
    """Put an identity on a pod in place, and return it."""
    metadata, spec, identity = _metadata(pod), _spec(pod), stamp.identity
    task = next((each for each in spec.containers if each.name == TASK_CONTAINER), spec.containers[0])
    claim = identity.claim if isinstance(identity, Bound) else None
    metadata.namespace, spec.service_account_name = (
        (claim.namespace, claim.account) if claim else (stamp.unbound.namespace, stamp.unbound.account)
    )
    spec.service_account = None  # the deprecated second name of the same field
    metadata.name = _bound_name(metadata.name or "") if claim else metadata.name
    if claim or (isinstance(identity, Unbound) and not identity.certain):
        # Without a map this backend refuses all: what may be bound is not looked for anywhere else.
        task.env = _with_backend(task.env or [])
    _mount(spec, task, claim)
    metadata.labels = _foreign(metadata.labels) | _labels(stamp, claim)
    metadata.annotations = _foreign(metadata.annotations) | {
        f"{OURS}bundle": stamp.bundle,
        f"{OURS}dag-id": stamp.dag_id,
        f"{OURS}map-digest": identity.digest,
        f"{OURS}environment-digest": stamp.environment_digest,
        f"{OURS}worker-holds": ",".join(_holds(spec)),
    }
    return pod


def _with_backend(variables: list[k8s.V1EnvVar]) -> list[k8s.V1EnvVar]:
    """Return a container's variables with our backend, and no other one's kwargs: an unknown kwarg ends the task.

    Kwargs beside our own backend are the administrator's for it. Everywhere else, also in what is not seen from here
    (`airflow.cfg`, `envFrom`), they are for whatever was there, and an empty object of the container's own wins.
    """
    named = [each.value for each in variables if each.name == BACKEND_VARIABLE]
    if named[-1:] == [BACKEND]:
        return variables
    # Also each kwarg on its own (…_KWARG__ROLE_ID), and what is read from a command or a secret.
    others = [each for each in variables if not each.name.startswith(BACKEND_VARIABLE)]
    stamped = {BACKEND_VARIABLE: BACKEND, KWARGS_VARIABLE: "{}"}
    return [*others, *(k8s.V1EnvVar(name=name, value=value) for name, value in stamped.items())]


def _labels(stamp: Stamp, claim: Claim | None) -> dict[str, str]:
    environment = {f"{OURS}environment": stamp.environment}
    if claim is None:
        return environment | {f"{OURS}identity": "Unbound"}
    return {**claim.labels, **environment, f"{OURS}identity": "Bound", f"{OURS}binding": claim.name}


def _mount(spec: k8s.V1PodSpec, task: k8s.V1Container, claim: Claim | None) -> None:
    """Mount the binding's map and tokens into the task's container, in place of whatever is in their place."""
    ours = {_MAP_VOLUME, _TOKEN_VOLUME}
    for container in _containers(spec):
        container.volume_mounts = [each for each in container.volume_mounts or [] if each.name not in ours]
    volumes = [each for each in spec.volumes or [] if each.name not in ours]
    mounts = [each for each in task.volume_mounts or [] if not _is_ours(each.mount_path)]
    if claim is not None:
        source = k8s.V1ConfigMapVolumeSource(name=f"airwarden.{claim.name}.map")
        volumes.append(k8s.V1Volume(name=_MAP_VOLUME, config_map=source))
        mounts.append(k8s.V1VolumeMount(name=_MAP_VOLUME, mount_path=MAP_FOLDER, read_only=True))
    if claim is not None and claim.mounts:
        tokens = [k8s.V1VolumeProjection(service_account_token=_token(each)) for each in claim.mounts]
        volumes.append(k8s.V1Volume(name=_TOKEN_VOLUME, projected=k8s.V1ProjectedVolumeSource(sources=tokens)))
        mounts.append(k8s.V1VolumeMount(name=_TOKEN_VOLUME, mount_path=TOKEN_FOLDER, read_only=True))
    spec.volumes, task.volume_mounts = volumes, mounts


def _token(mount: TokenMount) -> k8s.V1ServiceAccountTokenProjection:
    return k8s.V1ServiceAccountTokenProjection(
        audience=mount.audience, path=mount.path, expiration_seconds=mount.expiration_seconds
    )


def _bound_name(name: str) -> str:
    """Return the name with our prefix; where it grows too long, its middle goes and its random end stays."""
    room = _LONGEST_NAME - len(NAME_PREFIX)
    if len(name) > room:
        name = name[: room - _SUFFIX].rstrip("-.") + name[-_SUFFIX:]
    return NAME_PREFIX + name


def _is_ours(path: str) -> bool:
    """Tell whether a mount is at one of our folders, or below: it would hide what lies there."""
    clean = posixpath.normpath(path.replace("//", "/"))
    return any(clean == each or clean.startswith(f"{each}/") for each in (MAP_FOLDER, TOKEN_FOLDER))


def _foreign(values: dict[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (values or {}).items() if not key.startswith(OURS)}


def _metadata(pod: k8s.V1Pod) -> k8s.V1ObjectMeta:
    if pod.metadata is None:
        pod.metadata = k8s.V1ObjectMeta()
    return pod.metadata


def _spec(pod: k8s.V1Pod) -> k8s.V1PodSpec:
    if pod.spec is None or not pod.spec.containers:
        raise ValueError("the pod has no container")
    return pod.spec


def _containers(spec: k8s.V1PodSpec) -> list[k8s.V1Container]:
    return [*spec.containers, *(spec.init_containers or [])]


def _holds(spec: k8s.V1PodSpec) -> Iterator[str]:
    """Return what the pod holds of Airflow's own secrets, and where that cannot be seen from here."""
    variables = {each.name for container in _containers(spec) for each in container.env or []}
    for name, stems in _HOLDINGS:
        if any(each.startswith(stems) for each in variables):
            yield name
    seen = set()
    for container in _containers(spec):
        for source in container.env_from or []:
            for kind, reference in (("ConfigMap", source.config_map_ref), ("Secret", source.secret_ref)):
                if reference is not None:
                    seen.add(f"envFrom:{kind}/{reference.name}")
    yield from sorted(seen)
