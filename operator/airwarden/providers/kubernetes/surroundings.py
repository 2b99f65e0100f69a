"""Lists what bindings and environments depend on, and which of both there are.

Called by `airwarden.reconcile.priming` before the first binding is looked at, and by `airwarden.reconcile.gaps`.
"""

from collections.abc import AsyncIterator

from airwarden.api import API_VERSION, BACKENDS, BINDINGS, ENVIRONMENTS, ROTATIONS
from airwarden.providers.kubernetes.accounts import SELECTOR
from airwarden.providers.kubernetes.api import Json, KubernetesApi


class SurroundingsReader:
    """Reads whole collections, page by page."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    def backends(self) -> AsyncIterator[Json]:
        """Yield all AirflowSecretBackends."""
        return self._api.pages(f"/apis/{API_VERSION}/{BACKENDS}")

    def namespaces(self) -> AsyncIterator[Json]:
        """Yield all namespaces."""
        return self._api.pages("/api/v1/namespaces")

    def accounts(self) -> AsyncIterator[Json]:
        """Yield the service accounts that some binding may use."""
        return self._api.pages("/api/v1/serviceaccounts", SELECTOR)

    def bindings(self) -> AsyncIterator[Json]:
        """Yield the metadata of all AirflowSecretBindings: ten thousand of them whole would be much to read."""
        return self._api.pages(f"/apis/{API_VERSION}/{BINDINGS}", metadata_only=True)

    def whole_bindings(self) -> AsyncIterator[Json]:
        """Yield all AirflowSecretBindings."""
        return self._api.pages(f"/apis/{API_VERSION}/{BINDINGS}")

    def environments(self) -> AsyncIterator[Json]:
        """Yield all AirflowEnvironments."""
        return self._api.pages(f"/apis/{API_VERSION}/{ENVIRONMENTS}")

    def rotations(self) -> AsyncIterator[Json]:
        """Yield all AirflowSecretRotations."""
        return self._api.pages(f"/apis/{API_VERSION}/{ROTATIONS}")

    async def rotation(self, namespace: str, name: str) -> Json | None:
        """Return the rotation of that name; None when there is none. A kind that is not served raises Absent."""
        where = f"/apis/{API_VERSION}/namespaces/{namespace}/{ROTATIONS}"
        found = await self._api.get(f"{where}?fieldSelector=metadata.name%3D{name}")
        return next(iter(found.get("items") or ()), None)

    async def has_binding(self, namespace: str, name: str) -> bool:
        """Tell whether there is such a binding, asked for by its name. A kind that is not served raises Absent."""
        where = f"/apis/{API_VERSION}/namespaces/{namespace}/{BINDINGS}"
        # A list of one: the operator has no right to get a binding, and needs none.
        found = await self._api.get(f"{where}?fieldSelector=metadata.name%3D{name}")
        return bool(found.get("items"))
