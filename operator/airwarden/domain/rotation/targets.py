"""What two rotations must not both be for, as texts that are compared; and who uses a role.

Pure. Used by `airwarden.reconcile.rotation_cache`, which keeps them, and by `airwarden.reconcile.rotation_rivals`.
"""

from collections.abc import Mapping
from typing import Any

from airwarden.api.binding import DynamicKind
from airwarden.api.database_role import DatabaseKind


def claims(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a rotation's spec is for within its store: the key; or the role, and the user it is declared for.

    A key holds no space, so that it is never taken for the others.
    """
    role = spec.get("databaseRole")
    if not role:
        return (spec.get("key", ""),)
    engine = role.get("engine", "")
    sort = "connection" if role.get("kind") == DatabaseKind.ROOT else "role"
    found = [f"{sort} {engine} {role.get('name', '')}"]
    if declared := role.get("declare"):
        found.append(f"user {engine} {declared.get('connection', '')} {declared.get('username', '')}")
    return tuple(found)


def reads_role(spec: Mapping[str, Any], backends: frozenset[str], engine: str, role: str) -> bool:
    """Tell whether a binding's spec reads leases of the role through one of the backends."""
    for item in spec.get("secrets") or ():
        wanted = item.get("dynamic") or {}
        asked = (wanted.get("engine"), wanted.get("role"), wanted.get("kind", DynamicKind.DYNAMIC))
        if asked == (engine, role, DynamicKind.DYNAMIC) and (item.get("backendRef") or {}).get("name") in backends:
            return True
    return False
