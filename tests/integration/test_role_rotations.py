"""Rotations of database roles on a real API server, Vault and PostgreSQL: whose password works, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Backend
from integration.objects import API
from integration.role_rotations import (
    MOUNT,
    declared,
    make_role_rotation,
    own_name,
    permit_roles,
    role_rule,
    rotating_roles,
)
from integration.rotations import Rotation
from integration.world import World, eventually
from plane.database_engine import DatabaseEngine
from plane.json_client import Json
from plane.postgres_server import PostgresServer

SEEN = 90.0


class MakeRotation(Protocol):
    """Makes a rotation of a database role."""

    def __call__(self, namespace: str, backend: Backend | str, role: Json, **spec: Any) -> Rotation: ...


@pytest.fixture(scope="module")
def engine(world: World, postgres: PostgresServer) -> DatabaseEngine:
    """Return Vault's database engine in front of the session's PostgreSQL."""
    made = DatabaseEngine(world.plane.vault, postgres, MOUNT)
    made.enable()
    made.connect("spare", f"{made.root}_spare")
    return made


@pytest.fixture
def tenant(world: World, make_namespace: Callable[..., str]) -> str:
    """Return a tenant's namespace in which the login for rotations may rotate database roles."""
    name = make_namespace()
    permit_roles(world)
    return name


@pytest.fixture
def store(backend: MakeBackend) -> Backend:
    """Return a backend that lets tenants have their own roles rotated, and looks often for what was changed."""
    return backend(**rotating_roles(drift={"interval": "3s"}))


@pytest.fixture
def rotation(world: World, backend: MakeBackend) -> Iterator[MakeRotation]:
    """Return a function that makes rotations. They go after the test, and must be able to."""
    del backend  # only for the order of the ends
    made: list[Rotation] = []

    def make(namespace: str, backend: Backend | str, role: Json, **spec: Any) -> Rotation:
        made.append(make_role_rotation(world, namespace, backend, role, **spec))
        return made[-1]

    yield make
    for each in made:
        world.delete(each.path)
    for each in made:
        world.wait_gone(each.path)


def test_a_declared_role_is_made_and_a_bound_account_logs_in_to_the_database_with_it(
    world: World, engine: DatabaseEngine, store: Backend, rotation: MakeRotation, binding: MakeBinding, tenant: str
) -> None:
    role, user, first = declared(engine, tenant, "reporting", period="24h")
    made = rotation(tenant, store, role)
    made.wait_ready()
    item = {
        "type": "Connection",
        "id": "reporting",
        "backendRef": {"name": store.name},
        "dynamic": {"engine": MOUNT, "role": role["name"], "kind": "Static"},
    }
    reader = binding(tenant, store, secrets=[item])
    reader.wait_ready()
    token = reader.login()

    def served() -> str:
        answer = world.plane.vault.request("GET", f"{MOUNT}/static-creds/{role['name']}", token=token)
        return str(answer["data"]["password"])

    second = served()
    assert engine.postgres.accepts(user, second)
    assert not engine.postgres.accepts(user, first)
    told = [each for each in made.events() if each[1] == "PasswordChanges"]
    assert f"user {user} of connection main gets a new password at once" in told[0][2]
    status = made.status()
    assert (status["phase"], status["lastRun"]["cause"], status["schedule"]) == ("Waiting", "Declaration", "every 24h")
    made.ask("now")
    made.wait_done("now")
    assert not engine.postgres.accepts(user, second)
    assert engine.postgres.accepts(user, served())


def test_an_edited_schedule_is_pushed_without_rotating(
    engine: DatabaseEngine, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    role, user, _ = declared(engine, tenant, "weekly")
    made = rotation(tenant, store, role, schedule="@weekly", startingDeadline="2h")
    made.wait_ready()
    password = engine.password(role["name"])
    kept = {key: value for key, value in (engine.read(role["name"]) or {}).items() if key.startswith("rotation_")}
    assert kept == {"rotation_schedule": "0 0 * * 0", "rotation_window": 7200, "rotation_statements": []}
    made.edit(schedule="30 4 1 * *", startingDeadline=None)

    def pushed() -> bool:
        found = engine.read(role["name"]) or {}
        return found["rotation_schedule"] == "30 4 1 * *" and "rotation_window" not in found

    eventually("the edit is in Vault", pushed)
    eventually("it is said when", lambda: made.status()["next"].endswith("-01T04:30:00Z"))
    assert engine.password(role["name"]) == password
    assert engine.postgres.accepts(user, password)


def test_a_role_that_was_edited_in_vault_is_set_right_without_rotating(
    engine: DatabaseEngine, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    role, user, _ = declared(engine, tenant, "drifting", period="24h")
    made = rotation(tenant, store, role)
    made.wait_ready()
    password = engine.password(role["name"])
    engine.static_role(role["name"], user, rotation_period=7200)
    eventually("it is as declared", lambda: (engine.read(role["name"]) or {})["rotation_period"] == 86400)
    eventually("that is told", lambda: [each for each in made.events() if each[1] == "DriftCorrected"])
    assert engine.password(role["name"]) == password


def test_a_settled_rotation_looks_and_writes_nothing(
    world: World, engine: DatabaseEngine, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    role, _, _ = declared(engine, tenant, "quiet", period="24h")
    made = rotation(tenant, store, role)
    made.wait_ready()
    mark = world.marks()
    path = f"{MOUNT}/static-roles/{role['name']}"

    def looks() -> list[str]:
        return [each.operation for each in world.plane.vault.audit.entries(mark.vault) if each.path == path]

    eventually("it was looked at twice", lambda: len(looks()) >= 2)
    assert set(looks()) == {"read"}
    assert mark.patches(made.name) == []


def test_what_vault_rotates_by_itself_is_seen(
    engine: DatabaseEngine, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    role, user, _ = declared(engine, tenant, "busy", period="5s")
    made = rotation(tenant, store, role)
    made.wait_ready()
    eventually("Vault's own is told", lambda: made.status()["lastRun"].get("cause") == "Store", SEEN)
    assert made.status()["lastRun"]["result"] == "Succeeded"
    made.edit(databaseRole={"declare": {"period": "24h"}})
    eventually("it is slow again", lambda: made.status().get("schedule") == "every 24h")
    assert engine.postgres.accepts(user, engine.password(role["name"]))


def test_a_role_of_the_administrator_follows_our_schedule_and_is_left_when_the_rotation_goes(
    world: World, engine: DatabaseEngine, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    user = f"{tenant}_admin"
    engine.user(user)
    engine.static_role(f"{tenant}.admin", user)
    first = engine.password(f"{tenant}.admin")
    made = rotation(tenant, store, {"name": f"{tenant}.admin", "kind": "Static"}, schedule="0 3 1 1 *")
    made.wait_ready()
    world.merge(f"{made.path}/status", {"status": {**made.status(), "handledSlot": "2020-06-01T00:00:00Z"}})
    eventually("the moment of January is made up for", lambda: made.status().get("lastRun", {}).get("result"))
    assert made.status()["lastRun"]["cause"] == "Schedule"
    assert not engine.postgres.accepts(user, first)
    world.delete(made.path)
    world.wait_gone(made.path)
    assert engine.postgres.accepts(user, engine.password(f"{tenant}.admin"))


def test_a_role_that_is_not_there_fails_with_the_reason(store: Backend, rotation: MakeRotation, tenant: str) -> None:
    made = rotation(tenant, store, {"name": f"{tenant}.nowhere", "kind": "Static"})
    made.ask("now")
    assert made.wait_done("now", "Failed")["reason"] == "DatabaseRoleAbsent"


def test_a_database_that_is_down_keeps_the_old_password_and_one_rotation_follows(
    world: World, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    with PostgresServer() as postgres:
        engine = DatabaseEngine(world.plane.vault, postgres, MOUNT, f"down-{tenant}", f"root_down_{tenant}")
        engine.connect(engine.connection, engine.root)
        user, name = f"{tenant}_down", f"{tenant}.down"
        engine.user(user)
        engine.static_role(name, user)
        first, before = engine.password(name), (engine.read(name) or {})["last_vault_rotation"]
        made = rotation(tenant, store, {"name": name, "kind": "Static"})
        made.wait_ready()
        postgres.shut_down()
        made.ask("now")
        said = made.wait_condition("Ready", "False", "DatabaseRefused")
        assert "stays as it was" in said["message"]
        assert first not in said["message"]
        assert engine.password(name) == first
        assert (engine.read(name) or {})["last_vault_rotation"] == before
        postgres.start_again()
        made.wait_done("now", deadline=SEEN)
        last = engine.password(name)
        assert last != first
        assert postgres.accepts(user, last)
        assert not postgres.accepts(user, first)
        engine.vault.request("DELETE", f"{MOUNT}/static-roles/{name}")


def test_a_deleted_rotation_takes_its_role_with_it_and_says_what_the_user_keeps(
    world: World, engine: DatabaseEngine, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    role, user, _ = declared(engine, tenant, "leaving", period="24h")
    made = rotation(tenant, store, role)
    made.wait_ready()
    last = engine.password(role["name"])
    world.delete(made.path)
    world.wait_gone(made.path)
    assert engine.read(role["name"]) is None
    assert engine.postgres.accepts(user, last)
    told = [each for each in made.events() if each[1] == "RoleReleased"]
    assert f"user {user} keeps the last password" in told[0][2]


def test_a_backend_that_is_deleted_waits_for_the_roles_that_rotations_hold_in_it(
    world: World, engine: DatabaseEngine, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    role, _, _ = declared(engine, tenant, "held", period="24h")
    made = rotation(tenant, store, role)
    made.wait_ready()
    world.delete(store.path)
    store.wait_condition("Ready", "False", "InUse")
    world.delete(made.path)
    world.wait_gone(made.path)
    world.wait_gone(store.path, SEEN)
    assert engine.read(role["name"]) is None


def test_two_rotations_of_one_user_stop_until_one_is_gone(
    world: World, engine: DatabaseEngine, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    role, user, _ = declared(engine, tenant, "shared", period="24h")
    first = rotation(tenant, store, role)
    first.wait_ready()
    password = engine.password(role["name"])
    second = rotation(tenant, store, {**role, "name": own_name(tenant, "shared-too")})
    for each in (first, second):
        each.wait_condition("Ready", "False", "RotationConflict")
    assert engine.read(own_name(tenant, "shared-too")) is None
    world.delete(second.path)
    first.wait_ready()
    assert engine.postgres.accepts(user, password)


def test_a_user_that_another_role_of_the_engine_has_is_not_taken_over(
    engine: DatabaseEngine, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    role, user, _ = declared(engine, tenant, "taken", period="24h")
    engine.static_role(f"elsewhere.{tenant}", user)
    made = rotation(tenant, store, role)
    said = made.wait_condition("Ready", "False", "RotationConflict")
    assert f"elsewhere.{tenant}" in said["message"]
    assert engine.read(role["name"]) is None
    assert engine.postgres.accepts(user, engine.password(f"elsewhere.{tenant}"))


def test_outside_the_rule_nothing_is_made_or_rotated(
    world: World, engine: DatabaseEngine, backend: MakeBackend, rotation: MakeRotation, tenant: str
) -> None:
    store = backend(**rotating_roles(allow=[role_rule(operations=["Read", "RotateGenerate"])]))
    role, user, first = declared(engine, tenant, "outside", period="24h")
    made = rotation(tenant, store, role)
    said = made.wait_condition("Ready", "False", "RotationNotAllowed")
    assert "RotateNative" in said["message"]
    store.edit(allow=[role_rule(dynamic={"usernames": ["nobody_*"]})])
    eventually("the user is refused", lambda: "nobody_*" in made.wait_condition("Ready", "False")["message"])
    elsewhere = rotation(tenant, store, {**role, "name": own_name("another", "outside")})
    elsewhere.wait_condition("Ready", "False", "RotationNotAllowed")
    assert engine.read(role["name"]) is None
    assert engine.postgres.accepts(user, first)
    store.edit(allow=[role_rule()])
    made.wait_ready()
    assert engine.postgres.accepts(user, engine.password(role["name"]))


def test_a_connection_s_user_is_rotated_on_demand_and_vault_goes_on(
    engine: DatabaseEngine, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    made = rotation(tenant, store, {"name": "spare", "kind": "Root"})
    made.ask("now")
    made.wait_done("now")
    user = f"{tenant}_after"
    engine.user(user)
    engine.static_role(f"{tenant}.after", user, "spare")
    assert engine.postgres.accepts(user, engine.password(f"{tenant}.after"))
    other = rotation(tenant, store, {"name": "main", "kind": "Root"})
    other.wait_condition("Ready", "False", "RotationNotAllowed")


def test_leases_of_a_role_that_one_binding_uses_end_on_demand(
    engine: DatabaseEngine, store: Backend, rotation: MakeRotation, binding: MakeBinding, tenant: str
) -> None:
    name = f"{tenant}.reads"
    engine.dynamic_role(name)
    item = {
        "type": "Connection",
        "id": "reads",
        "backendRef": {"name": store.name},
        "dynamic": {"engine": MOUNT, "role": name},
    }
    binding(tenant, store, secrets=[item]).wait_ready()
    made = rotation(tenant, store, {"name": name, "kind": "Dynamic"})
    made.wait_ready()
    lease = engine.lease(name)
    assert engine.postgres.accepts(lease["username"], lease["password"])
    made.ask("now")
    made.wait_done("now")
    assert lease["username"] not in engine.postgres.users()
    second = binding(tenant, store, secrets=[item])
    second.wait_ready()
    made.ask("again")
    said = made.wait_condition("Ready", "False", "RoleInUse")
    assert f"{tenant}/{second.name}" in said["message"]


def test_no_password_is_in_any_output(
    world: World, engine: DatabaseEngine, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    role, user, first = declared(engine, tenant, "canary", period="24h")
    made = rotation(tenant, store, role)
    made.wait_ready()
    second = engine.password(role["name"])
    engine.rename(user, f"{user}_away")
    made.ask("now")
    made.wait_condition("Ready", "False", "DatabaseRefused")
    engine.rename(f"{user}_away", user)
    made.wait_done("now", deadline=SEEN)
    values = (first, second, engine.password(role["name"]))
    listed = world.plane.kubectl("get", "asr,events", "-n", tenant, "-o", "json", "--show-managed-fields")
    for text in (world.operator.log.read_text(), world.operator.metrics(), listed):
        assert not [each for each in values if each in text]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"key": "team/db", "field": "password", "strategy": "Native"}, "a key needs strategy Generate"),
        ({"databaseRole": {"name": "x.y", "kind": "Static"}}, "needs strategy Native"),
        ({"databaseRole": {"name": "x.y", "kind": "Dynamic"}, "strategy": "Native"}, "needs strategy Revoke"),
        ({"databaseRole": {"name": "x.y", "kind": "Root"}, "strategy": "Revoke"}, "needs strategy Native"),
    ],
)
def test_a_strategy_that_the_store_cannot_do_is_refused_with_the_one_that_it_can(
    world: World, tenant: str, spec: Json, said: str
) -> None:
    if "databaseRole" in spec:
        spec = {**spec, "databaseRole": {"engine": MOUNT, **spec["databaseRole"]}}
    body = {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretRotation",
        "metadata": {"name": "wrong", "namespace": tenant},
        "spec": {"backendRef": {"name": "vault"}, **spec},
    }
    with pytest.raises(Exception, match=said):
        world.create(f"{API}/namespaces/{tenant}/airflowsecretrotations", body)
