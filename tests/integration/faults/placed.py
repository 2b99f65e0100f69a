"""An operator behind a proxy to each server, so that faults hit exactly the request that a test names.

Used by the fault tests here and in `tests/faults`.
"""

from __future__ import annotations

import itertools
import re
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Self

import yaml

from integration.handles import Backend, Binding
from integration.objects import backend_object, backend_path, binding_path, secret
from integration.world import World
from plane.certificates import write_private
from plane.control_plane import Plane
from plane.json_client import Json
from plane.operator import ACCOUNT, NAMESPACE, OperatorProcess, Options
from plane.proxy import Proxy, Request, Stop, pass_all

TEAM: Final = "first"
REACHED: Final = 60.0
HEALED: Final = 60.0
OWN_TREE: Final = {"name": "own", "namespaces": {"names": [TEAM]}, "keyPrefixes": ["{namespace}/"]}
_names = itertools.count(1)


class Placed:
    """One plane, its operator, and the proxies between them. A context manager; the operator is not started yet."""

    def __init__(self, plane: Plane, *extra: str) -> None:
        self._stack = ExitStack()
        self.vault = Proxy(plane.vault_address)
        pair = plane.api._authority.server("proxy", ["127.0.0.1"])
        self.api = Proxy(plane.api_url, str(plane.ca_path), pair)
        config = yaml.safe_load(plane.kubeconfig_for(NAMESPACE, ACCOUNT).read_text())
        config["clusters"][0]["cluster"]["server"] = self.api.address
        # Of its own: another operator behind proxies may run on the same plane.
        self.kubeconfig = plane.data_dir / "kubeconfigs" / f"proxied-{next(_names)}.yaml"
        write_private(self.kubeconfig, yaml.safe_dump(config).encode())
        options = Options(extra=(f"--kubeconfig={self.kubeconfig}", *extra))
        self.operator = OperatorProcess(plane, options, name="placed")
        self.world = World(plane, self.operator)
        for name in (TEAM, "second"):
            self.world.make_namespace(name)

    def __enter__(self) -> Self:
        self._stack.enter_context(self.vault)
        self._stack.enter_context(self.api)
        return self

    def __exit__(self, *_: object) -> None:
        self.operator.kill()
        self._remove_all()
        self._stack.close()

    def run(self) -> None:
        """Have the operator running, with nothing in its way."""
        self.vault.behaviour = self.api.behaviour = pass_all
        if not self.operator.running:
            self.operator.start()

    def backend(self, **spec: object) -> Backend:
        """Make a backend that reaches Vault through the proxy."""
        name = f"placed-{next(_names)}"
        address = {"address": self.vault.address}
        body = backend_object(name, self.vault.address, **{"vault": address, "allow": [OWN_TREE], **spec})
        self.world.create(backend_path(), body)
        return Backend(self.world, name)

    def binding(self, store: Backend, name: str = "") -> Binding:
        """Make a binding of one key."""
        name = name or f"bound-{next(_names)}"
        body = {
            "apiVersion": "airwarden.dev/v1alpha1",
            "kind": "AirflowSecretBinding",
            "metadata": {"name": name, "namespace": TEAM},
            "spec": {"serviceAccount": {"name": name}, "secrets": [secret(f"{TEAM}/connections/a", store.name)]},
        }
        self.world.create(binding_path(TEAM), body)
        return Binding(self.world, TEAM, name, name, store.name)

    def stop_at(self, stop: Stop) -> None:
        """Hold the request that the stop chooses, on whichever side it comes."""
        self.vault.behaviour = self.api.behaviour = stop

    def kill_at(self, stop: Stop) -> None:
        """Wait until the request is held, kill the operator, and let everything pass again."""
        assert stop.reached.wait(REACHED), f"the request never came; the operator said:\n{self.operator.tail()}"
        self.operator.kill()
        self.vault.behaviour = self.api.behaviour = pass_all
        stop.release()

    def _remove_all(self) -> None:
        """Take away by hand what a failed test left: who comes next has a clean plane."""
        free: Json = {"metadata": {"finalizers": []}}
        for namespace in (TEAM, "second"):
            for each in self.world.plane.api.admin.request("GET", binding_path(namespace)).get("items", ()):
                path = binding_path(namespace, each["metadata"]["name"])
                self.world.merge(path, free)
                self.world.delete(path)
        for each in self.world.plane.api.admin.request("GET", backend_path()).get("items", ()):
            path = backend_path(each["metadata"]["name"])
            self.world.merge(path, free)
            self.world.delete(path)


def stop_at_nth(name: str, nth: int, *, after: bool) -> Stop:
    """Return a stop at the nth request that has the name as a word of its own in its path or body."""
    word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])".encode())
    count = itertools.count(1)

    def chosen(request: Request) -> bool:
        if word.search(request.path.encode()) is None and word.search(request.body) is None:
            return False
        return next(count) == nth

    return Stop(chosen, after=after)


@dataclass(frozen=True)
class Point:
    """One request of one act: the nth whose method and path fit."""

    act: str
    label: str
    method: str
    path: str
    nth: int = 1

    def stop(self, bound: Binding, *, after: bool) -> Stop:
        """Return a stop at this request."""
        pattern = re.compile(self.path.format(name=re.escape(bound.name), store=re.escape(bound.store_name)))
        count = itertools.count(1)

        def chosen(request: Request) -> bool:
            path = request.path.partition("?")[0]
            return request.method == self.method and pattern.search(path) is not None and next(count) == self.nth

        return Stop(chosen, after=after)


_STATUS, _OBJECT = "/airflowsecretbindings/{name}/status$", "/airflowsecretbindings/{name}$"
_POLICY, _ROLE = "/v1/sys/policies/acl/{store}$", "/v1/auth/kubernetes/role/{store}$"
_ACCOUNT = "/serviceaccounts/{name}$"

WRITES: Final = (
    Point("create", "finalizer", "PATCH", _OBJECT),
    Point("create", "pending", "PATCH", _STATUS),
    Point("create", "account", "POST", "/serviceaccounts$"),
    Point("create", "policy", "POST", _POLICY),
    Point("create", "role", "POST", _ROLE),
    Point("create", "status", "PATCH", _STATUS, 2),
    Point("edit", "policy", "POST", _POLICY),
    Point("edit", "status", "PATCH", _STATUS),
    Point("tighten", "policy", "DELETE", _POLICY),
    Point("tighten", "role", "DELETE", _ROLE),
    Point("tighten", "status", "PATCH", _STATUS),
    Point("delete", "policy", "DELETE", _POLICY),
    Point("delete", "role", "DELETE", _ROLE),
    Point("delete", "account", "DELETE", _ACCOUNT),
    Point("delete", "finalizer", "PATCH", _OBJECT),
)
OTHERS: Final = (
    Point("create", "list-policies", "LIST", "/v1/sys/policies/acl$"),
    Point("create", "list-roles", "LIST", "/v1/auth/kubernetes/role$"),
    Point("create", "event", "POST", "/events$"),
    Point("edit", "read-policy", "GET", _POLICY),
    Point("edit", "read-role", "GET", _ROLE),
    Point("tighten", "read-policy", "GET", _POLICY),
    Point("tighten", "read-role", "GET", _ROLE),
    Point("tighten", "event", "POST", "/events$"),
    Point("delete", "read-policy", "GET", _POLICY),
    Point("delete", "read-role", "GET", _ROLE),
    Point("delete", "read-account", "GET", _ACCOUNT),
)


_BEFORE: Final = {"create": (), "edit": ("create",), "tighten": ("create",), "delete": ("create", "edit")}


def unborn(placed: Placed, store: Backend) -> Binding:
    """Return the handle of a binding that is still to be made."""
    name = f"bound-{next(_names)}"
    return Binding(placed.world, TEAM, name, name, store.name)


def live_and_die(placed: Placed, point: Point, *, after: bool) -> None:
    """Live up to the point, be killed there, start again: the act is finished, and in the end nothing is left."""
    placed.run()
    store = placed.backend()
    store.wait_ready()
    bound = unborn(placed, store)
    for act in _BEFORE[point.act]:
        do(placed, bound, act)
        wait_settled(placed, bound, act)
    stop = point.stop(bound, after=after)
    placed.stop_at(stop)
    do(placed, bound, point.act)
    placed.kill_at(stop)
    placed.operator.start()
    wait_settled(placed, bound, point.act)
    bound.delete()
    bound.wait_gone(HEALED)
    nothing_left(placed, bound)
    placed.world.delete(store.path)
    placed.world.wait_gone(store.path)


def do(placed: Placed, bound: Binding, act: str) -> None:
    """Begin an act."""
    if act == "create":
        placed.binding(Backend(placed.world, bound.backend), bound.name)
    elif act == "edit":
        keys = [secret(f"{TEAM}/connections/{name}", bound.backend, id=name) for name in ("one", "two")]
        bound.edit(secrets=keys)
    elif act == "tighten":
        Backend(placed.world, bound.backend).edit(allow=[])
    else:
        bound.delete()


def wait_settled(placed: Placed, bound: Binding, act: str) -> None:
    """Wait until an act is finished, and hold the stores to it."""
    world = placed.world
    if act in ("create", "edit"):
        bound.wait_ready(HEALED)
        text = world.policy(bound.store_name) or ""
        assert ("connections/a" in text, "connections/two" in text) == (act == "create", act == "edit")
        assert world.role(bound.store_name) is not None
        assert bound.service_account() is not None
    elif act == "tighten":
        bound.wait_refused("KeyNotAllowed", HEALED)
        assert (world.policy(bound.store_name), world.role(bound.store_name)) == (None, None)
    else:
        bound.wait_gone(HEALED)
        nothing_left(placed, bound)


def nothing_left(placed: Placed, bound: Binding) -> None:
    """Fail unless policy, role and account are gone."""
    assert placed.world.policy(bound.store_name) is None
    assert placed.world.role(bound.store_name) is None
    assert bound.service_account() is None
