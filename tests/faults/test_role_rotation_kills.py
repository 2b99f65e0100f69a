"""The operator is killed at every request of a run of a database role, before it is sent and when it has acted unseen.

In the end the password was changed once, and what Vault serves logs in to PostgreSQL. Every request of a fake world is
in `tests/unit/reconcile/test_role_rotations.py`.
"""

from __future__ import annotations

import re
from typing import Final

import pytest

from integration.faults.placed import HEALED, TEAM, Placed
from integration.handles import Backend
from integration.objects import binding_path
from integration.role_rotations import MOUNT, declared, make_role_rotation, permit_roles, role_rule, rotating_roles
from integration.rotations import Rotation
from integration.world import eventually
from plane.database_engine import DatabaseEngine
from plane.json_client import Json
from plane.postgres_server import PostgresServer
from plane.proxy import Request, Stop

OBJECT: Final = "/airflowsecretrotations/{name}$"
STATUS: Final = "/airflowsecretrotations/{name}/status$"
STATIC: Final = f"/v1/{MOUNT}/static-roles/{{role}}$"
Points = dict[str, tuple[str, str, int]]
MAKE: Final[Points] = {
    "look": ("GET", STATIC, 1),
    "finalizer": ("PATCH", OBJECT, 1),
    "record": ("PATCH", STATUS, 1),
    "make": ("POST", STATIC, 1),
    "look again": ("GET", STATIC, 2),
    "report": ("PATCH", STATUS, 2),
}
ROTATE: Final[Points] = {
    "look": ("GET", STATIC, 1),
    "record": ("PATCH", STATUS, 1),
    "rotate": ("POST", f"/v1/{MOUNT}/rotate-role/{{role}}$", 1),
    "look again": ("GET", STATIC, 2),
    "report": ("PATCH", STATUS, 2),
}
DELETE: Final[Points] = {
    "look": ("GET", STATIC, 1),
    "remove": ("DELETE", STATIC, 1),
    "finalizer": ("PATCH", OBJECT, 1),
}
REVOKE: Final[Points] = {
    "record": ("PATCH", STATUS, 1),
    "revoke": ("PUT", f"/v1/sys/leases/revoke-prefix/{MOUNT}/creds/{{role}}$", 1),
    "report": ("PATCH", STATUS, 2),
}


def stop_at(name: str, role: str, point: tuple[str, str, int], *, after: bool) -> Stop:
    """Return what holds the point's request of a rotation."""
    method, path, nth = point
    pattern = re.compile(path.format(name=name, role=re.escape(role)))
    seen: list[Request] = []

    def chosen(request: Request) -> bool:
        if request.method == method and pattern.search(request.path.partition("?")[0]):
            seen.append(request)
            return len(seen) == nth
        return False

    return Stop(chosen, after=after)


@pytest.fixture(scope="module")
def engine(placed: Placed, postgres: PostgresServer) -> DatabaseEngine:
    """Return the database engine of the Vault behind the proxy."""
    made = DatabaseEngine(placed.world.plane.vault, postgres, MOUNT)
    made.enable()
    return made


@pytest.fixture
def store(placed: Placed) -> Backend:
    """Return a backend behind the proxy that lets the team have its roles rotated."""
    permit_roles(placed.world)
    placed.run()
    made = placed.backend(**rotating_roles(allow=[role_rule(names=(TEAM,))]))
    made.wait_ready(HEALED)
    return made


def passwords_set(engine: DatabaseEngine, role: Json, since: int) -> int:
    """Return how many times Vault was asked to change the role's password."""
    entries = engine.vault.audit.entries(since)
    paths = {f"{MOUNT}/rotate-role/{role['name']}": "update", f"{MOUNT}/static-roles/{role['name']}": "create"}
    return len([each for each in entries if paths.get(each.path) == each.operation])


def made_ready(placed: Placed, store: Backend, role: Json) -> Rotation:
    made = make_role_rotation(placed.world, TEAM, store, role)
    made.wait_ready(HEALED)
    return made


@pytest.mark.timeout(600)
def test_killed_at_every_request_a_declared_role_is_made_once(
    placed: Placed, store: Backend, engine: DatabaseEngine
) -> None:
    for number, (label, point) in enumerate(MAKE.items()):
        for after in (False, True):
            placed.run()
            role, user, first = declared(engine, TEAM, f"made{number}{int(after)}", period="24h")
            name = placed.world.fresh("made")
            mark = engine.vault.audit.mark()
            stop = stop_at(name, role["name"], point, after=after)
            placed.stop_at(stop)
            made = make_role_rotation(placed.world, TEAM, store, role, name=name)
            placed.kill_at(stop)
            placed.operator.start()
            made.wait_ready(HEALED)
            said = f"killed at {label}, after={after}"
            assert passwords_set(engine, role, mark) == 1, said
            assert engine.postgres.accepts(user, engine.password(role["name"])), said
            assert not engine.postgres.accepts(user, first), said
            assert "run" not in made.status(), said
            placed.world.delete(made.path)
            placed.world.wait_gone(made.path, HEALED)


@pytest.mark.timeout(600)
def test_killed_at_every_request_of_a_run_the_password_is_changed_once(
    placed: Placed, store: Backend, engine: DatabaseEngine
) -> None:
    role, user, _ = declared(engine, TEAM, "runs", period="24h")
    placed.run()
    made = made_ready(placed, store, role)
    for label, point in ROTATE.items():
        for after in (False, True):
            placed.run()
            made.wait_ready(HEALED)
            old, mark = engine.password(role["name"]), engine.vault.audit.mark()
            stop = stop_at(made.name, role["name"], point, after=after)
            placed.stop_at(stop)
            word = f"{label} {after}".replace(" ", "-")
            made.ask(word)
            placed.kill_at(stop)
            placed.operator.start()
            made.wait_done(word, deadline=HEALED)
            said = f"killed at {label}, after={after}"
            assert passwords_set(engine, role, mark) == 1, said
            assert engine.postgres.accepts(user, engine.password(role["name"])), said
            assert not engine.postgres.accepts(user, old), said
    placed.world.delete(made.path)
    placed.world.wait_gone(made.path, HEALED)


@pytest.mark.timeout(600)
def test_killed_at_every_request_of_a_deletion_the_role_goes(
    placed: Placed, store: Backend, engine: DatabaseEngine
) -> None:
    for number, point in enumerate(DELETE.values()):
        for after in (False, True):
            placed.run()
            role, _, _ = declared(engine, TEAM, f"gone{number}{int(after)}", period="24h")
            made = made_ready(placed, store, role)
            stop = stop_at(made.name, role["name"], point, after=after)
            placed.stop_at(stop)
            placed.world.delete(made.path)
            placed.kill_at(stop)
            placed.operator.start()
            placed.world.wait_gone(made.path, HEALED)
            assert engine.read(role["name"]) is None


@pytest.mark.timeout(600)
def test_killed_at_every_request_of_a_revocation_the_leases_end(
    placed: Placed, store: Backend, engine: DatabaseEngine
) -> None:
    name = f"{TEAM}.leased"
    engine.dynamic_role(name)
    placed.run()
    bound = placed.binding(store)
    dynamic = {"engine": MOUNT, "role": name, "kind": "Dynamic"}
    item = {"type": "Connection", "id": "leased", "backendRef": {"name": store.name}, "dynamic": dynamic}
    bound.edit(secrets=[item])
    bound.wait_ready(HEALED)
    made = made_ready(placed, store, {"name": name, "kind": "Dynamic"})
    for label, point in REVOKE.items():
        for after in (False, True):
            placed.run()
            user = engine.lease(name)["username"]
            stop = stop_at(made.name, name, point, after=after)
            placed.stop_at(stop)
            word = f"{label}-{after}"
            made.ask(word)
            placed.kill_at(stop)
            placed.operator.start()
            made.wait_done(word, deadline=HEALED)
            assert user not in engine.postgres.users(), f"killed at {label}, after={after}"
    placed.world.delete(made.path)
    placed.world.delete(binding_path(TEAM, bound.name))
    eventually("the binding is gone", lambda: placed.world.get(binding_path(TEAM, bound.name)) is None, HEALED)
