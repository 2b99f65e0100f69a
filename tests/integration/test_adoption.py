"""Adoption, drift that is only reported, and what stays when a binding goes: on the real cluster and Vault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Backend, Binding, name_in_store
from integration.objects import account_path, rule
from integration.world import World, eventually
from plane.errors import PlaneHTTPError
from plane.json_client import Json

LONG = 60.0
CALLS = (("lookup", "read"), ("renew", "update"), ("revoke", "update"))


@pytest.fixture
def leftovers(world: World) -> Iterator[list[str]]:
    """Return a list of names in Vault that are removed after the test: what a test leaves on purpose."""
    names: list[str] = []
    yield names
    for name in names:
        world.delete_role(name)
        world.delete_policy(name)


def rights(text: str | None) -> str:
    """Return a policy without the lines before its first right."""
    assert text is not None
    return text[text.index("path ") :]


def put_by_hand(world: World, namespace: str, name: str, store: Backend, *keys: str, **role: Any) -> str:
    """Put into Vault by hand what the binding would write for these keys, without a mark; return the name."""
    in_store = name_in_store(namespace, name, store.name)
    paths = sorted([f"airflow/data/{key}" for key in keys])
    calls = [
        ("auth/token/lookup-self", "read"),
        ("auth/token/renew-self", "update"),
        ("auth/token/revoke-self", "update"),
    ]
    blocks = sorted([*((path, "read") for path in paths), *calls])
    text = "".join(f'path "{path}" {{\n  capabilities = ["{right}"]\n}}\n' for path, right in blocks)
    world.write_policy(in_store, f"# made by hand in 2019\n{text}")
    fields = {
        "bound_service_account_names": name,
        "bound_service_account_namespaces": namespace,
        "audience": "vault",
        "token_policies": in_store,
        "token_ttl": "1h",
        "token_max_ttl": "1h",
        "token_no_default_policy": True,
        "token_type": "service",
    }
    world.write_role(in_store, **{**fields, **role})
    return in_store


def origins(binding: Binding) -> dict[str, str]:
    return {each["kind"]: each["origin"] for each in binding.status()["targets"]}


def target(binding: Binding, kind: str) -> Json:
    return next(dict(each) for each in binding.status()["targets"] if each["kind"] == kind)


# Adoption.


def test_an_identical_policy_and_role_are_adopted_with_one_write_and_released_with_the_binding(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, leftovers: list[str]
) -> None:
    store, name, key = backend(adopt="IfIdentical", drift={"interval": "1s"}), world.fresh("billing"), f"{team}/db"
    world.write_secret(key)
    in_store = put_by_hand(world, team, name, store, key)
    leftovers.append(in_store)
    before, role = rights(world.policy(in_store)), world.role(in_store)
    mark = world.marks()
    made = binding(team, store, name, secrets=[secret_of(key, store)])
    made.wait_ready()
    assert origins(made) == {"VaultPolicy": "Adopted", "VaultKubernetesRole": "Adopted", "ServiceAccount": "Created"}
    writes = [each for each in mark.vault_requests() if each.operation in ("create", "update", "delete")]
    assert [each.path for each in writes] == [f"sys/policies/acl/{in_store}"]
    assert (rights(world.policy(in_store)), world.role(in_store)) == (before, role)
    assert world.may_read(made.login(), key)
    looked = world.marks()
    eventually("two more looks write nothing", lambda: looked.drift_checks(in_store) >= 2)
    assert set(looked.vault_operations()) == {"read"}
    made.delete()
    made.wait_gone()
    assert (rights(world.policy(in_store)), world.role(in_store)) == (before, role)
    assert "airwarden.dev/owner" not in (world.policy(in_store) or "")
    world.plane.api.create_service_account(team, name)
    assert world.may_read(world.login(team, name, in_store), key)


def test_what_was_released_may_be_adopted_again(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, leftovers: list[str]
) -> None:
    store, name, key = backend(adopt="IfIdentical"), world.fresh("billing"), f"{team}/db"
    leftovers.append(put_by_hand(world, team, name, store, key))
    first = binding(team, store, name, secrets=[secret_of(key, store)])
    first.wait_ready()
    first.delete()
    first.wait_gone()
    again = binding(team, store, name, secrets=[secret_of(key, store)])
    again.wait_ready()
    assert origins(again)["VaultPolicy"] == "Adopted"


@pytest.mark.parametrize("adopt", ["Never", "IfIdentical"])
def test_what_may_not_be_adopted_is_left_alone_and_the_message_says_how(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, leftovers: list[str], adopt: str
) -> None:
    store, name, key = backend(adopt=adopt), world.fresh("billing"), f"{team}/db"
    more = [f"{team}/more"] if adopt == "IfIdentical" else []
    in_store = put_by_hand(world, team, name, store, key, *more)
    leftovers.append(in_store)
    before, role = world.policy(in_store), world.role(in_store)
    made = binding(team, store, name, secrets=[secret_of(key, store)])
    message = made.wait_refused("NotOwned")["message"]
    assert f"airwarden adopt {team}/{name}" in message
    assert ("lines: 3 more, 0 fewer" in message) == (adopt == "IfIdentical")
    made.delete()
    made.wait_gone()
    assert (world.policy(in_store), world.role(in_store)) == (before, role)


@pytest.mark.parametrize("recorded", [False, True], ids=["found", "put over what is recorded"])
def test_a_foreign_mark_is_never_adopted_written_or_deleted(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, leftovers: list[str], recorded: bool
) -> None:
    store, name, key = backend(adopt="IfIdentical", drift={"interval": "1s"}), world.fresh("billing"), f"{team}/db"
    in_store = name_in_store(team, name, store.name)
    leftovers.append(in_store)
    made = None
    if recorded:
        made = binding(team, store, name, secrets=[secret_of(key, store)])
        made.wait_ready()
    foreign = f"# airwarden.dev/owner cluster=other namespace={team} binding={name} backend={store.name}"
    text = f'{foreign}\npath "airflow/data/theirs" {{\n  capabilities = ["read"]\n}}\n'
    world.write_policy(in_store, text)
    made = made or binding(team, store, name, secrets=[secret_of(key, store)])
    made.wait_refused("NotOwned")
    mark = world.marks()
    eventually(
        "two more looks", lambda: mark.drift_checks(in_store) >= 2 or mark.vault_operations(in_store)["read"] >= 4
    )
    assert world.policy(in_store) == text
    made.delete()
    made.wait_gone()
    assert world.policy(in_store) == text


def test_an_adopted_policy_that_the_binding_has_widened_goes_with_it(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, leftovers: list[str]
) -> None:
    store, name, key = backend(adopt="IfIdentical"), world.fresh("billing"), f"{team}/db"
    in_store = put_by_hand(world, team, name, store, key)
    leftovers.append(in_store)
    made = binding(team, store, name, secrets=[secret_of(key, store)])
    made.wait_ready()
    made.edit(secrets=[secret_of(key, store), secret_of(f"{team}/more", store, "more")])
    made.wait_ready()
    assert origins(made)["VaultPolicy"] == "Created"
    made.delete()
    made.wait_gone()
    assert (world.policy(in_store), world.role(in_store)) == (None, None)


def test_an_adopted_policy_ends_with_its_permission(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, leftovers: list[str]
) -> None:
    store, name, key = backend(adopt="IfIdentical"), world.fresh("billing"), f"{team}/db"
    in_store = put_by_hand(world, team, name, store, key)
    leftovers.append(in_store)
    made = binding(team, store, name, secrets=[secret_of(key, store)])
    made.wait_ready()
    store.edit(allow=[])
    made.wait_refused("KeyNotAllowed")
    assert (world.policy(in_store), world.role(in_store)) == (None, None)


def test_a_forged_origin_lets_nothing_outlive_its_binding(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend(adopt="IfIdentical"))
    targets = made.wait_ready()["targets"]
    world.operator.stop()
    try:
        forged = [{**each, "origin": "Adopted"} for each in targets]
        world.merge(f"{made.path}/status", {"status": {"targets": forged}})
        made.delete()
    finally:
        world.operator.start()
    made.wait_gone(LONG)
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)
    assert made.service_account() is None


# Drift that is only reported.


@pytest.fixture
def reported(backend: MakeBackend, binding: MakeBinding, team: str) -> Binding:
    """Return a Ready binding whose backend looks every second and only reports."""
    made = binding(team, backend(drift={"interval": "1s", "policy": "Report"}))
    made.wait_ready()
    return made


WIDER = 'path "airflow/*" { capabilities = ["read"] }\n'


def test_drift_is_reported_once_with_what_differs_and_nothing_is_written(world: World, reported: Binding) -> None:
    text = (world.policy(reported.store_name) or "") + WIDER
    mark = world.marks()
    world.write_policy(reported.store_name, text)
    message = reported.wait_refused("Drifted")["message"]
    assert "lines: 1 more, 0 fewer" in message
    assert "access may be wider than declared" in message
    assert reported.conditions()["Stalled"]["status"] == "True"
    assert target(reported, "VaultPolicy")["state"] == "Drifted"
    assert target(reported, "VaultKubernetesRole")["state"] == "Present"
    looks = world.marks()
    eventually("three more looks", lambda: looks.drift_checks(reported.store_name) >= 3)
    assert world.policy(reported.store_name) == text
    assert set(mark.vault_operations()) == {"read"}
    assert mark.patches(reported.name) == ["status"]
    assert [each[:2] for each in reported.events() if "Drift" in each[1]] == [("Warning", "Drifted")]


def test_it_is_still_only_reported_after_a_restart(world: World, reported: Binding) -> None:
    world.delete_role(reported.store_name)
    world.write_policy(reported.store_name, WIDER)
    message = reported.wait_refused("Drifted")["message"]
    assert "lost its mark" in message
    assert "is gone" in message
    mark = world.marks()
    world.operator.stop()
    world.operator.start()
    eventually("two looks", lambda: mark.vault_operations(reported.store_name)["read"] >= 4, LONG)
    assert (world.policy(reported.store_name), world.role(reported.store_name)) == (WIDER, None)
    assert set(mark.vault_operations(reported.store_name)) == {"read"}
    reported.wait_refused("Drifted")


def test_set_right_by_hand_or_by_policy_it_is_ready_again(world: World, reported: Binding) -> None:
    text = world.policy(reported.store_name) or ""
    world.write_policy(reported.store_name, text + WIDER)
    reported.wait_refused("Drifted")
    world.write_policy(reported.store_name, text)
    reported.wait_ready()
    world.write_policy(reported.store_name, text + WIDER)
    reported.wait_refused("Drifted")
    Backend(world, reported.backend).edit(drift={"interval": "1s", "policy": "Correct"})
    reported.wait_ready()
    assert world.policy(reported.store_name) == text


def test_what_is_declared_acts_while_drift_is_only_reported(world: World, reported: Binding) -> None:
    world.write_policy(reported.store_name, WIDER + "# by hand\n")
    reported.wait_refused("Drifted")
    more = f"{reported.namespace}/more"
    reported.edit(secrets=[{**secret_of(more, Backend(world, reported.backend)), "id": "more"}])
    reported.wait_ready()
    assert rights(world.policy(reported.store_name)).startswith(f'path "airflow/data/{more}"')
    world.write_policy(reported.store_name, WIDER)
    reported.wait_refused("Drifted")
    Backend(world, reported.backend).edit(allow=[])
    reported.wait_refused("KeyNotAllowed")
    assert (world.policy(reported.store_name), world.role(reported.store_name)) == (None, None)


# Orphan.


def orphan_rule(*prefixes: str, orphan: bool = True, name: str = "own-tree") -> Json:
    return {**rule(name), "keyPrefixes": list(prefixes), "orphan": orphan}


def secret_of(key: str, store: Backend, id: str = "warehouse") -> Json:  # noqa: A002 - its name
    return {"type": "Connection", "id": id, "backendRef": {"name": store.name}, "key": key}


def test_orphan_without_a_rule_that_permits_it_is_refused_with_the_rules_name(
    backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend(), deletionPolicy="Orphan")
    message = made.wait_refused("OrphanNotAllowed")["message"]
    assert "rule own-tree allows the secret with deletionPolicy Delete" in message


def test_orphaned_access_stays_usable_and_is_nobodys(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, leftovers: list[str]
) -> None:
    key = f"{team}/connections/warehouse"
    world.write_secret(key)
    made = binding(team, backend(allow=[orphan_rule("{namespace}/")]), deletionPolicy="Orphan")
    leftovers.append(made.store_name)
    made.wait_ready()
    token = made.login()
    made.delete()
    made.wait_gone()
    assert world.may_read(token, key)
    assert world.may_read(made.login(), key)
    account = made.service_account()
    assert account is not None
    assert not [each for each in account["metadata"].get("labels", {}) if "airwarden" in each]
    assert "airwarden.dev/owner" not in (world.policy(made.store_name) or "")
    world.delete(account_path(team, made.account))


def test_what_is_no_longer_permitted_at_the_deletion_is_not_orphaned(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, leftovers: list[str]
) -> None:
    keys = [f"{team}/stays/a", f"{team}/goes/b"]
    for key in keys:
        world.write_secret(key)
    store = backend(allow=[orphan_rule("{namespace}/")])
    made = binding(
        team,
        store,
        secrets=[secret_of(key, store, key[-1]) for key in keys],
        deletionPolicy="Orphan",
    )
    leftovers.append(made.store_name)
    made.wait_ready()
    token = made.login()
    world.operator.stop()
    try:
        narrowed = [orphan_rule(f"{team}/stays/"), orphan_rule("{namespace}/", orphan=False, name="rest")]
        store.edit(allow=narrowed)
        made.delete()
    finally:
        world.operator.start()
    made.wait_gone(LONG)
    assert [world.may_read(token, key) for key in keys] == [True, False]
    world.delete(account_path(team, made.account))


def test_with_the_permission_gone_an_orphan_is_deleted_like_any_other(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend(allow=[orphan_rule("{namespace}/")])
    made = binding(team, store, deletionPolicy="Orphan")
    made.wait_ready()
    world.operator.stop()
    try:
        store.edit(allow=[rule()])
        made.delete()
    finally:
        world.operator.start()
    made.wait_gone(LONG)
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)
    assert made.service_account() is None
    with pytest.raises(PlaneHTTPError):
        made.login()
