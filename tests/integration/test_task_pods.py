"""Isolation is told from the metadata of task pods and the policies that guard their marks, where that may be seen.

On a plane of its own: its operator has more rights than `manifests/` gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from airwarden.api.environment import AirflowEnvironment
from airwarden.domain.environment.guards import POLICIES
from airwarden.domain.environment.rights import rights
from airwarden.domain.environment.sight import LAG
from integration.conftest import MakeBackend, MakeBinding
from integration.environments import BUNDLE, Environment, environment_object, environment_path, named_by
from integration.handles import Binding
from integration.objects import TENANT
from integration.world import World, eventually
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.json_client import JsonClient
from plane.operator import ACCOUNT, NAMESPACE, OperatorProcess, Options, wait_for_policies

TEAM = "team-seen"
AIRFLOW = "airflow-seen"
SCHEDULER = "airflow-scheduler"
PODS = f"/api/v1/namespaces/{TEAM}/pods"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture(scope="module")
def world(quiet: Plane) -> Iterator[World]:
    """Return a cluster whose operator may look at the team's pods, by what manifests and command give."""
    for name in (AIRFLOW, "team-unseen"):
        quiet.create_namespace(name)
    quiet.create_namespace(TEAM, {TENANT: "true"})
    quiet.api.create_service_account(AIRFLOW, SCHEDULER)
    objects = [*yaml.safe_load_all((REPOSITORY / "manifests/environment/rbac.yaml").read_text())]
    body = environment_object(AIRFLOW, "main", TEAM)
    declared = AirflowEnvironment.model_validate({key: body[key] for key in ("metadata", "spec")})
    quiet.api.apply(*objects, *rights(declared, (NAMESPACE, ACCOUNT)))
    options = Options(extra=("--environment-interval=1", "--see-task-pods"))
    with OperatorProcess(quiet, options, "operator-seeing") as running:
        found = World(quiet, running)
        found.make_namespace(TEAM, {TENANT: "true"})
        yield found


@pytest.fixture
def environment(world: World) -> Iterator[Environment]:
    """Return a Ready environment."""
    world.create(environment_path(AIRFLOW), environment_object(AIRFLOW, "main", TEAM))
    made = Environment(world, AIRFLOW, "main")
    made.wait_ready()
    yield made
    world.delete(made.path)
    world.wait_gone(made.path)


@pytest.fixture
def policies(world: World) -> Iterator[list[dict[str, Any]]]:
    """Return what is in the files of the policies, which are not applied, and are gone after the test."""
    files = ("bound-pods", "bound-tokens", "config-maps", "binding-identity")
    texts = ((REPOSITORY / f"manifests/admission/{name}.yaml").read_text() for name in files)
    yield [body for text in texts for body in yaml.safe_load_all(text)]
    for name in POLICIES:
        for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            world.delete(f"{ADMISSION}/{kind}/{name}")


def scheduler(world: World) -> JsonClient:
    """Return the client of the environment's scheduler, once it may make pods."""
    client = world.plane.api.client(token=world.plane.service_account_token(AIRFLOW, SCHEDULER))
    world.plane.api.wait_for_rights(client, TEAM, {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]})
    return client


def task_pod(world: World, made_by: JsonClient, bound: Binding | None, **notes: str) -> str:
    """Make a pod as an executor does, Airwarden's for a binding or another; return its path. No node runs it."""
    name = world.fresh("airwarden-task")
    labels = {"kubernetes_executor": "True"}
    if bound is not None:
        marks = {"identity": "Bound", "environment": "main", "binding": bound.name}
        labels |= {f"airwarden.dev/{key}": text for key, text in marks.items()}
        notes |= {"bundle": BUNDLE, "dag_id": "billing_daily"}
    annotations = {f"airwarden.dev/{key.replace('_', '-')}": text for key, text in notes.items()}
    body = {
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {
            "serviceAccountName": bound.account if bound is not None else "default",
            "containers": [{"name": "base", "image": "none"}],
            "automountServiceAccountToken": False,
        },
    }
    made_by.request("POST", PODS, body)
    return f"{PODS}/{name}"


def test_isolation_is_told_from_guarded_pods_and_all_policies_by_metadata_alone(
    world: World,
    environment: Environment,
    backend: MakeBackend,
    binding: MakeBinding,
    policies: list[dict[str, Any]],
) -> None:
    mark = world.marks()
    enforced = environment.wait_condition("IdentityEnforced", "False", "PolicyMissing")
    assert all(f"{name} is not there" in enforced["message"] for name in POLICIES)
    bound = binding(TEAM, backend(), **named_by(environment, "billing_*"))
    eventually("its DAGs are in force", lambda: bound.status().get("identity"))
    weak = [body for body in policies if body["metadata"]["name"] != "bound-tokens.airwarden.dev"]
    world.plane.api.apply(*weak)

    def names_tokens_alone() -> bool:
        found = environment.wait_condition("IdentityEnforced", "False", "PolicyMissing")["message"]
        return "policy bound-tokens.airwarden.dev is not there. Apply" in found

    eventually("only the policy for tokens is missing", names_tokens_alone)
    world.plane.api.apply(*policies)
    wait_for_policies(world.plane)
    environment.wait_condition("IdentityEnforced", "False", "NoMarkedPods")
    made_by, digest = scheduler(world), environment.status()["digest"]
    known = datetime.now(UTC) + LAG + timedelta(seconds=1)
    eventually("every API server surely knows the policies", lambda: datetime.now(UTC) > known, 60)
    first = task_pod(world, made_by, bound, environment_digest=digest, worker_holds="FernetKey")
    environment.wait_condition("IdentityEnforced", "True", "IdentityEnforced")
    environment.wait_condition("Isolated", "False", "WorkersHoldDatabaseCredentials")
    world.delete(f"{first}?gracePeriodSeconds=0")
    second = task_pod(world, made_by, bound, environment_digest="older", worker_holds="")
    environment.wait_condition("Isolated", "True", "Isolated")
    seen = environment.status()["pods"]
    assert (seen["bound"], seen["older"], "last" in seen) == (1, 1, True)
    other = task_pod(world, world.plane.api.admin, None)
    environment.wait_condition("IdentityEnforced", "False", "UnmarkedTaskPods")
    environment.wait_condition("Isolated", "Unknown", "UnmarkedTaskPods")
    world.delete(f"{other}?gracePeriodSeconds=0")
    environment.wait_condition("IdentityEnforced", "True", "IdentityEnforced")
    world.delete(f"{ADMISSION}/validatingadmissionpolicybindings/config-maps.airwarden.dev")
    environment.wait_condition("IdentityEnforced", "False", "PolicyMissing")
    environment.wait_condition("Isolated", "Unknown", "PolicyMissing")
    world.delete(f"{second}?gracePeriodSeconds=0")
    listed = [each for each in mark.api_requests() if each.resource == "pods"]
    assert {(each.verb, each.namespace) for each in listed} == {("list", TEAM)}
    assert all("labelSelector=kubernetes_executor%3DTrue" in each.uri for each in listed)


def test_a_worker_namespace_without_the_role_binding_is_named(environment: Environment) -> None:
    environment.edit(workerNamespaces=[TEAM, "team-unseen"])
    found = environment.wait_condition("IdentityEnforced", "Unknown", "TaskPodsNotVisible")
    assert "/api/v1/namespaces/team-unseen/pods" in found["message"]
    assert "airwarden environment rights" in found["message"]
