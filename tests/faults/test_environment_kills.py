"""The operator is killed at every request of an environment's life, before it is sent and when it has acted unseen.

As in `test_kills.py`; every request of a fake world is in `tests/unit/reconcile/test_environment_kills.py`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from integration.environments import Environment, environment_object, environment_path, named_by
from integration.faults.placed import HEALED, TEAM, Placed
from integration.handles import Backend, Binding
from integration.objects import binding_path, secret
from plane.proxy import Request, Stop

_ENVIRONMENT: Final = "/airflowenvironments/main$"
_STATUS: Final = "/airflowenvironments/main/status$"
_MAPS: Final = "/namespaces/{airflow}/configmaps$"
_MAP: Final = r"/namespaces/{airflow}/configmaps/airwarden\.main\.dags\.[0-9a-f]+$"
_ANY: Final = r"/namespaces/{airflow}/configmaps/airwarden\.main\."

LIFE: Final = {
    "create": (
        ("PATCH", _ENVIRONMENT, 1),
        ("GET", _MAP, 1),
        ("PATCH", _STATUS, 1),
        ("POST", _MAPS, 1),
        ("POST", _MAPS, 1),
        ("POST", _MAPS, 1),
        ("PATCH", _STATUS, 1),
    ),
    "bind": (("GET", _MAP, 1), ("PATCH", _MAP, 1), ("PATCH", _STATUS, 1)),
    "delete": (
        ("GET", _ANY, 1),
        ("DELETE", _ANY, 1),
        ("DELETE", _ANY, 1),
        ("DELETE", _ANY, 1),
        ("PATCH", _ENVIRONMENT, 1),
    ),
}
"""Method, path and number of the requests of each act, in their order: what was done is not done again."""


@dataclass(frozen=True)
class Case:
    """An environment that is still to be made, and the binding that comes into it."""

    placed: Placed
    environment: Environment
    bound: Binding

    def stop(self, method: str, path: str, nth: int, *, after: bool) -> Stop:
        """Return a stop at the nth request of that method and path."""
        pattern = re.compile(path.replace("{airflow}", self.environment.namespace))
        count = itertools.count(1)

        def chosen(request: Request) -> bool:
            where = request.path.partition("?")[0]
            return request.method == method and pattern.search(where) is not None and next(count) == nth

        return Stop(chosen, after=after)

    def do(self, act: str) -> None:
        """Begin an act."""
        world, environment = self.placed.world, self.environment
        if act == "create":
            body = environment_object(environment.namespace, environment.name, TEAM)
            world.create(environment_path(environment.namespace), body)
        elif act == "bind":
            body = {
                "apiVersion": "airwarden.dev/v1alpha1",
                "kind": "AirflowSecretBinding",
                "metadata": {"name": self.bound.name, "namespace": TEAM},
                "spec": {
                    "serviceAccount": {"name": self.bound.account},
                    "secrets": [secret(f"{TEAM}/connections/a", self.bound.backend)],
                    **named_by(environment, "billing_*"),
                },
            }
            world.create(binding_path(TEAM), body)
        else:
            world.delete(environment.path)

    def wait_settled(self, act: str) -> None:
        """Wait until an act is finished, and hold the cluster to it."""
        if act == "delete":
            self.placed.world.wait_gone(self.environment.path, HEALED)
            assert self.environment.config_maps() == {}
            return
        if act == "bind":
            self.environment.wait_mapped(f"{TEAM}/{self.bound.name}")
        status = self.environment.wait_ready(HEALED)
        assert {each["name"] for each in status["rendered"]} == set(self.environment.config_maps())


@pytest.fixture
def case(placed: Placed, store: Backend) -> Iterator[Case]:
    """Return an environment and a binding to be."""
    namespace = placed.world.fresh("airflow-killed")
    placed.world.plane.create_namespace(namespace)
    name = placed.world.fresh("mapped")
    yield Case(
        placed, Environment(placed.world, namespace, "main"), Binding(placed.world, TEAM, name, name, store.name)
    )
    placed.world.delete(binding_path(TEAM, name))
    placed.world.wait_gone(binding_path(TEAM, name), HEALED)


@pytest.mark.timeout(600)
def test_killed_at_every_request_of_its_life_an_environment_still_has_and_leaves_what_it_should(case: Case) -> None:
    for act, points in LIFE.items():
        for number, ((method, path, nth), after) in enumerate(itertools.product(points, (False, True))):
            stop = case.stop(method, path, nth, after=after)
            case.placed.stop_at(stop)
            if number == 0:
                case.do(act)
            else:
                case.placed.operator.start(wait=False)
            case.placed.kill_at(stop)
        case.placed.operator.start()
        case.wait_settled(act)
