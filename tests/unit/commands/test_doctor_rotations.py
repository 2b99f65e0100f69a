"""What `airwarden doctor` says of rotations, on facts made by hand: each check finds its own fault and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airwarden.api.rotation import AirflowSecretRotation
from airwarden.commands.caller import Listing
from airwarden.commands.doctor.facts import Facts, Unknown
from airwarden.commands.doctor.findings import Diagnosis, Severity
from airwarden.commands.doctor.rotation_state_checks import rotations
from airwarden.domain.rotation.sugar import name_of
from unit.commands import test_doctor_checks as made
from unit.domain.making import binding, item, rule

NOW = datetime(2031, 5, 1, tzinfo=UTC)
FINE = (("Ready", "True", "Ready"), ("Healthy", "True", "Healthy"))


def rotation(
    *conditions: tuple[str, str, str], name: str = "warehouse", key: str = "team/db", **more: Any
) -> AirflowSecretRotation:
    """Return a rotation of what the healthy cluster's binding reads, whose status says so."""
    said = [{"type": kind, "status": status, "reason": reason} for kind, status, reason in conditions]
    return AirflowSecretRotation.model_validate(
        {
            "metadata": {"name": name, "namespace": "team", **more.pop("metadata", {})},
            "spec": {"backendRef": {"name": "vault"}, "key": key, "field": "password", **more},
            "status": {"conditions": said} if said else None,
        }
    )


def facts(*found: AirflowSecretRotation, **parts: Any) -> Facts:
    """Return a cluster with these rotations, in which nothing else is wrong."""
    return made.facts(**{"rotations": Listing(found), "now": NOW, **parts})


def said(found: Facts) -> list[tuple[Severity, str, str]]:
    """Return what is found."""
    return [(each.severity, each.object, each.problem) for each in Diagnosis.of(rotations(found)).findings]


def test_where_nothing_is_wrong_nothing_is_said() -> None:
    assert said(facts(rotation(*FINE))) == []


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ((("Ready", "False", "RotationConflict"), FINE[1]), "cannot run, RotationConflict: "),
        ((("Ready", "False", "RotationNotAllowed"), FINE[1]), "cannot run, RotationNotAllowed: "),
        ((FINE[0], ("Healthy", "False", "Overdue")), "is not healthy, Overdue: "),
        ((FINE[0], ("Healthy", "False", "FieldMissing")), "is not healthy, FieldMissing: "),
        ((), "no operator has looked at it"),
    ],
)
def test_what_is_wrong_with_a_rotation_is_a_warning(conditions: tuple[Any, ...], words: str) -> None:
    assert said(facts(rotation(*conditions))) == [(Severity.WARNING, "rotation team/warehouse", words)]


def test_one_fault_is_told_once() -> None:
    failed = rotation(("Ready", "False", "FieldMissing"), ("Healthy", "False", "FieldMissing"))
    assert len(said(facts(failed))) == 1


def test_what_rotates_a_secret_that_nobody_reads_is_a_hint_where_all_bindings_were_seen() -> None:
    unread = rotation(*FINE, key="team/unread")
    problem = "rotates team/unread of backend vault, which no binding reads"
    assert said(facts(unread)) == [(Severity.HINT, "rotation team/warehouse", problem)]
    assert said(facts(unread, namespace="team")) == []


@pytest.mark.parametrize("there", [True, False])
def test_a_rotation_whose_binding_is_gone_is_told(*, there: bool) -> None:
    labels = {"airwarden.dev/binding": "billing"}
    name = name_of("billing", "Connection/db")
    found = facts(rotation(*FINE, name=name, metadata={"labels": labels}))
    if there:
        assert said(found) == []
        return
    orphan = [(Severity.WARNING, f"rotation team/{name}", "binding billing made it and is gone, and it still rotates")]
    assert said(replace(found, bound=frozenset())) == orphan


def test_a_rule_that_permits_rotations_of_a_backend_without_a_login_for_them_is_told() -> None:
    lame = made.backend(rule("rotates", operations=["Read", "RotateGenerate"]))
    (found,) = said(facts(backends=Listing((lame,))))
    assert found[1:] == (
        "backend vault",
        "rule rotates permits rotations, but the backend has no login for them, so that none runs",
    )


@pytest.mark.parametrize(("days", "told"), [(91, True), (89, False)])
def test_an_old_secret_that_nothing_rotates_is_a_hint_when_it_was_asked_for(days: int, *, told: bool) -> None:
    store = replace(made.store(), made={"team/db": NOW - timedelta(days=days)})
    found = facts(stores={"vault": store}, older_than=timedelta(days=90))
    problem = f"its newest version is {days} days old, and nothing rotates it"
    assert said(found) == ([(Severity.HINT, "secret team/db of backend vault", problem)] if told else [])
    assert said(replace(found, older_than=None)) == []
    assert said(replace(found, rotations=Listing((rotation(*FINE),)))) == []


def test_what_may_not_be_seen_is_never_called_fine() -> None:
    needs = Unknown("needs something")
    diagnosis = Diagnosis.of(rotations(facts(rotations=needs)))
    assert [each.needs for each in diagnosis.unchecked] == ["needs something"]
    store = replace(made.store(), made=needs)
    diagnosis = Diagnosis.of(rotations(facts(stores={"vault": store}, older_than=timedelta(days=1))))
    assert [each.object for each in diagnosis.unchecked] == ["age of the secrets of backend vault"]
    diagnosis = Diagnosis.of(rotations(facts(rotations=Listing((), {"team/odd": "spec.schedule: wrong"}))))
    assert [each.object for each in diagnosis.findings] == ["rotation team/odd"]


def test_a_binding_that_reads_it_under_another_backend_does_not_read_it() -> None:
    elsewhere = binding(item("team/db", backend="other"))
    assert len(said(facts(rotation(*FINE), bindings=Listing((elsewhere,))))) == 1
