"""Mode Fenced through the operator: what bindings give, what is said of it, and moves from and to mode Roles."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from airwarden.providers.vault.fenced.setup import ModeOptions
from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Backend, Binding
from integration.objects import AUTH, TENANT, backend_object, rule, secret
from integration.world import World, eventually
from plane.control_plane import READY_DEADLINE, Plane
from plane.json_client import Json
from plane.operator import set_up_vault
from plane.ports import free_ports
from plane.vault_admin import prepare_store
from plane.vault_server import VaultServer

ROLE = "fenced-tasks"
SLOTS = {"own": 5, "shared": 2, "dynamic": 1}
FENCED: Json = {"mode": "Fenced", "fenced": {"role": ROLE, "slots": SLOTS}}
SLOW = 60.0


@dataclass
class FencedWorld(World):
    """A Vault of its own whose admin applied what is printed for mode Fenced, and for a move from or to it."""

    options: ModeOptions = dataclasses.field(default_factory=lambda: ModeOptions(moving=True))

    def permit_namespaces(self) -> None:
        body = backend_object("setup", self.plane.vault_address, vault=FENCED, allow=[unheld()])
        set_up_vault(self.plane, body, namespaces=self.namespaces, options=self.options)

    def alias(self, made: Binding) -> Any:
        """Return the alias of a binding's account as Vault has it; None when there is none."""
        accessor = self.plane.vault.request("GET", f"sys/auth/{AUTH}")["data"]["accessor"]
        name = f"{made.namespace}/{made.account}"
        body = {"alias_name": name, "alias_mount_accessor": accessor}
        found = self.plane.vault.request("POST", "identity/lookup/entity", body, accept=(200, 204))
        return next((each for each in (found.get("data") or {}).get("aliases") or () if each["name"] == name), None)

    def slots(self, made: Binding) -> list[str]:
        """Return what stands in the slots of a binding's account."""
        found = self.alias(made)
        metadata = (found["custom_metadata"] if found is not None else None) or {}
        return sorted(value for key, value in metadata.items() if key[1:].isdigit())

    def fill(self, namespace: str, account: str, metadata: dict[str, str]) -> None:
        """Write the metadata of an account's alias by hand."""
        accessor = self.plane.vault.request("GET", f"sys/auth/{AUTH}")["data"]["accessor"]
        body = {"name": f"{namespace}/{account}", "mount_accessor": accessor, "custom_metadata": metadata}
        self.plane.vault.request("POST", "identity/entity-alias", body)

    def log_in(self, made: Binding) -> str:
        """Log in with the tasks' role under a binding's account."""
        return self.login(made.namespace, made.account, ROLE)


def unheld(**more: Any) -> Json:
    """Return the tenants' rule, for a store that holds no sessions."""
    return rule(session={"maxTTL": "1h", "required": False}, **more)


@pytest.fixture(scope="session")
def fenced_world(plane: Plane, world: World) -> Iterator[FencedWorld]:
    vault = VaultServer(plane.binaries, plane.data_dir, free_ports(2), name="vault-fenced")
    vault.launch()
    try:
        vault.initialise(READY_DEADLINE)
        other = dataclasses.replace(plane, vault=vault, vault_address=vault.address, vault_token=vault.token)
        prepare_store(other)
        found = FencedWorld(other, world.operator)
        found.make_namespace("first")
        yield found
    finally:
        vault.kill()


@pytest.fixture
def tenant(fenced_world: FencedWorld) -> str:
    """Return a tenant's namespace that no other test has, permitted in the fenced Vault."""
    return fenced_world.make_namespace(fenced_world.fresh("fenced"), {TENANT: "true"})


@pytest.fixture
def store(backend: MakeBackend, fenced_world: FencedWorld) -> Backend:
    return backend(fenced_world.fresh("fence"), world=fenced_world, vault=FENCED, allow=[unheld()])


@pytest.fixture
def roles_store(backend: MakeBackend, fenced_world: FencedWorld) -> Backend:
    """Return a backend in mode Roles whose operator has the rights of both modes."""
    return backend(fenced_world.fresh("moving"), world=fenced_world, allow=[unheld()])


def keys(tenant: str, store: Backend, *names: str) -> list[Json]:
    return [secret(f"{tenant}/{name}", store.name, id=name) for name in names]


def fill_targets(made: Binding) -> list[tuple[str, str]]:
    return [(each["kind"], each["state"]) for each in made.status()["targets"] if each["backend"]]


def test_a_binding_fills_slots_and_says_with_which_role_tasks_log_in_and_that_sessions_are_not_held(
    fenced_world: FencedWorld, store: Backend, binding: MakeBinding, tenant: str
) -> None:
    world = fenced_world
    value = world.write_secret(f"{tenant}/mine")
    shared = world.write_secret("shared/smtp")
    world.write_secret(f"{tenant}/other")
    wanted = [*keys(tenant, store, "mine"), secret("shared/smtp", store.name, id="smtp")]
    made = binding(tenant, store, name=world.fresh("fenced"), secrets=wanted, world=world)
    status = made.wait_ready(SLOW)
    token = world.log_in(made)
    assert (world.read(token, f"{tenant}/mine"), world.read(token, "shared/smtp")) == (value, shared)
    assert not world.may_read(token, f"{tenant}/other")
    assert status["effective"] == {"rules": [f"{store.name}/own-tree"], "roles": [f"{store.name}/{ROLE}"]}
    assert status["summary"]["slots"] == f"{store.name}: own 1/5, shared 1/2, dynamic 0/1"
    target = next(each for each in status["targets"] if each["backend"])
    assert (target["kind"], target["name"]) == ("VaultEntityAlias", f"{tenant}/{made.account}")
    assert (target["state"], target["reason"]) == ("Present", "SessionTTLNotEnforced")
    assert target["id"] == world.alias(made)["id"]
    assert world.policy(made.store_name) is None
    assert world.role(made.store_name) is None
    assert store.body()["status"]["capabilities"] == ["Static", "Dynamic", "Sweep", "SweepFormer"]


def test_an_edit_and_a_tightened_rule_act_on_a_live_token(
    fenced_world: FencedWorld, store: Backend, binding: MakeBinding, tenant: str
) -> None:
    world = fenced_world
    for name in ("a", "b"):
        world.write_secret(f"{tenant}/{name}")
    made = binding(tenant, store, name=world.fresh("fenced"), secrets=keys(tenant, store, "a"), world=world)
    made.wait_ready(SLOW)
    token = world.log_in(made)
    assert world.may_read(token, f"{tenant}/a")
    made.edit(secrets=keys(tenant, store, "b"))
    made.wait_ready(SLOW)
    assert (world.may_read(token, f"{tenant}/a"), world.may_read(token, f"{tenant}/b")) == (False, True)
    store.edit(allow=[unheld(keyPrefixes=["shared/"])])
    made.wait_refused("KeyNotAllowed", SLOW)
    assert not world.may_read(token, f"{tenant}/b")
    assert world.slots(made) == []


def test_what_no_slot_can_hold_is_refused_and_the_rest_is_granted(
    fenced_world: FencedWorld, store: Backend, binding: MakeBinding, tenant: str
) -> None:
    store.edit(allow=[unheld(keyPrefixes=["{namespace}/", "global/"])])
    wanted = [*keys(tenant, store, "mine"), secret("global/x", store.name, id="x")]
    made = binding(tenant, store, name=fenced_world.fresh("fenced"), secrets=wanted, world=fenced_world)
    said = made.wait_refused("KeyOutsideFence", SLOW)["message"]
    assert f"keys below {tenant}/" in said
    assert fenced_world.slots(made) == ["mine"]


def test_more_secrets_than_slots_are_refused_in_the_order_declared_and_running_low_is_told_before(
    fenced_world: FencedWorld, store: Backend, binding: MakeBinding, tenant: str
) -> None:
    names = ["a", "b", "c", "d"]
    made = binding(
        tenant, store, name=fenced_world.fresh("fenced"), secrets=keys(tenant, store, *names), world=fenced_world
    )
    made.wait_ready(SLOW)
    eventually("an Event says so", lambda: [each for each in made.events() if each[1] == "SlotsLow"], SLOW)
    made.edit(secrets=keys(tenant, store, *names, "e", "f"))
    said = made.wait_refused("SlotsExhausted", SLOW)["message"]
    assert "all 5 own slots" in said
    refused = [each["id"] for each in made.status()["secrets"] if each["state"] == "Refused"]
    assert refused == ["f"]
    assert fenced_world.slots(made) == [*names, "e"]


def test_where_the_rule_requires_sessions_nothing_is_granted(
    fenced_world: FencedWorld, store: Backend, binding: MakeBinding, tenant: str
) -> None:
    store.edit(allow=[rule()])
    made = binding(tenant, store, name=fenced_world.fresh("fenced"), world=fenced_world)
    made.wait_refused("SessionNotAllowed", SLOW)
    assert fenced_world.slots(made) == []


def test_changed_metadata_is_set_right_and_that_of_others_is_not_touched(
    fenced_world: FencedWorld, backend: MakeBackend, binding: MakeBinding, tenant: str
) -> None:
    world = fenced_world
    store = backend(world.fresh("fence"), world=world, vault=FENCED, allow=[unheld()], drift={"interval": "1s"})
    world.fill(tenant, "taken", {"team": "x"})
    taken = binding(tenant, store, account="taken", name=world.fresh("fenced"), world=world)
    made = binding(tenant, store, name=world.fresh("fenced"), secrets=keys(tenant, store, "a"), world=world)
    made.wait_ready(SLOW)
    before = world.alias(made)["custom_metadata"]
    world.fill(tenant, made.account, {**before, "p04": "more"})
    eventually("it is set right", lambda: world.alias(made)["custom_metadata"] == before, SLOW)
    eventually("an Event says so", lambda: [each for each in made.events() if each[1] == "DriftCorrected"], SLOW)
    taken.wait_refused("NotOwned", SLOW)
    assert world.alias(taken)["custom_metadata"] == {"team": "x"}


def test_a_second_binding_of_one_account_gets_nothing_and_takes_nothing(
    fenced_world: FencedWorld, store: Backend, binding: MakeBinding, tenant: str
) -> None:
    world = fenced_world
    made = binding(tenant, store, name=world.fresh("fenced"), secrets=keys(tenant, store, "a"), world=world)
    made.wait_ready(SLOW)
    more = keys(tenant, store, "b")
    second = binding(tenant, store, account=made.account, name=world.fresh("fenced"), secrets=more, world=world)
    second.wait_refused("ServiceAccountTaken", SLOW)
    assert world.slots(made) == ["a"]
    second.delete()
    second.wait_gone(SLOW)
    assert world.slots(made) == ["a"]


def test_of_two_fenced_backends_in_one_vault_a_binding_uses_one(
    fenced_world: FencedWorld, store: Backend, backend: MakeBackend, binding: MakeBinding, tenant: str
) -> None:
    world = fenced_world
    other = backend(world.fresh("aaa"), world=world, vault=FENCED, allow=[unheld()])
    made = binding(tenant, store, name=world.fresh("fenced"), secrets=keys(tenant, store, "a"), world=world)
    made.wait_ready(SLOW)
    made.edit(secrets=[*keys(tenant, store, "a"), secret(f"{tenant}/b", other.name, id="b")])
    made.wait_refused("SlotsTaken", SLOW)
    assert world.slots(made) == ["a"]


def test_a_deletion_empties_the_slots_at_once_and_names_what_stays(
    fenced_world: FencedWorld, store: Backend, binding: MakeBinding, tenant: str
) -> None:
    world = fenced_world
    world.write_secret(f"{tenant}/a")
    made = binding(tenant, store, name=world.fresh("fenced"), secrets=keys(tenant, store, "a"), world=world)
    made.wait_ready(SLOW)
    token, alias = world.log_in(made), world.alias(made)
    assert world.may_read(token, f"{tenant}/a")
    made.delete()
    made.wait_gone(SLOW)
    assert not world.may_read(token, f"{tenant}/a")
    assert world.alias(made)["custom_metadata"] == {}
    assert made.service_account() is None
    said = [message for _, reason, message in made.events() if reason == "LeftBehind"]
    assert len(said) == 1
    assert alias["id"] in said[0]


def test_a_new_binding_costs_two_vault_requests_and_a_drift_check_one(
    fenced_world: FencedWorld, backend: MakeBackend, binding: MakeBinding, tenant: str
) -> None:
    world = fenced_world
    store = backend(world.fresh("fence"), world=world, vault=FENCED, allow=[unheld()], drift={"interval": "1s"})
    mark = world.marks()
    made = binding(tenant, store, name=world.fresh("fenced"), world=world)
    made.wait_ready(SLOW)
    assert mark.patches(made.name) == ["metadata", "status", "status"]

    def asked() -> list[str]:
        return [each.path for each in mark.vault_requests() if each.path.startswith("identity/")]

    assert asked()[:2] == ["identity/lookup/entity", "identity/entity-alias"]
    eventually("three drift checks", lambda: len(asked()) >= 5, SLOW)
    assert set(asked()[2:]) == {"identity/lookup/entity"}
    assert mark.patches(made.name) == ["metadata", "status", "status"]


def test_a_move_to_fenced_and_back_loses_no_access_and_leaves_no_right_behind(
    fenced_world: FencedWorld, roles_store: Backend, binding: MakeBinding, tenant: str
) -> None:
    world, store = fenced_world, roles_store
    world.write_secret(f"{tenant}/a")
    made = binding(tenant, store, name=world.fresh("moved"), secrets=keys(tenant, store, "a"), world=world)
    assert made.wait_ready(SLOW)["effective"]["roles"] == [f"{store.name}/{made.store_name}"]
    mark = world.marks()
    store.edit(vault=FENCED)
    eventually("it is moved", lambda: fill_targets(made) == [("VaultEntityAlias", "Present")], SLOW)
    assert made.wait_ready(SLOW)["effective"]["roles"] == [f"{store.name}/{ROLE}"]
    assert world.may_read(world.log_in(made), f"{tenant}/a")
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)
    assert _order(mark, made) == ["identity/entity-alias", "identity/lookup", "sys/policies", "auth/kubernetes"]
    mark = world.marks()
    store.edit(vault={"mode": "Roles", "fenced": None})
    both = [("VaultKubernetesRole", "Present"), ("VaultPolicy", "Present")]
    eventually("it is moved back", lambda: fill_targets(made) == both, SLOW)
    assert made.wait_ready(SLOW)["effective"]["roles"] == [f"{store.name}/{made.store_name}"]
    assert world.may_read(made.login(), f"{tenant}/a")
    assert world.alias(made)["custom_metadata"] == {}
    assert not world.may_read(world.log_in(made), f"{tenant}/a")
    eventually("it is named", lambda: [each for each in made.events() if each[1] == "LeftBehind"], SLOW)


def test_a_binding_stripped_and_made_anew_for_another_account_leaves_the_old_accounts_slots_empty(
    fenced_world: FencedWorld, store: Backend, binding: MakeBinding, tenant: str
) -> None:
    world = fenced_world
    world.write_secret(f"{tenant}/a")
    name = world.fresh("stripped")
    made = binding(tenant, store, name=name, secrets=keys(tenant, store, "a"), world=world)
    made.wait_ready(SLOW)
    token = world.log_in(made)
    assert world.may_read(token, f"{tenant}/a")
    world.merge(made.path, {"metadata": {"finalizers": []}})
    made.delete()
    made.wait_gone(SLOW)
    again = binding(tenant, store, name=name, account=f"{name}-b", secrets=keys(tenant, store, "a"), world=world)
    again.wait_ready(SLOW)
    eventually("the old slots are empty", lambda: not world.slots(made), SLOW)
    assert not world.may_read(token, f"{tenant}/a")
    assert world.slots(again) == ["a"]


def _order(mark: Any, made: Binding) -> list[str]:
    """Return what was asked of Vault for one binding from the first write on, by the kind of path."""
    kinds = []
    for each in mark.vault_requests():
        if each.path.startswith("identity/") or each.path.endswith(made.store_name):
            kinds.append((each.operation, "/".join(each.path.split("/")[:2])))
    first = kinds.index(("update", "identity/entity-alias"))
    return [kind for _, kind in kinds[first:]]


def test_without_the_old_modes_rights_the_new_access_is_there_and_the_old_is_shown_until_it_can_go(
    fenced_world: FencedWorld, roles_store: Backend, binding: MakeBinding, tenant: str
) -> None:
    world, store = fenced_world, roles_store
    world.write_secret(f"{tenant}/a")
    made = binding(tenant, store, name=world.fresh("moved"), secrets=keys(tenant, store, "a"), world=world)
    made.wait_ready(SLOW)
    world.options = ModeOptions()
    try:
        body = backend_object("setup", world.plane.vault_address, vault=FENCED, allow=[unheld()])
        set_up_vault(world.plane, body, namespaces=world.namespaces, options=ModeOptions(mode="Fenced"))
        store.edit(vault=FENCED)
        eventually("the slots are filled", lambda: world.slots(made) == ["a"], SLOW)
        said = made.wait_refused("BackendForbidden", SLOW)["message"]
        assert "other mode" in said
        assert world.may_read(world.log_in(made), f"{tenant}/a")
        assert world.policy(made.store_name) is not None
        states = {each["kind"]: each["state"] for each in made.status()["targets"] if each["backend"]}
        assert states["VaultPolicy"] == states["VaultKubernetesRole"] == "Removing"
        made.delete()
        eventually("it is blocked", lambda: made.conditions()["Ready"]["reason"] == "DeletionBlocked", SLOW)
        assert world.slots(made) == []
    finally:
        world.options = ModeOptions(moving=True)
        world.permit_namespaces()
    made.wait_gone(SLOW)
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)


def test_a_move_to_a_fence_that_does_not_stand_keeps_the_old_access_and_says_why(
    fenced_world: FencedWorld, roles_store: Backend, binding: MakeBinding, tenant: str
) -> None:
    world, store = fenced_world, roles_store
    world.write_secret(f"{tenant}/a")
    made = binding(tenant, store, name=world.fresh("moved"), secrets=keys(tenant, store, "a"), world=world)
    made.wait_ready(SLOW)
    token = made.login()
    world.plane.vault.request("DELETE", f"auth/{AUTH}/role/{ROLE}")
    try:
        store.edit(vault=FENCED)
        made.wait_refused("BackendMisconfigured", SLOW)
        store.wait_condition("Ready", "False", "BackendMisconfigured", SLOW)
        assert world.may_read(token, f"{tenant}/a")
        assert made.status()["effective"]["roles"] == [f"{store.name}/{made.store_name}"]
    finally:
        world.permit_namespaces()
    made.wait_ready(SLOW)
    assert world.may_read(world.log_in(made), f"{tenant}/a")
    assert not world.may_read(token, f"{tenant}/a")
