"""What a hostile pod_override leaves of itself in the pod: amounts of resources, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.client import models as k8s

from airflow_airwarden.pod_identity import QUEUED_FOR, queued_for, queued_override
from airflow_airwarden.pod_override import Allowed, allowed
from unit.executor.making import UNBOUND, as_json

HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "account": ({"spec": {"serviceAccountName": "admin"}}, "spec.serviceAccountName"),
    "deprecated account": ({"spec": {"serviceAccount": "admin"}}, "spec.serviceAccount"),
    "namespace": ({"metadata": {"namespace": "kube-system"}}, "metadata.namespace"),
    "name": ({"metadata": {"name": "airwarden-x"}}, "metadata.name"),
    "generated name": ({"metadata": {"generateName": "airwarden-"}}, "metadata.generateName"),
    "annotations": ({"metadata": {"annotations": {"iam.amazonaws.com/role": "admin"}}}, "metadata.annotations"),
    "labels": ({"metadata": {"labels": {"airwarden.dev/identity": "Bound"}}}, "metadata.labels"),
    "owners": ({"metadata": {"ownerReferences": [{"uid": "1"}]}}, "metadata.ownerReferences"),
    "finalizers": ({"metadata": {"finalizers": ["x/y"]}}, "metadata.finalizers"),
    "volumes": ({"spec": {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}}, "spec.volumes"),
    "host path": ({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}, "spec.volumes"),
    "foreign token": (
        {"spec": {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"audience": "x"}}]}}]}},
        "spec.volumes",
    ),
    "host network": ({"spec": {"hostNetwork": True}}, "spec.hostNetwork"),
    "host pid": ({"spec": {"hostPID": True}}, "spec.hostPID"),
    "shared processes": ({"spec": {"shareProcessNamespace": True}}, "spec.shareProcessNamespace"),
    "security context": ({"spec": {"securityContext": {"runAsUser": 0}}}, "spec.securityContext"),
    "automount": ({"spec": {"automountServiceAccountToken": True}}, "spec.automountServiceAccountToken"),
    "pull secrets": ({"spec": {"imagePullSecrets": [{"name": "s"}]}}, "spec.imagePullSecrets"),
    "scheduler": ({"spec": {"schedulerName": "mine"}}, "spec.schedulerName"),
    "node": ({"spec": {"nodeName": "control-plane"}}, "spec.nodeName"),
    "node selector": ({"spec": {"nodeSelector": {"a": "b"}}}, "spec.nodeSelector"),
    "tolerations": ({"spec": {"tolerations": [{"operator": "Exists"}]}}, "spec.tolerations"),
    "affinity": ({"spec": {"affinity": {}}}, "spec.affinity"),
    "priority": ({"spec": {"priorityClassName": "system-node-critical"}}, "spec.priorityClassName"),
    "runtime": ({"spec": {"runtimeClassName": "none"}}, "spec.runtimeClassName"),
    "claims": ({"spec": {"resourceClaims": [{"name": "x"}]}}, "spec.resourceClaims"),
    "init container": ({"spec": {"initContainers": [{"name": "i", "image": "x"}]}}, "spec.initContainers"),
    "debug container": ({"spec": {"ephemeralContainers": [{"name": "i"}]}}, "spec.ephemeralContainers"),
    "sidecar": ({"spec": {"containers": [{"name": "base"}, {"name": "s", "image": "x"}]}}, "spec.containers[1]"),
    "sidecar first": ({"spec": {"containers": [{"name": "s"}, {"name": "base"}]}}, "spec.containers[0]"),
    "second base": ({"spec": {"containers": [{"name": "base"}, {"name": "base"}]}}, "spec.containers[1]"),
    "no name": ({"spec": {"containers": [{"image": "x"}]}}, "spec.containers[0]"),
    "unknown field": ({"spec": {"fieldOfTheNextKubernetes": {}}}, "spec.fieldOfTheNextKubernetes"),
    "status": ({"status": {"phase": "Running"}}, "status"),
}
OF_THE_TASK: dict[str, Any] = {
    "image": "evil",
    "command": ["sh"],
    "args": ["-c", "x"],
    "env": [{"name": "AIRFLOW__WORKERS__SECRETS_BACKEND", "value": "x"}],
    "envFrom": [{"secretRef": {"name": "s"}}],
    "volumeMounts": [{"name": "v", "mountPath": "/etc/airwarden"}],
    "volumeDevices": [{"name": "v", "devicePath": "/dev/x"}],
    "securityContext": {"privileged": True},
    "lifecycle": {"postStart": {"exec": {"command": ["sh"]}}},
    "ports": [{"hostPort": 80}],
    "livenessProbe": {"exec": {"command": ["sh"]}},
    "workingDir": "/x",
    "imagePullPolicy": "Never",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_of_a_hostile_override_is_taken_over(case: str) -> None:
    override, place = HOSTILE[case]
    found = allowed(override, image=True)
    assert (found.limits, found.requests, found.image) == ({}, {}, "")
    assert found.left_out == (place,)


@pytest.mark.parametrize("name", OF_THE_TASK)
def test_nothing_of_the_tasks_own_container_but_resources_is_taken_over(name: str) -> None:
    container = {"name": "base", name: OF_THE_TASK[name], "resources": {"limits": {"cpu": "1"}}}
    found = allowed({"spec": {"containers": [container]}}, image=False)
    assert found == Allowed({"cpu": "1"}, left_out=(f"spec.containers[base].{name}",))


def test_amounts_are_taken_over_and_claims_are_not() -> None:
    resources = {"limits": {"memory": "1Gi", "nvidia.com/gpu": 1}, "requests": {"cpu": 0.5}, "claims": [{"name": "x"}]}
    found = allowed({"spec": {"containers": [{"name": "base", "resources": resources}]}}, image=False)
    assert (found.limits, found.requests) == ({"memory": "1Gi", "nvidia.com/gpu": "1"}, {"cpu": "0.5"})
    assert found.left_out == ("spec.containers[base].resources.claims",)


def test_an_image_is_taken_over_only_where_that_is_permitted() -> None:
    override = {"spec": {"containers": [{"name": "base", "image": "mine:1"}]}}
    assert allowed(override, image=True) == Allowed(image="mine:1")
    assert allowed(override, image=False) == Allowed(left_out=("spec.containers[base].image",))


@pytest.mark.parametrize(
    "odd",
    [
        {"spec": "x"},
        {"spec": {"containers": "x"}},
        {"spec": {"containers": ["x", 1, None]}},
        {"spec": {"containers": [{"name": "base", "resources": "x"}]}},
        {"spec": {"containers": [{"name": "base", "resources": {"limits": [1]}}]}},
        {"spec": {"containers": [{"name": "base", "image": {"x": 1}}]}},
        {"metadata": []},
        {},
    ],
)
def test_an_override_of_odd_forms_gives_nothing(odd: dict[str, Any]) -> None:
    found = allowed(odd, image=True)
    assert (found.limits, found.requests, found.image) == ({}, {}, "")


def test_what_is_queued_has_the_powerless_account_and_what_was_allowed() -> None:
    queued = queued_override(Allowed({"cpu": "1"}, {"memory": "1Gi"}, "mine:1"), UNBOUND, "airflow-prod/billing")
    assert as_json(queued) == {
        "metadata": {"namespace": UNBOUND.namespace, "annotations": {QUEUED_FOR: "airflow-prod/billing"}},
        "spec": {
            "serviceAccountName": UNBOUND.account,
            "containers": [
                {
                    "name": "base",
                    "image": "mine:1",
                    "resources": {"limits": {"cpu": "1"}, "requests": {"memory": "1Gi"}},
                }
            ],
        },
    }
    assert queued_for(queued) == "airflow-prod/billing"


def test_what_is_queued_says_nothing_that_was_not_asked_for() -> None:
    body = as_json(queued_override(Allowed(), UNBOUND, ""))
    assert body["spec"]["containers"] == [{"name": "base"}]
    assert queued_for(k8s.V1Pod()) == ""
