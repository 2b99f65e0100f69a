"""From a template to the Job of one run, and to the Secret that it gets.

Pure; used by `airwarden.providers.kubernetes.jobs`. Of a template only the pod is taken. How often it runs, how long,
and what becomes of it afterwards, Airwarden says.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from airwarden.api.templates import (
    MADE_OF,
    MOUNT_PATH,
    ROTATION,
    ROTATION_NAMESPACE,
    RUN,
    TEMPLATE,
    VARIABLES,
    VOLUME,
)
from airwarden.domain.errors import TemplateUnfit
from airwarden.domain.rotation.handover import Handover

Json = dict[str, Any]
KEPT_SECONDS: Final = 3600
"""How long an ended Job stays for people who read its log, once its end is on record."""
_UNSEEN_SECONDS: Final = 7 * 24 * 3600
"""How long one stays whose end nobody recorded: what says that the target changed must outlast an outage."""
_MANAGED: Final = {"app.kubernetes.io/managed-by": "airwarden"}


@dataclass(frozen=True, slots=True)
class JobOrder:
    """One Job that a run needs."""

    name: str
    namespace: str
    """Of the rotation, not of the Job."""
    rotation: str
    key: str
    run: str
    timeout: int
    """Seconds."""
    template: str
    """Name of what it is made of."""


def check_template(body: Mapping[str, Any], where: str) -> None:
    """Raise TemplateUnfit unless the CronJob may be used as a template."""
    labels = (body.get("metadata") or {}).get("labels") or {}
    spec = body.get("spec") or {}
    if labels.get(TEMPLATE) != "true":
        raise TemplateUnfit(f"{where} is not labelled {TEMPLATE}=true: only so labelled ones are templates")
    if spec.get("suspend") is not True:
        raise TemplateUnfit(f"{where} is not suspended, so that it would run by itself: set spec.suspend to true")
    pod = _pod(body)
    containers = [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]
    if any(each.get("name") == VOLUME for each in pod.get("volumes") or ()):
        raise TemplateUnfit(f"{where} has a volume {VOLUME}, which Airwarden adds: give it another name")
    for container in containers:
        if any(each.get("mountPath") == MOUNT_PATH for each in container.get("volumeMounts") or ()):
            raise TemplateUnfit(f"{where} mounts something at {MOUNT_PATH}, where Airwarden does: mount it elsewhere")


def job_body(template: Mapping[str, Any], order: JobOrder) -> Json:
    """Return the Job, suspended, so that it does not run before its Secret is there."""
    labels = {**_MANAGED, RUN: order.run, ROTATION_NAMESPACE: order.namespace, ROTATION: order.rotation}
    pod = copy.deepcopy(dict(_pod(template)))
    pod["restartPolicy"] = "Never"
    pod["volumes"] = [*(pod.get("volumes") or ()), {"name": VOLUME, "secret": {"secretName": order.name}}]
    for kind in ("containers", "initContainers"):
        if pod.get(kind):
            pod[kind] = [_told(each, order) for each in pod[kind]]
    template_metadata = (((template.get("spec") or {}).get("jobTemplate") or {}).get("spec") or {}).get(
        "template"
    ) or {}
    metadata = template_metadata.get("metadata") or {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": order.name, "labels": labels, "annotations": {MADE_OF: order.template}},
        "spec": {
            "suspend": True,
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": order.timeout,
            "ttlSecondsAfterFinished": _UNSEEN_SECONDS,
            # It fails at the first pod either way; so the cluster also says with which exit code.
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0]}}],
            },
            "template": {
                "metadata": {
                    "labels": {**(metadata.get("labels") or {}), **labels},
                    "annotations": dict(metadata.get("annotations") or {}),
                },
                "spec": pod,
            },
        },
    }


def secret_body(order: JobOrder, uid: str, values: Handover) -> Json:
    """Return the Secret that the Job owns: it goes with it at the latest."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": order.name, "uid": uid, "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": order.name, "labels": {**_MANAGED, RUN: order.run}, "ownerReferences": [owner]},
        "type": "Opaque",
        "immutable": True,
        "stringData": {"old": values.old, "new": values.new, "user": values.user},
    }


def is_made_of(body: Mapping[str, Any], template: str) -> bool:
    """Tell whether a Job was made of the template."""
    annotations = (body.get("metadata") or {}).get("annotations") or {}
    return annotations.get(MADE_OF) == template


def is_of_run(body: Mapping[str, Any], order: JobOrder) -> bool:
    """Tell whether a Job is the run's: by all of its labels."""
    labels = (body.get("metadata") or {}).get("labels") or {}
    wanted = {**_MANAGED, RUN: order.run, ROTATION_NAMESPACE: order.namespace, ROTATION: order.rotation}
    return all(labels.get(name) == value for name, value in wanted.items())


def _pod(template: Mapping[str, Any]) -> Mapping[str, Any]:
    job = ((template.get("spec") or {}).get("jobTemplate") or {}).get("spec") or {}
    pod: Mapping[str, Any] = (job.get("template") or {}).get("spec") or {}
    return pod


def _told(container: Mapping[str, Any], order: JobOrder) -> Json:
    """Return a container with the values mounted, and with words that no author of a rotation chose alone."""
    said = dict(zip(VARIABLES, (order.namespace, order.rotation, order.key, order.run), strict=True))
    own = [each for each in container.get("env") or () if each.get("name") not in said]
    mount = {"name": VOLUME, "mountPath": MOUNT_PATH, "readOnly": True}
    return {
        **container,
        # Ours first: a variable of the template may refer to them.
        "env": [*({"name": name, "value": value} for name, value in said.items()), *own],
        "volumeMounts": [*(container.get("volumeMounts") or ()), mount],
    }
