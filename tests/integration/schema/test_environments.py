"""The API server takes an environment that is right, refuses the rest in words that help, and shows it in columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from airwarden.api import crd
from airwarden.api.environment import AirflowEnvironment
from integration.environments import environment_object, environment_path
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.errors import PlaneHTTPError
from plane.json_client import Json
from plane.waiting import wait_for

FILE = "airwarden.dev_airflowenvironments.yaml"
PATH = environment_path("schema-environments")
STRICT = "dryRun=All&fieldValidation=Strict"


@pytest.fixture(scope="module")
def api(plane: Plane) -> Plane:
    """Return the plane with the kinds served, and a namespace."""
    plane.api.apply(*(yaml.safe_load(text) for text in crd.crd_files().values()))
    wait_for("the kind is served", lambda: plane.api.admin.status("GET", PATH) == 200, 30)
    plane.create_namespace("schema-environments")
    return plane


def declared(**spec: Any) -> Json:
    """Return an environment with some fields set otherwise; None takes one away."""
    body = environment_object("schema-environments", "main", "prod", "lab")
    given = {**body["spec"], **spec}
    body["spec"] = {key: value for key, value in given.items() if value is not None}
    return body


def whole() -> Json:
    """Return one that sets every field."""
    accounts = {
        name: {"serviceAccountName": f"airflow-{name.lower()}"}
        for name in ("scheduler", "apiServer", "dagProcessor", "triggerer")
    }
    common = {
        "type": "Connection",
        "id": "smtp_default",
        "backendRef": {"name": "vault"},
        "key": "airflow/smtp",
        "field": "uri",
    }
    mapping = {"airflowRole": "Op", "groups": [{"provider": "entra", "value": "3f0c0000-aaaa"}]}
    return declared(
        executor="Kubernetes",
        components=accounts,
        commonSecrets=[common],
        reader={"cacheTTL": "30s", "unboundIDs": "Refuse"},
        roleMappings=[mapping],
    )


def test_one_with_every_field_is_taken_and_reads_back_as_the_model_has_it(api: Plane) -> None:
    body = whole()
    taken = api.api.admin.request("POST", f"{PATH}?{STRICT}", body)
    read = AirflowEnvironment.model_validate({key: taken[key] for key in ("metadata", "spec")})
    assert read.spec == AirflowEnvironment.model_validate(body).spec


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no unbound account": ({"unbound": None}, "unbound must be given with executor Kubernetes, and only then"),
    "an unbound account without pods": ({"executor": "Celery"}, "other executors make no pods"),
    "unbound elsewhere": (
        {"unbound": {"namespace": "other", "serviceAccountName": "x"}},
        "unbound.namespace must be one of workerNamespaces",
    ),
    "a default account": (
        {"components": {"scheduler": {"serviceAccountName": "default"}}},
        "the account default is shared by every pod that names none",
    ),
    "no bundle": ({"bundles": []}, "spec.bundles: Invalid value"),
    "no worker namespace": ({"workerNamespaces": []}, "spec.workerNamespaces"),
    "a bundle twice": (
        {"bundles": [{"name": "a", "namespaces": ["prod"]}, {"name": "a", "namespaces": ["lab"]}]},
        "Duplicate value",
    ),
    "another executor": ({"executor": "Dask"}, 'supported values: "Kubernetes", "Celery", "Local"'),
    "a person for a group": (
        {"roleMappings": [{"airflowRole": "Op", "groups": [{"provider": "entra", "value": "a@b.example"}]}]},
        "never a person",
    ),
    "an unknown field": ({"worker": "x"}, 'unknown field "spec.worker"'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_in_plain_words(api: Plane, name: str) -> None:
    spec, said = REFUSED[name]
    with pytest.raises(PlaneHTTPError) as caught:
        api.api.admin.request("POST", f"{PATH}?{STRICT}", declared(**spec))
    told = str(caught.value).replace('\\"', '"')
    assert said in told
    assert "should match" not in told


@pytest.mark.parametrize("name", ["with.dot", "x" * 64])
def test_a_name_that_is_no_label_is_refused(api: Plane, name: str) -> None:
    body = declared()
    body["metadata"]["name"] = name
    with pytest.raises(PlaneHTTPError, match=r"metadata\.name must have at most 63 characters and no dot"):
        api.api.admin.request("POST", f"{PATH}?{STRICT}", body)


def test_the_file_is_small_enough_for_both_ways_of_applying_it() -> None:
    assert len((REPOSITORY / "crds" / FILE).read_bytes()) < 60_000


@pytest.fixture
def live(api: Plane) -> Iterator[Plane]:
    """Return the plane with one environment that has a status."""
    made = api.api.admin.request("POST", PATH, whole())
    condition = {"type": "Ready", "status": "True", "reason": "Ready", "message": "2 of 3 bindings are mapped"}
    enforced = {**condition, "type": "IdentityEnforced", "status": "Unknown", "reason": "TaskPodsNotVisible"}
    made["status"] = {"conditions": [condition, enforced], "bindings": {"total": 3, "mapped": 2}}
    api.api.admin.request("PUT", f"{PATH}/main/status", made)
    yield api
    api.api.admin.request("DELETE", f"{PATH}/main")


def test_kubectl_shows_who_is_mapped_and_what_is_enforced(live: Plane) -> None:
    heading, row = live.kubectl("get", "afe", "-n", "schema-environments").splitlines()
    assert heading.split() == ["NAME", "READY", "REASON", "EXECUTOR", "BINDINGS", "MAPPED", "ENFORCED", "AGE"]
    assert row.split()[:-1] == ["main", "True", "Ready", "Kubernetes", "3", "2", "Unknown"]


def test_kubectl_explains_each_field(live: Plane) -> None:
    said = " ".join(live.kubectl("explain", "afe.spec.unbound").split())
    assert "The account of tasks that no binding names" in said
    assert "Make it without rights, in the cluster and in every store" in said


def test_one_may_be_edited_and_its_executor_changed(live: Plane) -> None:
    merge = {"Content-Type": "application/merge-patch+json"}
    spec = {"executor": "Local", "unbound": None}
    changed = live.api.admin.request("PATCH", f"{PATH}/main?dryRun=All", {"spec": spec}, headers=merge)
    assert changed["spec"]["executor"] == "Local"
