"""The rotations that bindings make: made by POST, set right and deleted by uid, adopted never.

Ours are known from a watch, so that looking at one costs no request. Called by
`airwarden.reconcile.binding_rotations`.
"""

from collections.abc import Mapping

from airwarden.api import API_VERSION, ROTATIONS
from airwarden.api.rotation import RotationSpec
from airwarden.domain.errors import NamespaceTerminating, ObjectGone
from airwarden.domain.owner import Owner
from airwarden.providers.kubernetes.accounts import BINDING, CLUSTER_LABEL, MANAGED_BY
from airwarden.providers.kubernetes.api import Absent, Conflict, Json, KubernetesApi
from airwarden.providers.kubernetes.objects import rotation_path


def labels_of(owner: Owner) -> dict[str, str]:
    """Return the labels by which a rotation is known as made for the binding."""
    return {MANAGED_BY: "airwarden", BINDING: owner.binding, CLUSTER_LABEL: owner.cluster}


def has_labels_of(labels: Mapping[str, str], owner: Owner) -> bool:
    """Tell whether a rotation carries the labels of this binding of this cluster."""
    return labels_of(owner).items() <= labels.items()


class Rotations:
    """Creates, corrects and deletes rotations of bindings."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def create(self, owner: Owner, name: str, spec: RotationSpec) -> Json:
        """Make a rotation and return it. Raises ObjectGone where one of that name came meanwhile."""
        body: Json = {
            "apiVersion": API_VERSION,
            "kind": "AirflowSecretRotation",
            "metadata": {"name": name, "namespace": owner.namespace, "labels": labels_of(owner)},
            "spec": _json(spec),
        }
        path = f"/apis/{API_VERSION}/namespaces/{owner.namespace}/{ROTATIONS}"
        try:
            return await self._api.post(path, body)
        except Absent:
            raise NamespaceTerminating(f"namespace {owner.namespace} is gone") from None
        except Conflict as error:
            raise ObjectGone(f"rotation {owner.namespace}/{name} was not made: {error}") from None

    async def correct(self, owner: Owner, name: str, uid: str, spec: RotationSpec) -> Json:
        """Set the spec of the very one that was looked at and return it. Raises ObjectGone where another is there."""
        operations: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "replace", "path": "/spec", "value": _json(spec)},
        ]
        try:
            return await self._api.patch(rotation_path(owner.namespace, name), operations)
        except (Absent, Conflict):
            raise ObjectGone(f"rotation {owner.namespace}/{name} changed or went before the write") from None

    async def delete(self, owner: Owner, name: str, uid: str) -> None:
        """Delete the very one that was looked at; one that is gone already is fine. Raises ObjectGone for another."""
        try:
            await self._api.delete(rotation_path(owner.namespace, name), uid=uid)
        except Conflict:
            raise ObjectGone(f"rotation {owner.namespace}/{name} was made anew by somebody else") from None


def _json(spec: RotationSpec) -> Json:
    """Return a spec without what the API server sets by itself."""
    found: Json = spec.model_dump(by_alias=True, mode="json", exclude_none=True, exclude_defaults=True)
    return found
