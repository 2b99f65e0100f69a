"""ConfigMaps that Airwarden alone writes: what Airflow's components, its executor and its tasks are told.

Made by POST and set right by a JSON patch of the very object that was read, since server-side apply would leave what
others put beside our keys, and Airflow takes in whatever a ConfigMap holds. They are read by name: the operator can
neither list nor watch ConfigMaps. Called by `airwarden.reconcile`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from airwarden.domain.config_map import WantedMap
from airwarden.domain.errors import ClusterFailed, MapNotOwned, NamespaceTerminating
from airwarden.providers.kubernetes.api import Absent, Conflict, Json, KubernetesApi

KIND: Final = "ConfigMap"
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class FoundMap:
    """A ConfigMap as the API server has it."""

    namespace: str
    name: str
    uid: str
    version: str
    labels: Mapping[str, str]
    data: Mapping[str, str]
    extra: bool = False
    """Whether it also holds binary data."""
    immutable: bool = False

    @classmethod
    def read(cls, body: Json) -> "FoundMap":
        """Read the parts that matter from an object."""
        metadata = body["metadata"]
        return cls(
            str(metadata.get("namespace", "")),
            str(metadata["name"]),
            str(metadata.get("uid", "")),
            str(metadata.get("resourceVersion", "")),
            dict(metadata.get("labels") or {}),
            dict(body.get("data") or {}),
            bool(body.get("binaryData")),
            body.get("immutable") is True,
        )

    def belongs(self, labels: Mapping[str, str]) -> bool:
        """Tell whether it carries all labels by which it is known as ours."""
        return all(self.labels.get(key) == value for key, value in labels.items())

    def equals(self, wanted: WantedMap) -> bool:
        """Tell whether there is nothing to write."""
        return dict(self.data) == dict(wanted.data) and not self.extra and self.belongs(wanted.labels)


class ConfigMaps:
    """Reads, writes and deletes single ConfigMaps."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def read(self, namespace: str, name: str) -> FoundMap | None:
        """Return a ConfigMap; None when there is none."""
        try:
            return FoundMap.read(await self._api.get(_path(namespace, name)))
        except Absent:
            return None

    async def keep(self, wanted: WantedMap, found: FoundMap | None) -> FoundMap:
        """Make a ConfigMap what it shall be, without a write when it is; ``found`` is what was read of it.

        Raises MapNotOwned for one without our labels, which is never written; ClusterFailed when it changed meanwhile.
        """
        if found is None:
            return await self._create(wanted)
        refuse_foreign(found, wanted.labels)
        if found.equals(wanted):
            return found
        if found.immutable:
            await self.remove(found, wanted.labels)
            return await self._create(wanted)
        return await self._correct(wanted, found)

    async def remove(self, found: FoundMap, labels: Mapping[str, str]) -> None:
        """Delete the very ConfigMap that was read. Raises MapNotOwned for one without our labels, which is left."""
        refuse_foreign(found, labels)
        try:
            await self._api.delete(_path(found.namespace, found.name), uid=found.uid)
        except Conflict:
            raise _moved(found.namespace, found.name) from None

    async def _create(self, wanted: WantedMap) -> FoundMap:
        body = {
            "apiVersion": "v1",
            "kind": KIND,
            "metadata": {"name": wanted.name, "namespace": wanted.namespace, "labels": dict(wanted.labels)},
            "data": dict(wanted.data),
        }
        try:
            return FoundMap.read(await self._api.post(_collection(wanted.namespace), body))
        except Absent:
            raise NamespaceTerminating(f"namespace {wanted.namespace} is gone") from None
        except Conflict:
            # It came meanwhile. Whose it is, the next look says.
            raise _moved(wanted.namespace, wanted.name) from None

    async def _correct(self, wanted: WantedMap, found: FoundMap) -> FoundMap:
        patch: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": found.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": found.version},
            {"op": "add", "path": "/data", "value": dict(wanted.data)},
        ]
        patch += [{"op": "remove", "path": "/binaryData"}] if found.extra else []
        try:
            return FoundMap.read(await self._api.patch(_path(wanted.namespace, wanted.name), patch))
        except (Absent, Conflict):
            raise _moved(wanted.namespace, wanted.name) from None


def refuse_foreign(found: FoundMap, labels: Mapping[str, str]) -> None:
    """Raise MapNotOwned unless the ConfigMap carries the labels by which it is known as ours."""
    if not found.belongs(labels):
        lacking = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()) if found.labels.get(key) != value)
        raise MapNotOwned(
            f"ConfigMap {found.namespace}/{found.name} is not Airwarden's (it lacks {lacking}) and is left as it is: "
            "delete it, so that Airwarden can make its own"
        )


def _moved(namespace: str, name: str) -> ClusterFailed:
    return ClusterFailed(f"ConfigMap {namespace}/{name} changed meanwhile; it is looked at again", retry_after=0.2)


def _collection(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def _path(namespace: str, name: str) -> str:
    if _NAME.fullmatch(name) is None:
        # Names come from statuses too, which others may write: one must not lead to another path.
        raise ValueError(f"{name!r} is not the name of a ConfigMap")
    return f"{_collection(namespace)}/{name}"
