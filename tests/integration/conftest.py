"""Fixtures of the integration tests: one operator process for the session, and objects of its own for each test."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from integration.handles import Backend, Binding
from integration.objects import TENANT, backend_object, backend_path, binding_path, secret
from integration.world import World
from plane.control_plane import READY_DEADLINE, ControlPlane, Plane
from plane.json_client import Json
from plane.operator import OperatorProcess, install
from plane.ports import free_ports
from plane.vault_admin import prepare_store
from plane.vault_server import VaultServer


class MakeBackend(Protocol):
    """Makes a backend and waits until it is Ready."""

    def __call__(self, name: str = "", *, world: World | None = None, wait: bool = True, **spec: Any) -> Backend: ...


class MakeBinding(Protocol):
    """Makes a binding; without secrets, to the key `<namespace>/connections/warehouse` of the backend."""

    def __call__(
        self,
        namespace: str,
        backend: Backend | str,
        name: str = "",
        *,
        account: str = "",
        secrets: list[Json] | None = None,
        world: World | None = None,
        **spec: Any,
    ) -> Binding: ...


@pytest.fixture(scope="session")
def operator(plane: Plane) -> Iterator[OperatorProcess]:
    """Run one operator for the session, under the RBAC of `manifests/` and the printed Vault set-up."""
    install(plane)
    prepare_store(plane)
    with OperatorProcess(plane) as running:
        yield running


@pytest.fixture(scope="session")
def world(plane: Plane, operator: OperatorProcess) -> World:
    """Return the cluster and Vault that the operator works on."""
    found = World(plane, operator)
    found.make_namespace("first")
    return found


@pytest.fixture(scope="session")
def other_world(plane: Plane, world: World) -> Iterator[World]:
    """Return the same cluster with a Vault of its own, which may be sealed and stopped."""
    vault = VaultServer(plane.binaries, plane.data_dir, free_ports(2), name="vault-other")
    vault.launch()
    try:
        vault.initialise(READY_DEADLINE)
        other = dataclasses.replace(plane, vault=vault, vault_address=vault.address, vault_token=vault.token)
        prepare_store(other)
        found = World(other, world.operator)
        found.make_namespace("first")
        yield found
    finally:
        vault.kill()


@pytest.fixture(scope="session")
def quiet() -> Iterator[Plane]:
    """Run a control plane without any operator, for tests that start and stop their own."""
    with ControlPlane() as running:
        install(running)
        prepare_store(running)
        yield running


@pytest.fixture
def make_namespace(world: World) -> Callable[..., str]:
    """Return a function that makes a namespace, permitted in Vault; labelled as a tenant's unless told otherwise."""

    def make(stem: str = "team", labels: dict[str, str] | None = None, also: World | None = None) -> str:
        name = world.make_namespace(world.fresh(stem), {TENANT: "true"} if labels is None else labels)
        if also is not None:
            also.make_namespace(name)
        return name

    return make


@pytest.fixture
def team(make_namespace: Callable[..., str]) -> str:
    """Return a tenant's namespace that no other test has."""
    return make_namespace()


@pytest.fixture
def backend(world: World) -> Iterator[MakeBackend]:
    """Return a function that makes backends. They go after the test, and must be able to."""
    made: list[str] = []

    def make(name: str = "", *, world: World | None = None, wait: bool = True, **spec: Any) -> Backend:
        within = world or standard
        name = name or within.fresh("vault")
        body = backend_object(name, within.plane.vault_address, **spec)
        within.create(backend_path(), body)
        made.append(name)
        backend = Backend(within, name)
        if wait:
            backend.wait_ready()
        return backend

    standard = world
    yield make
    for name in made:
        world.delete(backend_path(name))
    for name in made:
        world.wait_gone(backend_path(name))


@pytest.fixture
def binding(world: World, backend: MakeBackend) -> Iterator[MakeBinding]:
    """Return a function that makes bindings. They go after the test, before the backends."""
    del backend  # only for the order of the ends
    made: list[Binding] = []

    def make(
        namespace: str,
        backend: Backend | str,
        name: str = "",
        *,
        account: str = "",
        secrets: list[Json] | None = None,
        world: World | None = None,
        **spec: Any,
    ) -> Binding:
        within = world or standard
        name = name or within.fresh("billing")
        store = backend if isinstance(backend, str) else backend.name
        found = Binding(within, namespace, name, account or name, store)
        body = {
            "apiVersion": "airwarden.dev/v1alpha1",
            "kind": "AirflowSecretBinding",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "serviceAccount": {"name": found.account},
                "secrets": secrets or [secret(f"{namespace}/connections/warehouse", store)],
                **spec,
            },
        }
        within.create(binding_path(namespace), body)
        made.append(found)
        return found

    standard = world
    yield make
    for each in made:
        each.delete()
    for each in made:
        each.wait_gone()
