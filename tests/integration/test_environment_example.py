"""`examples/airflow` and what is printed for it: Kubernetes takes it, and the scheduler can do what it needs by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from airwarden.api.environment import AirflowEnvironment
from airwarden.domain.environment.components import components_of
from airwarden.domain.environment.dag_map import map_name
from airwarden.domain.environment.rights import rights
from integration.world import eventually
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.errors import PlaneError

FOLDER = REPOSITORY / "examples" / "airflow"
OPERATOR = ("airwarden", "airwarden")


def declared() -> AirflowEnvironment:
    return AirflowEnvironment.model_validate(yaml.safe_load((FOLDER / "environment.yaml").read_text()))


@pytest.fixture(scope="module")
def prepared(quiet: Plane) -> Plane:
    """Return a plane with the example's namespaces: a dry run makes none."""
    for name in ("airflow", "airflow-prod"):
        quiet.create_namespace(name)
    return quiet


def test_the_example_is_taken_by_kubernetes(prepared: Plane) -> None:
    objects = list(yaml.safe_load_all(prepared.kubectl("kustomize", str(FOLDER))))
    said = prepared.kubectl("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(objects))
    assert len(said.splitlines()) == len(objects) == 6


def test_the_charts_values_take_each_variable_that_is_rendered_for_the_scheduler() -> None:
    values = yaml.safe_load((FOLDER / "values.yaml").read_text())
    rendered = components_of(declared()).wanted
    for component, name in (("scheduler", "scheduler"), ("apiServer", "api-server"), ("dagProcessor", "dag-processor")):
        taken = {each["name"]: each["valueFrom"]["configMapKeyRef"] for each in values[component]["env"]}
        assert {each["name"] for each in taken.values()} == {rendered[name].name}
        assert all(key == each["key"] for key, each in taken.items())
        assert set(taken) <= set(rendered[name].data)
        account = values[component]["serviceAccount"]["name"]
        assert account in str(declared().spec.components)
    for component, name in (("scheduler", "scheduler"), ("apiServer", "api-server")):
        needed = {each for each in rendered[name].data if component == "scheduler" or "__AIRWARDEN__" not in each}
        assert {each["name"] for each in values[component]["env"]} == needed


def test_the_template_of_pods_is_one_that_kubernetes_takes(prepared: Plane) -> None:
    template = yaml.safe_load((FOLDER / "values.yaml").read_text())["podTemplate"]
    assert "created" in prepared.kubectl("create", "--dry-run=server", "-n", "airflow-prod", "-f", "-", stdin=template)


@pytest.fixture
def scheduler(prepared: Plane) -> Iterator[Path]:
    """Return the kubeconfig of the scheduler's account, with what is printed for the example."""
    prepared.api.create_service_account("airflow", "airflow-scheduler")
    prepared.api.apply(*rights(declared(), OPERATOR))
    yield prepared.kubeconfig_for("airflow", "airflow-scheduler")


def may(plane: Plane, kubeconfig: Path) -> Callable[..., bool]:
    def asked(*question: str) -> bool:
        try:
            return plane.kubectl("auth", "can-i", *question, kubeconfig=kubeconfig) == "yes\n"
        except PlaneError:
            return False

    return asked


def test_what_is_printed_is_what_the_scheduler_needs_and_no_more(prepared: Plane, scheduler: Path) -> None:
    can = may(prepared, scheduler)
    own = f"configmaps/{map_name('main', 'billing-git')}"
    eventually("the roles are known", lambda: can("watch", own, "-n", "airflow"))
    assert can("list", own, "-n", "airflow")
    assert can("create", "pods", "-n", "airflow-prod")
    for question in (
        ("watch", "configmaps", "-n", "airflow"),
        ("get", "configmaps/airwarden.main.scheduler", "-n", "airflow"),
        ("patch", own, "-n", "airflow"),
        ("get", "secrets", "-n", "airflow"),
        ("create", "pods", "-n", "airflow"),
        ("create", "pods", "--subresource=exec", "-n", "airflow-prod"),
        ("create", "serviceaccounts", "--subresource=token", "-n", "airflow-prod"),
    ):
        assert not can(*question), question
