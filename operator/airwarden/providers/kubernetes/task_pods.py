"""What may be seen of task pods, and whether the policy that guards their marks is there.

Of pods the API server sends metadata alone. Both rights are given by manifests/environment and by a role binding in
each worker namespace; without them ClusterForbidden is raised. Called by `airwarden.reconcile.environments`.
"""

from collections.abc import Sequence
from typing import Final

from airwarden.domain.environment.sight import MADE_BY_EXECUTOR, POLICY, TaskPod
from airwarden.providers.kubernetes.api import Absent, KubernetesApi

_POLICIES: Final = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
_BINDINGS: Final = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"


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
                labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
                found.append(TaskPod(f"{namespace}/{metadata.get('name', '')}", labels, annotations))
        return tuple(found)

    async def is_guarded(self) -> bool:
        """Tell whether the policy for bound pods is there and denies."""
        try:
            await self._api.get(f"{_POLICIES}/{POLICY}")
            bound = await self._api.get(f"{_BINDINGS}/{POLICY}")
        except Absent:
            return False
        spec = bound.get("spec") or {}
        return spec.get("policyName") == POLICY and "Deny" in (spec.get("validationActions") or ())
