"""Groups are let in only where the backend lists them, for the binding's own secrets, and the rest is said."""

from __future__ import annotations

from dataclasses import replace

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.reasons import Reason
from airwarden.domain.desired import Plan, Surroundings, plan
from airwarden.domain.resources import StaticSecret
from unit.domain.making import NOW, binding, environment, environment_spec, item, rule, view

GROUP = "3f0c0000-0000-0000-0000-000000000000"


def letting_in(*values: str, dags: dict[str, tuple[str, ...]] | None = None) -> AirflowSecretBinding:
    made = binding(item("team/a"), dags=dags)
    people = [{"group": {"provider": "entra", "value": each}} for each in values]
    spec = {**made.spec.model_dump(by_alias=True, exclude_none=True), "people": people}
    return AirflowSecretBinding.model_validate({**made.model_dump(by_alias=True, exclude_none=True), "spec": spec})


def planned(*values: str, takes: bool = True, groups: frozenset[tuple[str, str]] = frozenset()) -> Plan:
    known = replace(view(rule()), takes_people=takes, groups=groups)
    return plan(letting_in(*values), Surroundings("c1", {"vault": known}, {}, now=NOW))


def test_a_listed_group_reads_the_bindings_own_secrets() -> None:
    found = planned(GROUP, groups=frozenset({("entra", GROUP)}))
    grant = found.grants["vault"]
    assert grant.people == {GROUP}
    assert grant.for_people == {StaticSecret("team/a")}
    assert found.complaints == ()


def test_one_that_is_not_listed_is_refused_and_takes_nothing_from_the_tasks() -> None:
    found = planned(GROUP, "other", groups=frozenset({("entra", GROUP), ("okta", "other")}))
    assert found.grants["vault"].people == {GROUP}
    ((reason, message),) = found.complaints
    assert reason is Reason.GROUP_NOT_ALLOWED
    assert "other" in message


def test_a_store_that_cannot_let_people_in_says_so() -> None:
    found = planned(GROUP, takes=False, groups=frozenset({("entra", GROUP)}))
    assert found.grants["vault"].people == frozenset()
    assert found.grants["vault"].readable == {StaticSecret("team/a")}
    assert [reason for reason, _ in found.complaints] == [Reason.PEOPLE_NOT_SUPPORTED]


def test_what_the_environment_gives_all_bindings_is_not_theirs_to_pass_on() -> None:
    declared = letting_in(GROUP, dags={"git": ("billing_*",)})
    env = environment(declared, spec=environment_spec(item("airflow/smtp", "smtp")))
    known = replace(view(rule(names=("team", "airflow"))), takes_people=True, groups=frozenset({("entra", GROUP)}))
    found = plan(declared, Surroundings("c1", {"vault": known}, {}, environment=env, now=NOW))
    assert found.grants["vault"].readable == {StaticSecret("team/a"), StaticSecret("airflow/smtp")}
    assert found.grants["vault"].for_people == {StaticSecret("team/a")}


def test_without_people_nothing_is_said() -> None:
    assert planned(takes=False).complaints == ()
