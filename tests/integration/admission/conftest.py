"""A control plane with the manifests and the admission policies of `manifests/admission`, and no operator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
import yaml

from integration.admission.asking import BACKENDS, Asking
from integration.admission.mapped import Airflow, airflow
from integration.admission.people import Cluster
from integration.objects import account_path
from integration.schema import objects
from plane.binaries import REPOSITORY
from plane.control_plane import ControlPlane, Plane
from plane.operator import install
from plane.waiting import wait_for

SOON: Final = 30.0


@pytest.fixture(scope="package")
def plane() -> Iterator[Plane]:
    """Run a control plane for these tests alone."""
    with ControlPlane() as running:
        yield running


@pytest.fixture(scope="package")
def asking(plane: Plane) -> Asking:
    """Return the API server with the policies at work: a binding that no rule admits is refused."""
    install(plane)
    folder = str(REPOSITORY / "manifests" / "admission")
    plane.api.apply(*(each for each in yaml.safe_load_all(plane.kubectl("kustomize", folder)) if each))
    plane.create_namespace("probe")
    found = Asking(plane)
    found.put(objects.backend("probe"))
    wait_for(
        "the policies are at work",
        lambda: plane.api.admin.status("GET", BACKENDS) == 200 and found.judges(_probe()),
        SOON,
    )
    return found


def _probe() -> objects.Json:
    body = objects.binding("probe", "probe")
    body["spec"]["secrets"] = [{**objects.secret(key="elsewhere/x"), "backendRef": {"name": "probe"}}]
    return body


@pytest.fixture(scope="package")
def cluster(asking: Asking) -> Cluster:
    """Return the same API server, to be asked by people with rights of their own."""
    found = Cluster(asking.plane)
    found.plane.create_namespace("accounts")
    claimed = {"metadata": {"name": "claimed", "labels": {"airwarden.dev/binding": "claimed"}}}
    somebody = found.author("accounts", role="admin")
    wait_for(
        "the account policies are at work",
        lambda: found.refusal("POST", account_path("accounts"), claimed, somebody),
        SOON,
    )
    return found


@pytest.fixture(scope="package")
def tasks(cluster: Cluster) -> Airflow:
    """Return an Airflow whose pods, tokens and maps the policies judge."""
    found = airflow(cluster)
    found.bind("first")
    return found
