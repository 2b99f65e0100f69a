"""The policies beside an API server that does not know the kinds, and through its restarts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from integration.admission.mapped import Airflow, airflow, forbidden, plain_pod, pod_path
from integration.admission.people import Cluster
from plane.binaries import REPOSITORY
from plane.control_plane import ControlPlane, Plane
from plane.errors import PlaneHTTPError
from plane.operator import install
from plane.waiting import wait_for

_UNKNOWN = "failed to find resource referenced by paramKind"
_LONG = 90.0
"""Seconds within which an API server that started surely knows the kinds: it may answer before it does."""
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def bare() -> Iterator[Plane]:
    """Run a control plane with the policies and without the kinds."""
    with ControlPlane() as plane:
        for namespace in ("airwarden", "elsewhere"):
            plane.create_namespace(namespace)
        folder = str(REPOSITORY / "manifests" / "admission")
        plane.api.apply(*(each for each in yaml.safe_load_all(plane.kubectl("kustomize", folder)) if each))
        yield plane


def refused(plane: Plane, namespace: str) -> str:
    """Return why a pod is refused, by whatever of admission."""
    try:
        plane.api.admin.request("POST", f"{pod_path(namespace)}?dryRun=All", plain_pod("default"))
    except PlaneHTTPError as error:
        return error.text
    return ""


def test_without_the_kinds_the_pods_of_the_cluster_and_of_the_operator_are_made_all_the_same(bare: Plane) -> None:
    wait_for("what cannot be judged is refused", lambda: _UNKNOWN in refused(bare, "elsewhere"), 30)
    for namespace in ("kube-system", "airwarden"):
        assert refused(bare, namespace) == ""
        assert bare.service_account_token(namespace, "default")


@pytest.fixture(scope="module")
def whole(bare: Plane) -> Airflow:
    """Return an Airflow on the same plane, once it has the kinds and judges by them."""
    install(bare)
    wait_for("the kinds are known to the policies", lambda: refused(bare, "elsewhere") == "", _LONG)
    return airflow(Cluster(bare))


def test_a_restart_of_the_api_server_leaves_no_moment_in_which_the_account_is_free(whole: Airflow) -> None:
    name, plane = whole.bind(), whole.cluster.plane
    plane.api.stop()
    plane.api.apiserver.start()

    def asked() -> str:
        try:
            said = forbidden(whole.editor, "POST", pod_path(whole.namespace), plain_pod(name))
        except OSError:
            return ""  # nobody answers yet
        return said

    wait_for("the API server judges again", lambda: "carries the access" in asked(), _LONG)
    assert plane.api.admin.status("GET", pod_path(whole.namespace, "anything")) == 404, "a pod was made meanwhile"
    wait_for("other pods are made again", lambda: refused(plane, "elsewhere") == "", _LONG)
