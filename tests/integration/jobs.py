"""What a platform team sets up for rotations by Job: the namespace, the rights, templates for PostgreSQL.

Used by the tests of rotations by Job here and in `faults`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final

import yaml
from psycopg import sql

from integration.handles import Backend
from integration.objects import KV, backend_object, rule
from integration.rotations import LOGIN, Rotation, make_rotation
from integration.world import World
from plane.binaries import REPOSITORY
from plane.json_client import Json
from plane.operator import set_up_vault
from plane.postgres_server import DATABASE, PostgresServer
from plane.vault_admin import write_secret

NAMESPACE: Final = "airwarden-rotation"
OPTION: Final = f"--rotation-namespace={NAMESPACE}"
TEMPLATES: Final = ("postgres-user", "postgres-login")
PAGE: Final = REPOSITORY / "docs" / "rotation-job.md"


def examples() -> list[Json]:
    """Return the objects that the page on rotations by Job tells the platform team to apply."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [each for block in blocks for each in yaml.safe_load_all(block)]


def template(name: str) -> Json:
    """Return a template of the page."""
    return next(each for each in examples() if each["kind"] == "CronJob" and each["metadata"]["name"] == name)


def permit_jobs(world: World) -> None:
    """Apply the component for rotations by Job, but the Deployment that the operator process plays."""
    rendered = world.plane.kubectl("kustomize", str(REPOSITORY / "manifests" / "overlays" / "rotation-jobs"))
    objects = [each for each in yaml.safe_load_all(rendered) if each["metadata"].get("namespace") == NAMESPACE]
    namespace = [each for each in yaml.safe_load_all(rendered) if each["metadata"]["name"] == NAMESPACE]
    world.plane.api.apply(*namespace)
    world.plane.create_namespace(NAMESPACE)
    world.plane.api.apply(*objects)


def set_up_postgres(world: World, postgres: PostgresServer) -> None:
    """Make the user that changes passwords, known to its templates alone, and apply these."""
    manager = manager_of(world)
    if manager not in postgres.users():
        password = postgres.make_user(manager, may_make_users=True)
        body = {
            "metadata": {"name": "postgres-manager"},
            "stringData": {
                "host": "127.0.0.1",
                "port": str(postgres.port),
                "database": DATABASE,
                "user": manager,
                "password": password,
            },
        }
        world.plane.api.admin.request(
            "POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", {"apiVersion": "v1", "kind": "Secret", **body}
        )
    # As the page has them.
    for name in TEMPLATES:
        world.plane.api.apply({**template(name), "metadata": {**template(name)["metadata"], "namespace": NAMESPACE}})


def manager_of(world: World) -> str:
    """Return the database user of a cluster's templates: several clusters share the one PostgreSQL."""
    return f"manager_{world.plane.api_url.rpartition(':')[2]}"


def jobs_rule(**more: Any) -> Json:
    """Return an allow rule that lets tenants rotate their own tree by Job."""
    return rule(**{"operations": ["Read", "RotateJob"], "jobTemplates": [*TEMPLATES], **more})


def by_job(**spec: Any) -> Json:
    """Return the spec of a backend that lets tenants do so."""
    return {"rotation": LOGIN, "allow": [jobs_rule()], **spec}


def permit_rotations_by_job(world: World) -> None:
    """Run the printed set-up with a login for rotations by Job, for all namespaces so far."""
    body = backend_object("setup", world.plane.vault_address, **by_job())
    set_up_vault(world.plane, body, namespaces=world.namespaces)


def make_job_rotation(
    world: World,
    namespace: str,
    backend: Backend | str,
    postgres: PostgresServer,
    *,
    user: str = "",
    foreign_password: str = "",
    job: Json | None = None,
    **spec: Any,
) -> Rotation:
    """Make a database user with its secret, and a rotation of its password."""
    name = world.fresh("warehouse")
    users = tuple(str(each).format(namespace=namespace) for each in (job or {}).get("users", ()))
    user = user or (users[0] if users else f"{namespace}.{name}")
    passwords = {each: postgres.make_user(each) for each in (users or (user,)) if each not in postgres.users()}
    for each in passwords:
        grant_to_manager(world, postgres, each)
    password = passwords.get(user) or foreign_password
    values = {"login": user, "password": password}
    key = f"{namespace}/connections/{name}"
    wanted = {"template": TEMPLATES[0], "userField": "login", **(job or {})}
    if users:
        wanted["users"] = list(users)
    write_secret(world.plane, key, values, mount=KV)
    made = make_rotation(world, namespace, backend, name, secret=False, key=key, strategy="Job", job=wanted, **spec)
    return replace(made, before=values)


def grant_to_manager(world: World, postgres: PostgresServer, user: str) -> None:
    """Let the templates' own user change the password of a user."""
    with postgres.connect() as connection:
        connection.execute(
            sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(sql.Identifier(user), sql.Identifier(manager_of(world)))
        )


def job_pods(world: World) -> list[Json]:
    """Return the pods in the rotation namespace."""
    found: list[Json] = world.plane.api.admin.request("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
    return found


def secrets_of_jobs(world: World) -> list[str]:
    """Return the names of the Secrets that Jobs were given."""
    listed = world.plane.api.admin.request("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets")["items"]
    return [each["metadata"]["name"] for each in listed if each["metadata"].get("ownerReferences")]
