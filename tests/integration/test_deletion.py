"""Deletion takes everything away, in a store that answers and, later, in one that did not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.objects import secret
from integration.world import World, eventually
from plane.errors import PlaneHTTPError

LONG = 40.0
"""Seconds for what waits for a retry."""


@pytest.fixture
def vault_comes_back(other_world: World) -> Iterator[None]:
    """Start and unseal the other Vault after the test, whatever the test left."""
    yield
    vault = other_world.plane.vault
    if vault.process.pid is None:
        vault.start()
    elif not vault.healthy():
        vault.unseal()


def test_policy_role_account_login_and_live_tokens_are_gone_and_the_policy_goes_first(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    key = f"{team}/connections/warehouse"
    world.write_secret(key)
    made = binding(team, backend())
    made.wait_ready()
    token, jwt_login = made.login(), made.login
    mark = world.marks()
    made.delete()
    made.wait_gone()
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)
    assert made.service_account() is None
    assert not world.may_read(token, key)
    with pytest.raises(PlaneHTTPError):
        jwt_login()
    deleted = [each.path for each in mark.vault_requests() if each.operation == "delete"]
    assert deleted == [f"sys/policies/acl/{made.store_name}", f"auth/kubernetes/role/{made.store_name}"]


def test_after_it_even_a_made_again_account_cannot_log_in(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend())
    made.wait_ready()
    made.delete()
    made.wait_gone()
    world.plane.api.create_service_account(team, made.account)
    with pytest.raises(PlaneHTTPError, match="invalid role name"):
        made.login()


def test_a_binding_that_never_got_anything_goes_at_once(backend: MakeBackend, binding: MakeBinding, team: str) -> None:
    refused = binding(team, backend(allow=[]))
    refused.wait_refused("KeyNotAllowed")
    unknown = binding(team, "no-such-backend")
    unknown.wait_refused("BackendNotFound")
    for each in (refused, unknown):
        each.delete()
        each.wait_gone()


def test_a_secret_taken_out_of_the_binding_is_taken_out_of_the_policy(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    keys = [f"{team}/a", f"{team}/b"]
    for key in keys:
        world.write_secret(key)
    made = binding(team, store, secrets=[secret(key, store.name, id=key[-1]) for key in keys])
    made.wait_ready()
    token = made.login()
    made.edit(secrets=[secret(keys[0], store.name, id="a")])
    made.wait_ready()
    assert [world.may_read(token, key) for key in keys] == [True, False]


def test_a_namespace_goes_with_the_bindings_in_it(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    made = [binding(team, store) for _ in range(3)]
    for each in made:
        each.wait_ready()
    world.delete(f"/api/v1/namespaces/{team}")
    world.wait_gone(f"/api/v1/namespaces/{team}", LONG)
    for each in made:
        assert (world.policy(each.store_name), world.role(each.store_name)) == (None, None)


@pytest.mark.usefixtures("vault_comes_back")
def test_while_vault_is_sealed_a_deletion_waits_says_why_and_an_edit_meanwhile_leaks_nothing(
    other_world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    other_world.make_namespace(team)
    store = backend(world=other_world, requests={"timeout": "2s"})
    made = binding(team, store, world=other_world)
    made.wait_ready()
    other_world.plane.vault.seal()
    made.delete()
    ready = made.wait_refused("DeletionBlocked")
    assert "BackendSealed" in ready["message"]
    assert "finalizer airwarden.dev/revoke-access" in ready["message"]
    assert made.conditions()["Reconciling"]["status"] == "True"
    made.edit(secrets=[secret(f"{team}/other", store.name), secret(f"{team}/more", store.name, id="more")])
    made.wait_refused("DeletionBlocked")
    assert made.service_account() is not None
    other_world.plane.vault.unseal()
    made.wait_gone(LONG)
    assert (other_world.policy(made.store_name), other_world.role(made.store_name)) == (None, None)
    assert made.service_account() is None


@pytest.mark.usefixtures("vault_comes_back")
def test_while_vault_is_stopped_a_deletion_waits_and_costs_one_patch_and_its_end_another(
    other_world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    other_world.make_namespace(team)
    store = backend(world=other_world, requests={"timeout": "2s"})
    made = binding(team, store, world=other_world)
    made.wait_ready()
    mark = other_world.marks()
    other_world.plane.vault.stop()
    made.delete()
    ready = made.wait_refused("DeletionBlocked")
    assert "BackendUnreachable" in ready["message"]
    store.wait_condition("Ready", "False", "BackendUnreachable")
    other_world.plane.vault.start()
    made.wait_gone(LONG)
    assert (other_world.policy(made.store_name), other_world.role(made.store_name)) == (None, None)
    assert mark.patches(made.name) == ["status", "metadata"]


@pytest.mark.usefixtures("vault_comes_back")
def test_a_blocked_deletion_keeps_what_it_could_not_remove_on_record(
    other_world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    other_world.make_namespace(team)
    made = binding(team, backend(world=other_world, requests={"timeout": "2s"}), world=other_world)
    made.wait_ready()
    before = {(each["kind"], each["name"]) for each in made.status()["targets"]}
    other_world.plane.vault.stop()
    made.delete()
    made.wait_refused("DeletionBlocked")
    assert {(each["kind"], each["name"]) for each in made.status()["targets"]} == before
    other_world.operator.stop()
    other_world.plane.vault.start()
    other_world.operator.start()
    made.wait_gone(LONG)
    assert (other_world.policy(made.store_name), other_world.role(made.store_name)) == (None, None)
    eventually("the account is gone", lambda: made.service_account() is None)
