"""What two rotations must not both be for, as texts that are compared; who uses a role, and what bindings read there.

Pure. Used by the caches of `airwarden.reconcile`, which keep them, by `airwarden.reconcile.rotation_rivals`, and for
what a binding shows of the rotations of its secrets.
"""

from collections.abc import Mapping
from typing import Any

from airwarden.api.binding import DynamicKind, SecretItem
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
    found = [f"connection {engine} {name}" if role.get("kind") == DatabaseKind.ROOT else _role(engine, name)]
    if declared := role.get("declare"):
        found.append(f"user {engine} {declared.get('connection', '')} {declared.get('username', '')}")
    return tuple(found)


def read_by(item: Mapping[str, Any]) -> str:
    """Return what a secret of a binding's spec is read from, in the words of `claims`."""
    dynamic = item.get("dynamic")
    return _role(dynamic.get("engine", ""), dynamic.get("role", "")) if dynamic else item.get("key", "")


def read_from(item: SecretItem) -> str:
    """Return the same of a secret that holds to its schema."""
    return _role(item.dynamic.engine, item.dynamic.role) if item.dynamic is not None else item.key or ""


def reads_role(spec: Mapping[str, Any], backends: frozenset[str], engine: str, role: str) -> bool:
    """Tell whether a binding's spec reads leases of the role through one of the backends."""
    for item in spec.get("secrets") or ():
        wanted = item.get("dynamic") or {}
        asked = (wanted.get("engine"), wanted.get("role"), wanted.get("kind", DynamicKind.DYNAMIC))
        if asked == (engine, role, DynamicKind.DYNAMIC) and (item.get("backendRef") or {}).get("name") in backends:
            return True
    return False


def _role(engine: str, name: str) -> str:
    return f"role {engine} {name}"
