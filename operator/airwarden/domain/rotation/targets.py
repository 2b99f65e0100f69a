"""What two rotations must not both be for, as texts that are compared; who uses a role, and what bindings read there.

Pure. Used by the caches of `airwarden.reconcile`, which keep them, by `airwarden.reconcile.rotation_rivals`, and for
what a binding shows of the rotations of its secrets.
"""

from collections.abc import Mapping
from typing import Any

from airwarden.api.binding import DynamicKind, SecretItem
from airwarden.api.conditions import SecretState
from airwarden.api.database_role import DatabaseKind


def claims(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a rotation's spec is for within its store: the key; or the role, and the user it is declared for.

    A key holds no space, so that it is never taken for the others.
    """
    role = spec.get("databaseRole")
    if not role:
        return (spec.get("key", ""),)
    engine = role.get("engine", "")
    name = role.get("name", "")
    found = [f"connection {engine} {name}" if role.get("kind") == DatabaseKind.ROOT else role_claim(engine, name)]
    if declared := role.get("declare"):
        found.append(f"user {engine} {declared.get('connection', '')} {declared.get('username', '')}")
    return tuple(found)


def read_by(item: Mapping[str, Any]) -> str:
    """Return what a secret of a binding's spec is read from, in the words of `claims`."""
    dynamic = item.get("dynamic")
    return role_claim(dynamic.get("engine", ""), dynamic.get("role", "")) if dynamic else item.get("key", "")


def read_from(item: SecretItem) -> str:
    """Return the same of a secret that holds to its schema."""
    return role_claim(item.dynamic.engine, item.dynamic.role) if item.dynamic is not None else item.key or ""


def uses_role(body: Mapping[str, Any], engine: str, role: str, admitting: frozenset[str], near: frozenset[str]) -> bool:
    """Tell whether a binding may have leases of a dynamic role: the rules admit it, or its status says that it has it.

    ``near`` are the backends of the role's store, ``admitting`` those of them whose rules let the binding's namespace
    read the role. What a binding only asks for counts for nothing: anybody may ask.
    """
    granted = _granted(body)
    for item in (body.get("spec") or {}).get("secrets") or ():
        wanted = item.get("dynamic") or {}
        if (wanted.get("engine"), wanted.get("role")) != (engine, role):
            continue
        backend = (item.get("backendRef") or {}).get("name", "")
        if wanted.get("kind", DynamicKind.DYNAMIC) != DynamicKind.DYNAMIC or backend not in near:
            continue
        if backend in admitting or (item.get("type"), item.get("id")) in granted:
            return True
    return False


def _granted(body: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Return type and id of what is granted, if the status speaks of the spec as it is now."""
    status = body.get("status") or {}
    if status.get("observedGeneration") != body["metadata"].get("generation"):
        return frozenset()
    found = (each for each in status.get("secrets") or () if each.get("state") == SecretState.GRANTED)
    return frozenset((each.get("type", ""), each.get("id", "")) for each in found)


def role_claim(engine: str, name: str) -> str:
    """Return a role in the words of `claims` and `read_by`."""
    return f"role {engine} {name}"
