"""Microsoft.Authorization: role assignments, role definitions, what the caller may do, and how full the quota is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stand_ins.azure.authorization import Caller, forbidden, require
from stand_ins.azure.conditions import NotACondition, parse
from stand_ins.azure.directory import Principal
from stand_ins.azure.messages import Answer, Json, Refused, instant, is_guid
from stand_ins.azure.resource_manager import Call, Route, page, route
from stand_ins.azure.world import Assignment, World, scope_covers, subscription_of

_WRITE, _READ, _DELETE = (f"Microsoft.Authorization/roleAssignments/{verb}" for verb in ("write", "read", "delete"))
_VERSIONS = ("2015-07-01", "2018-09-01-preview", "2020-04-01-preview", "2020-10-01-preview", "2022-04-01", "2026-08-01")
_SCOPE = r"(?P<scope>.*)/providers/microsoft\.authorization"
_PRINCIPAL_TYPES = ("User", "Group", "ServicePrincipal", "ForeignGroup", "Device")
_FILTER = re.compile(
    r"(?P<what>principalId|assignedTo)\s*(?:eq\s*'(?P<eq>[^']+)'|\(\s*'(?P<of>[^']+)'\s*\))", re.IGNORECASE
)


class RoleAssignments:
    """The provider."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Sequence[Route]:
        """Return what it answers."""
        kind = "roleAssignments"
        return (
            route(rf"{_SCOPE}/roleassignments", _VERSIONS, kind, get=self._list),
            route(
                rf"{_SCOPE}/roleassignments/(?P<name>[^/]+)",
                _VERSIONS,
                kind,
                get=self._get,
                put=self._put,
                delete=self._delete,
            ),
            route(
                rf"{_SCOPE}/roleassignmentsusagemetrics",
                ("2019-08-01-preview",),
                "roleAssignmentsUsageMetrics",
                get=self._usage,
            ),
        )

    def _get(self, call: Call) -> Answer:
        self._require_scope(call, _READ)
        found = self._shown_at(call.scope, call.parts["name"])
        if found is None:
            name = call.parts["name"].replace("-", "")
            raise Refused(404, "RoleAssignmentNotFound", f"The role assignment '{name}' is not found.")
        return Answer(200, self._shown(found))

    def _list(self, call: Call) -> Answer:
        self._require_scope(call, _READ)
        chosen = self._filtered(call.scope, call.request.query.get("$filter", ""))
        return Answer(200, page(call.request, [self._shown(each) for each in chosen], self._world.page_size))

    def _filtered(self, scope: str, text: str) -> list[Assignment]:
        found = [
            each
            for each in self._world.assignment_history.listed(self._world.assignments, self._world.delays.lists)
            if scope_covers(scope, each.scope) or scope_covers(each.scope, scope)
        ]
        for clause in re.split(r"\s+and\s+", text) if text else []:
            match = _FILTER.fullmatch(clause.strip())
            if clause.strip().lower() == "atscope()":
                found = [each for each in found if scope_covers(each.scope, scope)]
            elif match is None:
                raise Refused(400, "InvalidFilter", f"The filter '{text}' is not supported for role assignments.")
            else:
                holders = self._holders(match)
                found = [each for each in found if each.principal in holders]
        return found

    def _holders(self, match: re.Match[str]) -> set[str]:
        principal = (match.group("eq") or match.group("of")).lower()
        if not is_guid(principal):
            raise Refused(400, "InvalidPrincipalId", f"The principal id '{principal}' is not a GUID.")
        if match.group("what").lower() == "principalid":
            return {principal}
        directory = self._world.directory
        known = directory.find(principal)
        if known is not None and known.kind == "Group":
            return set()  # assignedTo() does not take groups
        return {principal} | directory.groups_of(principal)

    def _put(self, call: Call) -> Answer:
        name = self._guid(call.parts["name"])
        properties = call.request.json().get("properties", {})
        role = str(properties.get("roleDefinitionId") or "").rstrip("/").rsplit("/", 1)[-1].lower()
        principal = str(properties.get("principalId") or "").lower()
        kind = properties.get("principalType")
        attributes = {"RoleDefinitionId": role, "PrincipalId": principal, "PrincipalType": str(kind or "")}
        present = self._world.assignments.get(name)
        self._require_scope(call, _WRITE, request=attributes, resource=_attributes(present) if present else {})
        self._require_role(str(properties.get("roleDefinitionId") or ""), role)
        _require_condition(properties)
        found = self._require_principal(principal, kind)
        wanted = self._wanted(call, name, role, found, properties)
        if present is not None:
            if present.triple != wanted.triple:
                raise _no_update()
            updated = replace(
                wanted,
                created=present.created,
                created_by=present.created_by,
                effective=present.effective,
            )
            self._world.assignment_history.note(name, present)
            self._world.assignments[name] = updated
            return Answer(200, self._shown(updated))
        self._require_room(wanted)
        self._world.assignment_history.note(name, None)
        self._world.assignments[name] = wanted
        return Answer(201, self._shown(wanted))

    def _wanted(
        self, call: Call, name: str, role: str, principal: Principal, properties: Mapping[str, str]
    ) -> Assignment:
        now = self._world.clock.now()
        return Assignment(
            name=name,
            scope=call.scope,
            role=role,
            principal=principal.id,
            principal_type=principal.kind,
            description=properties.get("description"),
            condition=properties.get("condition"),
            condition_version=properties.get("conditionVersion"),
            created=now,
            updated=now,
            created_by=call.caller.object_id,
            updated_by=call.caller.object_id,
            effective=now + self._world.delays.assignments,
        )

    def _delete(self, call: Call) -> Answer:
        name = self._guid(call.parts["name"])
        found = self._at(call.scope, name)
        self._require_scope(call, _DELETE, resource=_attributes(found) if found else {})
        if found is None:
            return Answer(204)
        if any(scope_covers(lock, found.scope) for lock in self._world.locks):
            raise Refused(
                409,
                "ScopeLocked",
                f"The scope '{found.scope}' cannot perform delete operation because following scope(s) are locked.",
            )
        self._world.remove_assignment(found)
        return Answer(200, self._shown(found))

    def _usage(self, call: Call) -> Answer:
        require(self._world, call.caller, "Microsoft.Authorization/roleAssignmentsUsageMetrics/read", call.scope)
        limit, count = self._world.quotas.assignments, self._count(subscription_of(call.scope))
        body = {
            "subscriptionId": subscription_of(call.scope),
            "roleAssignmentsLimit": limit,
            "roleAssignmentsCurrentCount": count,
            "roleAssignmentsRemainingCount": limit - count,
        }
        return Answer(200, body)

    def _guid(self, name: str) -> str:
        if not is_guid(name):
            raise Refused(
                400,
                "InvalidRoleAssignmentId",
                f"The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID.",
            )
        return name.lower()

    def _shown_at(self, scope: str, name: str) -> Assignment | None:
        """Return what a GET shows, which may lag behind."""
        world, key = self._world, name.lower()
        return _at(world.assignment_history.shown(key, world.assignments.get(key), world.delays.reads), scope)

    def _at(self, scope: str, name: str) -> Assignment | None:
        return _at(self._world.assignments.get(name.lower()), scope)

    def _require_scope(
        self,
        call: Call,
        action: str,
        request: Mapping[str, str] | None = None,
        resource: Mapping[str, str] | None = None,
    ) -> None:
        """Refuse for want of a right, and in the same words for want of the thing itself."""
        require_reachable(self._world, call.caller, action, call.scope)
        require(self._world, call.caller, action, call.scope, request, resource)

    def _require_role(self, given: str, role: str) -> None:
        if "/providers/microsoft.authorization/roledefinitions/" not in given.lower():
            raise Refused(400, "BadRequestFormat", "The request was incorrectly formatted.")
        if role not in self._world.roles:
            raise Refused(
                400, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{role}' does not exist."
            )

    def _require_principal(self, principal: str, kind: str | None) -> Principal:
        if not is_guid(principal):
            words = f"The Principal ID '{principal}' is not valid. Principal ID must be a GUID."
            raise Refused(400, "InvalidPrincipalId", words)
        if kind is not None and kind not in _PRINCIPAL_TYPES:
            raise Refused(400, "InvalidPrincipalType", f"The principal type '{kind}' is not valid.")
        found = self._world.directory.find(principal)
        if found is None and kind not in {None, "Group"} and self._world.unknown_principals:
            return Principal(principal, str(kind), "")  # who says the type is taken at their word
        if found is None:
            raise self._principal_not_found(principal)
        if found.kind == "Application":
            raise Refused(
                400,
                "PrincipalTypeNotSupported",
                "Principals of type Application cannot validly be used in role assignments.",
            )
        replicating = found.created + self._world.delays.principals > self._world.clock.now()
        if replicating and (kind is None or found.kind == "Group"):
            raise self._principal_not_found(principal)
        if kind is not None and kind != found.kind:
            words = f"The PrincipalId '{principal.replace('-', '')}' has type '{found.kind}' , which is different from"
            raise Refused(400, "UnmatchedPrincipalType", f"{words} specified PrinciaplType '{kind}'.")
        return found

    def _principal_not_found(self, principal: str) -> Refused:
        return Refused(
            400,
            "PrincipalNotFound",
            f"Principal {principal.replace('-', '')} does not exist in the directory {self._world.tenant}. Check that "
            "you have the correct principal ID. If you are creating this principal and then immediately assigning a "
            "role, this error might be related to a replication delay. In this case, set the role assignment "
            "principalType property to a value, such as ServicePrincipal, User, or Group.",
        )

    def _require_room(self, wanted: Assignment) -> None:
        leaving = next((each for each in self._world.still_leaving() if each.name == wanted.name), None)
        if leaving is not None and leaving.triple != wanted.triple:
            raise _no_update()
        for other in self._world.assignments.values():
            if other.triple == wanted.triple:
                words = "The role assignment already exists."
                if not self._world.old_conflicts:
                    words += f" The ID of the existing role assignment is {other.name.replace('-', '')}."
                raise Refused(409, "RoleAssignmentExists", words)
        if self._count(subscription_of(wanted.scope)) >= self._world.quotas.assignments:
            raise Refused(
                400,
                "RoleAssignmentLimitExceeded",
                "The maximum number of role assignments has been reached: no more role assignments can be created.",
            )

    def _count(self, subscription: str) -> int:
        return sum(subscription_of(each.scope) == subscription for each in self._world.assignments.values())

    def _shown(self, assignment: Assignment) -> Json:
        subscription = subscription_of(assignment.scope)
        above = f"/subscriptions/{subscription}" if subscription else ""
        scope = assignment.scope.rstrip("/")
        return {
            "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{assignment.name}",
            "name": assignment.name,
            "type": "Microsoft.Authorization/roleAssignments",
            "properties": {
                "roleDefinitionId": f"{above}/providers/Microsoft.Authorization/roleDefinitions/{assignment.role}",
                "principalId": assignment.principal,
                "principalType": self._principal_type(assignment),
                "scope": scope or "/",
                "condition": assignment.condition,
                "conditionVersion": assignment.condition_version,
                "createdOn": instant(assignment.created),
                "updatedOn": instant(assignment.updated),
                "createdBy": assignment.created_by,
                "updatedBy": assignment.updated_by,
                "delegatedManagedIdentityResourceId": None,
                "description": assignment.description,
            },
        }

    def _principal_type(self, assignment: Assignment) -> str:
        return assignment.principal_type if self._world.directory.find(assignment.principal) else "Unknown"


def _at(found: Assignment | None, scope: str) -> Assignment | None:
    return found if found and found.scope.lower().rstrip("/") == scope.lower().rstrip("/") else None


def require_reachable(world: World, caller: Caller, action: str, scope: str) -> None:
    """Refuse a scope that is not there: Resource Manager does not tell it from one that may not be touched."""
    if subscription_of(scope) in world.subscriptions and not world.exists(scope):
        raise forbidden(caller, action, scope)


def _attributes(assignment: Assignment) -> dict[str, str]:
    return {
        "RoleDefinitionId": assignment.role,
        "PrincipalId": assignment.principal,
        "PrincipalType": assignment.principal_type,
    }


def _require_condition(properties: Mapping[str, str]) -> None:
    condition, version = properties.get("condition"), properties.get("conditionVersion")
    if condition is None:
        return
    if version != "2.0":
        raise Refused(400, "InvalidConditionVersion", "The role assignment condition version must be '2.0'.")
    try:
        parse(condition)
    except NotACondition as wrong:
        raise Refused(400, "InvalidCondition", f"The given role assignment condition is invalid: {wrong}.") from None


def _no_update() -> Refused:
    return Refused(
        400,
        "RoleAssignmentUpdateNotPermitted",
        "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
    )
