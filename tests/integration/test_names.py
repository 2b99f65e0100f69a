"""Long names, namespaces that are going, and cluster names that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.objects import secret
from integration.world import World, eventually
from plane.binaries import REPOSITORY
from plane.errors import PlaneHTTPError


def test_a_binding_of_63_and_an_account_of_253_characters_work(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    key = f"{team}/connections/warehouse"
    world.write_secret(key)
    account = ".".join(["a" * 62] * 4) + "bb"
    assert len(account) == 253
    made = binding(team, backend(), "b" * 63, account=account)
    made.wait_ready()
    assert world.may_read(made.login(), key)
    made.delete()
    made.wait_gone()
    assert made.service_account() is None
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)


def test_a_binding_of_64_characters_is_refused_with_the_reason(
    backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    with pytest.raises(PlaneHTTPError, match="63 characters"):
        binding(team, backend(), "b" * 64, account="short")


def test_a_binding_name_with_dots_meets_no_other_name(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    name = world.fresh("billing")
    dotted = binding(team, store, f"{name}.eu", account=f"{name}-eu")
    plain = binding(team, store, name)
    for each in (dotted, plain):
        each.wait_ready()
    plain.delete()
    plain.wait_gone()
    assert world.policy(dotted.store_name) is not None
    assert dotted.login()


def test_in_a_namespace_that_is_going_nothing_new_is_made(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    """A finalizer of somebody else holds the namespace up after the binding is gone."""
    store = backend()
    held = {"metadata": {"name": "held", "finalizers": ["example.com/held"]}}
    world.create(f"/api/v1/namespaces/{team}/configmaps", held)
    late = binding(team, "comes-later")
    late.wait_refused("BackendNotFound")
    world.merge(late.path, {"metadata": {"finalizers": ["airwarden.dev/revoke-access", "example.com/held"]}})
    world.delete(f"/api/v1/namespaces/{team}")
    mark = world.marks()
    eventually("our finalizer is gone", lambda: late.body()["metadata"]["finalizers"] == ["example.com/held"], 30)
    late.edit(secrets=[secret(f"{team}/a", store.name)])
    assert mark.vault_operations(late.name_at(store.name)) == {}
    world.merge(late.path, {"metadata": {"finalizers": []}})
    world.merge(f"/api/v1/namespaces/{team}/configmaps/held", {"metadata": {"finalizers": []}})
    world.wait_gone(f"/api/v1/namespaces/{team}")
    assert world.policy(late.name_at(store.name)) is None


@pytest.mark.parametrize("name", ["prod.eu", "Prod", "-prod", "a" * 33, ""])
def test_a_cluster_name_that_cannot_be_used_ends_the_operator_with_the_reason(tmp_path: Path, name: str) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps({}))
    done = subprocess.run(
        [sys.executable, "-m", "airwarden", "run", f"--cluster={name}", f"--kubeconfig={kubeconfig}"],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
        env={"PYTHONPATH": str(REPOSITORY / "operator"), "HOME": str(tmp_path)},
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("airwarden: the settings cannot be used: cluster")
