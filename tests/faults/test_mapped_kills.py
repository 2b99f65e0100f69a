"""The operator is killed at every request of the life of a binding that names an environment.

Beside policy, role and account it has a map, written last and removed last, and its claims in force in its status,
which leave it first. What every binding does is killed in `test_kills.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from integration.environments import Environment, config_map_path, environment_object, environment_path, named_by
from integration.faults.placed import HEALED, TEAM, Placed, Point, nothing_left, unborn
from integration.handles import Backend, Binding
from integration.objects import binding_path, secret
from plane.proxy import Fate, Request, pass_all

_STATUS, _OBJECT = "/airflowsecretbindings/{name}/status$", "/airflowsecretbindings/{name}$"
_POLICY, _ROLE = "/v1/sys/policies/acl/{store}$", "/v1/auth/kubernetes/role/{store}$"
_ACCOUNT, _MAP = "/serviceaccounts/{name}$", "/configmaps/airwarden.{name}.map$"
_MAPS: Final = f"/namespaces/{TEAM}/configmaps$"
CREATE: Final = (
    Point("create", "finalizer", "PATCH", _OBJECT),
    Point("create", "look at the map", "GET", _MAP),
    Point("create", "pending", "PATCH", _STATUS),
    Point("create", "account", "POST", "/serviceaccounts$"),
    Point("create", "policy", "POST", _POLICY),
    Point("create", "role", "POST", _ROLE),
    Point("create", "map", "POST", _MAPS),
    Point("create", "status", "PATCH", _STATUS),
)
EDIT: Final = (
    Point("edit", "look at the map", "GET", _MAP),
    Point("edit", "policy", "POST", _POLICY),
    Point("edit", "map", "PATCH", _MAP),
    Point("edit", "status", "PATCH", _STATUS),
)
DELETE: Final = (
    Point("delete", "claims out of force", "PATCH", _STATUS),
    Point("delete", "policy", "DELETE", _POLICY),
    Point("delete", "role", "DELETE", _ROLE),
    Point("delete", "account", "DELETE", _ACCOUNT),
    Point("delete", "look at the map", "GET", _MAP),
    Point("delete", "map", "DELETE", _MAP),
    Point("delete", "finalizer", "PATCH", _OBJECT),
)


@pytest.fixture
def environment(placed: Placed) -> Iterator[Environment]:
    """Return an environment on the plane whose operators are killed."""
    placed.run()
    namespace = "airflow-of-kills"
    world = placed.world
    if world.get(f"/api/v1/namespaces/{namespace}") is None:
        world.plane.create_namespace(namespace)
    world.create(environment_path(namespace), environment_object(namespace, "main", TEAM))
    made = Environment(world, namespace, "main")
    made.wait_ready(HEALED)
    yield made
    placed.run()
    world.delete(made.path)
    world.wait_gone(made.path, HEALED)


def create(placed: Placed, bound: Binding, environment: Environment) -> None:
    body = {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBinding",
        "metadata": {"name": bound.name, "namespace": TEAM},
        "spec": {
            "serviceAccount": {"name": bound.account},
            "secrets": [secret(f"{TEAM}/connections/a", bound.backend)],
            **named_by(environment, "billing_*"),
        },
    }
    placed.world.create(binding_path(TEAM), body)


def through(placed: Placed, bound: Binding, points: tuple[Point, ...], act: Callable[[], object]) -> None:
    """Do an act with a kill at each point of it, before and after; the last process finishes it."""
    for number, (point, after) in enumerate((each, after) for each in points for after in (False, True)):
        stop = point.stop(bound, after=after)
        placed.stop_at(stop)
        if number == 0:
            act()
        else:
            placed.operator.start(wait=False)
        placed.kill_at(stop)
    placed.operator.start()


@pytest.mark.timeout(900)
def test_killed_at_every_request_a_mapped_binding_still_gets_has_and_leaves_what_it_should(
    placed: Placed, store: Backend, environment: Environment
) -> None:
    bound = unborn(placed, store)
    path = config_map_path(TEAM, f"airwarden.{bound.name}.map")
    through(placed, bound, CREATE, lambda: create(placed, bound, environment))
    status = bound.wait_ready(HEALED)
    assert status["identity"]["dags"] == [{"bundle": "billing-git", "ids": ["billing_*"]}]
    assert placed.world.get(path) is not None
    environment.wait_mapped(f"{TEAM}/{bound.name}")
    more = [secret(f"{TEAM}/connections/{name}", bound.backend, id=name) for name in ("one", "two")]
    through(placed, bound, EDIT, lambda: bound.edit(secrets=more))
    bound.wait_ready(HEALED)
    assert '"id":"two"' in (placed.world.get(path) or {})["data"]["binding.json"]
    through(placed, bound, DELETE, bound.delete)
    bound.wait_gone(HEALED)
    nothing_left(placed, bound)
    assert placed.world.get(path) is None
    environment.wait_mapped()


def test_at_the_end_the_claims_go_first_then_the_access_then_account_and_map(
    placed: Placed, store: Backend, environment: Environment
) -> None:
    bound = unborn(placed, store)
    create(placed, bound, environment)
    bound.wait_ready(HEALED)
    said: list[str] = []

    def note(request: Request) -> Fate:
        ours = bound.name in request.path and request.method != "GET" and "/events" not in request.path
        if ours:
            said.append(request.what.replace(bound.store_name, "STORE").replace(bound.name, "NAME"))
        return Fate.PASS

    placed.vault.behaviour = placed.api.behaviour = note
    try:
        bound.delete()
        bound.wait_gone(HEALED)
    finally:
        placed.vault.behaviour = placed.api.behaviour = pass_all
    assert [each.rsplit("/", 2)[-2:] for each in said] == [
        ["NAME", "status"],
        ["acl", "STORE"],
        ["role", "STORE"],
        ["serviceaccounts", "NAME"],
        ["configmaps", "airwarden.NAME.map"],
        ["airflowsecretbindings", "NAME"],
    ]
