"""Environments on a real API server: what is rendered, what stays true, what it costs, and what is left at the end."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_airwarden.dag_map import parse_dag_map
from integration.conftest import MakeBackend, MakeBinding
from integration.environments import (
    BUNDLE,
    Environment,
    config_map_path,
    environment_object,
    environment_path,
    named_by,
)
from integration.handles import Backend
from integration.world import Marks, World, eventually
from plane.operator import OperatorProcess, Options

BURST = 60
MakeEnvironment = Callable[..., Environment]


@pytest.fixture
def make_environment(world: World) -> Iterator[MakeEnvironment]:
    """Return a function that makes environments in namespaces of their own. They go after the test."""
    made: list[Environment] = []

    def make(*teams: str, **spec: Any) -> Environment:
        namespace = world.fresh("airflow")
        world.plane.create_namespace(namespace)
        world.create(environment_path(namespace), environment_object(namespace, "main", *teams, **spec))
        found = Environment(world, namespace, "main")
        made.append(found)
        return found

    yield make
    for each in made:
        world.delete(each.path)
    for each in made:
        world.wait_gone(each.path)


@pytest.fixture
def store(backend: MakeBackend) -> Backend:
    """Return a Ready backend."""
    return backend()


@pytest.fixture
def environment(binding: MakeBinding, make_environment: MakeEnvironment, team: str) -> Environment:
    """Return a Ready environment for one team. It goes before the team's bindings do."""
    made = make_environment(team)
    made.wait_ready()
    return made


def writes(mark: Marks, namespace: str) -> Counter[tuple[str, str]]:
    """Return how often the operator wrote what of a namespace, but for Events."""
    asked = (
        (each.verb, f"{each.resource}/{each.subresource}".rstrip("/"))
        for each in mark.api_requests()
        if each.namespace == namespace
    )
    return Counter(each for each in asked if each[0] not in ("get", "list", "watch") and each[1] != "events")


def test_an_environment_is_rendered_and_a_binding_is_mapped_as_the_executor_reads_it(
    world: World, environment: Environment, store: Backend, binding: MakeBinding, team: str
) -> None:
    assert environment.mapped() == {}
    made = binding(team, store, **named_by(environment, "billing_*", "pay"))
    environment.wait_mapped(f"{team}/{made.name}")
    text = (world.get(environment.map_path) or {})["data"]["map.json"]
    claim = parse_dag_map(text, f"{environment.namespace}/main", BUNDLE).find("billing_daily")
    assert claim is not None
    assert (claim.binding, claim.account) == (f"{team}/{made.name}", made.account)
    assert [(each.audience, each.path) for each in claim.mounts] == [("vault", f"{store.name}/token")]
    scheduler = environment.config_maps()["airwarden.main.scheduler"]["data"]
    assert scheduler["AIRFLOW__AIRWARDEN__ENVIRONMENT"] == f"{environment.namespace}/main"
    status = eventually(
        "it counts", lambda: environment.status() if environment.status()["bindings"]["total"] else None
    )
    assert status["bindings"] == {"total": 1, "mapped": 1}
    assert status["digest"] == scheduler["AIRFLOW__AIRWARDEN__DIGEST"]
    made.delete()
    environment.wait_mapped()


def test_a_new_environment_costs_three_patches_and_then_nothing(
    world: World, make_environment: MakeEnvironment, team: str
) -> None:
    mark = world.marks()
    made = make_environment(team)
    made.wait_ready()
    assert writes(mark, made.namespace) == Counter(
        {
            ("patch", "airflowenvironments"): 1,
            ("patch", "airflowenvironments/status"): 2,
            ("create", "configmaps"): 3,
        }
    )


def test_dags_that_two_bindings_claim_go_to_neither_until_one_gives_way(
    environment: Environment, store: Backend, binding: MakeBinding, team: str
) -> None:
    first = binding(team, store, **named_by(environment, "billing_*"))
    environment.wait_mapped(f"{team}/{first.name}")
    second = binding(team, store, **named_by(environment, "billing_pay"))
    environment.wait_mapped()
    conflicts = eventually("both are named", lambda: environment.status().get("conflicts"))
    assert {each["reason"] for each in conflicts} == {"DagConflict"}
    assert [each["binding"] for each in conflicts] == sorted(f"{team}/{each.name}" for each in (first, second))
    second.edit(dags=[{"bundle": BUNDLE, "ids": ["pay"]}])
    environment.wait_mapped(f"{team}/{first.name}", f"{team}/{second.name}")


def test_a_binding_of_a_namespace_that_the_bundle_does_not_name_is_not_mapped(
    environment: Environment, store: Backend, binding: MakeBinding, make_namespace: Callable[..., str]
) -> None:
    other = make_namespace()
    made = binding(other, store, **named_by(environment, "billing_*"))
    conflicts = eventually("it is named", lambda: environment.status().get("conflicts"))
    assert [(each["binding"], each["reason"]) for each in conflicts] == [
        (f"{other}/{made.name}", "NamespaceNotAWorker")
    ]
    assert environment.mapped() == {}


def test_a_burst_of_bindings_costs_few_writes(
    world: World, environment: Environment, store: Backend, binding: MakeBinding, team: str
) -> None:
    mark, begun = world.marks(), time.monotonic()
    made = [binding(team, store, **named_by(environment, f"dag_{number:03}")) for number in range(BURST)]
    environment.wait_mapped(*(f"{team}/{each.name}" for each in made))
    eventually("all are counted", lambda: environment.status()["bindings"] == {"total": BURST, "mapped": BURST})
    done = writes(mark, environment.namespace)
    seconds = time.monotonic() - begun
    # One pass a second, and one for what came at the very beginning and the very end.
    assert done[("patch", "configmaps")] <= seconds + 2
    assert done[("patch", "airflowenvironments/status")] <= seconds + 2
    assert set(done) == {("patch", "configmaps"), ("patch", "airflowenvironments/status")}


def test_a_restart_writes_nothing_and_no_map_is_ever_without_its_bindings(
    world: World, environment: Environment, store: Backend, binding: MakeBinding, team: str
) -> None:
    made = [binding(team, store, **named_by(environment, f"dag_{number}")) for number in range(5)]
    environment.wait_mapped(*(f"{team}/{each.name}" for each in made))
    eventually("all are counted", lambda: environment.status()["bindings"] == {"total": 5, "mapped": 5})
    version = world.version(config_map_path(environment.namespace))
    assert world.operator.stop() == 0
    mark = world.marks()
    world.operator.start()
    eventually("it has looked", lambda: _looks(mark, environment) >= 3)
    for each in made:
        each.wait_ready()
    assert writes(mark, environment.namespace) == Counter()
    assert world.states_since(version, config_map_path(environment.namespace)) == []


def _looks(mark: Marks, environment: Environment) -> int:
    asked = [each for each in mark.api_requests() if each.namespace == environment.namespace]
    return sum((each.verb, each.resource) == ("get", "configmaps") for each in asked)


def test_a_foreign_config_map_under_our_name_is_left(
    world: World, make_environment: MakeEnvironment, environment: Environment, team: str
) -> None:
    world.delete(environment.path)
    world.wait_gone(environment.path)
    name = environment.map_path.rsplit("/", 1)[1]
    world.create(config_map_path(environment.namespace), {"metadata": {"name": name}, "data": {"map.json": "theirs"}})
    world.create(environment_path(environment.namespace), environment_object(environment.namespace, "main", team))
    environment.wait_condition("Ready", "False", "MapNotOwned")
    assert (world.get(environment.map_path) or {})["data"] == {"map.json": "theirs"}
    world.delete(environment.path)
    world.wait_gone(environment.path)
    assert (world.get(environment.map_path) or {})["data"] == {"map.json": "theirs"}
    assert set(environment.config_maps()) == {name}


def test_a_deleted_environment_takes_its_config_maps_along(
    world: World, environment: Environment, store: Backend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, store, **named_by(environment, "x"))
    environment.wait_mapped(f"{team}/{made.name}")
    world.delete(environment.path)
    world.wait_gone(environment.path)
    assert environment.config_maps() == {}


def test_another_bundle_gets_a_map_and_the_one_that_goes_loses_its_own(world: World, environment: Environment) -> None:
    bundles = [{"name": "other", "namespaces": environment.body()["spec"]["workerNamespaces"]}]
    environment.edit(bundles=bundles)
    environment.wait_ready()
    assert world.get(environment.map_path) is None
    assert [each["content"] for each in environment.status()["rendered"]] == ["dags/other", "scheduler", "workers"]


@pytest.mark.parametrize("data", [{"map.json": "{}"}, {"map.json": None, "AIRFLOW__X": "y"}])
def test_what_was_changed_by_hand_is_set_right(
    world: World, environment: Environment, data: dict[str, str | None]
) -> None:
    before = (world.get(environment.map_path) or {})["data"]
    world.operator.stop()
    with OperatorProcess(world.plane, Options(extra=("--environment-interval=1",)), "operator-looking"):
        world.merge(environment.map_path, {"data": data})
        eventually("it is set right", lambda: (world.get(environment.map_path) or {})["data"] == before)
        world.delete(environment.map_path)
        eventually("it is made again", lambda: (world.get(environment.map_path) or {}).get("data") == before)
    world.operator.start()
    assert json.loads(before["map.json"])["bindings"] == []
