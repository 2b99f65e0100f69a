"""`airwarden plan` and `access` of bindings that name an environment: their DAGs, common secrets, and the map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from integration.commands.running import Person
from integration.conftest import MakeBackend, MakeBinding
from integration.environments import (
    BUNDLE,
    Environment,
    config_map_path,
    environment_object,
    environment_path,
    named_by,
)
from integration.objects import rule, secret
from integration.world import World
from plane.json_client import Json


def written(folder: Path, *bodies: Json) -> str:
    """Write objects to a file; return its name."""
    path = folder / "objects.yaml"
    path.write_text(yaml.safe_dump_all(bodies))
    return str(path)


def declared(team: str, store: str, environment: Environment, *ids: str) -> Json:
    """Return a binding as it stands in a file."""
    spec = {"serviceAccount": {"name": "planned"}, "secrets": [secret(f"{team}/db", store)]}
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBinding",
        "metadata": {"name": "planned", "namespace": team},
        "spec": {**spec, **named_by(environment, *ids)},
    }


def planned(person: Person, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Return status and forecast of one binding, as programs read it."""
    said = person.runs("plan", *arguments, "-o", "json")
    (found,) = json.loads(said.out)
    return said.status, found


def test_a_plan_shows_dags_common_secrets_and_the_map_before_anything_is_applied(
    world: World, boss: Person, backend: MakeBackend, team: str, tmp_path: Path
) -> None:
    environment = Environment(world, world.fresh("airflow"), "main")
    world.plane.create_namespace(environment.namespace)
    store = backend(allow=[rule(), rule("airflow", names=(environment.namespace,))])
    smtp = secret(f"{environment.namespace}/smtp", store.name, id="smtp")
    body = environment_object(environment.namespace, "main", team, commonSecrets=[smtp])
    status, found = planned(
        boss, "-f", written(tmp_path, body, declared(team, store.name, environment, "billing_*", "x"))
    )
    assert status == 0
    assert found["dags"] == [{"bundle": BUNDLE, "ids": "billing_*, x", "verdict": "mapped", "message": ""}]
    assert [(each["id"], each["verdict"]) for each in found["verdicts"]] == [
        ("Connection/warehouse", "granted"),
        ("Connection/smtp", "granted"),
    ]
    maps = [each for each in found["writes"] if each["object"].startswith("ConfigMap")]
    assert [(each["object"], each["action"]) for each in maps] == [
        (f"ConfigMap {team}/airwarden.planned.map", "create")
    ]
    assert world.get(config_map_path(team, "airwarden.planned.map")) is None
    said = boss.runs("plan", "-f", str(tmp_path / "objects.yaml")).out
    assert "BUNDLE" in said
    assert "mapped" in said


def test_a_plan_says_why_dags_would_not_be_mapped(
    world: World, boss: Person, backend: MakeBackend, binding: MakeBinding, team: str, tmp_path: Path
) -> None:
    store = backend()
    environment = Environment(world, world.fresh("airflow"), "main")
    world.plane.create_namespace(environment.namespace)
    file = written(tmp_path, declared(team, store.name, environment, "billing_daily"))
    status, found = planned(boss, "-f", file)
    assert status == 1
    assert found["dags"][0]["message"].startswith("EnvironmentNotFound: ")
    world.create(environment_path(environment.namespace), environment_object(environment.namespace, "main", team))
    try:
        live = binding(team, store, **named_by(environment, "billing_*"))
        live.wait_ready()
        status, found = planned(boss, "-f", file)
        assert (status, found["dags"][0]["verdict"]) == (1, "refused")
        assert f"DagConflict: the DAGs billing_daily of bundle {BUNDLE} are also claimed" in found["dags"][0]["message"]
        status, found = planned(boss, f"{team}/{live.name}")
        assert (status, found["dags"][0]["verdict"]) == (0, "mapped")
        assert [each["action"] for each in found["writes"] if each["object"].startswith("ConfigMap")] == ["keep"]
    finally:
        world.delete(environment.path)
        world.wait_gone(environment.path)


def test_access_shows_what_an_environment_adds(
    world: World, boss: Person, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    environment = Environment(world, world.fresh("airflow"), "main")
    world.plane.create_namespace(environment.namespace)
    store = backend(allow=[rule(), rule("airflow", names=(environment.namespace,))])
    smtp = f"{environment.namespace}/smtp"
    body = environment_object(environment.namespace, "main", team, commonSecrets=[secret(smtp, store.name, id="smtp")])
    world.create(environment_path(environment.namespace), body)
    try:
        made = binding(team, store, **named_by(environment, "a"))
        made.wait_ready()
        said = boss.runs("access", "-n", team, "--key", smtp, "-o", "json")
        (line,) = json.loads(said.out)
        assert (said.status, line["account"], line["id"], line["state"]) == (
            0,
            f"{team}/{made.account}",
            "Connection/smtp",
            "granted",
        )
    finally:
        world.delete(environment.path)
        world.wait_gone(environment.path)
