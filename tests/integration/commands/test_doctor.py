"""`airwarden doctor` on a real API server and Vault: finds what is wrong, and never calls fine what it may not see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.commands.running import Person, Said
from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Backend, Binding, name_in_store
from integration.objects import AUTH, rule
from integration.world import World
from plane.json_client import Json
from plane.operator import CLUSTER

RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
def bound(backend: MakeBackend, binding: MakeBinding, team: str) -> Binding:
    """Return a binding that is Ready, in a namespace and a backend of its own."""
    made = binding(team, backend())
    made.wait_ready()
    return made


def examined(person: Person, bound: Binding, *more: str) -> Said:
    """Let somebody look at one binding's namespace and backend."""
    return person.runs("doctor", "-n", bound.namespace, "--backend", bound.backend, *more)


def findings(said: Said) -> list[dict[str, str]]:
    """Return what was found, as programs read it."""
    found: list[dict[str, str]] = json.loads(said.out)["findings"]
    return found


def test_where_nothing_is_wrong_it_says_so(boss: Person, bound: Binding) -> None:
    said = examined(boss, bound)
    assert said.out.startswith("Nothing is wrong."), said
    assert f"1 binding(s) and 1 backend(s) of namespace {bound.namespace}" in said.out
    assert said.status == 0
    assert json.loads(examined(boss, bound, "-o", "json").out) == {"clean": True, "findings": [], "unchecked": []}


def test_a_role_of_somebody_else_for_a_managed_account_is_found_and_left_alone(
    world: World, boss: Person, bound: Binding
) -> None:
    name = world.fresh("legacy")
    world.write_role(
        name,
        bound_service_account_names=["*"],
        bound_service_account_namespaces=[bound.namespace],
        token_policies=["everything"],
    )
    before = world.role(name)
    said = examined(boss, bound)
    after = world.role(name)
    world.delete_role(name)
    assert after == before, "a role of somebody else was touched"
    assert said.status == 1
    assert said.out.startswith("Logins beside Airwarden\n  danger  backend")
    assert f"auth/{AUTH}/role/{name} lets {bound.namespace}/{bound.account} log in with policies everything" in said.out


def test_kubernetes_rights_and_lasting_tokens_of_a_managed_account_are_found_without_reading_a_secret(
    world: World, boss: Person, bound: Binding
) -> None:
    namespace, account = bound.namespace, bound.account
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    group = {"kind": "Group", "name": f"system:serviceaccounts:{namespace}", "apiGroup": "rbac.authorization.k8s.io"}
    for name, each in (("direct", subject), ("by-group", group)):
        body = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [each],
        }
        world.create(f"{RBAC}/namespaces/{namespace}/rolebindings", body)
    token: Json = {
        "metadata": {"name": "lasting", "annotations": {"kubernetes.io/service-account.name": account}},
        "type": "kubernetes.io/service-account-token",
    }
    world.create(f"/api/v1/namespaces/{namespace}/secrets", token)
    mark = world.plane.api.audit.mark()
    found = {(each["object"], each["check"]): each["problem"] for each in findings(examined(boss, bound, "-o", "json"))}
    assert found == {
        (
            f"RoleBinding {namespace}/direct",
            "Kubernetes rights of managed accounts",
        ): f"gives ClusterRole view to managed account {namespace}/{account}",
        (f"RoleBinding {namespace}/by-group", "Kubernetes rights of managed accounts"): (
            f"gives ClusterRole view to every service account of {namespace}, so to managed ones as well "
            f"(group system:serviceaccounts:{namespace})"
        ),
        (
            f"service account {namespace}/{account}",
            "Managed accounts",
        ): f"Secret {namespace}/lasting holds a token of it that does not expire",
    }
    entries = world.plane.api.audit.entries(mark)
    asked = [each for each in entries if each.resource == "secrets" and each.user_agent.startswith("airwarden")]
    assert asked
    assert {each.verb for each in asked} <= {"list"}


def test_a_leftover_in_the_store_is_found_and_what_a_binding_owns_is_not(
    world: World, boss: Person, bound: Binding
) -> None:
    ghost = name_in_store(bound.namespace, "ghost", bound.backend)
    lost = name_in_store(bound.namespace, "ghost", "no-such-backend")
    world.write_policy(ghost, 'path "x" { capabilities = ["read"] }')
    world.write_role(lost, bound_service_account_names=["x"], bound_service_account_namespaces=["x"])
    found = findings(examined(boss, bound, "-o", "json"))
    world.delete_policy(ghost)
    world.delete_role(lost)
    assert [each["problem"] for each in found] == [
        f"{lost} belongs to no binding, and there is no backend no-such-backend",
        f"{ghost} belongs to no binding",
    ]


def test_rules_bindings_and_backends_that_do_not_work_are_found(
    world: World, boss: Person, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    rules = [rule("wide"), rule("narrow", keyPrefixes=["{namespace}/x/"]), rule("nobody", names=("no-such-namespace",))]
    store = backend(allow=rules)
    lost = binding(team, "no-such-backend")
    lost.wait_refused("BackendNotFound")
    said = boss.runs("doctor", "--backend", store.name, "-o", "json")
    found = [(each["severity"], each["object"], each["problem"]) for each in findings(said)]
    assert ("hint", f"backend {store.name}", "no binding uses it") in found
    assert ("hint", f"backend {store.name}", "rule narrow changes nothing: rule wide admits all of it") in found
    assert (
        "hint",
        f"backend {store.name}",
        "rule nobody admits nobody: no namespace has such a name or such labels",
    ) in found
    assert ("warning", f"binding {team}/{lost.name}", "names backend no-such-backend, which does not exist") in found
    assert said.status == 1


def test_an_operator_that_was_given_more_than_the_printed_rights_is_found(
    world: World, boss: Person, bound: Binding
) -> None:
    name = f"airwarden-operator.{CLUSTER}"
    text = world.policy(name)
    assert text is not None
    role = world.role("airwarden")
    assert role is not None
    world.write_policy(name, text + 'path "airflow/data/*" {\n  capabilities = ["read"]\n}\n')
    world.write_role("airwarden", token_policies=[name, "everything"])
    found = findings(examined(boss, bound, "-o", "json"))
    world.write_policy(name, text)
    world.write_role("airwarden", token_policies=role["token_policies"])
    assert [each["problem"] for each in found] == [
        f"policy {name} gives rights on airflow/data/*, which the operator does not need",
        "the operator's role also carries everything: the fence that vault-setup prints does not hold",
    ]


def test_installed_kinds_of_another_version_are_found(world: World, boss: Person, bound: Binding) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/airflowsecretbindings.airwarden.dev"
    before = world.get(path)
    assert before is not None
    versions = json.loads(json.dumps(before["spec"]["versions"]))
    versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["invented"] = {"type": "string"}
    world.merge(path, {"spec": {"versions": versions}})
    found = findings(examined(boss, bound, "-o", "json"))
    world.merge(path, {"spec": {"versions": before["spec"]["versions"]}})
    ((check, problem),) = [(each["check"], each["problem"]) for each in found]
    assert check == "Installed kinds"
    assert "invented" in problem


@pytest.fixture
def reader(world: World, bound: Binding, tmp_path: Path) -> Iterator[Person]:
    """Return somebody who may read bindings and backends and nothing else, without a Vault token."""
    name = world.fresh("reader")
    world.plane.api.create_service_account(bound.namespace, name)
    rules = [{"apiGroups": ["airwarden.dev"], "resources": ["*"], "verbs": ["get", "list"]}]
    world.create(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    body: dict[str, Any] = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": bound.namespace}],
    }
    world.create(f"{RBAC}/clusterrolebindings", body)
    yield Person(world.plane.kubeconfig_for(bound.namespace, name), tmp_path)
    world.delete(f"{RBAC}/clusterrolebindings/{name}")
    world.delete(f"{RBAC}/clusterroles/{name}")


def test_what_somebody_may_not_see_is_not_checked_and_never_fine(reader: Person, bound: Binding) -> None:
    said = examined(reader, bound)
    assert said.status == 2
    assert "Nothing is wrong, 9 thing(s) could not be checked." in said.out
    for needs in (
        "Kubernetes rights of managed accounts, RoleBindings and ClusterRoleBindings: needs list on rolebindings",
        "Managed accounts, Secrets with tokens: needs list on secrets",
        "Installed kinds, CustomResourceDefinitions: needs get on customresourcedefinitions",
        f"Logins beside Airwarden, backend {bound.backend}: there is no token for Vault",
        f"Leftovers in the stores, backend {bound.backend}: there is no token for Vault",
    ):
        assert needs in said.out
    found = json.loads(examined(reader, bound, "-o", "json").out)
    assert (found["clean"], found["findings"]) == (False, [])


def test_a_vault_token_without_rights_leaves_the_store_unchecked(world: World, boss: Person, bound: Binding) -> None:
    made = world.plane.vault.request("POST", "auth/token/create", {"policies": ["default"]})
    weak = Person(boss.kubeconfig, boss.home, made["auth"]["client_token"])
    said = examined(weak, bound)
    assert said.status == 2
    assert f"needs list on auth/{AUTH}/role and read on auth/{AUTH}/role/*: your token's policies do not" in said.out
    assert "needs read and sudo on sys/audit" in said.out
    assert made["auth"]["client_token"] not in said.out + said.err


def test_a_cluster_that_cannot_be_asked_is_no_healthy_one(boss: Person, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text(boss.kubeconfig.read_text().replace("https://127.0.0.1:", "https://127.0.0.1:1"))
    said = Person(broken, tmp_path, boss.token).runs("doctor")
    assert said.status == 2
    assert said.out == ""
    assert "gave no answer" in said.err or "no way to the Kubernetes API" in said.err


def test_an_unknown_backend_is_wrong_usage(boss: Person) -> None:
    said = boss.runs("doctor", "--backend", "invented")
    assert (said.status, said.out) == (2, "")
    assert "there is no AirflowSecretBackend invented" in said.err


def test_a_backend_without_its_rights_is_named_with_what_it_lacks(
    world: World, boss: Person, backend: MakeBackend
) -> None:
    store: Backend = backend(
        wait=False,
        vault={"workloadLogin": {"method": "Kubernetes", "kubernetes": {"mount": "other", "audience": "vault"}}},
    )
    store.wait_condition("Ready", "False", "BackendForbidden", 60)
    found = findings(boss.runs("doctor", "--backend", store.name, "-o", "json"))
    problems = [each["problem"] for each in found if each["check"] == "Backends"]
    assert any("is not Ready, BackendForbidden" in each and "auth/other/role/" in each for each in problems)
