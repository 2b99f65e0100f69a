"""Decides what a caller may do: the role assignments that the stand-in was given, and nothing else.

Resource Manager's services ask `require`, the data plane of Key Vault asks `data_allowed`. There is no caller
who may do everything: the principals of a test get their roles from it like anybody else.
"""

from __future__ import annotations

from dataclasses import dataclass

from stand_ins.azure.conditions import Asked, Attributes, parse
from stand_ins.azure.messages import Refused
from stand_ins.azure.world import Assignment, World, scope_covers


@dataclass(frozen=True)
class Caller:
    """Who sent a request, as the token says."""

    object_id: str
    app_id: str


def require(
    world: World,
    caller: Caller,
    action: str,
    scope: str,
    request: Attributes | None = None,
    resource: Attributes | None = None,
) -> None:
    """Refuse what no role of the caller permits, with the words that also stand for a scope that is not there."""
    asked = Asked(action, request or {}, resource or {})
    conditioned = False
    for assignment in _of(world, caller.object_id, scope, list(world.assignments.values())):
        role = world.roles.get(assignment.role)
        if role is None or not role.permits(action):
            continue
        conditions = [text for text in (role.condition, assignment.condition) if text]
        if all(parse(text)(asked) for text in conditions):
            return
        conditioned = True
    raise forbidden(caller, action, scope, conditioned=conditioned)


def forbidden(caller: Caller, action: str, scope: str, *, conditioned: bool = False) -> Refused:
    """Return the refusal of Resource Manager."""
    client = f"The client '{caller.app_id}' with object id '{caller.object_id}'"
    if conditioned:
        words = f"{client} has an authorization with ABAC condition that is not fulfilled to perform action"
    else:
        words = f"{client} does not have authorization to perform action"
    rest = "If access was recently granted, please refresh your credentials."
    return Refused(
        403, "AuthorizationFailed", f"{words} '{action}' over scope '{scope}' or the scope is invalid. {rest}"
    )


def data_allowed(world: World, object_id: str, action: str, scope: str) -> bool:
    """Tell whether the data plane has heard of a role that permits this."""
    now = world.clock.now()
    known = [each for each in world.assignments.values() if each.effective <= now] + world.still_leaving()
    for assignment in _of(world, object_id, scope, known):
        role = world.roles.get(assignment.role)
        if role is not None and role.permits_data(action):
            return True
    return False


def _of(world: World, object_id: str, scope: str, assignments: list[Assignment]) -> list[Assignment]:
    holders = {object_id} | world.directory.groups_of(object_id)
    return [each for each in assignments if each.principal in holders and scope_covers(each.scope, scope)]
