"""How many requests things cost, counted in the audit logs of the API server and Vault (design section 10)."""

from __future__ import annotations

import time
from collections import Counter

from integration.conftest import MakeBackend, MakeBinding
from integration.objects import binding_path, secret
from integration.world import World, eventually

BATCH = 50
LIST_AGE = 5.0
"""Seconds for which a list of names is taken for true."""


def test_a_new_binding_alone_costs_four_vault_requests_and_three_patches(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    mark = world.marks()
    made = binding(team, store)
    made.wait_ready()
    assert sorted((each.operation, each.path.rstrip("/")) for each in mark.vault_requests()) == [
        ("create", f"auth/kubernetes/role/{made.store_name}"),
        ("list", "auth/kubernetes/role"),
        ("list", "sys/policies/acl"),
        ("update", f"sys/policies/acl/{made.store_name}"),
    ]
    assert mark.patches(made.name) == ["metadata", "status", "status"]
    asked = Counter((each.verb, each.resource) for each in mark.api_requests() if each.namespace == team)
    assert asked[("create", "serviceaccounts")] == 1
    assert asked[("get", "serviceaccounts")] == 0


def test_a_batch_costs_two_vault_requests_each_and_a_few_lists(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    mark = world.marks()
    begun = time.monotonic()
    made = [binding(team, store) for _ in range(BATCH)]
    for each in made:
        each.wait_ready(60)
    seconds = time.monotonic() - begun
    counts = mark.vault_operations()
    # Two lists at the start, and two more each time that they are five seconds old: on a slow machine more often.
    assert counts.pop("list") <= 2 + 2 * (seconds / LIST_AGE)
    assert counts == Counter(create=BATCH, update=BATCH)
    for each in made:
        assert mark.patches(each.name) == ["metadata", "status", "status"]


def test_an_edit_costs_one_patch(world: World, backend: MakeBackend, binding: MakeBinding, team: str) -> None:
    store = backend()
    made = binding(team, store)
    made.wait_ready()
    mark = world.marks()
    made.edit(secrets=[secret(f"{team}/other", store.name)])
    made.wait_ready()
    assert mark.patches(made.name) == ["status"]
    assert mark.vault_operations() == Counter(read=2, update=1)


def test_an_edit_that_needs_a_new_target_costs_two_patches(
    world: World, other_world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    other_world.make_namespace(team)
    store, other = backend(), backend(world=other_world)
    made = binding(team, store)
    made.wait_ready()
    mark = world.marks()
    made.edit(secrets=[secret(f"{team}/a", store.name), secret(f"{team}/b", other.name, id="b")])
    made.wait_ready()
    assert mark.patches(made.name) == ["status", "status"]
    assert [each["backend"] for each in made.status()["targets"]] == [
        "",
        *sorted([store.name, store.name, other.name, other.name]),
    ]


def test_a_drift_check_costs_two_reads_and_a_steady_binding_nothing_else(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend(drift={"interval": "1s"}))
    made.wait_ready()
    eventually("its Event is posted, after the status", made.events)
    mark = world.marks()
    eventually("four drift checks", lambda: mark.drift_checks(made.store_name) >= 4)
    requests = mark.vault_requests()
    assert {each.operation for each in requests} == {"read"}
    paths = Counter(each.path for each in requests)
    assert set(paths) == {f"sys/policies/acl/{made.store_name}", f"auth/kubernetes/role/{made.store_name}"}
    assert max(paths.values()) - min(paths.values()) <= 1  # one check may be under way
    assert [each for each in mark.api_requests() if each.namespace == team] == []


def test_a_restart_writes_nothing_and_ready_never_flaps(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    made = [binding(team, store) for _ in range(5)]
    for each in made:
        each.wait_ready()
    eventually("the backend counts them", lambda: store.body()["status"]["bindings"] == {"total": 5, "ready": 5})
    version = world.version(binding_path(team))
    mark = world.marks()
    assert world.operator.stop() == 0
    world.operator.start()
    eventually("all were looked at again", lambda: all(mark.drift_checks(each.store_name) for each in made))
    assert set(mark.vault_operations()) == {"read"}
    assert {name for each in made for name in mark.patches(each.name)} == set()
    assert mark.patches(store.name) == []
    assert world.states_since(version, binding_path(team)) == []
    assert mark.logins() == 1


def test_there_is_one_login_for_all_bindings_of_a_backend(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    mark = world.marks()
    store = backend()
    made = [binding(team, store) for _ in range(5)]
    for each in made:
        each.wait_ready()
    made[0].edit(secrets=[secret(f"{team}/other", store.name)])
    made[0].wait_ready()
    made[1].delete()
    made[1].wait_gone()
    assert mark.logins() == 1


def test_a_deletion_costs_one_patch_and_each_object_one_request(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend())
    made.wait_ready()
    mark = world.marks()
    made.delete()
    made.wait_gone()
    assert mark.patches(made.name) == ["metadata"]
    assert mark.vault_operations() == Counter(read=2, delete=2)
    asked = Counter((each.verb, each.resource) for each in mark.api_requests() if each.namespace == team)
    assert asked[("delete", "serviceaccounts")] == 1


def test_an_outage_costs_an_unchanged_binding_nothing(
    other_world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    other_world.make_namespace(team)
    store = backend(world=other_world, drift={"interval": "1s"}, requests={"timeout": "2s"})
    made = binding(team, store, world=other_world)
    made.wait_ready()
    mark = other_world.marks()
    other_world.plane.vault.seal()
    try:
        store.wait_condition("Ready", "False", "BackendSealed")
    finally:
        other_world.plane.vault.unseal()
    store.wait_ready()
    again = other_world.marks()
    eventually("it is checked again", lambda: again.drift_checks(made.store_name) >= 2)
    assert mark.patches(made.name) == []


def test_an_outage_costs_an_edited_binding_one_patch_and_its_end_another(
    other_world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    other_world.make_namespace(team)
    store = backend(world=other_world, requests={"timeout": "2s"})
    made = binding(team, store, world=other_world)
    made.wait_ready()
    mark = other_world.marks()
    other_world.plane.vault.seal()
    try:
        made.edit(secrets=[secret(f"{team}/other", store.name)])
        made.wait_refused("BackendSealed")
        store.wait_condition("Ready", "False", "BackendSealed")
        before = store.body()["metadata"]["resourceVersion"]
        other_world.plane.vault.stop()
        eventually("the outage goes on", lambda: store.body()["metadata"]["resourceVersion"] != before)
        assert mark.patches(made.name) == ["status"]
    finally:
        if other_world.plane.vault.process.pid is None:
            other_world.plane.vault.start()
        else:
            other_world.plane.vault.unseal()
    made.wait_ready()
    assert mark.patches(made.name) == ["status", "status"]
    policy = other_world.policy(made.store_name)
    assert policy is not None
    assert f'"airflow/data/{team}/other"' in policy
