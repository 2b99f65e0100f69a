"""Isolation is told from the metadata of task pods and the policy that guards their marks, where that may be seen.

On a plane of its own: its operator has more rights than `manifests/` gives.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from airwarden.api.environment import AirflowEnvironment
from airwarden.domain.environment.rights import rights
from airwarden.domain.environment.sight import POLICY
from integration.environments import Environment, environment_object, environment_path
from integration.world import World
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.operator import ACCOUNT, NAMESPACE, OperatorProcess, Options

TEAM = "team-seen"
AIRFLOW = "airflow-seen"


@pytest.fixture(scope="module")
def world(quiet: Plane) -> Iterator[World]:
    """Return a cluster whose operator may look at the team's pods, by what manifests and command give."""
    for name in (TEAM, AIRFLOW, "team-unseen"):
        quiet.create_namespace(name)
    objects = [*yaml.safe_load_all((REPOSITORY / "manifests/environment/rbac.yaml").read_text())]
    body = environment_object(AIRFLOW, "main", TEAM)
    declared = AirflowEnvironment.model_validate({key: body[key] for key in ("metadata", "spec")})
    quiet.api.apply(*objects, *rights(declared, (NAMESPACE, ACCOUNT)))
    options = Options(extra=("--environment-interval=1", "--see-task-pods"))
    with OperatorProcess(quiet, options, "operator-seeing") as running:
        yield World(quiet, running)


@pytest.fixture
def environment(world: World) -> Iterator[Environment]:
    """Return a Ready environment."""
    world.create(environment_path(AIRFLOW), environment_object(AIRFLOW, "main", TEAM))
    made = Environment(world, AIRFLOW, "main")
    made.wait_ready()
    yield made
    world.delete(made.path)
    world.wait_gone(made.path)


def task_pod(world: World, environment: Environment, **marks: str) -> str:
    """Make a pod as an executor does; return its path. No node runs it."""
    name = world.fresh("airwarden-task")
    labels = {"kubernetes_executor": "True"}
    if marks:
        labels |= {"airwarden.dev/identity": "Bound", "airwarden.dev/environment": environment.name}
    annotations = {f"airwarden.dev/{key.replace('_', '-')}": text for key, text in marks.items()}
    body = {
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {"containers": [{"name": "base", "image": "none"}], "automountServiceAccountToken": False},
    }
    path = f"/api/v1/namespaces/{TEAM}/pods"
    world.create(path, body)
    return f"{path}/{name}"


def test_isolation_is_told_from_marked_pods_and_the_policy_by_their_metadata_alone(
    world: World, environment: Environment
) -> None:
    mark = world.marks()
    environment.wait_condition("IdentityEnforced", "False", "PolicyMissing")
    policies = [*yaml.safe_load_all((REPOSITORY / "manifests/admission/bound-pods.yaml").read_text())]
    policy = [each for each in policies if each["metadata"]["name"] == POLICY]
    assert [each["kind"] for each in policy] == ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]
    world.plane.api.apply(*policy)
    try:
        environment.wait_condition("IdentityEnforced", "False", "NoMarkedPods")
        digest = environment.status()["digest"]
        first = task_pod(world, environment, environment_digest=digest, worker_holds="FernetKey")
        environment.wait_condition("IdentityEnforced", "True", "IdentityEnforced")
        environment.wait_condition("Isolated", "False", "WorkersHoldDatabaseCredentials")
        world.delete(f"{first}?gracePeriodSeconds=0")
        task_pod(world, environment, environment_digest="older", worker_holds="")
        environment.wait_condition("Isolated", "True", "Isolated")
        assert environment.status()["pods"] == {"bound": 1, "older": 1}
        task_pod(world, environment)
        environment.wait_condition("IdentityEnforced", "False", "UnmarkedTaskPods")
    finally:
        for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            world.delete(f"/apis/admissionregistration.k8s.io/v1/{kind}/{POLICY}")
    listed = [each for each in mark.api_requests() if each.resource == "pods"]
    assert {(each.verb, each.namespace) for each in listed} == {("list", TEAM)}
    assert all("labelSelector=kubernetes_executor%3DTrue" in each.uri for each in listed)


def test_a_worker_namespace_without_the_role_binding_is_named(environment: Environment) -> None:
    environment.edit(workerNamespaces=[TEAM, "team-unseen"])
    found = environment.wait_condition("IdentityEnforced", "Unknown", "TaskPodsNotVisible")
    assert "/api/v1/namespaces/team-unseen/pods" in found["message"]
    assert "airwarden environment rights" in found["message"]
