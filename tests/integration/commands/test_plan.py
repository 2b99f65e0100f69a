"""`airwarden plan` on a real API server and Vault: says what the operator then does, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from integration.commands.running import Person
from integration.conftest import MakeBackend, MakeBinding
from integration.handles import name_in_store
from integration.objects import TENANT, account_path, backend_object, binding_path, rule, secret
from integration.world import World
from plane.json_client import Json


def declared(namespace: str, backend: str, *keys: str) -> Json:
    """Return a binding as it stands in a file."""
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBinding",
        "metadata": {"name": "billing", "namespace": namespace},
        "spec": {
            "serviceAccount": {"name": "billing"},
            "secrets": [secret(key, backend, id=f"id-{number}") for number, key in enumerate(keys)],
        },
    }


def written(folder: Path, *bodies: Json) -> str:
    """Write objects to a file; return its name."""
    path = folder / "objects.yaml"
    path.write_text(yaml.safe_dump_all(bodies))
    return str(path)


def planned(person: Person, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Return status and forecast of one binding, as programs read it."""
    said = person.runs("plan", *arguments, "-o", "json")
    (found,) = json.loads(said.out)
    return said.status, found


def test_a_file_is_judged_by_the_live_rules_and_nothing_is_written(
    world: World, boss: Person, backend: MakeBackend, team: str, tmp_path: Path
) -> None:
    store = backend()
    file = written(tmp_path, declared(team, store.name, f"{team}/db", "elsewhere/db"))
    mark, vault_mark = world.plane.api.audit.mark(), world.plane.vault.audit.mark()
    said = boss.runs("plan", "-f", file)
    assert said.status == 1
    assert said.out.startswith(f"Binding {team}/billing, service account {team}/billing\n")
    assert (
        f"key elsewhere/db is not allowed to namespace {team} by backend {store.name}: rule own-tree allows" in said.out
    )
    assert f"create VaultPolicy {name_in_store(team, 'billing', store.name)} in {store.name}" in said.out
    assert f'+path "airflow/data/{team}/db" {{' in said.out
    assert "1 of 2 secret(s) would be granted, 3 object(s) written. Nothing was written now." in said.out
    assert world.get(binding_path(team, "billing")) is None
    assert world.get(account_path(team, "billing")) is None
    assert world.policy(name_in_store(team, "billing", store.name)) is None
    mine = [each for each in world.plane.vault.audit.entries(vault_mark) if each.display_name in ("root", "token")]
    assert mine
    assert {each.operation for each in mine} <= {"read", "list"}
    writes = [each for each in world.plane.api.audit.entries(mark) if each.verb not in ("get", "list", "watch")]
    assert not [each for each in writes if each.namespace == team]


def test_what_is_forecast_is_what_the_operator_then_writes(
    world: World, boss: Person, backend: MakeBackend, binding: MakeBinding, team: str, tmp_path: Path
) -> None:
    store = backend()
    status, before = planned(boss, "-f", written(tmp_path, declared(team, store.name, f"{team}/db")))
    assert status == 0
    made = binding(team, store, "billing", secrets=[secret(f"{team}/db", store.name, id="id-0")])
    made.wait_ready()
    (policy,) = (each for each in before["writes"] if each["object"].startswith("VaultPolicy"))
    lines = [line[1:] for line in policy["difference"] if line.startswith("+")]
    assert "\n".join(lines) + "\n" == world.policy(made.store_name)
    status, after = planned(boss, f"{team}/billing")
    assert (status, {each["action"] for each in after["writes"]}) == (0, {"keep"})
    assert after["verdicts"] == before["verdicts"]


def test_a_rule_that_is_not_applied_yet_can_be_tried(
    world: World, boss: Person, backend: MakeBackend, binding: MakeBinding, team: str, tmp_path: Path
) -> None:
    store = backend()
    made = binding(team, store)
    body = declared(team, store.name, f"{team}/connections/warehouse")
    body["metadata"]["name"] = made.name
    body["spec"]["serviceAccount"]["name"] = made.account
    made.wait_ready()
    tightened = backend_object(store.name, world.plane.vault_address, allow=[rule(keyPrefixes=["shared/"])])
    status, found = planned(boss, "-f", written(tmp_path, body, tightened))
    assert status == 1
    assert found["verdicts"][0]["message"].startswith("KeyNotAllowed: ")
    assert sorted(each["action"] for each in found["writes"]) == ["keep", "remove", "remove"]
    assert made.wait_ready(), "the operator heard of it"


def test_a_namespace_that_is_not_there_yet_can_be_tried(
    world: World, boss: Person, backend: MakeBackend, tmp_path: Path
) -> None:
    store = backend()
    name = world.fresh("not-there")
    body = declared(name, store.name, f"{name}/db")
    status, found = planned(boss, "-f", written(tmp_path, body))
    assert (status, found["verdicts"][0]["verdict"]) == (2, "unknown")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {TENANT: "true"}}}
    status, found = planned(boss, "-f", written(tmp_path, body, namespace))
    assert (status, found["verdicts"][0]["verdict"]) == (0, "granted")


def test_drift_is_shown_as_a_difference_and_without_a_token_nothing_is_compared(
    world: World, boss: Person, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made = binding(team, backend())
    made.wait_ready()
    world.write_role(made.store_name, token_ttl="59s")
    status, found = planned(boss, f"{team}/{made.name}")
    (role,) = (each for each in found["writes"] if each["object"].startswith("VaultKubernetesRole"))
    assert (status, role["action"], role["message"]) == (0, "change", "changed from outside")
    assert {"-token_ttl = 59", "+token_ttl = 3600"} <= set(role["difference"])
    status, found = planned(Person(boss.kubeconfig, boss.home), f"{team}/{made.name}")
    stores = [each for each in found["writes"] if each["where"] != "cluster"]
    assert (status, {each["action"] for each in stores}) == (0, {"write"})
    assert all("there is no token for Vault" in each["message"] for each in stores)


def test_what_belongs_to_somebody_else_is_a_conflict(
    world: World, boss: Person, backend: MakeBackend, team: str, tmp_path: Path
) -> None:
    store = backend()
    world.create(account_path(team), {"metadata": {"name": "billing"}})
    name = name_in_store(team, "billing", store.name)
    world.write_policy(name, 'path "x" { capabilities = ["read"] }')
    status, found = planned(boss, "-f", written(tmp_path, declared(team, store.name, f"{team}/db")))
    world.delete_policy(name)
    conflicts = [each["object"] for each in found["writes"] if each["action"] == "conflict"]
    assert (status, conflicts) == (1, [f"ServiceAccount {team}/billing", f"VaultPolicy {name}"])


def test_an_external_account_is_looked_at_and_never_made(
    world: World, boss: Person, backend: MakeBackend, team: str, tmp_path: Path
) -> None:
    store = backend(allow=[rule(serviceAccounts=["Managed", "External"])])
    body = declared(team, store.name, f"{team}/db")
    body["spec"]["serviceAccount"] = {"name": "own", "mode": "External"}
    file = written(tmp_path, body)
    status, found = planned(boss, "-f", file)
    assert (status, found["writes"][0]["action"]) == (1, "conflict")
    assert found["writes"][0]["message"].startswith("ServiceAccountNotFound: ")
    labels = {"airwarden.dev/allow-binding": "billing"}
    world.create(account_path(team), {"metadata": {"name": "own", "labels": labels}})
    status, found = planned(boss, "-f", file)
    assert (status, found["writes"][0]["action"]) == (0, "keep")


def test_wrong_usage_is_said(boss: Person, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    for text, complaint in (
        ("kind: ConfigMap", "hold no AirflowSecretBinding"),
        ("a: [", "is not YAML"),
        ("kind: AirflowSecretBinding\nmetadata: {name: x}", "spec.serviceAccount: Field required"),
    ):
        file.write_text(text)
        said = boss.runs("plan", "-f", str(file))
        assert (said.status, said.out) == (2, "")
        assert complaint in said.err
    assert "give either -f FILE or NAMESPACE/BINDING" in boss.runs("plan").err
    assert "there is no AirflowSecretBinding nothing in namespace default" in boss.runs("plan", "nothing").err
    assert "cannot be read" in boss.runs("plan", "-f", str(tmp_path / "missing")).err
