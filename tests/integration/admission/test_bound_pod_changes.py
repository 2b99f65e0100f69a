"""Nobody gets into a pod that runs a task under a binding's account, and nobody changes what it is."""

from __future__ import annotations

from typing import Any, Final

import pytest

from integration.admission.mapped import MARK, Airflow, Json, bound_pod, forbidden, plain_pod, pod_path
from integration.admission.people import MERGE
from plane.json_client import JsonClient

_INSIDE: Final = ("exec?command=id", "attach", "portforward?ports=8080", "proxy/")
_WORDS: Final = "nobody changes its images or puts a container into it"


@pytest.fixture(scope="module")
def billing(tasks: Airflow) -> str:
    """Return a binding whose DAGs are in force."""
    return tasks.bind("billing")


@pytest.fixture(scope="module")
def running(tasks: Airflow, billing: str) -> str:
    """Return the path of a bound pod that is there."""
    made = bound_pod(billing)
    made["metadata"]["name"] = tasks.cluster.fresh("airwarden-running")
    made["spec"]["initContainers"] = [{"name": "first", "image": "busybox:1"}]
    tasks.scheduler.request("POST", pod_path(tasks.namespace), made)
    return pod_path(tasks.namespace, made["metadata"]["name"])


@pytest.fixture(scope="module")
def plain(tasks: Airflow) -> str:
    """Return the path of a pod without marks that is there."""
    name = tasks.cluster.fresh("plain")
    tasks.masters.request("POST", pod_path(tasks.namespace), plain_pod("unbound", name))
    return pod_path(tasks.namespace, name)


def everybody(tasks: Airflow) -> tuple[JsonClient, ...]:
    return (tasks.editor, tasks.scheduler, tasks.masters)


def put(tasks: Airflow, path: str, client: JsonClient, *place: str, **more: Any) -> str:
    """Return why it is refused to replace a part of a pod's spec in its first containers, empty when it is not."""
    found = tasks.masters.request("GET", path.removesuffix("/ephemeralcontainers"))
    for each in place:
        found["spec"][each][0] |= more
    if not place:
        found["spec"] |= more
    return tasks.cluster.refusal("PUT", path, found, client)


@pytest.mark.parametrize("place", ["containers", "initContainers"])
def test_nobody_changes_the_image_of_a_bound_pod(tasks: Airflow, running: str, place: str) -> None:
    for somebody in everybody(tasks):
        assert _WORDS in put(tasks, running, somebody, place, image="hostile:1")


def test_nobody_puts_an_ephemeral_container_into_a_bound_pod(tasks: Airflow, running: str) -> None:
    look = [{"name": "look", "image": "hostile:1", "targetContainerName": "base"}]
    for somebody in (tasks.scheduler, tasks.masters):  # the role edit has no right to it
        assert _WORDS in put(tasks, f"{running}/ephemeralcontainers", somebody, ephemeralContainers=look)


@pytest.mark.parametrize(
    "marks",
    [
        {"labels": {f"{MARK}identity": None}},
        {"labels": {f"{MARK}identity": "Unbound"}},
        {"labels": {f"{MARK}binding": "other"}},
        {"labels": {f"{MARK}more": "yes"}},
        {"annotations": {f"{MARK}dag-id": "payroll"}},
        {"annotations": {f"{MARK}worker-holds": None}},
    ],
    ids=str,
)
def test_nobody_changes_the_marks_of_a_pod(tasks: Airflow, running: str, marks: Json) -> None:
    for somebody in everybody(tasks):
        said = tasks.cluster.refusal("PATCH", running, {"metadata": marks}, somebody)
        assert "is set when a pod is made, and nobody changes it afterwards" in said


def test_nobody_changes_the_marks_along_with_the_status(tasks: Airflow, running: str) -> None:
    forged = {"metadata": {"annotations": {f"{MARK}worker-holds": "FernetKey"}}, "status": {"phase": "Running"}}
    assert "nobody changes it" in tasks.cluster.refusal("PATCH", f"{running}/status", forged)
    assert tasks.cluster.refusal("PATCH", f"{running}/status", {"status": {"phase": "Running"}}) == ""


def test_a_pod_that_is_there_is_not_marked_afterwards(tasks: Airflow, plain: str) -> None:
    for somebody in everybody(tasks):
        said = tasks.cluster.refusal("PATCH", plain, {"metadata": {"labels": {f"{MARK}identity": "Bound"}}}, somebody)
        assert "airwarden.dev/identity is set when a pod is made" in said


def test_everything_else_of_a_bound_pod_is_free(tasks: Airflow, billing: str) -> None:
    path = pod_path(tasks.namespace, tasks.run(billing)["metadata"]["name"])
    adopted = {"metadata": {"labels": {"airflow-worker": "7"}, "annotations": {"a": "b"}}}
    assert tasks.cluster.refusal("PATCH", path, adopted, tasks.scheduler) == ""
    assert tasks.cluster.refusal("PATCH", path, {"spec": {"activeDeadlineSeconds": 60}}, tasks.editor) == ""
    for finalizers in (["example.org/wait"], None):
        tasks.editor.request("PATCH", path, {"metadata": {"finalizers": finalizers}}, headers=MERGE)
    found = tasks.masters.request("GET", path)
    assert tasks.cluster.refusal("PUT", path, found, tasks.editor) == ""
    tasks.editor.request("DELETE", f"{path}?gracePeriodSeconds=0")
    assert tasks.masters.status("GET", path) == 404


def test_other_pods_are_free(tasks: Airflow, plain: str) -> None:
    assert put(tasks, plain, tasks.editor, "containers", image="newer:1") == ""
    look = [{"name": "look", "image": "busybox:1"}]
    assert put(tasks, f"{plain}/ephemeralcontainers", tasks.scheduler, ephemeralContainers=look) == ""
    assert tasks.cluster.refusal("PATCH", plain, {"metadata": {"labels": {"a": "b"}}}, tasks.editor) == ""


@pytest.mark.parametrize("way", _INSIDE)
def test_nobody_gets_into_a_bound_pod(tasks: Airflow, running: str, way: str) -> None:
    for somebody in everybody(tasks):
        for method in ("GET", "POST"):
            said = forbidden(somebody, method, f"{running}/{way}")
            assert said, f"{way} was not refused"
            # The scheduler may not attach at all.
            assert "nobody gets into airwarden-running" in said or (somebody is tasks.scheduler and "cannot" in said)
    assert "nobody gets into" in forbidden(tasks.masters, "GET", f"{running}/{way}")


@pytest.mark.parametrize("form", ["http:{}:8080", "{}:8080", "https:{}:"])
def test_a_scheme_or_a_port_beside_the_name_opens_no_way_in(tasks: Airflow, running: str, form: str) -> None:
    name = running.rpartition("/")[2]
    path = pod_path(tasks.namespace, form.format(name))
    assert "nobody gets into" in forbidden(tasks.masters, "GET", f"{path}/proxy/")


@pytest.mark.parametrize("way", _INSIDE)
def test_other_pods_and_the_operator_s_are_as_open_as_before(tasks: Airflow, plain: str, way: str) -> None:
    assert forbidden(tasks.masters, "GET", f"{plain}/{way}") == ""
    assert forbidden(tasks.masters, "GET", f"{pod_path('airwarden', 'airwarden-7d4b')}/{way}") == ""
