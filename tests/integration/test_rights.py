"""The operator's rights: what `manifests/` gives is admitted, is enough, is used, and nothing else is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from airwarden.api import FINALIZER
from airwarden.domain.owner import Owner
from airwarden.providers.vault import policy
from integration.conftest import MakeBackend, MakeBinding
from integration.environments import Environment, environment_object, environment_path, named_by
from integration.objects import account_path, secret
from integration.rotations import make_rotation
from integration.world import OPERATOR_LOGIN, OPERATOR_USER, World, eventually
from plane.audit import ApiRequest
from plane.binaries import REPOSITORY
from plane.errors import PlaneError
from plane.json_client import Json
from plane.operator import ACCOUNT, CLUSTER, NAMESPACE, OperatorProcess, Options

RESERVED = ("secrets", "pods", "roles", "clusterroles", "validatingadmissionpolicies", "customresourcedefinitions")


def rendered(world: World, folder: str) -> list[Json]:
    return [each for each in yaml.safe_load_all(world.plane.kubectl("kustomize", str(REPOSITORY / folder))) if each]


@pytest.fixture(scope="module")
def lives() -> list[str]:
    """The namespaces in which everything was met: once is enough for all tests here, which read the audit logs."""
    return []


@pytest.fixture
def lived(world: World, backend: MakeBackend, binding: MakeBinding, team: str, lives: list[str]) -> None:
    """Take a binding and a backend through all that they can meet, so that every right is needed once."""
    if not lives:
        live(world, backend, binding, team)
        lives.append(team)


def live(world: World, backend: MakeBackend, binding: MakeBinding, team: str) -> None:
    """Do so."""
    name = world.fresh("vault-ca")
    body = {"metadata": {"name": name}, "data": {"ca.crt": world.plane.vault_ca_path.read_text()}}
    world.create("/api/v1/namespaces/airwarden/configmaps", body)
    tls = {"caBundleRef": {"configMap": {"name": name}}}
    store = backend(vault={"address": world.plane.vault_tls_address, "tls": tls})
    made = binding(team, store)
    made.wait_ready()
    world.merge(account_path(team, made.account), {"automountServiceAccountToken": True})
    eventually("it is set right", lambda: (made.service_account() or {})["automountServiceAccountToken"] is False)
    sweep_once(world, Owner(CLUSTER, team, "left", store.name))
    rotation = make_rotation(world, team, store, secret=False)
    rotation.wait_condition("Ready", "False", "RotationNotAllowed")
    # As on one that declares a database role: the operator takes it off.
    world.merge(rotation.path, {"metadata": {"finalizers": [FINALIZER]}})
    world.delete(rotation.path)
    world.wait_gone(rotation.path)
    made.edit(rotation={"schedule": "@daily"})
    made.wait_condition("RotationsHealthy", "False", "RotationNotAllowed")
    made.edit(rotation={"schedule": "@weekly"})
    made.wait_condition("RotationsHealthy", "False", "RotationNotAllowed")
    made.edit(rotation=None)
    eventually("nothing is said of rotations", lambda: "RotationsHealthy" not in made.conditions())
    made.edit(secrets=[secret("elsewhere/a", store.name)])
    made.wait_refused("KeyNotAllowed")
    made.delete()
    made.wait_gone()
    world.delete(store.path)
    world.wait_gone(store.path)
    live_in_an_environment(world, backend, binding, team)


def live_in_an_environment(world: World, backend: MakeBackend, binding: MakeBinding, team: str) -> None:
    """Take an environment through a new binding, a bundle that goes, and its end."""
    namespace = world.fresh("airflow")
    world.plane.create_namespace(namespace)
    world.create(environment_path(namespace), environment_object(namespace, "main", team))
    made = Environment(world, namespace, "main")
    made.wait_ready()
    bound = binding(team, backend(), **named_by(made, "x"))
    made.wait_mapped(f"{team}/{bound.name}")
    world.delete(made.path)
    world.wait_gone(made.path)
    bound.delete()
    bound.wait_gone()


def sweep_once(world: World, owner: Owner) -> None:
    """Put something without a binding into the store, and let an operator that sweeps at once take it away."""
    world.write_policy(owner.name_in_store, policy.render(owner, ()))
    world.operator.stop()
    quick = Options(extra=("--sweep-interval=1", "--sweep-grace=0"))
    with OperatorProcess(world.plane, quick, "operator-sweeping"):
        eventually("it is swept", lambda: world.policy(owner.name_in_store) is None, 60)
    world.operator.start()


def of_operator(world: World) -> list[ApiRequest]:
    return [each for each in world.plane.api.audit.entries() if each.user == OPERATOR_USER]


@pytest.mark.parametrize("folder", ["manifests", "manifests/overlays/kind", "manifests/overlays/environment"])
def test_the_manifests_are_admitted_by_the_api_server(world: World, folder: str) -> None:
    objects = rendered(world, folder)
    assert {"Deployment", "ClusterRole", "CustomResourceDefinition", "ServiceAccount"} <= {
        each["kind"] for each in objects
    }
    text = yaml.safe_dump_all(objects)
    said = world.plane.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-", stdin=text)
    assert len(said.splitlines()) == len(objects)


@pytest.mark.usefixtures("lived")
def test_each_rule_is_used(world: World) -> None:
    asked = {(each.group, f"{each.resource}/{each.subresource}".rstrip("/"), each.verb) for each in of_operator(world)}
    rules = [
        rule
        for each in rendered(world, "manifests")
        if each["kind"] in {"ClusterRole", "Role"} and each["metadata"]["name"] == ACCOUNT
        for rule in each["rules"]
    ]
    unused = [
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if (group, resource, verb) not in asked
    ]
    assert unused == []
    assert not any("*" in value for rule in rules for values in rule.values() for value in values)


@pytest.fixture
def editor(world: World, team: str) -> Path:
    """Return the kubeconfig of an account with the built-in role `edit` in one namespace."""
    world.create(f"/api/v1/namespaces/{team}/serviceaccounts", {"metadata": {"name": "editor"}})
    world.create(
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{team}/rolebindings",
        {
            "metadata": {"name": "editor"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"kind": "ServiceAccount", "name": "editor", "namespace": team}],
        },
    )
    found = world.plane.kubeconfig_for(team, "editor")
    eventually("the role takes in ours", lambda: may(world, found, team, "create", "airflowsecretbindings"))
    return found


def may(world: World, kubeconfig: Path, namespace: str, verb: str, resource: str) -> bool:
    kind, _, subresource = resource.partition("/")
    question = ["auth", "can-i", verb, f"{kind}.airwarden.dev", f"--subresource={subresource}", "-n", namespace]
    try:
        return world.plane.kubectl(*question, kubeconfig=kubeconfig) == "yes\n"
    except PlaneError as error:
        if not str(error).startswith(f"kubectl {' '.join(question)}: exit 1: "):
            raise
        return False


def test_an_editor_of_a_namespace_writes_bindings_and_neither_their_status_nor_backends(
    world: World, editor: Path, team: str
) -> None:
    for verb in ("get", "create", "patch", "delete"):
        assert may(world, editor, team, verb, "airflowsecretbindings")
        assert may(world, editor, team, verb, "airflowsecretrotations")
    for verb in ("patch", "update"):
        assert not may(world, editor, team, verb, "airflowsecretbindings/status")
        assert not may(world, editor, team, verb, "airflowsecretrotations/status")
    for verb in ("create", "patch", "delete"):
        assert not may(world, editor, team, verb, "airflowsecretbackends")
    assert not may(world, editor, "default", "create", "airflowsecretbindings")


@pytest.mark.usefixtures("lived")
def test_nothing_is_refused_but_what_a_going_namespace_refuses(world: World) -> None:
    refused = [each for each in of_operator(world) if each.code in (401, 403)]
    there = [each for each in refused if world.get(f"/api/v1/namespaces/{each.namespace}") is not None]
    assert there == []
    assert {(each.verb, each.resource) for each in refused} <= {("create", "events"), ("create", "serviceaccounts")}


@pytest.mark.usefixtures("lived")
def test_no_secret_token_or_other_kind_is_asked_for(world: World) -> None:
    asked = {(each.group, each.resource, each.subresource) for each in of_operator(world) if each.resource}
    assert {group for group, _, _ in asked} == {"", "airwarden.dev"}
    assert {resource for _, resource, _ in asked} == {
        "airflowsecretbindings",
        "airflowsecretbackends",
        "airflowsecretrotations",
        "airflowenvironments",
        "namespaces",
        "serviceaccounts",
        "events",
        "configmaps",
    }
    assert {subresource for _, _, subresource in asked} == {"", "status"}


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
@pytest.mark.parametrize("resource", RESERVED)
def test_the_operator_could_not_read_what_it_has_no_need_of(world: World, verb: str, resource: str) -> None:
    kubeconfig = world.plane.kubeconfig_for(NAMESPACE, ACCOUNT)
    needed = world.plane.kubectl("auth", "can-i", verb, "serviceaccounts", "--all-namespaces", kubeconfig=kubeconfig)
    assert needed == "yes\n"  # the question itself is answered
    with pytest.raises(PlaneError, match="exit 1: "):
        world.plane.kubectl("auth", "can-i", verb, resource, "--all-namespaces", kubeconfig=kubeconfig)


@pytest.mark.usefixtures("lived")
def test_all_requests_come_under_the_operators_own_identity(world: World) -> None:
    entries = world.plane.api.audit.entries()
    agents = {each.user_agent for each in entries if each.user == OPERATOR_USER}
    own = {each for each in agents if not each.startswith(("kubectl", "python-requests"))}
    assert {each.split("/")[0] for each in own} == {"airwarden", "kopf"}
    assert {(each.user, each.impersonated) for each in entries if each.user_agent in own} == {(OPERATOR_USER, "")}


@pytest.mark.usefixtures("lived")
def test_in_vault_it_uses_its_printed_policy_alone_and_is_never_refused(world: World) -> None:
    printed = f"airwarden-operator.{CLUSTER}"
    everything = [each for each in world.plane.vault.audit.entries() if each.display_name == OPERATOR_LOGIN]
    rotating = f"airwarden-rotation.{CLUSTER}"
    assert not [each for each in everything if {printed, rotating} <= set(each.policies)], "one login has both rights"
    # Other tests of the session may have rotated: that login is another, and its rights are its own tests' matter.
    mine = [each for each in everything if rotating not in each.policies]
    with_printed = [each for each in mine if each.policies == (printed,)]
    assert {each.policies for each in mine if each.path.startswith(("sys/policies", "auth/kubernetes/role"))} == {
        (printed,)
    }
    assert [each for each in with_printed if each.error] == []
    assert not [each for each in mine if each.path.startswith(("airflow/", "database/"))]
