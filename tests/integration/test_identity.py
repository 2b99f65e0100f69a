"""Another cluster of the same name, another Vault at the address, a mount that is gone: told, and nothing lost."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator

import pytest

from airwarden.api.backend import AirflowSecretBackend
from airwarden.providers.vault.setup import OperatorAccount, vault_setup
from integration.alone import LONG, in_vault, make_backend, make_binding, ready_binding, tidy
from integration.handles import Binding
from integration.objects import TENANT, backend_object
from integration.world import OPERATOR_LOGIN, World, eventually
from plane.control_plane import READY_DEADLINE, ControlPlane, Plane
from plane.operator import ACCOUNT, CLUSTER, NAMESPACE, OperatorProcess, install, set_up_vault
from plane.ports import free_ports
from plane.vault_admin import prepare_store
from plane.vault_server import VaultServer

SECOND = "second-cluster"
TASKS = "tasks"


@pytest.fixture
def first(quiet: Plane) -> Iterator[World]:
    """Return the world of one cluster, with an operator."""
    with OperatorProcess(quiet) as operator:
        world = World(quiet, operator)
        yield world
        tidy(world)


@pytest.fixture
def team(first: World) -> str:
    """Return a tenant's namespace."""
    return tenant(first)


def tenant(world: World) -> str:
    return world.make_namespace(f"team-{os.urandom(3).hex()}", {TENANT: "true"})


def with_vault(plane: Plane, vault: VaultServer) -> Plane:
    return dataclasses.replace(plane, vault=vault, vault_address=vault.address, vault_token=vault.token)


@pytest.fixture
def start_vault(quiet: Plane) -> Iterator[Callable[..., VaultServer]]:
    """Return a function that starts a new, prepared Vault; with ports, at those of one that is stopped."""
    started: list[VaultServer] = []

    def start(ports: list[int] | None = None) -> VaultServer:
        vault = VaultServer(quiet.binaries, quiet.data_dir, ports or free_ports(2), f"vault-{os.urandom(3).hex()}")
        started.append(vault)
        vault.launch()
        vault.initialise(READY_DEADLINE)
        prepare_store(with_vault(quiet, vault))
        return vault

    yield start
    for each in started:
        each.kill()


def store_id(vault: VaultServer) -> str:
    return str(vault.request("GET", "sys/health", token="")["cluster_id"])


def operators_requests(vault: VaultServer) -> list[str]:
    return [each.path for each in vault.audit.entries(0) if each.display_name == OPERATOR_LOGIN]


def accept(world: World, path: str, found: str) -> None:
    world.merge(path, {"metadata": {"annotations": {"airwarden.dev/accept-store": found}}})


@pytest.mark.timeout(400)
def test_another_vault_at_the_same_address_is_not_used_before_a_person_accepts_it(
    quiet: Plane, start_vault: Callable[..., VaultServer]
) -> None:
    ports = free_ports(2)
    before = start_vault(ports)
    with OperatorProcess(quiet) as operator:
        world = World(with_vault(quiet, before), operator)
        team = tenant(world)
        store = make_backend(world, "vault")
        kept, gone = (ready_binding(world, team, name, "vault") for name in ("kept", "gone"))
        before.stop()
        after = start_vault(ports)
        other = World(with_vault(quiet, after), operator, namespaces=list(world.namespaces))
        other.permit_namespaces()

        said = store.wait_condition("Ready", "False", "StoreChanged", LONG)
        assert store_id(after) in said["message"]
        assert f"airwarden.dev/accept-store={store_id(after)}" in said["message"]
        kept.wait_refused("StoreChanged", LONG)
        gone.delete()
        assert "StoreChanged" in gone.wait_condition("Ready", "False", "DeletionBlocked", LONG)["message"]
        assert operators_requests(after) == [], "nothing was sent to it, not even a login"
        assert store.body()["status"]["store"]["id"] != store_id(after)
        assert {each["state"] for each in kept.status()["targets"]} == {"Present"}, "nothing is forgotten"

        after.stop()
        before.start(LONG)
        store.wait_ready(LONG)
        kept.wait_ready(LONG)
        gone.wait_gone(LONG)
        assert in_vault(kept) == (True, True)
        assert in_vault(gone) == (False, False)

        before.stop()
        after.start(LONG)
        store.wait_condition("Ready", "False", "StoreChanged", LONG)
        accept(world, store.path, store_id(after))
        store.wait_ready(LONG)
        kept.wait_ready(LONG)
        assert in_vault(Binding(other, team, "kept", "kept", "vault")) == (True, True)
        assert store.body()["status"]["store"]["id"] == store_id(after)
        tidy(other)


@pytest.mark.timeout(300)
def test_a_backend_pointed_to_another_vault_waits_and_what_the_old_one_holds_stays(
    first: World, team: str, start_vault: Callable[..., VaultServer]
) -> None:
    elsewhere = start_vault()
    other = World(with_vault(first.plane, elsewhere), first.operator, namespaces=list(first.namespaces))
    other.permit_namespaces()
    store = make_backend(first, "vault")
    made = ready_binding(first, team, "moved", "vault")
    store.edit(vault={"address": elsewhere.address})
    said = store.wait_condition("Ready", "False", "StoreChanged", LONG)
    assert store_id(first.plane.vault) in said["message"]
    made.wait_refused("StoreChanged", LONG)
    assert operators_requests(elsewhere) == []
    assert in_vault(made) == (True, True)
    accept(first, store.path, store_id(elsewhere))
    made.wait_ready(LONG)
    assert in_vault(Binding(other, team, "moved", "moved", "vault")) == (True, True)
    assert in_vault(made) == (True, True), "the old store is its administrator's"
    made.delete()
    made.wait_gone(LONG)
    assert in_vault(Binding(other, team, "moved", "moved", "vault")) == (False, False)
    for path in (f"sys/policies/acl/{made.store_name}", f"auth/kubernetes/role/{made.store_name}"):
        first.plane.vault.request("DELETE", path)


@pytest.mark.timeout(400)
def test_a_second_cluster_of_the_same_name_can_neither_write_nor_remove(first: World, team: str) -> None:
    make_backend(first, "vault")
    made = ready_binding(first, team, "billing", "vault")
    text, role = first.policy(made.store_name), first.role(made.store_name)
    with ControlPlane() as running:
        install(running)
        plane = with_vault(running, first.plane.vault)
        prepare_store(plane, auth_mount=SECOND)
        logins = {
            "login": {"kubernetes": {"mount": SECOND, "role": "airwarden", "audience": "vault"}},
            "workloadLogin": {"kubernetes": {"mount": SECOND, "audience": "vault"}},
        }
        body = backend_object("vault", plane.vault_address, vault=logins)
        give_rights(plane, AirflowSecretBackend.model_validate({key: body[key] for key in ("metadata", "spec")}), team)
        plane.create_namespace(team, {TENANT: "true"})
        mark = first.plane.vault.audit.mark()
        with OperatorProcess(plane) as operator:
            second = World(plane, operator)
            store = make_backend(second, "vault", wait=False, vault=logins)
            said = store.wait_condition("Ready", "False", "ClusterIDConflict", LONG)
            uid = str((first.get("/api/v1/namespaces/kube-system") or {})["metadata"]["uid"])
            assert uid in said["message"]
            assert f"airwarden.{CLUSTER}.cluster-id" in said["message"]
            same = make_binding(second, team, "billing", "vault")
            same.wait_refused("ClusterIDConflict", LONG)
            second.merge(same.path, {"metadata": {"finalizers": ["airwarden.dev/revoke-access"]}})
            same.delete()
            same.wait_condition("Ready", "False", "DeletionBlocked", LONG)
        touched = [
            (each.operation, each.path)
            for each in first.plane.vault.audit.entries(mark)
            if each.display_name.startswith(SECOND) and each.path.startswith(("sys/policies", f"auth/{SECOND}/role"))
        ]
        assert set(touched) == {("read", f"sys/policies/acl/airwarden.{CLUSTER}.cluster-id")}
    assert (first.policy(made.store_name), first.role(made.store_name)) == (text, role)
    first.operator.stop()
    first.operator.start()
    made.wait_ready(LONG)


def give_rights(plane: Plane, backend: AirflowSecretBackend, namespace: str) -> None:
    """Do what the set-up prints for the second cluster, without overwriting the first one's policy."""
    account = OperatorAccount(NAMESPACE, ACCOUNT)
    made = vault_setup(backend, cluster=CLUSTER, operator=account, namespaces=(namespace,))
    plane.vault.request("PUT", f"sys/policies/acl/airwarden-operator.{SECOND}", {"policy": made.policy_text})
    fields = {**made.role_fields, "token_policies": f"airwarden-operator.{SECOND}"}
    plane.vault.request("POST", f"auth/{made.role_mount}/role/{made.role_name}", fields)


@pytest.mark.timeout(300)
def test_a_mount_that_is_gone_is_told_blocks_no_deletion_and_comes_back_whole(first: World, team: str) -> None:
    prepare_store(first.plane, auth_mount=TASKS)
    workloads = {"workloadLogin": {"kubernetes": {"mount": TASKS, "audience": "vault"}}}
    set_up_vault(
        first.plane, backend_object("setup", first.plane.vault_address, vault=workloads), namespaces=first.namespaces
    )
    store = make_backend(first, "tasks", vault=workloads, drift={"interval": "2s"})
    kept, gone = (ready_binding(first, team, name, "tasks") for name in ("kept", "gone"))
    first.plane.vault.request("DELETE", f"sys/auth/{TASKS}")
    said = store.wait_condition("Ready", "False", "MountMissing", LONG)
    assert TASKS in said["message"]
    assert TASKS in kept.wait_refused("MountMissing", LONG)["message"], "its access is gone for certain"
    gone.delete()
    gone.wait_gone(LONG)
    assert first.policy(gone.store_name) is None
    assert first.policy(kept.store_name) is not None
    assert kept.status()["targets"]
    assert role_of(first, kept) is None, "what a mount held goes with it"
    prepare_store(first.plane, auth_mount=TASKS)
    store.wait_ready(LONG)
    eventually("the role is made anew", lambda: role_of(first, kept) is not None, LONG)
    kept.wait_ready(LONG)
    kept.delete()
    kept.wait_gone(LONG)
    assert role_of(first, kept) is None


def role_of(world: World, binding: Binding) -> object:
    return world.plane.vault.request("GET", f"auth/{TASKS}/role/{binding.store_name}", accept=[404]).get("data")
