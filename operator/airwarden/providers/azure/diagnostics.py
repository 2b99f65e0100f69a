"""The diagnostic setting by which the vault's audit log goes somewhere: one for all bindings of a backend.

There is no client for it any more, so it goes over the bare pipeline. Called by `airwarden.providers.azure.store`.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from azure.core.rest import HttpRequest

from airwarden.api.azure import Diagnostics
from airwarden.domain.errors import Forbidden, StoreFailed
from airwarden.providers.azure.answers import ResourceMissing
from airwarden.providers.azure.arm import Arm
from airwarden.providers.azure.connection import Place

VERSION: Final = "2021-05-01-preview"
_CATEGORY: Final = "AuditEvent"
_AGE: Final = 300.0
"""Seconds for which a setting that was found right is taken to be so."""
_AGE_UNDECLARED: Final = 3600.0
"""The same for a backend that declares none: only one from before could be left."""
_SINKS: Final = ("workspaceId", "storageAccountId", "eventHubAuthorizationRuleId", "eventHubName")


class DiagnosticSetting:
    """Ours, by its name: cluster, the cluster's uid and backend are in it."""

    def __init__(self, arm: Arm, place: Place, clock: Callable[[], float]) -> None:
        self._arm = arm
        self._place = place
        self._clock = clock
        self._right: tuple[float, bool] | None = None
        """When it was last found as it should be, and whether it should be there."""

    async def keep(self, uid: str, *, used: bool) -> None:
        """Have the setting as declared while the backend is used, and gone when it is not. Writes only a difference.

        ``uid`` is the cluster's: another cluster of the same name has a setting of its own.
        """
        wanted = wanted_of(self._place.diagnostics) if used and self._place.diagnostics is not None else None
        now = self._clock()
        age = _AGE if self._place.diagnostics is not None else _AGE_UNDECLARED
        if self._right is not None and self._right[1] is (wanted is not None) and now - self._right[0] < age:
            return
        path = self._path(uid)
        found = await self._read(path)
        if wanted is None and found is not None:
            await self._send("DELETE", path, "removing the diagnostic setting")
        elif wanted is not None and (found is None or not same(found, wanted)):
            await self._write(path, wanted)
        self._right = (now, wanted is not None)

    async def _read(self, path: str) -> Mapping[str, Any] | None:
        try:
            return (await self._send("GET", path, "reading the diagnostic setting")).get("properties") or {}
        except ResourceMissing:
            return None
        except Forbidden:
            if self._place.diagnostics is None:
                return None  # it never was ours to keep, and the login needs no right for it
            raise

    async def _write(self, path: str, wanted: Mapping[str, Any]) -> None:
        try:
            await self._send("PUT", path, "writing the diagnostic setting", {"properties": wanted})
        except StoreFailed as error:
            if "already used in diagnostic setting" not in error.message:
                raise
            # Somebody else's setting sends the same log to the same place: that is all that is wanted.

    def _path(self, uid: str) -> str:
        name = name_of(self._place, uid)
        return f"{self._place.vault_id}/providers/Microsoft.Insights/diagnosticSettings/{name}?api-version={VERSION}"

    async def _send(
        self, method: str, path: str, doing: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        request = HttpRequest(method, path, json=body) if body is not None else HttpRequest(method, path)
        return await self._arm.send(self._place.side, request, doing)


def name_of(place: Place, uid: str) -> str:
    """Return the setting's name, ``airwarden-`` and 26 characters of a hash: no other cluster or backend derives it."""
    digest = hashlib.sha256(f"{place.cluster}/{uid}/{place.backend}".encode()).digest()
    return f"airwarden-{base64.b32encode(digest).decode().lower()[:26]}"


def wanted_of(declared: Diagnostics) -> dict[str, Any]:
    """Return a setting's properties as they are sent."""
    hub = declared.event_hub
    sinks = {
        "workspaceId": declared.workspace_id,
        "storageAccountId": declared.storage_account_id,
        "eventHubAuthorizationRuleId": hub.authorization_rule_id if hub is not None else None,
        "eventHubName": hub.name if hub is not None else None,
    }
    given = {name: value for name, value in sinks.items() if value}
    return {**given, "logs": [{"category": _CATEGORY, "enabled": True}], "metrics": []}


def same(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether two settings send the same log to the same places.

    As sets of what is switched on: Azure reorders categories and adds those that are off, and a retention that is gone.
    """
    return _meaning(found) == _meaning(wanted)


def audits(found: Mapping[str, Any]) -> bool:
    """Tell whether a setting sends the audit log anywhere."""
    sinks, logs, _ = _meaning(found)
    return any(sinks) and bool(logs & {_CATEGORY, "audit", "allLogs"})


def covers(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether a setting sends the audit log to the wanted place: somebody else's will do, with more in it too."""
    return audits(found) and _meaning(found)[0] == _meaning(wanted)[0]


def _meaning(properties: Mapping[str, Any]) -> tuple[tuple[str, ...], frozenset[str], frozenset[str]]:
    sinks = tuple(str(properties.get(name) or "").lower() for name in _SINKS)
    logs = {
        str(each.get("category") or each.get("categoryGroup"))
        for each in properties.get("logs") or ()
        if each.get("enabled")
    }
    metrics = {str(each.get("category")) for each in properties.get("metrics") or () if each.get("enabled")}
    return sinks, frozenset(logs), frozenset(metrics)
