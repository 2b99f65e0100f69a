"""The played kubelet: what its pods are given, what they cannot see, and how they end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integration.world import eventually
from plane.control_plane import Plane
from plane.errors import PlaneHTTPError
from plane.json_client import Json
from plane.kubelet import NODE, Kubelet

SPACE = "kubelet"
TOKEN = "/var/run/secrets/store/token"


@pytest.fixture(scope="module")
def kubelet(quiet: Plane) -> Iterator[Kubelet]:
    """Run a node."""
    quiet.create_namespace(SPACE)
    with Kubelet(quiet) as running:
        yield running
        assert running.faults == []


def run(plane: Plane, kubelet: Kubelet, name: str, script: str, **spec: Any) -> tuple[str, int, str]:
    """Run a pod; return its phase, exit code and output."""
    start(plane, name, script, **spec)
    return ended(plane, kubelet, name)


def start(plane: Plane, name: str, script: str, **spec: Any) -> None:
    container = {"name": "main", "image": "any", "command": ["python3", "-c", script], **spec.pop("container", {})}
    body = {"metadata": {"name": name}, "spec": {"restartPolicy": "Never", "containers": [container], **spec}}
    plane.api.admin.request("POST", f"/api/v1/namespaces/{SPACE}/pods", body)


def pod(plane: Plane, name: str) -> Json:
    return plane.api.admin.request("GET", f"/api/v1/namespaces/{SPACE}/pods/{name}")


def ended(plane: Plane, kubelet: Kubelet, name: str) -> tuple[str, int, str]:
    def over() -> Json | None:
        status: Json = pod(plane, name)["status"]
        return status if status["phase"] in ("Succeeded", "Failed") else None

    status = eventually(f"{name} has ended", over)
    code = status["containerStatuses"][0]["state"]["terminated"]["exitCode"]
    return status["phase"], code, kubelet.output(SPACE, name)


def test_a_pod_has_its_volumes_variables_user_and_no_more(quiet: Plane, kubelet: Kubelet) -> None:
    admin = quiet.api.admin
    admin.request("POST", f"/api/v1/namespaces/{SPACE}/configmaps", {"metadata": {"name": "c"}, "data": {"k": "v"}})
    secret = {"metadata": {"name": "s"}, "stringData": {"word": "open"}}
    admin.request("POST", f"/api/v1/namespaces/{SPACE}/secrets", secret)
    script = f"""
import os, pathlib
print(os.getuid(), os.environ["WORD"], os.environ["S_word"], os.environ["POD"], os.environ["BOTH"])
print(len([each for each in os.listdir("/proc") if each.isdigit()]) < 10)
print(pathlib.Path("/config/k").read_text(), pathlib.Path("{TOKEN}").read_text().count("."))
pathlib.Path("/scratch/x").write_text("x")
for path in ("/config/k", "/etc/passwd", "{quiet.data_dir}/vault.json"):
    try:
        pathlib.Path(path).open("r+").close()
        print("open", path)
    except OSError:
        print("refused")
"""
    source = {"serviceAccountToken": {"path": "token", "audience": "store", "expirationSeconds": 600}}
    phase, code, said = run(
        quiet,
        kubelet,
        "whole",
        script,
        securityContext={"runAsUser": 12345},
        volumes=[
            {"name": "config", "configMap": {"name": "c"}},
            {"name": "token", "projected": {"sources": [source]}},
            {"name": "scratch", "emptyDir": {}},
        ],
        container={
            "env": [
                {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "word"}}},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "BOTH", "value": "$(WORD)-$(POD)-$(NONE)-$$(WORD)"},
            ],
            "envFrom": [{"prefix": "S_", "secretRef": {"name": "s"}}],
            "volumeMounts": [
                {"name": "config", "mountPath": "/config"},
                {"name": "token", "mountPath": "/var/run/secrets/store"},
                {"name": "scratch", "mountPath": "/scratch"},
            ],
        },
    )
    assert (phase, code) == ("Succeeded", 0), said
    assert said.splitlines() == [
        "12345 open open whole open-whole-$(NONE)-$(WORD)",
        "True",
        "v 2",
        "refused",
        "refused",
        "refused",
    ]


def test_the_exit_code_is_told(quiet: Plane, kubelet: Kubelet) -> None:
    assert run(quiet, kubelet, "three", "raise SystemExit(3)")[:2] == ("Failed", 3)


def test_what_is_not_played_fails_and_says_so(quiet: Plane, kubelet: Kubelet) -> None:
    two = [{"name": each, "image": "any", "command": ["true"]} for each in ("a", "b")]
    phase, _, said = run(quiet, kubelet, "two", "", containers=two)
    assert phase == "Failed"
    assert "one container" in said


@pytest.mark.parametrize("obeys", [True, False])
def test_a_pod_that_is_deleted_is_asked_to_end_and_then_ended(quiet: Plane, kubelet: Kubelet, obeys: bool) -> None:
    name = f"deleted-{obeys}".lower()
    ending = "lambda *_: (print('bye', flush=True), os._exit(0))" if obeys else "signal.SIG_IGN"
    script = (
        f"import os, signal, threading; signal.signal(15, {ending}); print('up', flush=True); threading.Event().wait()"
    )
    start(quiet, name, script, terminationGracePeriodSeconds=30 if obeys else 1)
    eventually("it is up", lambda: "up" in kubelet.output(SPACE, name))
    quiet.api.admin.request("DELETE", f"/api/v1/namespaces/{SPACE}/pods/{name}")
    eventually("it is gone", lambda: quiet.api.admin.status("GET", f"/api/v1/namespaces/{SPACE}/pods/{name}") == 404)
    assert ("bye" in kubelet.output(SPACE, name)) is obeys


def test_to_the_api_server_it_is_a_node_and_has_a_nodes_rights(quiet: Plane, kubelet: Kubelet) -> None:
    assert run(quiet, kubelet, "mine", "pass")[0] == "Succeeded"
    assert pod(quiet, "mine")["spec"]["nodeName"] == NODE
    node = quiet.api.client(quiet.api.client_certificate(f"system:node:{NODE}", ["system:nodes"]))
    with pytest.raises(PlaneHTTPError, match="403"):
        node.request("GET", f"/api/v1/namespaces/{SPACE}/secrets")
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "mine", "uid": "of-another"}
    body = {"spec": {"audiences": ["store"], "boundObjectRef": reference}}
    with pytest.raises(PlaneHTTPError):
        node.request("POST", f"/api/v1/namespaces/{SPACE}/serviceaccounts/default/token", body)
