"""What `airwarden doctor` says of the login for rotations: rights beyond the printed, rights that lack, the unseen."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airwarden.api.backend import AirflowSecretBackend
from airwarden.commands.caller import Listing
from airwarden.commands.doctor.facts import Facts, RotationFacts, Unknown
from airwarden.commands.doctor.findings import Diagnosis, Severity
from airwarden.commands.doctor.rotation_checks import rotations
from airwarden.domain.resources import FieldValue
from airwarden.providers.vault.rotation.setup import RotationOptions, RotationSetup
from airwarden.providers.vault.setup import OperatorAccount, vault_setup
from unit.commands import test_doctor_checks as made
from unit.domain.making import rule

ROLE: dict[str, FieldValue] = {
    "token_policies": ("airwarden-rotation.c1",),
    "token_no_default_policy": True,
    "bound_service_account_names": ("airwarden",),
    "bound_service_account_namespaces": ("airwarden",),
}


def backend(**login: Any) -> AirflowSecretBackend:
    labelled = rule(
        "labelled", namespaces={"selector": {"matchLabels": {"tenant": "true"}}}, operations=["RotateGenerate"]
    )
    body = made.backend(rule(operations=["Read", "RotateGenerate"]), labelled).model_dump(by_alias=True, mode="json")
    body["spec"]["rotation"] = {"login": login or {"kubernetes": {"role": "airwarden-rotation"}}}
    return AirflowSecretBackend.model_validate(body)


def printed(*namespaces: str, **options: Any) -> RotationSetup:
    setup = vault_setup(
        backend(),
        cluster="c1",
        operator=OperatorAccount("airwarden", "airwarden"),
        namespaces=namespaces,
        rotation=RotationOptions(**options),
    )
    assert setup.rotation is not None
    return setup.rotation


def facts(text: str | Unknown | None, role: Any = ROLE, **login: Any) -> Facts:
    rotation = RotationFacts("airwarden-rotation.c1", text, role)
    return made.facts(
        backends=Listing((backend(**login),)), stores={"vault": dataclasses.replace(made.store(), rotation=rotation)}
    )


def said(found: Facts) -> list[tuple[Severity, str]]:
    return [(each.severity, each.problem) for each in Diagnosis.of(rotations(found)).findings]


@pytest.mark.parametrize("namespaces", [(), ("team",)])
@pytest.mark.parametrize("options", [{}, {"read": True}, {"password_policies": ("words", "pins")}])
def test_what_vault_setup_prints_is_right_with_every_option(namespaces: tuple[str, ...], options: Any) -> None:
    assert Diagnosis.of(rotations(facts(printed(*namespaces, **options).policy_text))) == Diagnosis()


def test_more_rights_than_printed_are_dangerous_and_fewer_a_warning() -> None:
    text = printed().policy_text
    for path in ("airflow/data/other/*", "sys/policies/acl/x", "airflow/data/*"):
        more = text + f'path "{path}" {{\n  capabilities = ["patch"]\n}}\n'
        assert said(facts(more)) == [
            (Severity.DANGER, f"policy airwarden-rotation.c1 gives rights on {path}, which no rotation needs")
        ]
    block = 'path "airflow/subkeys/team/*" {\n  capabilities = ["read"]\n}\n'
    assert said(facts(text.replace(block, ""))) == [
        (
            Severity.WARNING,
            "policy airwarden-rotation.c1 gives no right on airflow/subkeys/team/*, which rotations need",
        )
    ]
    wider = text.replace('["patch"]', '["create", "patch"]', 1)
    assert "differs from what vault-setup prints, at airflow/data/team/*" in said(facts(wider))[0][1]
    assert "was not compared" in said(facts('path "*" { capabilities = ["sudo"] }'))[0][1]


def test_a_policy_that_is_not_there_is_told_but_not_asked_of_a_token_from_a_file() -> None:
    ((severity, problem),) = said(facts(None))
    assert severity is Severity.WARNING
    assert "nothing of backend vault is rotated" in problem
    assert said(facts(None, None, method="TokenFile", tokenFile={"name": "rotation"})) == []


def test_a_role_that_reaches_further_is_found_and_what_was_not_seen_is_said() -> None:
    text = printed().policy_text
    ((severity, problem),) = said(facts(text, {**ROLE, "token_policies": ("airwarden-rotation.c1", "admin")}))
    assert (severity, "admin" in problem) == (Severity.DANGER, True)
    for unseen in (facts(Unknown("needs x")), facts(text, Unknown("needs x"))):
        assert [each.needs for each in Diagnosis.of(rotations(unseen)).unchecked] == ["needs x"]
