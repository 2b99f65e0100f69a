"""`airwarden access` on a real API server: who may read what, also while it is not settled."""

from __future__ import annotations

import json

from integration.commands.running import Person
from integration.conftest import MakeBackend, MakeBinding
from integration.objects import rule, secret
from integration.world import World


def asked(person: Person, *arguments: str) -> tuple[int, list[dict[str, str]]]:
    """Return status and answer, as programs read it."""
    said = person.runs("access", *arguments, "-o", "json")
    found: list[dict[str, str]] = json.loads(said.out)
    return said.status, found


def test_a_namespaces_access_is_a_table_of_account_key_rule_and_session(
    boss: Person, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend(allow=[rule(dynamic=[{"engine": "database", "rolePrefixes": ["{namespace}."]}])])
    both = [
        secret(f"{team}/db", store.name, id="db"),
        {
            "type": "Connection",
            "id": "reports",
            "backendRef": {"name": store.name},
            "dynamic": {"engine": "database", "role": f"{team}.reports"},
        },
        secret("elsewhere/x", store.name, id="refused"),
    ]
    made = binding(team, store, secrets=both, access={"session": {"ttl": "5m", "maxTTL": "30m"}})
    made.wait_refused("KeyNotAllowed")
    said = boss.runs("access", "-n", team)
    heading, *rows = [line.split() for line in said.out.splitlines()]
    assert heading == ["ACCOUNT", "ID", "BACKEND", "KEY", "RULE", "SESSION", "STATE"]
    account = f"{team}/{made.account}"
    assert rows == [
        [account, "Connection/reports", store.name, f"database/creds/{team}.reports", "own-tree", "30m", "granted"],
        [account, "Connection/db", store.name, f"{team}/db", "own-tree", "30m", "granted"],
    ]
    assert said.status == 0


def test_a_key_is_answered_with_every_binding_that_can_read_it_in_any_namespace(
    boss: Person, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend()
    both = [binding(team, store, secrets=[secret("shared/mail", store.name)]) for _ in range(2)]
    for each in both:
        each.wait_ready()
    status, found = asked(boss, "--key", "shared/mail", "--backend", store.name)
    assert (status, [each["binding"] for each in found]) == (0, sorted(f"{team}/{each.name}" for each in both))
    said = boss.runs("access", "--key", "shared/other", "--backend", store.name)
    assert (said.status, said.out) == (
        0,
        (
            f"No binding can read shared/other in backend {store.name}. Only bindings are seen here: "
            "what others wrote into the store, airwarden doctor looks for.\n"
        ),
    )
    _, found = asked(boss, "--key", "shared/m", "--backend", store.name)
    assert found == [], "a part of a key is not the key"


def test_an_account_is_asked_for_by_its_name(
    boss: Person, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    made, other = (binding(team, backend()) for _ in range(2))
    made.wait_ready()
    other.wait_ready()
    for arguments in (("--account", f"{team}/{made.account}"), ("-n", team, "--account", made.account)):
        _, found = asked(boss, *arguments)
        assert [each["binding"] for each in found] == [f"{team}/{made.name}"]
    said = boss.runs("access", "--account", made.account)
    assert (said.status, "in which namespace?" in said.err) == (2, True)


def test_access_that_could_not_be_taken_away_is_shown(
    boss: Person, world: World, other_world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    other_world.make_namespace(team)
    store = backend(vault={"address": other_world.plane.vault_address})
    made = binding(team, store, world=other_world)
    made.wait_ready()
    other_world.plane.vault.seal()
    try:
        made.delete()
        made.wait_condition("Ready", "False", "DeletionBlocked", 60)
        _, found = asked(boss, "-n", team)
        assert [(each["key"], each["state"]) for each in found] == [
            (f"{team}/connections/warehouse", "leaving"),
        ]
        doctor = json.loads(boss.runs("doctor", "-n", team, "--backend", store.name, "-o", "json").out)
        blocked = [each for each in doctor["findings"] if each["check"] == "Bindings"]
        assert [(each["severity"], each["object"]) for each in blocked] == [("danger", f"binding {team}/{made.name}")]
        assert blocked[0]["problem"].startswith("cannot be deleted, so its access may still hold: BackendSealed")
        assert any(each["check"] == "Logins beside Airwarden" for each in doctor["unchecked"])
    finally:
        other_world.plane.vault.unseal()
    made.wait_gone(60)
