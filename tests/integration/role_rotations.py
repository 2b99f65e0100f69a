"""Rotations of database roles as the tests hold them, and what a platform team sets up for them.

Used by the tests here and in `faults`.
"""

from __future__ import annotations

from typing import Any, Final

from integration.handles import Backend
from integration.objects import backend_object, rule
from integration.rotations import LOGIN, Rotation, rotation_path
from integration.world import World
from plane.database_engine import DatabaseEngine
from plane.json_client import Json
from plane.operator import CLUSTER, set_up_vault

MOUNT: Final = "database"
OPERATIONS: Final = ("Read", "RotateGenerate", "RotateNative", "RotateRevoke")


def role_rule(**more: Any) -> Json:
    """Return a rule that lets tenants have their own database roles read, made and rotated."""
    dynamic = {
        "engine": MOUNT,
        "rolePrefixes": ["{namespace}.", f"airwarden.{CLUSTER}.{{namespace}}."],
        "connections": ["main"],
        "usernames": ["{namespace}_*"],
        "roots": ["spare"],
        **more.pop("dynamic", {}),
    }
    return rule(**{"operations": list(OPERATIONS), "dynamic": [dynamic], **more})


def rotating_roles(**spec: Any) -> Json:
    """Return the spec of a backend with that rule."""
    return {"rotation": LOGIN, "allow": [role_rule()], **spec}


def permit_roles(world: World) -> None:
    """Run the printed set-up for that rule, for all namespaces so far."""
    body = backend_object("setup", world.plane.vault_address, **rotating_roles())
    set_up_vault(world.plane, body, namespaces=world.namespaces)


def own_name(namespace: str, name: str) -> str:
    """Return the name of a role that rotations of the namespace may declare."""
    return f"airwarden.{CLUSTER}.{namespace}.{name}"


def make_role_rotation(world: World, namespace: str, backend: Backend | str, role: Json, **spec: Any) -> Rotation:
    """Make a rotation of a database role."""
    name = spec.pop("name", "") or world.fresh("role")
    found = Rotation(world, namespace, name, "")
    body = {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretRotation",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "backendRef": {"name": backend if isinstance(backend, str) else backend.name},
            "strategy": "Revoke" if role["kind"] == "Dynamic" else "Native",
            "databaseRole": {"engine": MOUNT, **role},
            **spec,
        },
    }
    world.create(rotation_path(namespace), body)
    return found


def declared(engine: DatabaseEngine, namespace: str, name: str, **declare: str) -> tuple[Json, str, str]:
    """Make a database user; return the role that is declared for it, the user's name and the first password."""
    user = f"{namespace}_{name}"
    password = engine.user(user)
    body = {"connection": engine.connection, "username": user, **declare}
    return {"name": own_name(namespace, name), "kind": "Static", "declare": body}, user, password
