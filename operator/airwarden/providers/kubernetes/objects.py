"""Writes to our own kinds: the finalizer and the status, each guarded by the uid it was meant for.

Called by `airwarden.reconcile`. Nothing is written to a store before the finalizer was acknowledged here.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from airwarden.api import API_VERSION, BACKENDS, BINDINGS, ENVIRONMENTS, FINALIZER, ROTATIONS
from airwarden.api.backend import BackendStatus
from airwarden.api.conditions import Condition, Status, StatusModel
from airwarden.api.environment import EnvironmentStatus
from airwarden.api.metadata import Metadata
from airwarden.api.rotation import RotationStatus
from airwarden.domain.errors import ObjectGone, ObjectRejected
from airwarden.providers.kubernetes.api import Absent, Conflict, Json, KubernetesApi, Rejected


def binding_path(namespace: str, name: str) -> str:
    """Return where the API server keeps a binding."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{BINDINGS}/{name}"


def backend_path(name: str) -> str:
    """Return where the API server keeps a backend."""
    return f"/apis/{API_VERSION}/{BACKENDS}/{name}"


def rotation_path(namespace: str, name: str) -> str:
    """Return where the API server keeps a rotation."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{ROTATIONS}/{name}"


def environment_path(namespace: str, name: str) -> str:
    """Return where the API server keeps an environment."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{ENVIRONMENTS}/{name}"


def backends_of(body: Mapping[str, Any]) -> frozenset[str]:
    """Return the backends that a binding names, and those in which its status records something."""
    spec = body.get("spec") or {}
    status = body.get("status") or {}
    named = {(item.get("backendRef") or {}).get("name", "") for item in spec.get("secrets") or ()}
    recorded = {target.get("backend", "") for target in status.get("targets") or ()}
    return frozenset((named | recorded) - {""})


class ObjectWriter:
    """Writes finalizers and statuses of our kinds."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def add_finalizer(self, path: str, metadata: Metadata) -> Json:
        """Add our finalizer and return the object as it then is. Raises ObjectGone when it changed meanwhile."""
        where = "/metadata/finalizers/-" if metadata.finalizers else "/metadata/finalizers"
        value: Any = FINALIZER if metadata.finalizers else [FINALIZER]
        return await self._patch(
            path,
            [
                {"op": "test", "path": "/metadata/uid", "value": metadata.uid},
                {"op": "test", "path": "/metadata/resourceVersion", "value": metadata.resource_version},
                {"op": "add", "path": where, "value": value},
            ],
        )

    async def users_of_backend(self, name: str) -> list[str]:
        """Return namespace/name of all that has something in the backend's store, read live.

        That is every binding that names the backend or has something recorded in it, and every rotation that holds a
        database role there.
        """
        bindings = [
            f"{body['metadata']['namespace']}/{body['metadata']['name']}"
            async for body in self._api.pages(f"/apis/{API_VERSION}/{BINDINGS}")
            if name in backends_of(body)
        ]
        return bindings + [
            f"{body['metadata']['namespace']}/{body['metadata']['name']}"
            async for body in self._api.pages(f"/apis/{API_VERSION}/{ROTATIONS}")
            if FINALIZER in (body["metadata"].get("finalizers") or ()) and body["spec"]["backendRef"]["name"] == name
        ]

    async def bindings(self) -> AsyncIterator[Json]:
        """Yield every binding, read live."""
        async for body in self._api.pages(f"/apis/{API_VERSION}/{BINDINGS}"):
            yield body

    async def remove_finalizer(self, path: str, metadata: Metadata) -> None:
        """Let the object go. Other finalizers stay."""
        if FINALIZER not in metadata.finalizers:
            return
        where = f"/metadata/finalizers/{metadata.finalizers.index(FINALIZER)}"
        await self._patch(
            path,
            [
                {"op": "test", "path": "/metadata/uid", "value": metadata.uid},
                {"op": "test", "path": where, "value": FINALIZER},
                {"op": "remove", "path": where},
            ],
        )

    async def write_status(self, path: str, uid: str, status: StatusModel, *, version: str = "") -> Json:
        """Replace the whole status and return the object as it then is.

        With a resource version, ObjectGone is raised instead when the object is at another one.
        """
        unchanged = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}] if version else []
        return await self._patch(
            f"{path}/status",
            [
                {"op": "test", "path": "/metadata/uid", "value": uid},
                *unchanged,
                {"op": "add", "path": "/status", "value": status_json(status)},
            ],
        )

    async def _patch(self, path: str, operations: list[Json]) -> Json:
        try:
            return await self._api.patch(path, operations)
        except Rejected as error:
            told = f"the API server does not take {path}, so apply crds/ of the operator's version: {error}"
            raise ObjectRejected(told) from error
        except (Absent, Conflict) as error:
            raise ObjectGone(f"{path} changed or went before the write") from error


def status_json(status: StatusModel) -> Json:
    """Return a status as the API server keeps it: what says nothing is left out."""
    found = status.model_dump(by_alias=True, mode="json", exclude_defaults=True)
    _keep_required(found, status)
    return found


def _keep_required(found: Json, status: StatusModel) -> None:
    """Put back what equals a default but is required by its schema or by readers."""
    if isinstance(status, Status | BackendStatus | RotationStatus | EnvironmentStatus):
        found.setdefault("conditions", [])
        for shown, condition in zip(found["conditions"], status.conditions, strict=True):
            shown.update(_condition(condition))
    if isinstance(status, Status):
        for shown, target in zip(found.get("targets", []), status.targets, strict=True):
            shown["backend"] = target.backend
            shown["origin"] = target.origin.value
    if isinstance(status, EnvironmentStatus):
        found["bindings"] = status.bindings.model_dump()
    if isinstance(status, BackendStatus):
        orphans = {"orphans": status.bindings.orphans} if status.bindings.orphans else {}
        found["bindings"] = {"total": status.bindings.total, "ready": status.bindings.ready, **orphans}


def _condition(condition: Condition) -> Json:
    return condition.model_dump(by_alias=True, mode="json")
