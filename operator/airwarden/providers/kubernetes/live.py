"""Bindings and accounts as the API server has them now, never from memory: what a sweep is judged by.

A list is read without a resource version, so that the API server answers with the newest state, and page by page
from one state. What is not surely the whole list raises. Called by `airwarden.reconcile.sweep`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from airwarden.api import API_VERSION, BINDINGS
from airwarden.domain.errors import ClusterFailed
from airwarden.domain.holdings import Use
from airwarden.domain.progress import CLUSTER
from airwarden.domain.resources import Address
from airwarden.providers.kubernetes.accounts import KIND, SELECTOR, Account
from airwarden.providers.kubernetes.api import Absent, Json, KubernetesApi
from airwarden.providers.kubernetes.objects import backends_of, binding_path

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class LiveBinding:
    """What a binding lays claim to, by its spec or by its record, also when it does not hold to its schema."""

    use: Use
    """Of stores."""
    accounts: frozenset[str]

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> "LiveBinding":
        """Read it from an object."""
        named = ((body.get("spec") or {}).get("serviceAccount") or {}).get("name", "")
        recorded = frozenset(
            Address(target.get("backend", ""), target.get("kind", ""), target.get("name", ""))
            for target in (body.get("status") or {}).get("targets") or ()
        )
        accounts = {each.name for each in recorded if (each.backend, each.kind) == (CLUSTER, KIND)}
        return cls(Use(backends_of(body), named, recorded), frozenset({named, *accounts} - {""}))


class LiveObjects:
    """Asks the API server itself."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def bindings(self) -> dict[tuple[str, str], LiveBinding]:
        """Return all bindings by namespace and name. Raises ClusterFailed when that is not surely all of them."""
        found = await self._all(f"/apis/{API_VERSION}/{BINDINGS}")
        return {(each["metadata"]["namespace"], each["metadata"]["name"]): LiveBinding.read(each) for each in found}

    async def binding(self, namespace: str, name: str) -> LiveBinding | None:
        """Return one binding; None when there is none."""
        try:
            return LiveBinding.read(await self._api.get(binding_path(namespace, name)))
        except Absent:
            return None

    async def accounts(self) -> list[Account]:
        """Return the accounts that carry the labels of some binding."""
        return [Account.read(body) for body in await self._all("/api/v1/serviceaccounts", SELECTOR)]

    async def _all(self, path: str, selector: str = "") -> list[Json]:
        found: list[Json] = []
        token = ""
        while True:
            query = {"limit": str(_PAGE), "labelSelector": selector, "continue": token}
            try:
                page = await self._api.get(f"{path}?{urlencode({key: value for key, value in query.items() if value})}")
            except Absent:
                raise ClusterFailed(f"the Kubernetes API does not serve {path}: apply the files of crds/") from None
            items, metadata = page.get("items"), page.get("metadata")
            if not isinstance(items, list) or not isinstance(metadata, dict):
                raise ClusterFailed(f"the Kubernetes API answered the list of {path} with something else")
            found += items
            token = metadata.get("continue") or ""
            if not token:
                return found
