"""Rotations that bindings make, on a real API server and Vault, and what bindings show of the rotations they read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from airwarden.domain.rotation.sugar import name_of
from airwarden.providers.vault.rotation.setup import RotationOptions
from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Backend, Binding
from integration.objects import backend_object, rule, secret
from integration.rotations import Rotation, make_rotation, permit_rotations, removing, rotating, rotation_path
from integration.world import SOON, World, eventually
from plane.airflow import Lookup, read_secret
from plane.json_client import Json
from plane.operator import set_up_vault

YEARLY: Final = "0 3 1 1 *"


@pytest.fixture
def tenant(world: World, make_namespace: Callable[..., str]) -> str:
    """Return a tenant's namespace in which the login for rotations may rotate."""
    name = make_namespace()
    permit_rotations(world)
    return name


@pytest.fixture
def store(backend: MakeBackend) -> Backend:
    """Return a backend that lets tenants rotate their own tree."""
    return backend(**rotating())


@pytest.fixture
def made_by_hand(world: World) -> Iterator[list[Rotation]]:
    """Return a list of rotations that go after the test."""
    found: list[Rotation] = []
    with removing(found):
        yield found


def of(reader: Binding, item: str = "warehouse", key: str = "", kind: str = "Connection") -> Rotation:
    """Return the rotation that a binding makes for one of its secrets."""
    key = key or f"{reader.namespace}/connections/{item}"
    return Rotation(reader.world, reader.namespace, name_of(reader.name, f"{kind}/{item}"), key)


def all_in(world: World, namespace: str) -> set[str]:
    """Return the names of all rotations of a namespace."""
    found = world.plane.api.admin.request("GET", rotation_path(namespace))["items"]
    return {each["metadata"]["name"] for each in found}


def written(world: World, key: str, **values: str) -> str:
    """Write a secret by hand; return its key."""
    world.plane.vault.request("POST", f"airflow/data/{key}", {"data": values})
    return key


def wait_shown(reader: Binding, **summary: str) -> Json:
    """Wait until the binding's summary says so; return its status."""

    def so() -> Json | None:
        status = reader.status()
        found = {name: status.get("summary", {}).get(name, "") for name in summary}
        assert found == summary, status
        return status

    return eventually(f"{reader.name} shows {summary}", so)


def test_a_binding_makes_a_rotation_for_each_secret_and_they_go_with_it(
    world: World, store: Backend, binding: MakeBinding, tenant: str
) -> None:
    for name in ("warehouse", "ledger"):
        written(world, f"{tenant}/connections/{name}", password="first", user="billing")
    reader = binding(
        tenant,
        store,
        secrets=[secret(f"{tenant}/connections/{name}", store.name, id=name) for name in ("warehouse", "ledger")],
        rotation={"schedule": YEARLY, "jitter": "1h"},
    )
    reader.wait_ready()
    both = [of(reader, name) for name in ("warehouse", "ledger")]
    for each in both:
        each.wait_ready()
    assert all_in(world, tenant) == {each.name for each in both}
    status = wait_shown(reader, nextRotation=min(each.status()["next"] for each in both))
    assert [each["secret"] for each in sorted(status["rotations"], key=lambda each: str(each["secret"]))] == [
        "Connection/ledger",
        "Connection/warehouse",
    ]
    reader.wait_condition("RotationsHealthy", "True")
    reader.edit(secrets=[secret(f"{tenant}/connections/warehouse", store.name)])
    world.wait_gone(both[1].path)
    both[0].ask("now")
    both[0].wait_done("now")
    last = both[0].status()["lastSuccess"]
    assert [each["secret"] for each in wait_shown(reader, lastRotation=last)["rotations"]] == [
        "Connection/warehouse",
        "Connection/ledger",
    ]
    reader.edit(rotation=None)
    world.wait_gone(both[0].path)

    def kept() -> Json | None:
        found = [each for each in reader.status()["rotations"] if each["name"] == f"{tenant}/{both[0].name}"]
        return found[0] if found and found[0].get("removed") else None

    assert (left := eventually("its last state is kept", kept))["version"] == 2
    assert (left["result"], left["lastRun"]) == ("Succeeded", last)
    reader.edit(rotation={"schedule": YEARLY})
    both[0].wait_ready()
    reader.delete()
    reader.wait_gone()
    assert all_in(world, tenant) == set()


def test_requests_of_rotations_are_counted(world: World, store: Backend, binding: MakeBinding, tenant: str) -> None:
    written(world, f"{tenant}/connections/warehouse", password="first")
    mark = world.marks()
    reader = binding(tenant, store, rotation={"schedule": YEARLY})
    reader.wait_ready()
    made = of(reader)
    made.wait_ready()
    wait_shown(reader, nextRotation=made.status()["next"])
    assert mark.patches(reader.name) == ["metadata", "status", "status", "status"]
    assert mark.patches(made.name) == ["metadata", "status"]  # it is made, and its own first report
    asked = [each.verb for each in mark.api_requests() if each.resource == "airflowsecretrotations" and each.namespace]
    assert sorted(asked) == ["create", "patch"]
    mark = world.marks()
    made.ask("now")
    made.wait_done("now")
    wait_shown(reader, lastRotation=made.status()["lastSuccess"])
    assert mark.patches(reader.name) == ["status"]
    assert mark.patches(made.name) == ["status", "status"]


def test_a_restart_changes_nothing_of_them(world: World, store: Backend, binding: MakeBinding, tenant: str) -> None:
    written(world, f"{tenant}/connections/warehouse", password="first")
    reader = binding(tenant, store, rotation={"schedule": YEARLY})
    made = of(reader)
    reader.wait_ready()
    made.wait_ready()
    wait_shown(reader, nextRotation=made.status()["next"])
    before = (reader.body(), made.body())
    mark = world.marks()
    assert world.operator.stop() == 0
    world.operator.start()
    eventually("the binding was looked at again", lambda: mark.drift_checks(reader.store_name))
    looked = f"airflow/subkeys/{made.key}"
    entries = world.plane.vault.audit.entries
    eventually("the secret was looked at", lambda: [each for each in entries(mark.vault) if each.path == looked])
    assert (reader.body(), made.body()) == before


def test_suspending_the_binding_holds_its_rotations(store: Backend, binding: MakeBinding, tenant: str) -> None:
    written(store.world, f"{tenant}/connections/warehouse", password="first")
    reader = binding(tenant, store, rotation={"schedule": YEARLY})
    made = of(reader)
    made.wait_ready()
    reader.edit(suspend=True)
    made.wait_condition("Suspended", "True")
    reader.edit(suspend=False)
    eventually("it goes on", lambda: made.status()["phase"] == "Waiting")


def test_a_refused_rotation_shows_in_the_binding_and_does_not_hold_up_the_access(
    backend: MakeBackend, binding: MakeBinding, tenant: str
) -> None:
    store = backend(**rotating(allow=[rule()]))
    reader = binding(tenant, store, rotation={"schedule": YEARLY})
    reader.wait_ready()
    said = reader.wait_condition("RotationsHealthy", "False", "RotationNotAllowed")
    assert "RotateGenerate" in said["message"]
    assert reader.conditions()["Ready"]["status"] == "True"
    eventually("it is told", lambda: [each for each in reader.events() if each[1] == "RotationNotAllowed"])


@pytest.mark.parametrize(
    ("rotation", "reason"),
    [
        ({"schedule": "0 0 31 2 *"}, "InvalidSchedule"),
        ({"schedule": "@daily", "timeZone": "Europe/Atlantis"}, "InvalidSchedule"),
        ({"schedule": "@hourly", "jitter": "2h"}, "InvalidSchedule"),
        ({"schedule": "@daily", "window": {"opens": "0 0 30 2 *", "duration": "1h"}}, "InvalidSchedule"),
        ({"connections": "URI"}, "FieldMissing"),
    ],
)
def test_what_cannot_work_shows_in_the_binding(
    store: Backend, binding: MakeBinding, tenant: str, rotation: Json, reason: str
) -> None:
    written(store.world, f"{tenant}/connections/warehouse", password="first")
    reader = binding(tenant, store, rotation=rotation)
    reader.wait_condition("RotationsHealthy", "False", reason)
    reader.wait_ready()


def test_two_bindings_that_rotate_one_key_both_say_so(
    world: World, store: Backend, binding: MakeBinding, tenant: str
) -> None:
    written(world, f"{tenant}/connections/warehouse", password="first")
    both = [binding(tenant, store, rotation={}) for _ in range(2)]
    for each in both:
        of(each).wait_condition("Ready", "False", "RotationConflict")
        each.wait_condition("RotationsHealthy", "False", "RotationConflict")
        each.wait_ready()
    both[1].edit(rotation=None)
    of(both[0]).wait_ready()
    for each in both:
        each.wait_condition("RotationsHealthy", "True")


def test_a_rotation_under_the_name_that_somebody_made_stands(
    world: World, store: Backend, binding: MakeBinding, made_by_hand: list[Rotation], tenant: str
) -> None:
    name = world.fresh("billing")
    theirs = make_rotation(world, tenant, store, name_of(name, "Connection/warehouse"), key=f"{tenant}/else")
    made_by_hand.append(theirs)
    theirs.wait_ready()
    before = theirs.body()["spec"]
    written(world, f"{tenant}/connections/warehouse", password="first")
    reader = binding(tenant, store, name, rotation={"schedule": YEARLY})
    reader.wait_ready()
    reader.wait_condition("RotationsHealthy", "False", "NotOwned")
    assert theirs.body()["spec"] == before
    world.delete(theirs.path)
    of(reader).wait_ready()
    reader.wait_condition("RotationsHealthy", "True")


def test_a_rotation_made_by_hand_shows_in_every_binding_that_reads_its_secret(
    world: World, store: Backend, binding: MakeBinding, made_by_hand: list[Rotation], tenant: str
) -> None:
    made = make_rotation(world, tenant, store, schedule=YEARLY)
    made_by_hand.append(made)
    readers = [binding(tenant, store, secrets=[secret(made.key, store.name)]) for _ in range(2)]
    made.wait_ready()
    for each in readers:
        each.wait_ready()
        wait_shown(each, nextRotation=made.status()["next"])
    mark = world.marks()
    made.ask("now")
    made.wait_done("now")
    for each in readers:
        wait_shown(each, lastRotation=made.status()["lastSuccess"])
        assert mark.patches(each.name) == ["status"]
    world.delete(made.path)
    for each in readers:
        assert "rotations" not in wait_shown(each, nextRotation="", lastRotation="")
    header, line = world.plane.kubectl("get", "asb", "-n", tenant, readers[0].name).strip().splitlines()
    assert re.split(r"\s{2,}", header)[5:] == ["NEXT ROTATION", "AGE"]
    assert line.split()[1:3] == ["True", "Ready"]


@pytest.fixture
def may_read(world: World, tenant: str) -> Iterator[str]:
    """Return a namespace in which the login for rotations may also read values."""
    body = backend_object("setup", world.plane.vault_address, **rotating())
    set_up_vault(world.plane, body, namespaces=world.namespaces, rotation=RotationOptions(True, ()))
    yield tenant
    permit_rotations(world)


def look_up(world: World, reader: Binding, item: str, expected: str) -> Any:
    """Have Airflow's own code look a connection up, as a task under the bound account does."""
    jwt = world.plane.service_account_token(reader.namespace, reader.account, "vault", 600)
    lookup = Lookup(reader.store_name, jwt, f"{reader.namespace}/connections", item, expected=expected)
    return read_secret(world.plane.vault_address, lookup)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("connections", ["Password", "URI"])
def test_airflow_s_own_code_reads_the_new_value_with_its_next_lookup(
    world: World, store: Backend, binding: MakeBinding, may_read: str, connections: str
) -> None:
    key = f"{may_read}/connections/warehouse"
    if connections == "URI":
        written(world, key, conn_uri="postgres://billing:first%2Fvalue@db.example:5432/sales")
    else:
        written(world, key, conn_type="postgres", host="db.example", login="billing", password="first/value")
    reader = binding(may_read, store, rotation={"connections": connections})
    reader.wait_ready()
    made = of(reader)
    made.wait_ready()
    before = look_up(world, reader, "warehouse", "first/value")
    assert (before.found, before.value_as_expected, before.login) == (True, True, "billing")
    made.ask("now")
    made.wait_done("now", deadline=SOON)
    held = made.values()
    value = str(urlsplit(held["conn_uri"]).password) if connections == "URI" else held["password"]
    after = look_up(world, reader, "warehouse", value)
    assert (after.found, after.value_as_expected, after.host, after.login) == (True, True, "db.example", "billing")
    assert look_up(world, reader, "warehouse", "first/value").value_as_expected is False
