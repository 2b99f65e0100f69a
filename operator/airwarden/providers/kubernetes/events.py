"""Kubernetes Events: one on each transition, for people who read `kubectl describe`.

Called by `airwarden.reconcile`. Losing an Event loses no state: it is the status that counts.
"""

import uuid
from dataclasses import dataclass
from typing import Literal

from airwarden.api import API_VERSION
from airwarden.api.metadata import Metadata
from airwarden.providers.kubernetes.api import Absent, Conflict, KubernetesApi


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to one object."""

    kind: Literal["AirflowSecretBinding", "AirflowSecretBackend", "AirflowSecretRotation", "AirflowEnvironment"]
    metadata: Metadata
    type: Literal["Normal", "Warning"]
    reason: str
    message: str


class EventPoster:
    """Posts Events."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def post(self, event: Event, now: str) -> None:
        """Post one Event. In a namespace that is going or gone nothing is posted."""
        namespace = event.metadata.namespace or "default"
        name = event.metadata.name
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name[:200]}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": event.kind,
                "name": name,
                "namespace": event.metadata.namespace,
                "uid": event.metadata.uid,
                "resourceVersion": event.metadata.resource_version,
            },
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:1024],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": "airwarden"},
            "reportingComponent": "airwarden.dev/operator",
            "reportingInstance": "airwarden",
        }
        try:
            await self._api.post(f"/api/v1/namespaces/{namespace}/events", body)
        except (Absent, Conflict):
            return
