"""The executor's view of a DAG map at a real API server: changes, outages, forgotten history, and taken rights."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from kubernetes.client import ApiClient, Configuration, CoreV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.config import load_kube_config

from airflow_airwarden.dag_map import MapUnusable, map_name
from airflow_airwarden.map_view import FRESH, MapView
from airflow_airwarden.map_watch import MapWatch, WatchEnded
from integration.world import eventually
from plane.control_plane import Plane
from plane.json_client import Json
from unit.executor.making import BUNDLE, claim_body, map_text

SPACE, ACCOUNT = "airflow", "map-reader"
NAME = map_name("main", BUNDLE)
ROLE = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SPACE}/roles"
MAPS = f"/api/v1/namespaces/{SPACE}/configmaps"


class Clock:
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture(scope="module")
def reader(quiet: Plane) -> Plane:
    """An account that may list and watch the one ConfigMap by its name, and nothing else."""
    quiet.create_namespace(SPACE)
    quiet.api.create_service_account(SPACE, ACCOUNT)
    permit(quiet, NAME)
    group = "rbac.authorization.k8s.io"
    quiet.api.apply(
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": ACCOUNT, "namespace": SPACE},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": SPACE}],
        }
    )
    return quiet


def permit(plane: Plane, name: str) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["list", "watch"]}
    plane.api.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": ACCOUNT, "namespace": SPACE},
            "rules": [rule],
        }
    )


def write(plane: Plane, text: str) -> None:
    metadata = {"name": NAME, "namespace": SPACE}
    plane.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"map.json": text}})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def view(clock: Clock) -> MapView:
    return MapView("airflow/main", BUNDLE, clock)


@pytest.fixture(autouse=True)
def watch(reader: Plane, view: MapView) -> Iterator[MapWatch]:
    """Follow a map that is there."""
    permit(reader, NAME)
    write(reader, map_text())
    configuration = Configuration()
    path = str(reader.kubeconfig_for(SPACE, ACCOUNT))
    load_kube_config(path, client_configuration=configuration)  # type: ignore[no-untyped-call]
    with ApiClient(configuration) as client:
        found = MapWatch(CoreV1Api(client), SPACE, NAME, view)
        found.start()
        assert found.wait_read(60)
        yield found
        found.stop()


def account(view: MapView, dag_id: str = "invoices") -> str:
    """Whose account a DAG's pods have; empty for nobody's, and the fault where it cannot be told."""
    try:
        found = view.current().find(dag_id)
    except MapUnusable as unusable:
        return str(unusable)
    return found.account if found else ""


def becomes(view: MapView, wanted: Callable[[str], bool], what: str) -> None:
    eventually(what, lambda: wanted(account(view)))


def test_changes_are_seen_as_they_are_made(reader: Plane, view: MapView) -> None:
    assert account(view) == "billing"
    write(reader, map_text(claim_body(account="billing-2")))
    becomes(view, lambda seen: seen == "billing-2", "the new account is seen")
    write(reader, map_text(bindings=[]))
    becomes(view, lambda seen: seen == "", "the binding's removal is seen")


def test_a_change_that_a_watch_tells_makes_the_map_no_fresher_and_the_list_after_it_does(
    reader: Plane, view: MapView, clock: Clock
) -> None:
    clock.time += FRESH
    write(reader, map_text(claim_body(account="billing-2")))
    becomes(view, lambda seen: seen == "billing-2", "the change is seen")
    clock.time += 1
    assert "confirmed 61 s ago" in account(view)
    eventually("the list after the watch confirms it", lambda: account(view) == "billing-2", 60)


def test_a_map_that_is_deleted_is_nobodys_until_it_is_there_again(reader: Plane, view: MapView) -> None:
    reader.api.admin.request("DELETE", f"{MAPS}/{NAME}")
    becomes(view, lambda seen: "it does not exist" in seen, "the map is gone")
    write(reader, map_text())
    becomes(view, lambda seen: seen == "billing", "the map is there again")


def test_a_map_that_breaks_is_not_used_and_the_last_good_one_neither(reader: Plane, view: MapView) -> None:
    write(reader, map_text()[:-1])
    becomes(view, lambda seen: "no whole JSON object" in seen, "the fault is seen")


def test_an_api_server_that_is_gone_makes_the_map_unusable_after_a_minute_and_not_before(
    reader: Plane, view: MapView, clock: Clock
) -> None:
    reader.api.stop()
    try:
        clock.time += FRESH
        assert account(view) == "billing"
        clock.time += 1
        becomes(view, lambda seen: "confirmed 61 s ago (the API server" in seen, "the map is too old")
    finally:
        reader.api.start()
    write(reader, map_text(claim_body(account="billing-3")))
    becomes(view, lambda seen: seen == "billing-3", "it is followed again")


def test_rights_that_were_taken_make_the_map_unusable_after_a_minute(
    reader: Plane, view: MapView, clock: Clock
) -> None:
    permit(reader, "another")
    reader.api.stop()  # an open watch goes on until it ends
    reader.api.start()
    clock.time += FRESH + 1
    becomes(view, lambda seen: "the API server answers 403 Forbidden" in seen, "the refusal is told")
    permit(reader, NAME)
    becomes(view, lambda seen: seen == "billing", "it may be read again")


def test_history_that_was_forgotten_is_read_anew(reader: Plane, view: MapView, watch: MapWatch) -> None:
    write(reader, map_text(claim_body(account="older")))
    reader.api.compact()
    reader.api.stop()
    reader.api.start()
    with pytest.raises((WatchEnded, ApiException), match=r"410|^$"):
        watch._watch("1", 0.0)
    write(reader, map_text(claim_body(account="newest")))
    becomes(view, lambda seen: seen == "newest", "the newest is seen")


def test_it_is_read_by_its_name_alone(reader: Plane, view: MapView) -> None:
    assert account(view) == "billing"
    user = f"system:serviceaccount:{SPACE}:{ACCOUNT}"
    asked: list[Json] = [
        {"verb": each.verb, "code": each.code, "uri": each.uri}
        for each in reader.api.audit.entries()
        if each.user == user and each.code != 403
    ]
    assert {each["verb"] for each in asked} == {"list", "watch"}
    assert all(f"fieldSelector=metadata.name%3D{NAME}" in each["uri"] for each in asked)
