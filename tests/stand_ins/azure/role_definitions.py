"""Microsoft.Authorization: role definitions, and what the caller itself may do at a scope."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stand_ins.azure.assignments import require_reachable
from stand_ins.azure.authorization import require
from stand_ins.azure.messages import Answer, Json, Refused
from stand_ins.azure.resource_manager import Call, Route, page, route
from stand_ins.azure.roles import Role
from stand_ins.azure.world import World, scope_covers, subscription_of

_VERSIONS = ("2015-07-01", "2018-01-01-preview", "2022-04-01", "2022-05-01-preview", "2026-08-01")
_READ = "Microsoft.Authorization/roleDefinitions/read"
_FILTER = re.compile(r"(?P<what>roleName|type)\s+eq\s+'(?P<value>[^']*)'", re.IGNORECASE)


class RoleDefinitions:
    """The provider."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Sequence[Route]:
        """Return what it answers."""
        scope = r"(?P<scope>.*)/providers/microsoft\.authorization"
        return (
            route(rf"{scope}/roledefinitions", _VERSIONS, "roleDefinitions", get=self._list),
            route(rf"{scope}/roledefinitions/(?P<id>[^/]+)", _VERSIONS, "roleDefinitions", get=self._get),
            route(rf"{scope}/permissions", _VERSIONS, "permissions", get=self._permissions),
        )

    def _get(self, call: Call) -> Answer:
        require(self._world, call.caller, _READ, call.scope)
        role = self._world.roles.get(call.parts["id"].lower())
        if role is None:
            words = f"The specified role definition with ID '{call.parts['id']}' does not exist."
            raise Refused(404, "RoleDefinitionDoesNotExist", words)
        return Answer(200, _shown(role, call.scope))

    def _list(self, call: Call) -> Answer:
        require(self._world, call.caller, _READ, call.scope)
        found = [each for each in self._world.roles.values() if any(scope_covers(at, call.scope) for at in each.scopes)]
        text = call.request.query.get("$filter", "")
        for clause in re.split(r"\s+and\s+", text) if text else []:
            match = _FILTER.fullmatch(clause.strip())
            if clause.strip().lower() == "atscopeandbelow()":
                continue
            if match is None:
                raise Refused(400, "InvalidFilter", f"The filter '{text}' is not supported for role definitions.")
            value = match.group("value")
            if match.group("what").lower() == "rolename":
                found = [each for each in found if each.name == value]
            else:
                found = [each for each in found if each.built_in == (value.lower() == "builtinrole")]
        shown = [_shown(each, call.scope) for each in found]
        return Answer(200, page(call.request, shown, self._world.page_size))

    def _permissions(self, call: Call) -> Answer:
        require_reachable(self._world, call.caller, "Microsoft.Authorization/permissions/read", call.scope)
        holders = {call.caller.object_id} | self._world.directory.groups_of(call.caller.object_id)
        held = []
        for assignment in self._world.assignments.values():
            role = self._world.roles.get(assignment.role)
            if role and assignment.principal in holders and scope_covers(assignment.scope, call.scope):
                condition = assignment.condition or role.condition or None
                held.append({**_permission(role), "condition": condition, "conditionVersion": condition and "2.0"})
        return Answer(200, {"value": held})


def _permission(role: Role) -> Json:
    return {
        "actions": list(role.actions),
        "notActions": list(role.not_actions),
        "dataActions": list(role.data_actions),
        "notDataActions": list(role.not_data_actions),
    }


def _shown(role: Role, scope: str) -> Json:
    subscription = subscription_of(scope)
    above = f"/subscriptions/{subscription}" if subscription else ""
    return {
        "id": f"{above}/providers/Microsoft.Authorization/roleDefinitions/{role.id}",
        "name": role.id,
        "type": "Microsoft.Authorization/roleDefinitions",
        "properties": {
            "roleName": role.name,
            "type": "BuiltInRole" if role.built_in else "CustomRole",
            "description": "",
            "assignableScopes": list(role.scopes),
            "permissions": [_permission(role)],
        },
    }
