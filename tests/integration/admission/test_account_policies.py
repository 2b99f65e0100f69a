"""Who may claim a service account for Airwarden, and who may bind one that is not Airwarden's."""

from __future__ import annotations

import pytest

from integration.admission.people import MERGE, Cluster, binding, secret
from integration.objects import account_path, backend_object, backend_path, rule
from plane.json_client import Json, JsonClient
from plane.operator import ACCOUNT, NAMESPACE

BINDING, CLUSTER_LABEL, ALLOW = "airwarden.dev/binding", "airwarden.dev/cluster", "airwarden.dev/allow-binding"
OWNED = {BINDING: "billing", CLUSTER_LABEL: "test"}
WORDS = "only Airwarden sets, changes or removes it"
BINDINGS: Json = {
    "apiGroups": ["airwarden.dev"],
    "resources": ["airflowsecretbindings"],
    "verbs": ["create", "update", "patch", "get"],
}


@pytest.fixture(scope="module")
def team(cluster: Cluster) -> str:
    """A namespace for accounts."""
    cluster.plane.create_namespace("accounts")
    return "accounts"


@pytest.fixture(scope="module")
def operator(cluster: Cluster) -> JsonClient:
    """The operator's own client."""
    return cluster.plane.api.client(token=cluster.plane.service_account_token(NAMESPACE, ACCOUNT))


@pytest.fixture
def managed(cluster: Cluster, team: str, operator: JsonClient) -> str:
    """Return the path of an account that the operator made."""
    name = cluster.fresh("managed")
    operator.request("POST", account_path(team), {"metadata": {"name": name, "labels": {**OWNED, "kept": "yes"}}})
    return account_path(team, name)


@pytest.mark.parametrize("label", [BINDING, CLUSTER_LABEL])
def test_nobody_else_makes_an_account_with_our_label(cluster: Cluster, team: str, label: str) -> None:
    early = {"metadata": {"name": "early", "labels": {label: "billing"}}}
    said = cluster.refusal("POST", account_path(team), early, cluster.author(team, role="admin"))
    assert said.startswith(f"label {label} says that Airwarden made a service account")
    assert WORDS in said
    assert f"{ALLOW}=<binding>" in said


@pytest.mark.parametrize("labels", [{BINDING: "other"}, {BINDING: None}, {CLUSTER_LABEL: "c2"}, {CLUSTER_LABEL: None}])
def test_nobody_else_changes_or_removes_our_labels(cluster: Cluster, managed: str, labels: Json) -> None:
    admin = cluster.author(managed.split("/")[4], role="admin")
    assert WORDS in cluster.refusal("PATCH", managed, {"metadata": {"labels": labels}}, admin)


def test_nobody_else_puts_our_labels_on_an_account_that_is_there(cluster: Cluster, team: str) -> None:
    name = cluster.fresh("theirs")
    cluster.plane.api.create_service_account(team, name)
    admin = cluster.author(team, role="admin")
    said = cluster.refusal("PATCH", account_path(team, name), {"metadata": {"labels": OWNED}}, admin)
    assert said.startswith(f"label {BINDING} and {CLUSTER_LABEL} says")


def test_who_may_adopt_sets_our_labels(cluster: Cluster, team: str, managed: str) -> None:
    adopts: Json = {"apiGroups": ["airwarden.dev"], "resources": ["serviceaccounts"], "verbs": ["adopt"]}
    patches: Json = {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["patch", "get"]}
    person = cluster.author(team, adopts, patches)
    assert cluster.refusal("PATCH", managed, {"metadata": {"labels": {BINDING: "other"}}}, person) == ""


def test_a_namespace_s_editor_is_held_to_it_as_well(cluster: Cluster, team: str, managed: str) -> None:
    editor = cluster.author(team, role="edit")
    assert WORDS in cluster.refusal("PATCH", managed, {"metadata": {"labels": {BINDING: None}}}, editor)
    assert cluster.refusal("PATCH", managed, {"metadata": {"annotations": {"a": "b"}}}, editor) == ""


def test_everything_else_stays_free(cluster: Cluster, team: str, managed: str) -> None:
    others: Json = {"metadata": {"labels": {"kept": None, "more": "yes", ALLOW: "x"}, "annotations": {"a": "b"}}}
    assert cluster.refusal("PATCH", managed, {**others, "automountServiceAccountToken": True}) == ""
    plain = {"metadata": {"name": "plain", "labels": {ALLOW: "billing", "app.kubernetes.io/managed-by": "airwarden"}}}
    assert cluster.refusal("POST", account_path(team), plain) == ""
    cluster.admin.request("DELETE", managed)
    assert cluster.admin.status("GET", managed) == 404


def test_the_operator_sets_and_corrects_its_labels(cluster: Cluster, managed: str, operator: JsonClient) -> None:
    operator.request("PATCH", managed, {"metadata": {"labels": {BINDING: "corrected"}}}, headers=MERGE)
    found = cluster.admin.request("GET", managed)
    assert found["metadata"]["labels"][BINDING] == "corrected"


# Accounts of mode External.


@pytest.fixture(scope="module")
def store(cluster: Cluster, team: str) -> str:
    """A backend that permits both modes."""
    allowed = rule(names=(team,), serviceAccounts=["Managed", "External"])
    cluster.admin.request(
        "POST", backend_path(), backend_object("external", "https://vault.example:8200", allow=[allowed])
    )
    return "external"


def using(verb: str, *names: str) -> Json:
    return {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": [verb], "resourceNames": list(names)}


def test_an_author_who_may_use_the_account_binds_it(cluster: Cluster, team: str, store: str) -> None:
    author = cluster.author(team, BINDINGS, using("use", "worker"))
    assert cluster.asking(binding(team, secret("shared/a", store), mode="External"), author) == ""


@pytest.mark.parametrize(
    "right", [using("use", "another"), using("get", "worker"), using("impersonate", "worker")], ids=str
)
def test_an_author_who_may_not_is_told_what_is_missing(cluster: Cluster, team: str, store: str, right: Json) -> None:
    author = cluster.author(team, BINDINGS, right)
    wanted = binding(team, secret("shared/a", store), mode="External")
    said = cluster.asking(wanted, author)
    assert said.startswith("you may not bind service account accounts/worker, which is External")
    assert "the verb use" in said
    assert cluster.asking({**wanted, "spec": {**wanted["spec"], "serviceAccount": {"name": "worker"}}}, author) == ""


def test_a_right_in_another_namespace_does_not_count(cluster: Cluster, team: str, store: str) -> None:
    cluster.plane.create_namespace("accounts-b")
    author = cluster.author("accounts-b", BINDINGS, using("use", "worker"))
    wanted = binding("accounts-b", secret("shared/a", "comes-later"), mode="External")
    assert cluster.asking(wanted, author) == ""
    editor = cluster.author(team, role="edit")
    assert "you may not bind" in cluster.asking(binding(team, secret("shared/a", store), mode="External"), editor)


def test_an_edit_by_somebody_who_may_not_use_the_account_is_refused_and_a_label_is_not(
    cluster: Cluster, team: str, store: str
) -> None:
    name = cluster.fresh("bound")
    made = binding(team, secret("shared/a", store), mode="External", name=name)
    path = f"/apis/airwarden.dev/v1alpha1/namespaces/{team}/airflowsecretbindings"
    cluster.admin.request("POST", path, made)
    author = cluster.author(team, BINDINGS)
    edit = {"spec": {"secrets": [secret("shared/b", store)]}}
    assert "you may not bind" in cluster.refusal("PATCH", f"{path}/{name}", edit, author)
    assert cluster.refusal("PATCH", f"{path}/{name}", {"metadata": {"labels": {"a": "b"}}}, author) == ""


def test_who_may_not_use_the_account_may_still_take_access_away(cluster: Cluster, team: str) -> None:
    name, store = cluster.fresh("bound"), "comes-later"  # of which the guardrails say nothing yet
    first, second = secret("shared/a", store, "a"), secret("shared/b", store, "b")
    spec: Json = {"access": {"notAfter": "2400-01-01T00:00:00Z", "session": {"maxTTL": "30m"}}}
    made = binding(team, first, second, mode="External", name=name, **spec)
    path = f"/apis/airwarden.dev/v1alpha1/namespaces/{team}/airflowsecretbindings"
    cluster.admin.request("POST", path, made)
    author = cluster.author(team, BINDINGS)
    for less in (
        {"secrets": [second]},
        {"suspend": True},
        {"access": {"notAfter": "2030-01-01T00:00:00Z"}},
        {"secrets": [first], "suspend": True, "access": {"notAfter": "2020-01-01T00:00:00Z"}},
    ):
        assert cluster.refusal("PATCH", f"{path}/{name}", {"spec": less}, author) == ""
    for other in (
        {"secrets": [first, {**second, "key": "shared/c"}]},
        {"secrets": [first, second, secret("shared/c", store, "c")]},
        {"secrets": [second], "access": {"notAfter": "2400-01-02T00:00:00Z"}},
        {"suspend": True, "access": {"notAfter": None}},
        {"access": {"session": {"maxTTL": "31m"}}},
        {"deletionPolicy": "Orphan"},
    ):
        assert "you may not bind" in cluster.refusal("PATCH", f"{path}/{name}", {"spec": other}, author)
    asleep = binding(team, first, mode="External", name=cluster.fresh("asleep"), suspend=True)
    cluster.admin.request("POST", path, asleep)
    woken = f"{path}/{asleep['metadata']['name']}"
    assert "you may not bind" in cluster.refusal("PATCH", woken, {"spec": {"suspend": False}}, author)
