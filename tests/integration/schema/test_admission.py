"""The API server takes the CRDs, admits what is valid and refuses the rest in words that help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from airwarden.api import crd
from integration.schema import objects, refusals
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.errors import PlaneHTTPError
from plane.waiting import wait_for

BASE = f"/apis/{objects.API_VERSION}"
STRICT = "dryRun=All&fieldValidation=Strict"


def _path(body: Mapping[str, Any]) -> str:
    if body["kind"] == "AirflowSecretBackend":
        return f"{BASE}/airflowsecretbackends"
    return f"{BASE}/namespaces/{body['metadata']['namespace']}/airflowsecretbindings"


def _refused(plane: Plane, method: str, path: str, body: Mapping[str, Any]) -> str:
    with pytest.raises(PlaneHTTPError) as caught:
        plane.api.admin.request(method, path, body)
    return str(caught.value).replace('\\"', '"')


@pytest.fixture(scope="module")
def api(plane: Plane) -> Plane:
    """The plane with the kinds established."""
    plane.api.apply(*(yaml.safe_load(text) for text in crd.crd_files().values()))
    plane.kubectl("wait", "--for=condition=Established", *(f"crd/{k.plural}.airwarden.dev" for k in crd.KINDS))
    paths = [f"{BASE}/{kind.plural}" for kind in crd.KINDS]
    wait_for("the kinds are served", lambda: all(plane.api.admin.status("GET", path) == 200 for path in paths), 20)
    return plane


@pytest.fixture(scope="module")
def space(api: Plane) -> str:
    """A namespace of its own."""
    api.create_namespace("schema")
    return "schema"


@pytest.mark.parametrize("refusal", refusals.REFUSALS, ids=lambda each: each.name)
def test_a_bad_object_is_refused_in_plain_words(api: Plane, refusal: refusals.Refusal) -> None:
    body = refusal.body()
    said = _refused(api, "POST", f"{_path(body)}?{STRICT}", body)
    assert refusal.said in said
    assert "no such key" not in said
    assert "should match" not in said, "a regular expression says nothing to the reader"
    assert "evaluation error" not in said


@pytest.mark.parametrize("change", refusals.IMMUTABLE, ids=lambda each: each.name)
def test_what_is_immutable_cannot_be_changed(api: Plane, space: str, change: refusals.Refusal) -> None:
    body = objects.valid(change.kind)
    body["metadata"]["name"] = "immutable"
    if change.kind == "binding":
        body["metadata"]["namespace"] = space
    api.api.apply(body)
    path = f"{_path(body)}/immutable"
    stored = api.api.admin.request("GET", path)
    said = _refused(api, "PUT", f"{path}?{STRICT}", objects.changed(stored, change.path, change.value))
    assert change.said in said


@pytest.mark.parametrize("workload", objects.WORKLOAD_LOGINS, ids=lambda each: each["method"])
@pytest.mark.parametrize("login", objects.LOGINS, ids=lambda each: each["method"])
def test_every_way_to_log_in_is_admitted(api: Plane, login: objects.Json, workload: objects.Json) -> None:
    body = objects.with_logins(login, workload)
    stored = api.api.admin.request("POST", f"{_path(body)}?{STRICT}", body)["spec"]["vault"]
    assert (stored["login"], stored["workloadLogin"]) == (login, workload)


@pytest.mark.parametrize("workload", objects.WORKLOAD_LOGINS, ids=lambda each: each["method"])
def test_the_mount_of_every_way_to_log_in_is_immutable(api: Plane, workload: objects.Json) -> None:
    body = objects.with_logins(objects.LOGINS[2], workload, f"mount-{workload['method'].lower()}")
    api.api.apply(body)
    path = f"{_path(body)}/{body['metadata']['name']}"
    (field,) = set(workload) - {"method"}
    stored = api.api.admin.request("GET", path)
    for value in ("other", objects.Remove()):
        wanted = objects.changed(stored, f"spec.vault.workloadLogin.{field}.mount", value)
        said = _refused(api, "PUT", f"{path}?{STRICT}", wanted)
        assert "mount of workloadLogin is immutable" in said
    other_login = objects.changed(stored, "spec.vault.login", objects.LOGINS[1])
    api.api.admin.request("PUT", f"{path}?{STRICT}", other_login)


def test_a_backend_without_a_vault_namespace_stays_without(api: Plane) -> None:
    body = objects.changed(objects.backend("plain"), "spec.vault.namespace", objects.Remove())
    api.api.apply(body)
    stored = api.api.admin.request("GET", f"{_path(body)}/plain")
    wanted = objects.changed(stored, "spec.vault.namespace", "team")
    assert "vault.namespace is immutable" in _refused(api, "PUT", f"{_path(body)}/plain?{STRICT}", wanted)
    same = objects.changed(stored, "spec.vault.namespace", "")
    api.api.admin.request("PUT", f"{_path(body)}/plain?{STRICT}", same)


def test_what_may_change_can_be_changed(api: Plane, space: str) -> None:
    body = objects.backend("mutable")
    api.api.apply(body)
    body["spec"]["vault"]["address"] = "https://other.example"
    body["spec"]["vault"]["kv"]["version"] = 1
    body["spec"]["allow"] = []
    api.api.apply(body)
    wanted = objects.binding("mutable", space)
    api.api.apply(wanted)
    wanted["spec"]["secrets"] = [objects.secret("other", "team-a/other")]
    del wanted["spec"]["access"]
    api.api.apply(wanted)
    assert api.kubectl("get", "asb", "mutable", "-n", space, "-o", "jsonpath={.spec.secrets[*].id}") == "other"


@pytest.mark.parametrize("body", [objects.largest_binding(), objects.largest_backend()], ids=["binding", "backend"])
def test_the_largest_object_is_admitted_and_can_be_changed(api: Plane, body: dict[str, Any]) -> None:
    path = _path(body)
    stored = api.api.admin.request("POST", f"{path}?fieldValidation=Strict", body)
    name = stored["metadata"]["name"]
    stored["metadata"]["labels"] = {"changed": "true"}
    api.api.admin.request("PUT", f"{path}/{name}?fieldValidation=Strict", stored)
    api.api.admin.request("DELETE", f"{path}/{name}")


def test_the_least_object_gets_the_defaults_and_nothing_else(api: Plane, space: str) -> None:
    item = {"type": "Connection", "id": "warehouse", "backendRef": {"name": "vault"}, "key": "team-a/warehouse"}
    least = objects.binding("least", space)
    least["spec"] = {"serviceAccount": {"name": "least"}, "secrets": [item]}
    stored = api.api.admin.request("POST", f"{_path(least)}?{STRICT}", least)
    assert stored["spec"] == {
        "serviceAccount": {"name": "least", "mode": "Managed"},
        "secrets": [item],
        "suspend": False,
        "deletionPolicy": "Delete",
    }
    assert "status" not in stored

    store = objects.backend("least")
    vault = {
        "address": "https://vault.example",
        "login": {"kubernetes": {"role": "airwarden"}},
        "kv": {"mount": "airflow"},
        "workloadLogin": {"kubernetes": {"audience": "vault"}},
    }
    allow = [{"name": "own", "namespaces": {"names": ["team-a"]}}]
    store["spec"] = {"type": "Vault", "vault": vault, "allow": allow}
    assert api.api.admin.request("POST", f"{_path(store)}?{STRICT}", store)["spec"] == {
        "type": "Vault",
        "vault": {
            "address": "https://vault.example",
            "mode": "Roles",
            "login": {
                "method": "Kubernetes",
                "kubernetes": {"mount": "kubernetes", "role": "airwarden", "audience": "vault"},
            },
            "kv": {"mount": "airflow", "version": 2},
            "workloadLogin": {"method": "Kubernetes", "kubernetes": {"mount": "kubernetes", "audience": "vault"}},
        },
        "allow": [
            {
                "name": "own",
                "namespaces": {"names": ["team-a"]},
                "operations": ["Read"],
                "serviceAccounts": ["Managed"],
                "session": {"maxTTL": "1h", "required": True},
                "orphan": False,
            }
        ],
        "adopt": "Never",
        "drift": {"policy": "Correct"},
    }


def test_the_example_on_the_page_of_adoption_is_admitted_as_it_stands(api: Plane) -> None:
    page = (REPOSITORY / "docs" / "adoption.md").read_text()
    shown = yaml.safe_load(page.split("```yaml\n", 1)[1].split("```", 1)[0])
    body = objects.backend("shown")
    body["spec"] |= shown
    stored = api.api.admin.request("POST", f"{_path(body)}?{STRICT}", body)["spec"]
    assert (stored["adopt"], stored["drift"]) == ("IfIdentical", {"policy": "Report", "interval": "10m"})
    assert [each["orphan"] for each in stored["allow"]] == [True]


def test_a_status_is_written_apart_and_an_old_one_is_kept_as_it_is(api: Plane, space: str) -> None:
    body = objects.binding("status", space)
    api.api.apply(body)
    path = f"{_path(body)}/status"
    stored = api.api.admin.request("GET", path)
    written = {"observedGeneration": 1, "targets": [{"kind": "ServiceAccount", "name": "billing", "state": "Present"}]}
    stored["status"] = written
    assert "status" not in api.api.admin.request("PUT", path, stored)
    stored = api.api.admin.request("GET", path) | {"status": written}
    answer = api.api.admin.request("PUT", f"{path}/status", stored)
    assert answer["status"] == written


def test_what_the_page_of_lifetimes_shows_is_admitted(api: Plane, space: str) -> None:
    page = (REPOSITORY / "docs" / "lifetimes.md").read_text()
    (example,) = (yaml.safe_load(block.split("```")[0]) for block in page.split("```yaml\n")[1:])
    example["metadata"]["namespace"] = space
    stored = api.api.admin.request("POST", f"{_path(example)}?{STRICT}", example)
    assert stored["spec"]["access"]["notAfter"] == "2027-01-31T00:00:00Z"
    rule = objects.rule(maxLifetime=page.split("`maxLifetime: ")[1].split("`")[0])
    backend = objects.changed(objects.backend("page"), "spec.allow", [rule])
    api.api.admin.request("POST", f"{_path(backend)}?{STRICT}", backend)
