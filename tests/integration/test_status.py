"""What a binding's status says: conditions as kstatus reads them, targets, secrets, columns and Events."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from integration.conftest import MakeBackend, MakeBinding
from integration.objects import binding_path, rule, secret
from integration.world import World, eventually

TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_ready_is_the_only_condition_of_a_settled_binding(
    backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    status = binding(team, backend()).wait_ready()
    (ready,) = status["conditions"]
    assert TIME.fullmatch(ready.pop("lastTransitionTime"))
    assert (ready.pop("type"), ready.pop("status"), ready.pop("reason")) == ("Ready", "True", "Ready")
    assert ready.pop("observedGeneration") == status["observedGeneration"] == 1
    assert "1 of 1 secrets granted" in ready.pop("message")
    assert ready == {}


def test_on_the_way_to_ready_it_is_recorded_and_reconciling_before_anything_is_written(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    version = world.version(binding_path(team))
    made = binding(team, store)
    made.wait_ready()
    states = world.states_since(version, binding_path(team))
    seen = [
        {each["type"]: each["status"] for each in state.get("status", {}).get("conditions", ())} for state in states
    ]
    assert seen == [{}, {}, {"Ready": "False", "Reconciling": "True"}, {"Ready": "True"}]
    assert [bool(each["metadata"].get("finalizers")) for each in states] == [False, True, True, True]
    assert [(each["kind"], each["state"]) for each in states[-2]["status"]["targets"]] == [
        ("ServiceAccount", "Pending"),
        ("VaultKubernetesRole", "Pending"),
        ("VaultPolicy", "Pending"),
    ]


def test_targets_name_every_object_that_was_made_and_where(
    backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    made = binding(team, store)
    targets = made.wait_ready()["targets"]
    account = made.service_account()
    assert account is not None
    assert [(each["backend"], each["kind"], each["name"], each.get("id", "")) for each in targets] == [
        ("", "ServiceAccount", made.account, account["metadata"]["uid"]),
        (store.name, "VaultKubernetesRole", made.store_name, ""),
        (store.name, "VaultPolicy", made.store_name, ""),
    ]
    for each in targets:
        assert each["state"] == "Present"
        assert TIME.fullmatch(each["lastAppliedTime"])
        assert re.fullmatch(r"[0-9a-f]{32}", each["digest"])


def test_secrets_summary_and_effective_say_what_holds(backend: MakeBackend, binding: MakeBinding, team: str) -> None:
    store = backend(allow=[rule(max_ttl="45m")])
    wanted = [secret(f"{team}/a", store.name, id="a"), secret("elsewhere/b", store.name, id="b", kind="Variable")]
    made = binding(team, store, secrets=wanted, access={"session": {"ttl": "10m"}})
    made.wait_refused("KeyNotAllowed")
    status = made.status()
    assert [(each["type"], each["id"], each["state"]) for each in status["secrets"]] == [
        ("Connection", "a", "Granted"),
        ("Variable", "b", "Refused"),
    ]
    assert status["secrets"][0]["rule"] == "own-tree"
    assert status["summary"] == {"secrets": "1/2", "backends": store.name}
    assert status["effective"] == {
        "sessionTTL": "10m",
        "sessionMaxTTL": "45m",
        "rules": [f"{store.name}/own-tree"],
        "roles": [f"{store.name}/{made.store_name}"],
    }


def test_last_transition_time_moves_only_when_status_does(
    backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    made = binding(team, store)
    first = made.wait_ready()["conditions"][0]["lastTransitionTime"]
    eventually("a second has passed", lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}" > first)
    made.edit(secrets=[secret(f"{team}/a", store.name), secret(f"{team}/b", store.name, id="b")])
    (ready,) = made.wait_ready()["conditions"]
    assert (ready["observedGeneration"], ready["lastTransitionTime"]) == (2, first)
    made.edit(secrets=[secret("elsewhere/b", store.name)])
    refused = made.wait_refused("KeyNotAllowed")
    assert refused["lastTransitionTime"] > first


def test_the_columns_of_kubectl_get_show_what_matters(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    made = binding(team, store)
    made.wait_ready()
    header, row = world.plane.kubectl("get", "asb", "-n", team).splitlines()
    assert re.split(r"\s{2,}", header) == [
        "NAME",
        "READY",
        "REASON",
        "SERVICE ACCOUNT",
        "SECRETS",
        "NEXT ROTATION",
        "AGE",
    ]
    assert row.split()[:5] == [made.name, "True", "Ready", made.account, "1/1"]
    wide, row = world.plane.kubectl("get", "asb", "-n", team, "-o", "wide").splitlines()
    assert re.split(r"\s{2,}", wide)[-3:] == ["BACKENDS", "LAST ROTATION", "MESSAGE"]
    assert store.name in row

    def counted() -> bool:
        header, row = world.plane.kubectl("get", "asbk", store.name).splitlines()
        assert re.split(r"\s{2,}", header) == ["NAME", "TYPE", "READY", "REASON", "BINDINGS", "AGE"]
        assert row.split()[:5] == [store.name, "Vault", "True", "Ready", "1"]
        return True

    eventually("the backend counts its binding", counted)
    assert made.name in world.plane.kubectl("get", "airwarden", "-n", team)


def test_the_backends_status_names_store_version_and_abilities(world: World, backend: MakeBackend) -> None:
    status = backend().body()["status"]
    health = world.plane.vault.request("GET", "sys/health", token="")
    assert status["store"] == {"id": health["cluster_id"], "version": health["version"]}
    assert status["capabilities"] == ["Static", "Dynamic", "SessionTTL"]
    assert "missingPermissions" not in status
    assert {each["type"]: each["status"] for each in status["conditions"]} == {
        "Ready": "True",
        "Reachable": "True",
        "Authorized": "True",
    }


def test_the_backend_names_each_right_that_its_login_lacks(world: World, backend: MakeBackend) -> None:
    name = world.fresh("poor")
    rights = 'path "sys/policies/acl" { capabilities = ["list"] }\n'
    world.write_policy(name, rights + 'path "sys/capabilities-self" { capabilities = ["update"] }')
    world.write_role(
        name,
        bound_service_account_names="airwarden",
        bound_service_account_namespaces="airwarden",
        audience="vault",
        token_policies=name,
        token_no_default_policy=True,
    )
    login = {"method": "Kubernetes", "kubernetes": {"mount": "kubernetes", "role": name, "audience": "vault"}}
    poor = backend(wait=False, vault={"login": login})
    ready = poor.wait_condition("Ready", "False", "BackendForbidden")
    assert "vault-setup" in ready["message"]
    assert poor.body()["status"]["missingPermissions"] == [
        "sys/policies/acl/airwarden.test.*: create,read,update,delete",
        "auth/kubernetes/role/airwarden.test.*: create,read,update,delete",
        "auth/kubernetes/role: list",
        "sys/mounts/airflow: read",
        "auth/token/renew-self: update",
        "auth/token/revoke-self: update",
    ]


def test_events_come_on_transitions_and_at_no_other_time(
    world: World, backend: MakeBackend, binding: MakeBinding, make_namespace: Callable[..., str]
) -> None:
    team = make_namespace()
    store = backend(drift={"interval": "1s"})
    made = binding(team, store)
    made.wait_ready()
    made.edit(secrets=[secret("elsewhere/b", store.name)])
    made.wait_refused("KeyNotAllowed")
    made.edit(secrets=[secret(f"{team}/b", store.name)])
    made.wait_ready()
    mark = world.marks()
    eventually("three drift checks", lambda: mark.drift_checks(made.store_name) >= 3)
    assert [(kind, reason) for kind, reason, _ in made.events()] == [
        ("Normal", "Ready"),
        ("Warning", "KeyNotAllowed"),
        ("Normal", "Ready"),
    ]
