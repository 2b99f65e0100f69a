"""The maps are written by the operator, which writes no other ConfigMaps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import pytest

from integration.admission.mapped import AIRFLOW, MARK, Airflow, Json, forbidden
from integration.admission.people import MERGE
from plane.json_client import JsonClient

_NUMBERS: Final[Iterator[int]] = itertools.count()
_OURS: Final = ("airwarden.main.dags.0123456789ab", "airwarden.billing.map", "airwarden.main.scheduler")
_RIGHTS: Final[Json] = {
    "apiGroups": [""],
    "resources": ["configmaps"],
    "verbs": ["create", "get", "patch", "update", "delete"],
}


def config_path(namespace: str, name: str = "") -> str:
    """Return where ConfigMaps are served."""
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")


def config_map(name: str, **metadata: Json) -> Json:
    """Return a ConfigMap."""
    return {"metadata": {"name": name, **metadata}, "data": {"map.json": "{}"}}


@pytest.fixture(scope="module")
def operator(tasks: Airflow) -> JsonClient:
    """Return the operator, with every right on ConfigMaps that it could ever be given."""
    rbac = "rbac.authorization.k8s.io"
    made: Json = {"apiVersion": f"{rbac}/v1", "metadata": {"name": "all-config-maps"}}
    subject = {"kind": "ServiceAccount", "name": "airwarden", "namespace": "airwarden"}
    reference = {"apiGroup": rbac, "kind": "ClusterRole", "name": "all-config-maps"}
    tasks.cluster.plane.api.apply(
        {**made, "kind": "ClusterRole", "rules": [_RIGHTS]},
        {**made, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]},
    )
    tasks.cluster.plane.api.wait_for_rights(tasks.operator, tasks.namespace, _RIGHTS)
    return tasks.operator


@pytest.fixture
def written(tasks: Airflow, operator: JsonClient) -> str:
    """Return the path of a map that the operator wrote."""
    name = f"airwarden.billing-{next(_NUMBERS)}.map"
    operator.request("POST", config_path(tasks.namespace), config_map(name, labels={f"{MARK}environment": "main"}))
    return config_path(tasks.namespace, name)


def others(tasks: Airflow) -> tuple[JsonClient, ...]:
    return (tasks.editor, tasks.scheduler, tasks.masters)


@pytest.mark.parametrize("name", _OURS)
def test_nobody_else_makes_a_config_map_under_our_names(tasks: Airflow, operator: JsonClient, name: str) -> None:
    for somebody in others(tasks):
        said = tasks.cluster.refusal("POST", config_path(tasks.namespace), config_map(name), somebody)
        assert said.startswith(f"ConfigMap tasks/{name} has a name that begins with airwarden.")
    assert tasks.cluster.refusal("POST", config_path(tasks.namespace), config_map(name), operator) == ""
    assert forbidden(tasks.node, "POST", config_path(tasks.namespace), config_map(name))


def test_a_generated_name_is_no_way_around(tasks: Airflow) -> None:
    body = {"metadata": {"generateName": "airwarden.billing.x"}, "data": {}}
    assert "only Airwarden writes those" in tasks.cluster.refusal(
        "POST", config_path(tasks.namespace), body, tasks.editor
    )


@pytest.mark.parametrize(
    "change",
    [{"data": {"map.json": '{"version":1}'}}, {"binaryData": {"x": "eA=="}}, {"immutable": True}, {"data": None}],
    ids=str,
)
def test_nobody_else_changes_a_map(tasks: Airflow, written: str, change: Json) -> None:
    for somebody in others(tasks):
        assert "only Airwarden writes those" in tasks.cluster.refusal("PATCH", written, change, somebody)


@pytest.mark.parametrize("labels", [{f"{MARK}environment": None}, {f"{MARK}environment": "x"}, {f"{MARK}binding": "x"}])
def test_nobody_else_sets_or_changes_our_labels(tasks: Airflow, written: str, labels: Json) -> None:
    for somebody in others(tasks):
        said = tasks.cluster.refusal("PATCH", written, {"metadata": {"labels": labels}}, somebody)
        assert "says that Airwarden wrote a ConfigMap" in said
    theirs = config_map("theirs", labels={f"{MARK}environment": "main"})
    assert "only Airwarden sets" in tasks.cluster.refusal("POST", config_path(tasks.namespace), theirs, tasks.editor)


def test_the_operator_changes_and_removes_its_maps(tasks: Airflow, operator: JsonClient, written: str) -> None:
    operator.request("PATCH", written, {"data": {"map.json": "[]"}}, headers=MERGE)
    operator.request("DELETE", written)
    assert tasks.masters.status("GET", written) == 404


def test_a_map_is_deleted_as_freely_as_rbac_has_it_and_goes_with_its_namespace(
    tasks: Airflow, operator: JsonClient, written: str
) -> None:
    assert tasks.cluster.refusal("PATCH", written, {"metadata": {"annotations": {"a": "b"}}}, tasks.editor) == ""
    for finalizers in (["example.org/wait"], None):
        tasks.editor.request("PATCH", written, {"metadata": {"finalizers": finalizers}}, headers=MERGE)
    tasks.editor.request("DELETE", written)
    assert tasks.masters.status("GET", written) == 404
    collection = f"{config_path(tasks.namespace)}?labelSelector={MARK}environment"
    operator.request(
        "POST", config_path(tasks.namespace), config_map("airwarden.x", labels={f"{MARK}environment": "m"})
    )
    tasks.masters.request("DELETE", collection)
    assert tasks.masters.request("GET", collection)["items"] == []


def test_a_stolen_operator_writes_no_other_config_maps(tasks: Airflow, operator: JsonClient) -> None:
    words = "the operator of Airwarden writes only ConfigMaps whose names begin with airwarden."
    name = f"theirs-{next(_NUMBERS)}"
    there = config_path(tasks.namespace, name)
    tasks.masters.request("POST", config_path(tasks.namespace), config_map(name))
    for namespace, new in ((tasks.namespace, "airwarden-settings"), (AIRFLOW, "airflow-config"), ("airwarden", "ca")):
        assert words in tasks.cluster.refusal("POST", config_path(namespace), config_map(new), operator)
    assert words in tasks.cluster.refusal("PATCH", there, {"data": {"a": "b"}}, operator)
    assert words in forbidden(operator, "DELETE", there)
    assert words in forbidden(operator, "DELETE", config_path("kube-system", "extension-apiserver-authentication"))
    assert tasks.masters.status("GET", there) == 200


def test_other_config_maps_are_free(tasks: Airflow) -> None:
    for name in ("theirs-too", "airwarden-settings", "kube.airwarden.x"):
        assert tasks.cluster.refusal("POST", config_path(tasks.namespace), config_map(name), tasks.editor) == ""
