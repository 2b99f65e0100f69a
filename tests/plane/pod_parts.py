"""What a played pod is made of: its volumes as files, its variables, its command. Used by `kubelet.py`.

Everything is asked of the API server as the node, which the Node authorizer permits for the node's own pods alone.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from plane.errors import PlaneError
from plane.json_client import Json, JsonClient
from plane.pod_root import Container, search_path

NOBODY: Final = 65534
"""User of a pod that names none: an image would name one, and there is no image."""
_REFERENCE: Final = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


class PodParts:
    """One pod, and how the node gets what it names."""

    def __init__(self, pod: Json, node: JsonClient) -> None:
        self._pod, self._node = pod, node
        self._metadata, self._spec = pod["metadata"], pod["spec"]
        self._namespace = str(self._metadata["namespace"])

    def container(self, folder: Path) -> Container:
        """Write the volumes below the folder and return what is to be run. Raises PlaneError for what is not played."""
        containers = self._spec["containers"]
        if len(containers) != 1 or self._spec.get("initContainers"):
            raise PlaneError("the played kubelet runs pods of one container alone")
        (container,) = containers
        context = {**(self._spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
        user = int(context.get("runAsUser", NOBODY))
        group = int(context.get("runAsGroup", user))
        for volume in self._spec.get("volumes") or ():
            self._volume(volume, folder / volume["name"], user, group)
        environment = self._environment(container)
        command = [*(container.get("command") or ()), *(container.get("args") or ())]
        if not command:
            raise PlaneError("the played kubelet has no images: the container must name its command")
        writable = {each["name"] for each in self._spec.get("volumes") or () if "emptyDir" in each}
        mounts = [
            (each["name"], each["mountPath"], each["name"] in writable and not each.get("readOnly"))
            for each in container.get("volumeMounts") or ()
        ]
        return Container(tuple(expand(each, environment) for each in command), environment, mounts, user, group)

    def _volume(self, volume: Json, folder: Path, user: int, group: int) -> None:
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        if "emptyDir" in volume:
            _own(folder, user, group)
            folder.chmod(0o777)
        elif "projected" in volume:
            for source in volume["projected"]["sources"]:
                self._project(source, folder, user, group)
        elif "secret" in volume:
            self._write_keys("secrets", volume["secret"], volume["secret"]["secretName"], folder)
        elif "configMap" in volume:
            self._write_keys("configmaps", volume["configMap"], volume["configMap"]["name"], folder)
        else:
            raise PlaneError(f"the played kubelet has no such volume: {sorted(volume)}")

    def _project(self, source: Json, folder: Path, user: int, group: int) -> None:
        if "serviceAccountToken" in source:
            self._token(source["serviceAccountToken"], folder, user, group)
        elif "configMap" in source:
            self._write_keys("configmaps", source["configMap"], source["configMap"]["name"], folder)
        elif "secret" in source:
            self._write_keys("secrets", source["secret"], source["secret"]["name"], folder)
        elif "downwardAPI" in source:
            for item in source["downwardAPI"]["items"]:
                _write(folder / item["path"], self._field(item["fieldRef"]["fieldPath"]).encode())
        else:
            raise PlaneError(f"the played kubelet projects no {sorted(source)}")

    def _token(self, wanted: Json, folder: Path, user: int, group: int) -> None:
        account = self._spec.get("serviceAccountName", "default")
        reference = {
            "kind": "Pod",
            "apiVersion": "v1",
            "name": self._metadata["name"],
            "uid": self._metadata["uid"],
        }
        spec: Json = {"expirationSeconds": wanted.get("expirationSeconds", 3600), "boundObjectRef": reference}
        if wanted.get("audience"):
            spec["audiences"] = [wanted["audience"]]
        path = f"/api/v1/namespaces/{self._namespace}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        token = str(self._node.request("POST", path, body)["status"]["token"])
        where = folder / wanted["path"]
        _write(where, token.encode(), 0o400)
        _own(where, user, group)

    def _write_keys(self, kind: str, wanted: Json, name: str, folder: Path) -> None:
        values = self._values(kind, name)
        items = wanted.get("items") or [{"key": key, "path": key} for key in values]
        for item in items:
            _write(folder / item["path"], values[item["key"]])

    def _values(self, kind: str, name: str) -> dict[str, bytes]:
        found = self._node.request("GET", f"/api/v1/namespaces/{self._namespace}/{kind}/{name}")
        data = found.get("data") or {}
        if kind == "secrets":
            return {key: base64.b64decode(value) for key, value in data.items()}
        return {key: str(value).encode() for key, value in data.items()}

    def _environment(self, container: Json) -> dict[str, str]:
        found = {"PATH": search_path(), "HOME": "/tmp", "HOSTNAME": str(self._metadata["name"])}  # noqa: S108 - of the pod
        for source in container.get("envFrom") or ():
            kind, named = ("secrets", "secretRef") if "secretRef" in source else ("configmaps", "configMapRef")
            values = self._values(kind, source[named]["name"])
            found |= {source.get("prefix", "") + key: value.decode() for key, value in values.items()}
        for each in container.get("env") or ():
            found[each["name"]] = self._variable(each, found)
        return found

    def _variable(self, variable: Json, known: Mapping[str, str]) -> str:
        source = variable.get("valueFrom")
        if source is None:
            return expand(variable.get("value", ""), known)
        if "fieldRef" in source:
            return self._field(source["fieldRef"]["fieldPath"])
        kind, named = ("secrets", "secretKeyRef") if "secretKeyRef" in source else ("configmaps", "configMapKeyRef")
        if named not in source:
            raise PlaneError(f"the played kubelet has no variables from {sorted(source)}")
        return self._values(kind, source[named]["name"])[source[named]["key"]].decode()

    def _field(self, path: str) -> str:
        part, _, key = path.partition("['")
        if key:
            return str((self._metadata.get(part.removeprefix("metadata.")) or {}).get(key.removesuffix("']"), ""))
        fields: Mapping[str, Callable[[], Any]] = {
            "metadata.name": lambda: self._metadata["name"],
            "metadata.namespace": lambda: self._namespace,
            "metadata.uid": lambda: self._metadata["uid"],
            "spec.nodeName": lambda: self._spec["nodeName"],
            "spec.serviceAccountName": lambda: self._spec.get("serviceAccountName", "default"),
            "status.podIP": lambda: "127.0.0.1",
        }
        if path not in fields:
            raise PlaneError(f"the played kubelet does not know the field {path}")
        return str(fields[path]())


def expand(text: str, known: Mapping[str, str]) -> str:
    """Put variables in place of $(NAME), as Kubernetes does; what is not known stays."""

    def put(found: re.Match[str]) -> str:
        name = found.group(1)
        return "$" if name is None else known.get(name, found.group(0))

    return _REFERENCE.sub(put, text)


def _write(path: Path, content: bytes, mode: int = 0o444) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def _own(path: Path, user: int, group: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, user, group)
