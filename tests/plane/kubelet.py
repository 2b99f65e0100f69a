"""A played kubelet and scheduler: pods of the plane run as processes of this machine, and the API server is told.

Used by the tests of Jobs. To the API server it is a real node: a client certificate of its own, the Node authorizer and
NodeRestriction, tokens bound to the pod that uses them. It binds pods that no scheduler took, makes their volumes
(projected, secret, configMap, emptyDir), variables and command, runs one container (`pod_root.py`), says Pending,
Running, Succeeded or Failed with the exit code, and ends what is deleted: SIGTERM, the grace, SIGKILL, and then the
object, of that uid alone.

It does not do: images and pulls, more than one container, init containers, probes, restarts, limits and cgroups, a
network of the pod's own, DNS and Services, logs and exec through the API, volumes of other kinds, fresh tokens before
the old ones end, changes of Secrets and ConfigMaps while a pod runs.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import requests

from plane.control_plane import Plane
from plane.errors import PlaneError, PlaneHTTPError
from plane.json_client import Json, JsonClient
from plane.pod_parts import PodParts
from plane.pod_root import PodProcess
from plane.waiting import wait_for

NODE: Final = "fake-1"
_MERGE: Final = {"Content-Type": "application/merge-patch+json"}
_WATCH_SECONDS: Final = 2
_PERMITTED: Final = 30.0
"""Seconds within which the Node authorizer must have seen that a pod was bound to the node."""


class Kubelet:
    """One node; a context manager."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._pair = plane.api.client_certificate(f"system:node:{NODE}", ["system:nodes"])
        self._node = plane.api.client(self._pair)
        self._folder = plane.data_dir / "kubelet"
        self._pods: dict[str, _Pod] = {}
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(query, see), name=f"kubelet {query}", daemon=True)
            for query, see in ((f"spec.nodeName={NODE}", self._see), ("spec.nodeName=", self._bind))
        ]
        self.faults: list[str] = []
        """What went wrong in the kubelet itself; a test that ends well has none."""

    def __enter__(self) -> Self:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        body = {"metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}}}
        self._node.request("POST", "/api/v1/nodes", body, accept=[409])
        ready = {"type": "Ready", "status": "True", "reason": "Played", "message": "no kubelet, but played well"}
        self._node.request("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": {"conditions": [ready]}}, headers=_MERGE)
        for each in self._threads:
            each.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for pod in list(self._pods.values()):
            pod.kill()
        for thread in [*self._threads, *(each.thread for each in self._pods.values())]:
            thread.join(30)

    def output(self, namespace: str, pod: str) -> str:
        """Return what a pod said, as `kubectl logs` would."""
        found = [each for each in self._pods.values() if (each.namespace, each.name) == (namespace, pod)]
        return "".join(each.output() for each in found)

    def outputs(self) -> str:
        """Return what all pods said."""
        return "".join(each.output() for each in list(self._pods.values()))

    def _follow(self, selector: str, see: Callable[[Json], None]) -> None:
        """Hand on each pod that is there or changes, until the end."""
        # The scheduler is no node: it sees all pods.
        pair = self._pair if NODE in selector else self._plane.api._admin_pair
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self._plane.ca_path)
        session.cert = (str(pair.certificate), str(pair.key))
        url = f"{self._plane.api_url}/api/v1/pods"
        while not self._ended.is_set():
            try:
                self._follow_once(session, url, selector, see)
            except (requests.RequestException, ValueError, KeyError):
                self._ended.wait(0.2)  # the API server restarts, or its history is gone: begin anew

    def _follow_once(self, session: requests.Session, url: str, selector: str, see: Callable[[Json], None]) -> None:
        listed = session.get(url, params={"fieldSelector": selector}, timeout=30).json()
        for pod in listed["items"]:
            see(pod)
        version = listed["metadata"]["resourceVersion"]
        while not self._ended.is_set():
            query: dict[str, Any] = {"watch": 1, "fieldSelector": selector, "timeoutSeconds": _WATCH_SECONDS}
            query |= {"resourceVersion": version, "allowWatchBookmarks": True}
            with session.get(url, params=query, stream=True, timeout=30) as answer:
                for line in answer.iter_lines(chunk_size=None):
                    event = json.loads(line)
                    version = event["object"]["metadata"]["resourceVersion"]  # KeyError for 410: begin anew
                    if event["type"] in ("ADDED", "MODIFIED"):
                        see(event["object"])

    def _bind(self, pod: Json) -> None:
        """Play the scheduler."""
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp") or pod["spec"].get("schedulingGates"):
            return
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/binding"
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        body = {"metadata": {"name": metadata["name"], "uid": metadata["uid"]}, "target": target}
        self._plane.api.client(self._plane.api._admin_pair).request("POST", path, body, accept=[404, 409])

    def _see(self, pod: Json) -> None:
        uid = str(pod["metadata"]["uid"])
        known = self._pods.get(uid)
        if known is not None:
            if pod["metadata"].get("deletionTimestamp"):
                known.end(float(pod["metadata"].get("deletionGracePeriodSeconds") or 0))
            return
        if pod["status"].get("phase") in ("Succeeded", "Failed"):
            return
        self._pods[uid] = made = _Pod(pod, self._plane, self._plane.api.client(self._pair), self._folder / uid)
        made.faults = self.faults
        made.thread.start()


class _Pod:
    """One pod on the node, with a thread of its own."""

    def __init__(self, pod: Json, plane: Plane, node: JsonClient, folder: Path) -> None:
        self._body, self._plane, self._node, self._folder = pod, plane, node, folder
        self.namespace, self.name = str(pod["metadata"]["namespace"]), str(pod["metadata"]["name"])
        self._process: PodProcess | None = None
        self._ending = threading.Event()
        self._grace = 0.0
        self._started = _now()
        self.faults: list[str] = []
        self.thread = threading.Thread(target=self._live, name=f"pod {self.name}", daemon=True)

    def end(self, grace: float) -> None:
        """Have the pod ended: it was deleted."""
        self._grace = grace
        self._ending.set()

    def kill(self) -> None:
        """End it without a word: the node is lost."""
        self._ending.set()
        if self._process is not None:
            self._process.kill()

    def output(self) -> str:
        """Return what it said."""
        log = self._folder / "output.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _live(self) -> None:
        try:
            code = self._run()
            self._say("Succeeded" if code == 0 else "Failed", _terminated(self._started, code))
            if self._ending.is_set():
                self._delete()
        except (PlaneError, requests.RequestException, OSError) as error:
            gone = isinstance(error, PlaneHTTPError) and error.status in (404, 409)
            if not gone:
                self.faults.append(f"{self.namespace}/{self.name}: {error}")

    def _run(self) -> int:
        if self._body["metadata"].get("deletionTimestamp") or self._ending.is_set():
            self._ending.set()
            return 137
        self._say("Pending", {"waiting": {"reason": "ContainerCreating"}})
        try:
            container = wait_for("the node may see what the pod names", self._assemble, _PERMITTED)
        except PlaneError as error:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / "output.log").write_text(f"{error}\n")
            return 128
        self._process = process = PodProcess(container, self._folder, self._plane.data_dir)
        with (self._plane.data_dir / "pids").open("a") as pids:  # so that the reaper ends it with the plane
            pids.write(f"{process.pid} pod-{self.name}\n")
        self._started = _now()
        self._say("Running", {"running": {"startedAt": self._started}}, ready=True)
        while (code := process.wait(0.05)) is None:
            if self._ending.is_set():
                process.terminate()
                code = process.wait(self._grace)
                if code is None:
                    process.kill()
                    code = 137
                return code
        return code

    def _assemble(self) -> Any:
        """Return what is to be run; None while the API server does not permit, or has not, what the pod names."""
        if self._ending.is_set():
            raise PlaneError("the pod was deleted before it ran")
        volumes = self._folder / "volumes"
        _empty(volumes)
        try:
            return PodParts(self._body, self._node).container(volumes)
        except PlaneHTTPError as error:
            if error.status in (403, 404):
                return None
            raise

    def _say(self, phase: str, state: Json, *, ready: bool = False) -> None:
        name = self._body["spec"]["containers"][0]["name"]
        image = self._body["spec"]["containers"][0].get("image", "")
        status: Json = {
            "phase": phase,
            "startTime": self._started,
            "conditions": [
                {"type": kind, "status": "True" if kind == "Initialized" or ready else "False"}
                for kind in ("Initialized", "Ready", "ContainersReady")
            ],
            "containerStatuses": [
                {"name": name, "image": image, "imageID": "", "ready": ready, "restartCount": 0, "state": state}
            ],
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}/status"
        # The uid makes it a refusal when another pod has the name by now.
        body = {"metadata": {"uid": self._body["metadata"]["uid"]}, "status": status}
        self._node.request("PATCH", path, body, headers=_MERGE)

    def _delete(self) -> None:
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": self._body["metadata"]["uid"]}}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self._node.request("DELETE", path, options, accept=[404, 409])


def _terminated(started: str, code: int) -> Json:
    reason = "Completed" if code == 0 else "Error"
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": _now()}}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
