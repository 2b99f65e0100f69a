"""What `airwarden plan` and `airwarden doctor` say of rotations, on a real API server and Vault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from airwarden.domain.rotation.sugar import name_of
from integration.commands.running import Person
from integration.conftest import MakeBackend, MakeBinding
from integration.objects import rule, secret
from integration.rotations import ROTATES, Rotation, make_rotation, permit_rotations, removing, rotating, rotation_path
from integration.world import World


@pytest.fixture
def tenant(world: World, team: str) -> str:
    """Return a tenant's namespace in which the login for rotations may rotate."""
    permit_rotations(world)
    return team


@pytest.fixture
def made(world: World) -> Iterator[list[Rotation]]:
    """Return a list of rotations that go after the test."""
    del world
    found: list[Rotation] = []
    with removing(found):
        yield found


def planned(boss: Person, folder: Path, body: dict[str, Any]) -> tuple[int, list[dict[str, str]]]:
    """Return status and the rotations that a binding in a file would make."""
    path = folder / "binding.yaml"
    path.write_text(yaml.safe_dump(body))
    said = boss.runs("plan", "-f", str(path), "-o", "json")
    found: list[dict[str, str]] = json.loads(said.out)[0]["rotations"]
    return said.status, found


def test_plan_shows_the_rotations_that_a_binding_would_make(
    world: World, boss: Person, backend: MakeBackend, tenant: str, tmp_path: Path
) -> None:
    own = rule(keyPrefixes=["{namespace}/"], operations=list(ROTATES))
    store = backend(**rotating(allow=[own, rule("shared", keyPrefixes=["shared/"])]))
    body = {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBinding",
        "metadata": {"name": "billing", "namespace": tenant},
        "spec": {
            "serviceAccount": {"name": "billing"},
            "secrets": [secret(f"{tenant}/db", store.name, id="db"), secret("shared/db", store.name, id="other")],
            "rotation": {"schedule": "@daily"},
        },
    }
    status, found = planned(boss, tmp_path, body)
    assert status == 1
    assert [(each["name"], each["key"], each["verdict"], each["rule"]) for each in found] == [
        (name_of("billing", "Connection/db"), f"{tenant}/db", "admitted", "own-tree"),
        (name_of("billing", "Connection/other"), "shared/db", "refused", ""),
    ]
    assert "rule shared permits Read only" in found[1]["message"]
    del body["spec"]["secrets"][1]  # type: ignore[index]
    assert planned(boss, tmp_path, body)[0] == 0
    table = boss.runs("plan", "-f", str(tmp_path / "binding.yaml")).out
    shown = next(line for line in table.splitlines() if line.startswith(name_of("billing", "Connection/db")))
    assert shown.split() == [
        name_of("billing", "Connection/db"),
        "Connection/db",
        f"{tenant}/db",
        "admitted",
        "own-tree",
    ]
    without = backend(allow=[own])
    body["spec"]["secrets"][0]["backendRef"]["name"] = without.name  # type: ignore[index]
    status, found = planned(boss, tmp_path, body)
    assert (status, found[0]["message"]) == (
        1,
        f"RotationNotEnabled: backend {without.name} has no login for rotations",
    )
    assert world.plane.api.admin.request("GET", rotation_path(tenant))["items"] == []


def test_doctor_names_rotations_that_cannot_run_and_old_secrets_that_nothing_rotates(
    world: World,
    boss: Person,
    backend: MakeBackend,
    binding: MakeBinding,
    tenant: str,
    made: list[Rotation],
) -> None:
    store = backend(**rotating())
    key = f"{tenant}/connections/warehouse"
    world.write_secret(key)
    reader = binding(tenant, store)
    reader.wait_ready()

    def doctor(*more: str) -> list[tuple[str, str]]:
        said = boss.runs("doctor", "-n", tenant, "--backend", store.name, "-o", "json", *more)
        found = json.loads(said.out)
        assert found["unchecked"] == []
        mine = [each for each in found["findings"] if each["check"] == "Rotations"]
        return [(each["object"], each["problem"]) for each in mine]

    assert doctor() == []
    (old,) = doctor("--older-than", "1s")
    assert old[0] == f"secret {key} of backend {store.name}"
    made.append(make_rotation(world, tenant, store, key=key, secret=False))
    made[0].wait_condition("Ready", "False", "FieldMissing")
    found = doctor("--older-than", "1s")
    assert [each for each, _ in found] == [f"rotation {tenant}/{made[0].name}"]
    assert found[0][1].startswith("cannot run, FieldMissing: ")
    assert boss.runs("doctor", "--older-than", "soon").status == 2
