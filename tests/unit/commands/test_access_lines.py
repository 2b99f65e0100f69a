"""In which state access is shown: what the store may still give is never left out, and never called granted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airwarden.api.backend import AirflowSecretBackend, AllowRule
from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.metadata import Metadata
from airwarden.commands.access import Line, Question, lines, nobody
from airwarden.commands.caller import Listing
from airwarden.commands.deciding import World, opened
from unit.domain.making import binding, dynamic_item, item, rule

GONE = datetime(2026, 1, 1, tzinfo=UTC)


def world(*rules: AllowRule, backends: int = 1) -> World:
    """Return a cluster with one backend of these rules, or with none."""
    settings = {
        "address": "https://vault:8200",
        "login": {"kubernetes": {"role": "airwarden"}},
        "kv": {"mount": "airflow"},
        "workloadLogin": {"kubernetes": {"audience": "vault"}},
    }
    spec = {"type": "Vault", "vault": settings, "allow": rules or (rule(),)}
    made = AirflowSecretBackend.model_validate({"metadata": {"name": "vault"}, "spec": spec})
    return World("c1", opened(Listing((made,) * backends), "c1"), {"team": Metadata(name="team")})


def written(*states: str, target: str = "Present", generation: int = 1, **metadata: Any) -> AirflowSecretBinding:
    """Return a binding with one secret that was granted and written by rule `own`, with these words in its status."""
    made = binding(item(), **metadata)
    around = world()
    digests = around.digests(around.decide(made), "vault")
    status = {
        "observedGeneration": generation,
        "secrets": [{"type": "Connection", "id": "db", "state": state} for state in states],
        "targets": [
            {"backend": "vault", "kind": address.kind, "name": address.name, "state": target, "digest": digest}
            for address, digest in digests.items()
        ],
    }
    return AirflowSecretBinding.model_validate({**made.model_dump(by_alias=True), "status": status})


def shown(made: AirflowSecretBinding, around: World) -> list[tuple[str, str]]:
    """Return key and state of each line."""
    return [(each.key, each.state) for each in lines(made, around)]


NARROW = rule(keyPrefixes=["other/"])


@pytest.mark.parametrize(
    ("made", "around", "expected"),
    [
        (written("Granted"), world(), [("team/db", "granted")]),
        (written("Pending"), world(), [("team/db", "pending")]),
        (binding(item()), world(), [("team/db", "pending")]),
        (written("Granted"), world(NARROW), [("team/db", "leaving"), ("?", "unknown")]),
        (written("Refused"), world(NARROW), [("?", "unknown")]),
        (written("Refused", target="Removing"), world(NARROW), [("?", "unknown")]),
        (written("Granted", generation=0), world(), [("team/db", "pending"), ("?", "unknown")]),
        (written("Granted", deletionTimestamp=GONE), world(), [("team/db", "leaving")]),
        (written("Granted"), world(backends=0), [("team/db", "unknown"), ("?", "unknown")]),
        (written("Granted"), world(rule(session={"maxTTL": "30m"})), [("team/db", "pending"), ("?", "unknown")]),
        (binding(item()), world(backends=0), []),
    ],
)
def test_a_state_follows_from_rules_record_and_targets(
    made: AirflowSecretBinding, around: World, expected: list[tuple[str, str]]
) -> None:
    assert shown(made, around) == expected


def test_a_key_that_was_taken_out_while_the_store_was_down_is_not_forgotten() -> None:
    before = written("Granted")
    assert before.status is not None
    edited = binding(item("team/other"), generation=2)
    status = before.status.model_copy(update={"observed_generation": 2})
    found = shown(edited.model_copy(update={"status": status}), world())
    assert found == [("team/other", "pending"), ("?", "unknown")]


def test_a_forged_record_makes_nothing_granted() -> None:
    made = written("Granted")
    assert made.status is not None
    forged = made.status.targets[0].model_copy(update={"name": "airwarden.c1.team.other.vault"})
    status = made.status.model_copy(update={"targets": (forged,)})
    assert shown(made, world()) == [("team/db", "granted")]
    assert shown(made.model_copy(update={"status": status}), world()) == [("team/db", "pending")]


def test_dynamic_secrets_are_named_by_the_path_of_their_credentials() -> None:
    engine: dict[str, Any] = {"dynamic": [{"engine": "database", "rolePrefixes": ["{namespace}."]}]}
    (line,) = lines(binding(dynamic_item("team.ro")), world(rule(**engine)))
    assert (line.key, line.rule, line.session) == ("database/creds/team.ro", "own", "1h")


def test_a_question_for_a_key_is_also_answered_by_what_is_not_known() -> None:
    line = Line("team/billing", "team/billing", "", "vault", "?", "", "", "unknown")
    assert Question(key="team/db").asks_for(line)
    assert not Question(key="team/db", backend="other").asks_for(line)
    assert not Question(account="team/other").asks_for(line)
    assert Question(namespace="team", account="billing").asks_for(line)


def test_an_empty_answer_repeats_the_question() -> None:
    assert nobody(Question("team", "k", "", "vault")).startswith(
        "No binding in namespace team can read k in backend vault. Only bindings are seen here"
    )
    assert nobody(Question(account="team/x")).startswith("No binding with account team/x can read anything.")
