"""Rotations on a real API server and Vault: what a run changes, what it leaves alone, and what stands in its way."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from integration.commands.running import Person
from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Backend
from integration.objects import rule, secret
from integration.rotations import ROTATES, Rotation, make_rotation, permit_rotations, removing, rotating, rotation_path
from integration.world import World, eventually
from plane.waiting import wait_for


class MakeRotation(Protocol):
    """Makes a secret and a rotation of its password."""

    def __call__(
        self, namespace: str, backend: Backend | str, name: str = "", *, world: World | None = None, **spec: Any
    ) -> Rotation: ...


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
def rotation(world: World, backend: MakeBackend) -> Iterator[MakeRotation]:
    """Return a function that makes rotations. They go after the test, before the backends."""
    del backend  # only for the order of the ends
    made: list[Rotation] = []

    def make(
        namespace: str, backend: Backend | str, name: str = "", *, world: World | None = None, **spec: Any
    ) -> Rotation:
        made.append(make_rotation(world or standard, namespace, backend, name, **spec))
        return made[-1]

    standard = world
    with removing(made):
        yield make


def test_a_new_rotation_waits_for_its_time_and_changes_nothing(
    world: World, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    mark = world.marks()
    made = rotation(tenant, store, schedule="0 3 1 1 *", timeZone="Europe/Berlin")
    made.wait_ready()
    status = made.status()
    assert status["phase"] == "Waiting"
    assert re.fullmatch(r"\d{4}-01-01T02:00:00Z", status["next"])
    assert (status["observedVersion"], status["rule"]) == (1, "own-tree")
    assert made.values() == made.before
    assert mark.patches(made.name) == ["status"]


def test_a_run_on_demand_changes_the_one_field_and_a_bound_account_reads_it(
    world: World, store: Backend, rotation: MakeRotation, binding: MakeBinding, tenant: str
) -> None:
    made = rotation(tenant, store, keepVersions=4)
    reader = binding(tenant, store, secrets=[secret(made.key, store.name)])
    reader.wait_ready()
    made.wait_ready()
    reader.wait_condition("RotationsHealthy", "True")
    token = reader.login()
    assert world.read(token, made.key) == made.before
    mark = world.marks()
    made.ask("now")
    last = made.wait_done("now")
    after = world.read(token, made.key)
    assert after["user"] == "billing"
    assert re.fullmatch(r"[A-Za-z0-9]{32}", after["password"])
    metadata = made.metadata()
    assert (metadata["current_version"], metadata["max_versions"], last["version"]) == (2, 4, 2)
    custom = metadata["custom_metadata"]
    assert (custom["airwarden.dev/owner"], custom["airwarden.dev/run"]) == (f"test/{tenant}/{made.name}", last["id"])
    assert mark.patches(made.name) == ["status", "status"]
    eventually("its reader shows it", lambda: reader.status()["summary"].get("lastRotation"))
    assert mark.patches(reader.name) == ["status"]
    eventually("the run is told", lambda: [each for each in made.events() if each[1] == "Rotated"])


def test_a_restart_looks_and_writes_nothing(world: World, store: Backend, rotation: MakeRotation, tenant: str) -> None:
    made = rotation(tenant, store, schedule="@yearly")
    made.ask("once")
    made.wait_done("once")
    eventually("its Event is posted", lambda: [each for each in made.events() if each[1] == "Rotated"])
    version = world.version(rotation_path(tenant))
    mark = world.marks()
    assert world.operator.stop() == 0
    world.operator.start()
    looked = f"airflow/subkeys/{made.key}"
    entries = world.plane.vault.audit.entries
    eventually("it was looked at again", lambda: [each for each in entries(mark.vault) if each.path == looked])
    assert world.states_since(version, rotation_path(tenant)) == []
    assert made.version() == 2


def test_a_moment_that_passed_unseen_is_made_up_for_once(
    world: World, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    made = rotation(tenant, store, schedule="0 3 1 1 *")
    made.wait_ready()
    past = {**made.status(), "handledSlot": "2020-06-01T00:00:00Z"}
    world.merge(f"{made.path}/status", {"status": past})

    def done() -> bool:
        return bool(made.status().get("lastRun", {}).get("result") == "Succeeded")

    eventually("the moment of January is rotated for", done)
    assert re.fullmatch(r"\d{4}-01-01T03:00:00Z", made.status()["handledSlot"])
    assert made.version() == 2


def test_a_rotation_that_no_rule_admits_rotates_nothing_until_one_does(
    store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    made = rotation(tenant, store)
    made.wait_ready()
    store.edit(allow=[rule()])
    said = made.wait_condition("Ready", "False", "RotationNotAllowed")
    assert "RotateGenerate" in said["message"]
    made.ask("refused")
    made.wait_condition("Stalled", "True", "RotationNotAllowed")
    assert made.version() == 1
    store.edit(allow=[rule(operations=list(ROTATES))])
    made.wait_done("refused")
    assert made.version() == 2


def test_a_backend_without_a_login_for_rotations_says_so(
    backend: MakeBackend, rotation: MakeRotation, tenant: str
) -> None:
    made = rotation(tenant, backend(allow=[rule(operations=list(ROTATES))]))
    made.wait_condition("Ready", "False", "RotationNotEnabled")


def test_a_key_outside_the_namespaces_tree_is_refused(store: Backend, rotation: MakeRotation, tenant: str) -> None:
    made = rotation(tenant, store, key="elsewhere/db")
    made.ask("now")
    made.wait_condition("Ready", "False", "RotationNotAllowed")
    assert made.version() == 1


def test_two_rotations_of_one_secret_conflict_until_one_is_gone(
    world: World, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    first = rotation(tenant, store)
    first.wait_ready()
    second = rotation(tenant, store, key=first.key, secret=False)
    for each in (first, second):
        each.wait_condition("Ready", "False", "RotationConflict")
    first.ask("now")
    world.delete(second.path)
    first.wait_done("now")
    assert first.version() == 2


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"schedule": "0 0 31 2 *"}, "InvalidSchedule"),
        ({"schedule": "@daily", "timeZone": "Europe/Atlantis"}, "InvalidSchedule"),
        ({"schedule": "@hourly", "jitter": "2h"}, "InvalidSchedule"),
        ({"schedule": "@daily", "window": {"opens": "0 0 30 2 *", "duration": "1h"}}, "InvalidSchedule"),
        ({"field": "passphrase"}, "FieldMissing"),
        ({"secret": False}, "SecretAbsent"),
    ],
)
def test_what_cannot_work_is_told_at_once(
    store: Backend, rotation: MakeRotation, tenant: str, spec: dict[str, Any], reason: str
) -> None:
    rotation(tenant, store, **spec).wait_condition("Ready", "False", reason)


@pytest.mark.parametrize(("kind", "reason"), [("delete", "SecretDeleted"), ("destroy", "SecretDestroyed")])
def test_a_secret_whose_version_is_gone_fails_the_run_and_is_not_written(
    store: Backend, rotation: MakeRotation, tenant: str, kind: str, reason: str
) -> None:
    made = rotation(tenant, store)
    made.wait_ready()
    made.secret_request("PUT", kind, {"versions": [1]})
    made.ask("now")
    assert made.wait_done("now", "Failed")["reason"] == reason
    made.wait_condition("Healthy", "False", reason)
    assert made.version() == 1


def test_a_run_for_a_uri_waits_for_the_right_to_read_values(
    store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    made = rotation(tenant, store, part="URIPassword")
    made.ask("now")
    # What the set-up printed here gives no right to: the part needs the old value.
    made.wait_condition("Ready", "False", "BackendForbidden")
    assert made.values() == made.before


def test_an_overdue_value_is_told(store: Backend, rotation: MakeRotation, tenant: str) -> None:
    made = rotation(tenant, store, maxAge="1s")
    made.wait_condition("Healthy", "False", "Overdue")
    made.wait_ready()


def test_a_store_that_is_sealed_holds_a_run_back_and_it_is_done_afterwards(
    other_world: World, backend: MakeBackend, rotation: MakeRotation, tenant: str
) -> None:
    other_world.make_namespace(tenant)
    permit_rotations(other_world)
    store = backend(world=other_world, **rotating(requests={"timeout": "2s"}))
    made = rotation(tenant, store, world=other_world)
    made.wait_ready()
    other_world.plane.vault.seal()
    try:
        made.ask("in the outage")
        made.wait_condition("Ready", "False")
    finally:
        other_world.plane.vault.unseal()
    made.wait_done("in the outage")
    assert made.version() == 2
    made.wait_ready()


def test_no_value_is_in_any_output(world: World, store: Backend, rotation: MakeRotation, tenant: str) -> None:
    made = rotation(tenant, store)
    made.ask("now")
    made.wait_done("now")
    values = (made.before["password"], made.values()["password"])
    listed = world.plane.kubectl("get", "asr,events", "-n", tenant, "-o", "json", "--show-managed-fields")
    for text in (world.operator.log.read_text(), world.operator.metrics(), listed):
        assert not [each for each in values if each in text]


def test_its_metrics_are_there_and_go_with_it(
    world: World, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    made = rotation(tenant, store, schedule="@yearly", maxAge="1h")
    made.ask("now")
    made.wait_done("now")
    named = f'namespace="{tenant}",rotation="{made.name}"'
    wanted = {
        f'airwarden_rotation_runs_total{{namespace="{tenant}",result="Succeeded",rotation="{made.name}"}} 1.0',
        f"airwarden_rotation_overdue{{{named}}} 0.0",
    }
    wait_for("the run is counted", lambda: wanted <= set(world.operator.metrics().splitlines()), 30)
    world.delete(made.path)
    wait_for("its series are gone", lambda: named not in world.operator.metrics(), 30)


@pytest.fixture
def person(world: World, tmp_path: Path) -> Person:
    """Return somebody with rights in the cluster and none in Vault."""
    return Person(world.plane.kubeconfig, tmp_path)


def test_the_command_asks_waits_and_says_how_it_ended(
    person: Person, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    made = rotation(tenant, store)
    made.wait_ready()
    said = person.runs("rotate", f"{tenant}/{made.name}", "--wait")
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines()[-1] == "Succeeded: version 2 has a new value"
    made.edit(suspend=True)
    assert person.runs("rotate", f"{tenant}/{made.name}").status == 1
    assert person.runs("rotate", f"{tenant}/nobody").status == 2


def test_the_list_names_all_soonest_first(person: Person, store: Backend, rotation: MakeRotation, tenant: str) -> None:
    made = [rotation(tenant, store, schedule=each) for each in (None, "@yearly", "@hourly")]
    for each in made:
        each.wait_ready()
    said = person.runs("rotations", "-n", tenant, "-o", "json", "--weeks", "1")
    assert said.status == 0, said.err
    found = json.loads(said.out)
    assert [each["rotation"] for each in found] == [made[2].name, made[1].name, made[0].name]
    assert found[0]["coming"]
    assert found[2]["coming"] == []
    assert "<svg" in person.runs("rotations", "-n", tenant, "-o", "html").out
    columns = person.runs("rotations", "-n", tenant).out.split()[:8]
    assert columns == ["NAMESPACE", "ROTATION", "KEY", "SCHEDULE", "NEXT", "LAST", "RESULT", "STATE"]


def test_kubectl_shows_when_and_why(world: World, store: Backend, rotation: MakeRotation, tenant: str) -> None:
    rotation(tenant, store, schedule="@yearly").wait_ready()
    header, line = world.plane.kubectl("get", "asr", "-n", tenant).strip().splitlines()
    assert header.split() == ["NAME", "READY", "REASON", "SCHEDULE", "NEXT", "LAST", "AGE"]
    assert line.split()[1:4] == ["True", "Ready", "@yearly"]


def test_requests_of_a_look_and_of_a_run_are_counted(
    world: World, store: Backend, rotation: MakeRotation, tenant: str
) -> None:
    made = rotation(tenant, store)
    made.wait_ready()
    mark = world.marks()
    made.ask("now")
    made.wait_done("now")
    entries = world.plane.vault.audit.entries(mark.vault)
    asked = Counter((each.operation, each.path.split("/")[1]) for each in entries if each.path.endswith(made.key))
    assert asked[("patch", "data")] == 1
    assert asked[("patch", "metadata")] == 1
    assert asked[("read", "data")] == 0
    assert asked[("read", "metadata")] + asked[("read", "subkeys")] <= 4
