"""Bindings that name an environment, on a real API server and Vault: their map, and when their DAGs are in force."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_airwarden.binding_map import BindingMap, Key, Login, VaultStore
from airflow_airwarden.map_file import parse_map
from integration.conftest import MakeBackend, MakeBinding
from integration.environments import (
    BUNDLE,
    Environment,
    config_map_path,
    environment_object,
    environment_path,
    named_by,
)
from integration.handles import Backend, Binding
from integration.objects import binding_path, rule, secret
from integration.world import World, eventually

MakeEnvironment = Callable[..., Environment]


@pytest.fixture
def airflow(world: World, binding: MakeBinding, team: str) -> Iterator[MakeEnvironment]:
    """Return a function that makes an environment for the team. It goes after the test, before the bindings."""
    del binding
    made: list[Environment] = []

    def make(**spec: Any) -> Environment:
        namespace = world.fresh("airflow")
        world.plane.create_namespace(namespace)
        found = Environment(world, namespace, "main")
        world.create(environment_path(namespace), environment_object(namespace, "main", team, **spec))
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


def map_path(bound: Binding) -> str:
    """Return where the map of a binding is served."""
    return config_map_path(bound.namespace, f"airwarden.{bound.name}.map")


def map_of(world: World, bound: Binding) -> BindingMap:
    """Return the map of a binding as the provider reads it."""
    found = world.get(map_path(bound))
    assert found is not None, "there is no map"
    return parse_map(found["data"]["binding.json"].encode(), "binding.json")


def in_force(bound: Binding) -> list[str]:
    """Return the DAGs in force of the one bundle."""
    return [ids for each in bound.status().get("identity", {}).get("dags", ()) for ids in each["ids"]]


def test_a_mapped_binding_has_a_map_that_the_provider_reads_and_its_claims_in_force(
    world: World, airflow: MakeEnvironment, store: Backend, binding: MakeBinding, team: str
) -> None:
    environment = airflow(reader={"cacheTTL": "5s", "unboundIDs": "Refuse"})
    mark = world.marks()
    refused = secret("other/key", store.name, id="refused")
    parts = {"connection": {"connType": "postgres", "host": "db.test", "port": 5432}}
    made = binding(
        team,
        store,
        secrets=[{**secret(f"{team}/connections/warehouse", store.name), **parts}, refused],
        **named_by(environment, "billing_*"),
    )
    made.wait_refused("KeyNotAllowed")
    found = map_of(world, made)
    assert (found.binding, found.environment) == (f"{team}/{made.name}", f"{environment.namespace}/main")
    assert (found.unbound_ids, found.cache_ttl) == ("Refuse", 5.0)
    warehouse = found.secrets["Connection", "warehouse"]
    assert warehouse.place == Key(f"{team}/connections/warehouse")
    assert dict(warehouse.connection) == {"conn_type": "postgres", "host": "db.test", "port": 5432}
    assert dict(found.refused) == {("Connection", "refused"): "KeyNotAllowed"}
    vault = found.stores[store.name]
    assert isinstance(vault, VaultStore)
    assert vault.addresses == (world.plane.vault_address,)
    assert isinstance(vault.login, Login)
    assert vault.login.role == made.store_name
    assert made.status()["identity"] == {
        "environment": f"{environment.namespace}/main",
        "podCreator": f"system:serviceaccount:{environment.namespace}:airflow-scheduler",
        "dags": [{"bundle": BUNDLE, "ids": ["billing_*"]}],
    }
    assert mark.patches(made.name) == ["metadata", "status", "status"]
    asked = Counter((each.verb, each.resource) for each in mark.api_requests() if each.namespace == team)
    assert (asked["get", "configmaps"], asked["create", "configmaps"]) == (1, 1)


def test_the_ca_bundle_of_the_backend_lies_beside_the_map(
    world: World, airflow: MakeEnvironment, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    pem = world.plane.ca_path.read_text()
    name = world.fresh("vault-ca")
    world.create(
        config_map_path("airwarden"),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"ca.crt": pem}},
    )
    store = backend(vault={"tls": {"caBundleRef": {"configMap": {"name": name}}}})
    made = binding(team, store, **named_by(airflow(), "a"))
    made.wait_ready()
    body = world.get(map_path(made))
    assert body is not None
    assert body["data"][f"ca.{store.name}.pem"] == pem
    vault = map_of(world, made).stores[store.name]
    assert isinstance(vault, VaultStore)
    assert vault.ca_file == f"/etc/airwarden/ca.{store.name}.pem"


def test_where_tasks_reach_a_vault_is_in_the_maps_as_soon_as_its_backend_says_it(
    world: World, airflow: MakeEnvironment, store: Backend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, store, **named_by(airflow(), "billing_*"))
    made.wait_ready()
    address = world.plane.vault_address
    order = (address.replace("127.0.0.1", "localhost"), address)
    store.edit(vault={"workloadAddresses": order})

    def addresses() -> tuple[str, ...]:
        vault = map_of(world, made).stores[store.name]
        assert isinstance(vault, VaultStore)
        return vault.addresses

    eventually("tasks are told of both", lambda: addresses() == order)
    made.wait_ready()


def test_a_map_changed_by_hand_is_set_right_and_a_foreign_one_is_left(
    world: World, airflow: MakeEnvironment, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend(drift={"interval": "1s"})
    environment = airflow()
    name = world.fresh("billing")
    path = config_map_path(team, f"airwarden.{name}.map")
    foreign = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": path.rsplit("/", 1)[1]},
        "data": {"a": "b"},
    }
    world.create(config_map_path(team), foreign)
    made = binding(team, store, name, **named_by(environment, "a"))
    made.wait_refused("MapNotOwned")
    assert in_force(made) == []
    assert (world.get(path) or {})["data"] == {"a": "b"}
    assert [each["state"] for each in made.status()["secrets"]] == ["Granted"]
    world.delete(path)
    made.wait_ready()
    assert in_force(made) == ["a"]
    data = (world.get(path) or {})["data"]
    world.merge(path, {"data": {"binding.json": "{}", "more": "x"}})
    eventually("it is set right", lambda: (world.get(path) or {})["data"] == data)
    eventually("an Event says so", lambda: "DriftCorrected" in {each[1] for each in made.events()})


def test_dags_that_two_bindings_claim_go_to_neither_until_one_gives_way(
    world: World, airflow: MakeEnvironment, store: Backend, binding: MakeBinding, team: str
) -> None:
    environment = airflow()
    first = binding(team, store, **named_by(environment, "billing_*"))
    first.wait_ready()
    second = binding(team, store, **named_by(environment, "billing_daily"))
    said = [each.wait_refused("DagConflict")["message"] for each in (first, second)]
    assert second.name in said[0]
    assert first.name in said[1]
    assert in_force(first) == in_force(second) == []
    assert world.policy(first.store_name) is not None, "the access is declared and stays"
    second.edit(dags=[{"bundle": BUNDLE, "ids": ["reporting"]}])
    for each in (first, second):
        each.wait_ready()
    assert (in_force(first), in_force(second)) == (["billing_*"], ["reporting"])
    environment.wait_mapped(f"{team}/{first.name}", f"{team}/{second.name}")
    second.edit(dags=[{"bundle": BUNDLE, "ids": ["*"]}])
    first.wait_refused("DagConflict")
    second.delete()
    second.wait_gone()
    first.wait_ready()


def test_common_secrets_are_read_by_every_mapped_binding_and_by_no_other(
    world: World,
    airflow: MakeEnvironment,
    backend: MakeBackend,
    binding: MakeBinding,
    team: str,
    make_namespace: Callable[[], str],
) -> None:
    store = backend()
    environment = airflow()
    home = environment.namespace
    store.edit(allow=[rule(), rule("airflow", names=(home,), keyPrefixes=["{namespace}/"])])
    smtp, beyond = f"{home}/smtp", f"{team}/stolen"
    for key in (smtp, beyond):
        world.write_secret(key)
    mapped, other = binding(team, store, **named_by(environment, "a")), binding(team, store)
    for each in (mapped, other):
        each.wait_ready()
    environment.edit(
        commonSecrets=[secret(smtp, store.name, id="smtp"), secret(beyond, store.name, id="beyond", kind="Variable")]
    )
    mapped.wait_refused("KeyNotAllowed")
    shown = {each["id"]: (each["state"], each.get("common", False)) for each in mapped.status()["secrets"]}
    assert shown == {"warehouse": ("Granted", False), "smtp": ("Granted", True), "beyond": ("Refused", True)}
    token = mapped.login()
    assert world.may_read(token, smtp)
    assert not world.may_read(token, beyond), "the environment's namespace is asked, not the binding's"
    assert not world.may_read(other.login(), smtp)
    found = map_of(world, mapped)
    assert set(found.secrets) == {("Connection", "warehouse"), ("Connection", "smtp")}
    assert set(found.refused) == {("Variable", "beyond")}
    assert in_force(mapped) == ["a"], "its DAGs run, and are refused what is not admitted"
    stranger = binding(make_namespace(), store, **named_by(environment, "whatever"))
    stranger.wait_refused("NamespaceNotAWorker")
    assert [each["id"] for each in stranger.status()["secrets"]] == ["warehouse"]
    assert not world.may_read(stranger.login(), smtp), "to name an environment is not enough"
    environment.edit(commonSecrets=[])
    mapped.wait_ready()
    eventually("what was common is taken back", lambda: not world.may_read(token, smtp))


def test_an_environment_that_goes_takes_its_dags_and_leaves_the_access(
    world: World, airflow: MakeEnvironment, store: Backend, binding: MakeBinding, team: str
) -> None:
    environment = airflow()
    made = binding(team, store, **named_by(environment, "a"))
    made.wait_ready()
    world.delete(environment.path)
    made.wait_refused("EnvironmentNotFound")
    assert in_force(made) == []
    assert world.policy(made.store_name) is not None
    assert map_of(world, made).unbound_ids == "Refuse"
    world.create(environment_path(environment.namespace), environment_object(environment.namespace, "main", team))
    made.wait_ready()
    assert in_force(made) == ["a"]


def test_a_check_of_a_mapped_binding_costs_one_read_more_and_a_restart_writes_nothing(
    world: World, airflow: MakeEnvironment, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend(drift={"interval": "1s"})
    environment = airflow()
    made = [binding(team, store, **named_by(environment, f"a{number}")) for number in range(3)]
    for each in made:
        each.wait_ready()
        eventually("its Event is posted", each.events)
    version = world.version(binding_path(team))
    mark = world.marks()
    eventually("four checks each", lambda: all(mark.drift_checks(each.store_name) >= 4 for each in made))
    asked = {(each.verb, each.resource) for each in mark.api_requests() if each.namespace == team}
    assert asked == {("get", "configmaps")}
    assert {each.operation for each in mark.vault_requests()} == {"read"}
    mark = world.marks()
    assert world.operator.stop() == 0
    world.operator.start()
    eventually("all were looked at again", lambda: all(mark.drift_checks(each.store_name) for each in made))
    assert {name for each in made for name in mark.patches(each.name)} == set()
    assert {each.verb for each in mark.api_requests() if each.resource == "configmaps"} == {"get"}
    assert world.states_since(version, binding_path(team)) == []
    assert sorted(environment.mapped()) == sorted(f"{team}/{each.name}" for each in made)


def test_the_largest_binding_that_can_be_declared_has_a_map(
    world: World, airflow: MakeEnvironment, store: Backend, binding: MakeBinding, team: str
) -> None:
    environment = airflow()
    heavy = {"connection": {"connType": "x", "extra": json.dumps({"pad": "x" * 4000})}}
    common = [{**secret(f"shared/{number}", store.name, id=f"c{number}"), **heavy} for number in range(32)]
    environment.edit(commonSecrets=common)
    own = [{**secret(f"{team}/{number}", store.name, id=f"o{number}"), **heavy} for number in range(64)]
    made = binding(team, store, secrets=own, **named_by(environment, "a"))
    made.wait_refused("KeyNotAllowed")
    found = map_of(world, made)
    assert (len(found.secrets), len(found.refused)) == (64, 32)
    assert len(made.status()["secrets"]) == 96
