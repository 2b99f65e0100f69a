"""What may be seen of task pods, and of the policies that guard their marks.

Of pods the API server sends metadata alone. Both rights are given by manifests/environment and by a role binding in
each worker namespace; without them ClusterForbidden is raised. Called by `airwarden.reconcile.environments`.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from airwarden.domain.environment.guards import POLICIES, Guards, judge
from airwarden.domain.environment.sight import MADE_BY_EXECUTOR, TaskPod
from airwarden.providers.kubernetes.api import Absent, Json, KubernetesApi

_ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"


class TaskPods:
    """Looks at task pods and at admission."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def pods(self, namespaces: Sequence[str]) -> tuple[TaskPod, ...]:
        """Return the task pods of some namespaces, those that go left out."""
        found = []
        for namespace in namespaces:
            path = f"/api/v1/namespaces/{namespace}/pods"
            async for body in self._api.pages(path, MADE_BY_EXECUTOR, metadata_only=True):
                metadata = body.get("metadata") or {}
                if metadata.get("deletionTimestamp"):
                    continue
                found.append(
                    TaskPod(
                        (namespace, str(metadata.get("name", ""))),
                        metadata.get("labels") or {},
                        metadata.get("annotations") or {},
                        str(metadata.get("creationTimestamp") or ""),
                    )
                )
        return tuple(found)

    async def guards(self) -> Guards:
        """Return what is there of the policies, each read by its name: no other is seen."""
        read = await asyncio.gather(*(self._both(name) for name in POLICIES))
        return judge(dict(zip(POLICIES, read, strict=True)))

    async def _both(self, name: str) -> tuple[Json | None, Json | None]:
        policy = await self._read(f"{_ADMISSION}/validatingadmissionpolicies/{name}")
        return policy, await self._read(f"{_ADMISSION}/validatingadmissionpolicybindings/{name}")

    async def _read(self, path: str) -> Json | None:
        try:
            return await self._api.get(path)
        except Absent:
            return None
