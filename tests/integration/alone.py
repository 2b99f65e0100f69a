"""A world of its own for tests that stop operators or Vaults, and what they do there in few words.

Used by `test_sweep.py`, `test_fenced_sweep.py` and `test_identity.py`. Nothing of the shared world is touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from integration.handles import Backend, Binding
from integration.objects import API, TENANT, backend_object, backend_path, binding_path, secret
from integration.world import World

LONG: Final = 60.0
"""Seconds for what an operator does by itself: its checks are half a minute apart."""


@contextmanager
def at_work(world: World) -> Iterator[None]:
    """Run the world's operator meanwhile, stopped and started as the test likes; leave nothing behind."""
    world.operator.start()
    yield
    if not world.operator.running:
        world.operator.start()
    tidy(world)
    world.operator.stop()


def make_team(world: World) -> str:
    """Make a tenant's namespace and return its name."""
    return world.make_namespace(f"team-{os.urandom(3).hex()}", {TENANT: "true"})


def make_backend(world: World, name: str, *, wait: bool = True, **spec: Any) -> Backend:
    """Make a backend for the world's Vault."""
    world.create(backend_path(), backend_object(name, world.plane.vault_address, **spec))
    made = Backend(world, name)
    if wait:
        made.wait_ready(LONG)
    return made


def make_binding(world: World, namespace: str, name: str, backend: str, account: str = "") -> Binding:
    """Make a binding with one secret, and an account of its own name unless another is given."""
    account = account or name
    body = {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBinding",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"serviceAccount": {"name": account}, "secrets": [secret(f"{namespace}/a", backend)]},
    }
    world.create(binding_path(namespace), body)
    return Binding(world, namespace, name, account, backend)


def ready_binding(world: World, namespace: str, name: str, backend: str) -> Binding:
    """Make a binding and wait until it is Ready."""
    made = make_binding(world, namespace, name, backend)
    made.wait_ready(LONG)
    return made


def in_vault(binding: Binding) -> tuple[bool, bool]:
    """Tell whether policy and role of the binding are in the Vault."""
    world = binding.world
    return world.policy(binding.store_name) is not None, world.role(binding.store_name) is not None


def tidy(world: World) -> None:
    """Delete all bindings and backends while the operator runs, and wait until they are gone."""
    for each in world.plane.api.admin.request("GET", f"{API}/airflowsecretbindings")["items"]:
        world.delete(where := binding_path(each["metadata"]["namespace"], each["metadata"]["name"]))
        world.wait_gone(where, LONG)
    for each in world.plane.api.admin.request("GET", backend_path())["items"]:
        world.delete(where := backend_path(each["metadata"]["name"]))
        world.wait_gone(where, LONG)
