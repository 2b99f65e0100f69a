"""What `airwarden doctor` says of environments, on facts made by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airwarden.api.environment import AirflowEnvironment
from airwarden.commands.caller import Listing
from airwarden.commands.doctor.environment_checks import environments
from airwarden.commands.doctor.facts import Facts, RoleGrant, Unknown
from airwarden.commands.doctor.findings import Finding, Severity, Unchecked
from unit.commands.test_doctor_checks import facts
from unit.domain.environment.making import environment

SCHEDULER = ("airflow", "airflow-scheduler")
POWERLESS = ("prod", "airflow-unbound")


def shown(*conditions: tuple[str, str, str], older: int = 0) -> AirflowEnvironment:
    """Return an environment with these conditions."""
    said = [{"type": kind, "status": status, "reason": reason} for kind, status, reason in conditions]
    body = environment().model_dump(by_alias=True, exclude_none=True)
    return AirflowEnvironment.model_validate({**body, "status": {"conditions": said, "pods": {"older": older}}})


def collected(found: AirflowEnvironment | None = None, **parts: Any) -> Facts:
    """Return facts of one environment whose accounts are there, unless told otherwise."""
    there = {"named_accounts": {SCHEDULER: True, POWERLESS: True}, **parts}
    return dataclasses.replace(facts(), environments=Listing((found or shown(("Ready", "True", "Ready")),)), **there)


def findings(found: Facts) -> list[Finding]:
    return [each for each in environments(found) if isinstance(each, Finding)]


def test_nothing_is_said_of_an_environment_that_is_as_it_should_be() -> None:
    assert list(environments(collected())) == []


def test_an_environment_that_nobody_looked_at_is_told() -> None:
    [found] = findings(collected(environment()))
    assert found.problem == "was not looked at yet"


@pytest.mark.parametrize(
    ("condition", "severity"),
    [
        (("Ready", "False", "MapTooLarge"), Severity.WARNING),
        (("IdentityEnforced", "False", "PolicyMissing"), Severity.WARNING),
        (("Isolated", "False", "TriggererShared"), Severity.HINT),
    ],
)
def test_what_does_not_hold_is_told_with_the_next_step(condition: tuple[str, str, str], severity: Severity) -> None:
    [found] = findings(collected(shown(condition)))
    assert (found.severity, found.object) == (severity, "environment airflow/main")
    assert condition[2] in found.problem
    assert found.next_step


def test_what_is_unknown_is_no_finding() -> None:
    assert findings(collected(shown(("IdentityEnforced", "Unknown", "TaskPodsNotVisible")))) == []


def test_pods_of_an_older_scheduler_are_a_hint() -> None:
    [found] = findings(collected(shown(("Ready", "True", "Ready"), older=3)))
    assert (found.severity, "3 task pod(s)" in found.problem) == (Severity.HINT, True)


def test_a_map_that_fills_up_is_a_hint() -> None:
    found = shown(("Ready", "True", "Ready"))
    rendered = [{"name": "x", "content": "dags/billing", "reason": "MapFillsUp"}, {"name": "y", "content": "workers"}]
    body = found.model_dump(by_alias=True, exclude_none=True)
    [told] = findings(collected(AirflowEnvironment.model_validate({**body, "status": {"rendered": rendered}})))
    assert (told.severity, "dags/billing" in told.problem) == (Severity.HINT, True)


def test_an_account_that_is_not_there_is_told() -> None:
    [found] = findings(collected(named_accounts={SCHEDULER: False, POWERLESS: True}))
    assert found.problem == "service account airflow/airflow-scheduler of scheduler is not there"


def test_an_account_that_could_not_be_asked_for_is_not_called_fine() -> None:
    found = list(environments(collected(named_accounts={SCHEDULER: True, POWERLESS: Unknown("needs get")})))
    assert [each.needs for each in found if isinstance(each, Unchecked)] == ["needs get"]


def test_the_powerless_account_with_a_role_is_told_and_that_of_the_scheduler_needs_one() -> None:
    grants = (RoleGrant("RoleBinding prod/x", "ClusterRole edit", frozenset({POWERLESS, SCHEDULER})),)
    [found] = findings(collected(role_grants=grants))
    assert "prod/airflow-unbound" in found.problem
    assert "ClusterRole edit" in found.problem


def test_an_account_that_a_binding_has_as_well_is_dangerous() -> None:
    found = findings(collected(bindings=Listing((_binding_of(POWERLESS),))))
    assert [each.severity for each in found] == [Severity.DANGER]


def _binding_of(account: tuple[str, str]) -> Any:
    from unit.domain.making import binding

    return binding(namespace=account[0], account=account[1])


def test_environments_that_may_not_be_listed_are_not_called_fine() -> None:
    found = dataclasses.replace(facts(), environments=Unknown("needs list"))
    assert [type(each) for each in environments(found)] == [Unchecked]


def test_one_that_cannot_be_read_is_told() -> None:
    found = dataclasses.replace(facts(), environments=Listing((), {"airflow/main": "spec.bundles: missing"}))
    assert "spec.bundles: missing" in findings(found)[0].problem
