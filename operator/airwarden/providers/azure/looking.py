"""Looks at a key vault as an auditor does: who may do what there, whoever gave it. One list for each kind of object.

No secret of the vault is asked for. Called by `airwarden.commands.doctor.key_vaults`, with the caller's login.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from azure.core.rest import HttpRequest

from airwarden.domain.errors import InvalidSettings, StoreFailed
from airwarden.providers.azure import diagnostics
from airwarden.providers.azure.arm import Arm
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.identities import Identities
from airwarden.providers.azure.rows import Row
from airwarden.providers.azure.seen import Audit, Definition, Given, Named, State
from airwarden.providers.azure.vault import KeyVault

_GRAPHS: Final = {
    "https://login.microsoftonline.com": "https://graph.microsoft.com",
    "https://login.microsoftonline.us": "https://graph.microsoft.us",
    "https://login.partner.microsoftonline.cn": "https://microsoftgraph.chinacloudapi.cn",
    "https://login.chinacloudapi.cn": "https://microsoftgraph.chinacloudapi.cn",
}
"""Where the directory of each cloud is asked, by its authority."""


class Look:
    """One look at one backend's vault."""

    def __init__(self, arm: Arm, place: Place) -> None:
        self._arm = arm
        self._place = place

    async def vault(self) -> State:
        """Return the vault's state. Raises VaultMissing or what `Arm.call` raises."""
        return await KeyVault(self._arm, self._place, time.monotonic).look()

    async def given(self) -> tuple[Given, ...]:
        """Return the role assignments at the vault, below it, and above it as far as they act on it."""
        scope = self._place.vault_id
        return await self._given(self._place.side, scope, "listing the role assignments of the vault")

    async def given_to(self, principal: str) -> tuple[Given, ...]:
        """Return what is given at the identities' resource group to a principal, also as a member of a group."""
        return await self._given(
            self._place.identity_side,
            self._place.identities_scope,
            "listing the operator's role assignments",
            filter=f"assignedTo('{principal}')",
        )

    async def definitions(self) -> Mapping[str, Definition]:
        """Return the roles that can be given at the vault and at the identities, by GUID."""
        place = self._place
        found = await self._definitions(place.side, place.vault_id)
        if not place.vault_id.startswith(f"{place.identities_scope.lower()}/"):
            found |= await self._definitions(place.identity_side, place.identities_scope)
        return found

    async def identities(self) -> tuple[Named, ...]:
        """Return the identities of the resource group; none where there is no such group."""
        found = await Identities(self._arm, self._place, time.monotonic).all(0.0)
        return tuple(Named(each.name.lower(), each.principal, each.client, each.tags) for each in found)

    async def audit(self) -> Audit:
        """Return where the vault's audit log goes."""
        path = f"{self._place.vault_id}/providers/Microsoft.Insights/diagnosticSettings"
        found = await self._listed(self._place.side, path, diagnostics.VERSION, "listing the diagnostic settings")
        settings = [each.get("properties") or {} for each in found]
        wanted = diagnostics.wanted_of(self._place.diagnostics) if self._place.diagnostics is not None else None
        return Audit(
            any(diagnostics.audits(each) for each in settings),
            wanted is None or any(diagnostics.covers(each, wanted) for each in settings),
        )

    async def principal_of(self, client: str) -> str:
        """Return the object id of the service principal with a client id, as the directory knows it.

        Raises InvalidSettings where the cloud's directory is not known.
        """
        graph = _GRAPHS.get(self._arm.connection.authority.rstrip("/"))
        if graph is None:
            raise InvalidSettings(
                "which principal the operator is cannot be asked: this cloud's directory is not known"
            )
        request = HttpRequest("GET", f"{graph}/v1.0/servicePrincipals(appId='{client}')?$select=id")
        body = await self._arm.send_to(graph, request, "looking for the operator's principal")
        if not (found := str(body.get("id") or "")):
            raise StoreFailed("which principal the operator is, the directory's answer does not say")
        return found.lower()

    async def _given(self, side: str, scope: str, doing: str, **options: str) -> tuple[Given, ...]:
        client = self._arm.assignments(self._place.subscription)
        found = await self._arm.listed(side, doing, lambda: client.list_for_scope(scope, **options))
        return tuple(Given(Row.of(each), str(each.condition or "")) for each in found)

    async def _definitions(self, side: str, scope: str) -> dict[str, Definition]:
        path = f"{scope}/providers/Microsoft.Authorization/roleDefinitions"
        found = await self._listed(side, path, "2022-04-01", "listing the role definitions")
        return {str(each.get("name") or "").lower(): Definition.of(each) for each in found}

    async def _listed(self, side: str, path: str, version: str, doing: str) -> list[Mapping[str, Any]]:
        """Return all items of a list for which there is no client. Raises StoreFailed for a page somewhere else."""
        found: list[Mapping[str, Any]] = []
        url = f"{path}?api-version={version}"
        while url:
            body = await self._arm.send(side, HttpRequest("GET", url), doing)
            found += body.get("value") or ()
            url = str(body.get("nextLink") or "")
            if url and not url.startswith(f"{self._arm.connection.resource_manager}/"):
                raise StoreFailed(f"{doing}: the next page is said to be elsewhere, so it was not asked for")
        return found
