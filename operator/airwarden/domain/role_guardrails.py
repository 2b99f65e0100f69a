"""What a backend's allow rules admit of rotations of database roles: deny by default, one rule wholly.

The sibling of `airwarden.domain.guardrails.judge_rotation`, which judges keys. Called by
`airwarden.reconcile.rotation_access` and, for what the login may do, by the store's provider.
"""

from collections.abc import Iterable
from typing import Final

from airwarden.api.backend import AllowRule, DynamicRule, Operation
from airwarden.api.database_role import DatabaseKind, DatabaseRole
from airwarden.api.reasons import Reason
from airwarden.domain.guardrails import (
    AdmittedRotation,
    BackendView,
    Refused,
    RotationRequest,
    cut,
    role_prefixes,
    silence_of,
    speaks_of,
)
from airwarden.domain.owner import PREFIX

_NAMESPACE: Final = "{namespace}"


def judge_role(
    role: DatabaseRole, operation: Operation, cluster: str, request: RotationRequest, backend: BackendView
) -> AdmittedRotation | Refused | None:
    """Return whether one rule lets the namespace have the role rotated, and made if it is declared.

    None when it cannot be said yet, because a selector asks for labels of a namespace not yet seen.
    """
    own = own_prefix(cluster, request.namespace)
    if role.declare is not None and not role.name.startswith(own):
        return Refused(
            Reason.ROTATION_NOT_ALLOWED,
            f"role {role.name} cannot be declared in namespace {request.namespace} of cluster {cluster}: what is "
            f"declared here has a name that begins with {own}, so that it is nobody else's",
        )
    speaking = [each for each in backend.allow if speaks_of(each, request)]
    for rule in speaking:
        if operation in rule.operations and any(_admits(each, role, request.namespace) for each in rule.dynamic):
            return AdmittedRotation(rule.name)
    if request.labels is None and any(each.namespaces.selector for each in backend.allow):
        return None
    return Refused(Reason.ROTATION_NOT_ALLOWED, _message(role, operation, request.namespace, backend, speaking))


def own_prefix(cluster: str, namespace: str) -> str:
    """Return how the names of all roles begin that rotations of a namespace declare. No two have the same."""
    return f"{PREFIX}.{cluster}.{namespace}."


def user_patterns(rule: DynamicRule, namespace: str) -> tuple[str, ...]:
    """Return the database users that a rule lets a namespace declare, exact or with a trailing star."""
    return tuple(each.replace(_NAMESPACE, namespace) for each in rule.usernames)


def _admits(rule: DynamicRule, role: DatabaseRole, namespace: str) -> bool:
    if rule.engine != role.engine:
        return False
    if role.kind is DatabaseKind.ROOT:
        return role.name in rule.roots
    if not role.name.startswith(tuple(role_prefixes(rule.role_prefixes, namespace))):
        return False
    declared = role.declare
    if declared is None:
        return True
    return declared.connection in rule.connections and _covers(user_patterns(rule, namespace), declared.username)


def _covers(patterns: Iterable[str], username: str) -> bool:
    return any(
        username.startswith(each.removesuffix("*")) if each.endswith("*") else username == each for each in patterns
    )


def _message(
    role: DatabaseRole, operation: Operation, namespace: str, backend: BackendView, speaking: list[AllowRule]
) -> str:
    if (silence := silence_of(namespace, backend, speaking)) is not None:
        return silence
    what = f"{operation} of {_asked(role)} is not allowed to namespace {namespace} by backend {backend.name}"
    return cut(f"{what}: " + "; ".join(_permits(rule, role, operation, namespace) for rule in speaking))


def _asked(role: DatabaseRole) -> str:
    if role.kind is DatabaseKind.ROOT:
        return f"the user of connection {role.name} of engine {role.engine}"
    told = f"role {role.name} of engine {role.engine}"
    if role.declare is None:
        return told
    return f"{told}, declared for user {role.declare.username} of connection {role.declare.connection},"


def _permits(rule: AllowRule, role: DatabaseRole, operation: Operation, namespace: str) -> str:
    if operation not in rule.operations:
        return f"rule {rule.name} permits {' and '.join(rule.operations)} only"
    found = next((each for each in rule.dynamic if each.engine == role.engine), None)
    if found is None:
        return f"rule {rule.name} says nothing of engine {role.engine}"
    if role.kind is DatabaseKind.ROOT:
        return f"rule {rule.name} permits it for {', '.join(found.roots) or 'no connection'}: ask for it in roots"
    prefixes = ", ".join(role_prefixes(found.role_prefixes, namespace))
    told = f"rule {rule.name} permits it for roles beginning with {prefixes or 'nothing'}"
    if role.declare is None:
        return told
    users = ", ".join(user_patterns(found, namespace)) or "none"
    return f"{told}, connections {', '.join(found.connections) or 'none'} and users {users}"
