"""Microsoft.Insights: diagnostic settings of vaults.

Kept by resource id and not with the resource: they outlive it, and are there again when a vault of the same id
is. Answers list every category, also those that are off, and a retention policy that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stand_ins.azure.authorization import require
from stand_ins.azure.messages import Answer, Json, Refused
from stand_ins.azure.resource_manager import Call, Route, route
from stand_ins.azure.world import World

_TYPE = "Microsoft.Insights/diagnosticSettings"
_VERSIONS = ("2016-09-01", "2017-05-01-preview", "2021-05-01-preview")
_LOGS = ("AuditEvent", "AzurePolicyEvaluationDetails")
_GROUPS = ("audit", "allLogs")
_METRICS = ("AllMetrics",)
_SINKS = {
    "workspaceId": "Microsoft.OperationalInsights/workspaces/sharedKeys/action",
    "storageAccountId": "Microsoft.Storage/storageAccounts/listKeys/action",
    "eventHubAuthorizationRuleId": "Microsoft.EventHub/namespaces/authorizationRules/listKeys/action",
    "marketplacePartnerId": "",
}
"""What a setting may send to, and what the caller needs there."""


class Diagnostics:
    """The provider."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Sequence[Route]:
        """Return what it answers."""
        many = r"(?P<scope>/.+)/providers/microsoft\.insights/diagnosticsettings"
        return (
            route(many, _VERSIONS, _TYPE, flat_errors=True, get=self._list),
            route(
                rf"{many}/(?P<name>[^/]+)",
                _VERSIONS,
                _TYPE,
                flat_errors=True,
                get=self._get,
                put=self._put,
                delete=self._delete,
            ),
        )

    def _settings(self, call: Call) -> dict[str, Json]:
        return self._world.diagnostics.setdefault(call.scope.lower(), {})

    def _allow(self, call: Call, verb: str) -> None:
        require(self._world, call.caller, f"{_TYPE}/{verb}", call.scope)
        if not self._world.exists(call.scope):
            raise Refused(404, "ResourceNotFound", f"The Resource '{call.scope}' was not found.")

    def _list(self, call: Call) -> Answer:
        self._allow(call, "read")
        return Answer(200, {"value": list(self._settings(call).values())})

    def _get(self, call: Call) -> Answer:
        self._allow(call, "read")
        found = self._settings(call).get(call.parts["name"].lower())
        if found is None:
            raise Refused(404, "ResourceNotFound", f"The diagnostic setting '{call.parts['name']}' doesn't exist.")
        return Answer(200, found)

    def _put(self, call: Call) -> Answer:
        self._allow(call, "write")
        properties = call.request.json().get("properties") or {}
        wanted = self._shown(call, properties)
        self._require_sinks(call, properties)
        settings, key = self._settings(call), call.parts["name"].lower()
        for other_key, other in settings.items():
            if other_key != key:
                _require_no_overlap(wanted["properties"], other)
        if key not in settings and len(settings) >= self._world.quotas.diagnostics:
            raise Refused(
                400, "BadRequest", f"The limit of {self._world.quotas.diagnostics} diagnostic settings was reached."
            )
        settings[key] = wanted
        return Answer(200, wanted)

    def _delete(self, call: Call) -> Answer:
        require(self._world, call.caller, f"{_TYPE}/delete", call.scope)
        gone = self._settings(call).pop(call.parts["name"].lower(), None) if self._world.exists(call.scope) else None
        return Answer(204 if gone is None else 200)

    def _require_sinks(self, call: Call, properties: Json) -> None:
        sinks = [name for name in _SINKS if properties.get(name)]
        if not sinks:
            raise Refused(400, "BadRequest", "At least one data sink needs to be specified.")
        for name in sinks:
            target, action = str(properties[name]), _SINKS[name]
            try:
                if action:
                    require(self._world, call.caller, action, target)
            except Refused:
                raise Refused(
                    403,
                    "LinkedAuthorizationFailed",
                    f"The client '{call.caller.app_id}' has permission to perform action '{_TYPE}/write' on scope "
                    f"'{call.scope}', however, it does not have permission to perform action '{action}' on the linked "
                    f"scope(s) '{target}' or the linked scope(s) are invalid.",
                ) from None

    def _shown(self, call: Call, properties: Json) -> Json:
        logs = properties.get("logs") or []
        _require_categories(logs, _LOGS)
        _require_categories(properties.get("metrics") or [], _METRICS)
        grouped = [each for each in logs if each.get("categoryGroup")]
        if grouped and len(grouped) != len(logs):
            raise Refused(400, "BadRequest", "Diagnostic settings cannot have both log categories and category groups.")
        shown = {name: properties.get(name) for name in (*_SINKS, "eventHubName", "logAnalyticsDestinationType")}
        kind, names = ("categoryGroup", _GROUPS) if grouped else ("category", _LOGS)
        return {
            "id": f"{call.scope.lower()}/providers/microsoft.insights/diagnosticSettings/{call.parts['name']}",
            "name": call.parts["name"],
            "type": _TYPE,
            "properties": {
                **shown,
                "logs": _all_of(kind, names, logs),
                "metrics": _all_of("category", _METRICS, properties.get("metrics") or []),
            },
        }


def _require_categories(given: Sequence[Any], known: Sequence[str]) -> None:
    for each in given:
        category, group = each.get("category"), each.get("categoryGroup")
        if category is not None and category not in known:
            raise Refused(400, "BadRequest", f"Category '{category}' is not supported.")
        if group is not None and group not in _GROUPS:
            raise Refused(400, "BadRequest", f"Category group '{group}' is not supported.")


def _all_of(kind: str, names: Sequence[str], given: Sequence[Any]) -> list[Json]:
    on = {each.get(kind) for each in given if each.get("enabled")}
    off = {"enabled": False, "days": 0}
    return [{kind: name, "enabled": name in on, "retentionPolicy": off} for name in reversed(names)]


def _require_no_overlap(wanted: Json, other: Json) -> None:
    theirs = other["properties"]
    categories = _enabled(wanted) & _enabled(theirs)
    for sink in _SINKS:
        if categories and wanted.get(sink) and wanted[sink] == theirs.get(sink):
            raise Refused(
                409,
                "Conflict",
                f"Data sink '{wanted[sink]}' is already used in diagnostic setting '{other['name']}' for category "
                f"'{min(categories)}'. Data sinks can't be reused in different settings on the same category for "
                "the same resource.",
            )


def _enabled(properties: Json) -> set[str]:
    logs = [each.get("category") or each.get("categoryGroup") for each in properties["logs"] if each["enabled"]]
    return {"AuditEvent" if each in _GROUPS else str(each) for each in logs}
