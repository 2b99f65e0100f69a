"""Lists what bindings depend on: backends, namespaces and our accounts.

Called by `airwarden.reconcile.priming` before the first binding is looked at.
"""

from collections.abc import AsyncIterator

from airwarden.api import API_VERSION, BACKENDS
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
        """Yield the service accounts that some binding made."""
        return self._api.pages("/api/v1/serviceaccounts", SELECTOR)
