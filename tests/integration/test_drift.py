"""What somebody changes behind the operator's back is set right, and said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Binding
from integration.objects import account_path
from integration.world import World, eventually
from plane.json_client import Json


@pytest.fixture
def checked(backend: MakeBackend, binding: MakeBinding, team: str) -> Binding:
    """Return a Ready binding whose backend is compared every second."""
    made = binding(team, backend(drift={"interval": "1s"}))
    made.wait_ready()
    # Times are whole seconds: a correction in the second of the first write could not be told from it.
    eventually("a second has passed", lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}" > max(applied(made).values()))
    return made


def applied(binding: Binding) -> dict[str, str]:
    return {each["kind"]: each["lastAppliedTime"] for each in binding.status()["targets"]}


def wait_corrected(binding: Binding, kind: str, before: dict[str, str]) -> None:
    """Wait until the correction is recorded at this one target and told in an Event."""

    def recorded() -> bool:
        after = applied(binding)
        assert after[kind] > before[kind]
        assert {each: time for each, time in after.items() if each != kind} == {
            each: time for each, time in before.items() if each != kind
        }
        return True

    eventually(f"the correction of {kind} is recorded", recorded)
    told = eventually(
        "the correction is told", lambda: [each for each in binding.events() if each[1] == "DriftCorrected"]
    )
    assert [each[0] for each in told] == ["Warning"]
    assert kind in told[0][2]


@pytest.mark.parametrize(
    "harm",
    [
        lambda world, name: world.write_policy(
            name, world.policy(name) + 'path "airflow/*" { capabilities = ["read"] }'
        ),
        lambda world, name: world.write_policy(name, 'path "airflow/*" { capabilities = ["read"] }'),
        lambda world, name: world.delete_policy(name),
    ],
    ids=["widened", "replaced with the mark lost", "deleted"],
)
def test_a_changed_policy_is_set_right(world: World, checked: Binding, harm: Callable[[World, str], None]) -> None:
    before, wanted = applied(checked), world.policy(checked.store_name)
    harm(world, checked.store_name)
    wait_corrected(checked, "VaultPolicy", before)
    assert world.policy(checked.store_name) == wanted


@pytest.mark.parametrize(
    "fields",
    [
        {"token_policies": ["{name}", "admin"]},
        {"bound_service_account_names": ["*"]},
        {"bound_service_account_namespaces": ["*"]},
        {"token_ttl": "100h", "token_max_ttl": "200h"},
        {"token_period": "30m"},
        {"audience": "anyone"},
        {"token_no_default_policy": False},
    ],
    ids=",".join,
)
def test_a_widened_role_is_set_right(world: World, checked: Binding, fields: dict[str, Any]) -> None:
    before, wanted = applied(checked), world.role(checked.store_name)
    sent = {
        field: [each.format(name=checked.store_name) for each in value] if isinstance(value, list) else value
        for field, value in fields.items()
    }
    world.write_role(checked.store_name, **sent)
    assert world.role(checked.store_name) != wanted
    wait_corrected(checked, "VaultKubernetesRole", before)
    assert world.role(checked.store_name) == wanted


def test_a_deleted_role_is_made_again(world: World, checked: Binding) -> None:
    before, wanted = applied(checked), world.role(checked.store_name)
    world.delete_role(checked.store_name)
    wait_corrected(checked, "VaultKubernetesRole", before)
    assert world.role(checked.store_name) == wanted


@pytest.mark.parametrize("label", ["airwarden.dev/binding", "airwarden.dev/cluster", "app.kubernetes.io/managed-by"])
def test_an_account_that_lost_a_label_gets_it_back(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, label: str
) -> None:
    made = binding(team, backend())
    made.wait_ready()
    before = made.service_account()
    assert before is not None
    world.merge(account_path(team, made.account), {"metadata": {"labels": {label: None, "team": "kept"}}})

    def mended() -> bool:
        account = made.service_account()
        assert account is not None
        assert account["metadata"]["labels"] == {**before["metadata"]["labels"], "team": "kept"}
        assert account["metadata"]["uid"] == before["metadata"]["uid"]
        return True

    eventually("the label is back, and the label of others stays", mended)
    eventually("it is told", lambda: "DriftCorrected" in [each[1] for each in made.events()])
    made.wait_ready()


def test_an_account_that_mounts_its_token_is_set_right(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend())
    made.wait_ready()
    world.merge(account_path(team, made.account), {"automountServiceAccountToken": True})
    eventually("it is set right", lambda: (made.service_account() or {})["automountServiceAccountToken"] is False)
    eventually("it is told", lambda: "DriftCorrected" in [each[1] for each in made.events()])


def test_a_deleted_account_is_made_again_and_logs_in(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend())
    made.wait_ready()
    before = made.service_account()
    assert before is not None
    world.delete(account_path(team, made.account))

    def again() -> Json | None:
        account = made.service_account()
        return account if account is not None and account["metadata"]["uid"] != before["metadata"]["uid"] else None

    account = eventually("the account is there again", again)
    eventually(
        "the status names the new one",
        lambda: account["metadata"]["uid"] in [t.get("id") for t in made.status()["targets"]],
    )
    eventually("it is told", lambda: "DriftCorrected" in [each[1] for each in made.events()])
    assert made.login()


@pytest.mark.parametrize("status", [None, {"targets": []}], ids=["wiped", "its targets emptied"])
def test_a_lost_status_is_made_again_without_a_write_to_vault(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, status: Json | None
) -> None:
    made = binding(team, backend())
    before = made.wait_ready()
    mark = world.marks()
    made.world.merge(f"{made.path}/status", {"status": status})

    def healed() -> bool:
        found = made.status()
        names = [(each["kind"], each["name"], each["digest"]) for each in found.get("targets", ())]
        assert names == [(each["kind"], each["name"], each["digest"]) for each in before["targets"]]
        assert found["secrets"] == before["secrets"]
        return True

    eventually("the status is whole again", healed)
    made.wait_ready()
    assert set(mark.vault_operations()) <= {"read", "list"}


FOREIGN = ("airwarden.test.others.billing.vault", "admin-of-vault")


def forged(binding: Binding, backend: str, name: str) -> list[Json]:
    """Return the binding's targets with entries that it does not derive."""
    own = binding.status()["targets"]
    common = {"state": "Present", "digest": "0" * 32, "lastAppliedTime": "2026-01-01T00:00:00Z"}
    return [
        *own,
        {"backend": backend, "kind": "VaultPolicy", "name": name, **common},
        {"backend": backend, "kind": "VaultKubernetesRole", "name": name, **common},
        {"backend": "", "kind": "ServiceAccount", "name": "worker", "id": "forged", **common},
    ]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_forged_status_harms_nobody_and_is_set_right(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str, name: str
) -> None:
    store = backend()
    made = binding(team, store)
    before = made.wait_ready()
    policy = 'path "airflow/data/others" { capabilities = ["read"] }'
    world.write_policy(name, policy)
    world.write_role(
        name, bound_service_account_names="x", bound_service_account_namespaces="first", token_policies=name
    )
    role = world.role(name)
    world.plane.api.create_service_account(team, "worker")
    world.merge(f"{made.path}/status", {"status": {"targets": forged(made, store.name, name)}})
    eventually("the forged entries are gone", lambda: made.status()["targets"] == before["targets"])
    world.merge(f"{made.path}/status", {"status": {"targets": forged(made, store.name, name)}})
    made.delete()
    made.wait_gone()
    assert (world.policy(name), world.role(name)) == (policy, role)
    assert world.get(account_path(team, "worker")) is not None
    assert (world.policy(made.store_name), world.role(made.store_name)) == (None, None)
    world.delete_role(name)
    world.delete_policy(name)


def test_a_forged_backend_neither_holds_up_the_binding_nor_its_deletion(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend())
    before = made.wait_ready()
    world.merge(f"{made.path}/status", {"status": {"targets": forged(made, "no-such-backend", "admin-of-vault")}})
    eventually("the forged entries are gone", lambda: made.status()["targets"] == before["targets"])
    made.wait_ready()
    world.merge(f"{made.path}/status", {"status": {"targets": forged(made, "no-such-backend", "admin-of-vault")}})
    made.delete()
    made.wait_gone()


def test_a_forged_ready_does_not_hide_a_refusal(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend(allow=[])
    made = binding(team, store)
    made.wait_refused("KeyNotAllowed")
    said = made.status()
    ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1}
    lie = [{**ready, "lastTransitionTime": said["conditions"][0]["lastTransitionTime"]}]
    world.merge(f"{made.path}/status", {"status": {"conditions": lie}})
    made.wait_refused("KeyNotAllowed")
