"""Groups are let in only where the backend lists them, for the binding's own secrets, and the rest is said."""

from __future__ import annotations

from dataclasses import replace

from airwarden.api.binding import AirflowSecretBinding, DynamicKind, SecretItem
from airwarden.api.reasons import Reason
from airwarden.domain.desired import Plan, Surroundings, plan
from airwarden.domain.resources import DynamicCredentials, StaticSecret
from unit.domain.making import NOW, binding, dynamic_item, environment, environment_spec, item, rule, view

GROUP = "3f0c0000-0000-0000-0000-000000000000"


def letting_in(
    *values: str, dags: dict[str, tuple[str, ...]] | None = None, items: tuple[SecretItem, ...] = ()
) -> AirflowSecretBinding:
    made = binding(*(items or (item("team/a"),)), dags=dags)
    people = [{"group": {"provider": "entra", "value": each}} for each in values]
    spec = {**made.spec.model_dump(by_alias=True, exclude_none=True), "people": people}
    return AirflowSecretBinding.model_validate({**made.model_dump(by_alias=True, exclude_none=True), "spec": spec})


def planned(*values: str, takes: bool = True, groups: dict[tuple[str, str], str] | None = None) -> Plan:
    known = replace(view(rule()), takes_people=takes, groups=groups or {})
    return plan(letting_in(*values), Surroundings("c1", {"vault": known}, {}, now=NOW))


def test_a_listed_group_reads_the_bindings_own_secrets() -> None:
    found = planned(GROUP, groups={("entra", GROUP): GROUP})
    grant = found.grants["vault"]
    assert grant.people == {GROUP}
    assert grant.for_people == {StaticSecret("team/a")}
    assert found.complaints == ()


def test_one_that_is_not_listed_is_refused_and_takes_nothing_from_the_tasks() -> None:
    found = planned(GROUP, "other", groups={("entra", GROUP): GROUP, ("okta", "other"): "other"})
    assert found.grants["vault"].people == {GROUP}
    ((reason, message),) = found.complaints
    assert reason is Reason.GROUP_NOT_ALLOWED
    assert "other" in message


def test_a_store_that_cannot_let_people_in_says_so() -> None:
    found = planned(GROUP, takes=False, groups={("entra", GROUP): GROUP})
    assert found.grants["vault"].people == frozenset()
    assert found.grants["vault"].readable == {StaticSecret("team/a")}
    assert [reason for reason, _ in found.complaints] == [Reason.PEOPLE_NOT_SUPPORTED]


def test_what_the_environment_gives_all_bindings_is_not_theirs_to_pass_on() -> None:
    declared = letting_in(GROUP, dags={"git": ("billing_*",)})
    env = environment(declared, spec=environment_spec(item("airflow/smtp", "smtp")))
    known = replace(view(rule(names=("team", "airflow"))), takes_people=True, groups={("entra", GROUP): GROUP})
    found = plan(declared, Surroundings("c1", {"vault": known}, {}, environment=env, now=NOW))
    assert found.grants["vault"].readable == {StaticSecret("team/a"), StaticSecret("airflow/smtp")}
    assert found.grants["vault"].for_people == {StaticSecret("team/a")}


def test_without_people_nothing_is_said() -> None:
    assert planned(takes=False).complaints == ()


def test_a_group_of_which_the_store_does_not_know_the_name_is_not_let_in() -> None:
    found = planned(GROUP, groups={("entra", GROUP): ""})
    assert found.grants["vault"].people == frozenset()
    ((reason, message),) = found.complaints
    assert reason is Reason.GROUP_NOT_ALLOWED
    assert "has no vaultGroupID in groups of backend vault" in message


def test_credentials_made_for_each_reader_are_for_tasks_alone_and_a_binding_of_nothing_else_says_so() -> None:
    leased, fixed = (dynamic_item("team.ro", engine, engine) for engine in ("database", "other"))
    assert fixed.dynamic is not None
    still = fixed.dynamic.model_copy(update={"kind": DynamicKind.STATIC})
    fixed = fixed.model_copy(update={"dynamic": still})
    permits = rule(dynamic=[{"engine": each, "rolePrefixes": ["{namespace}."]} for each in ("database", "other")])
    known = replace(view(permits), takes_people=True, groups={("entra", GROUP): GROUP})
    for items, shown, said in (
        ((leased, fixed), {DynamicCredentials("other", "team.ro", "Static")}, []),
        ((leased,), set(), [Reason.PEOPLE_NOT_SUPPORTED]),
    ):
        made = letting_in(GROUP, items=items)
        found = plan(made, Surroundings("c1", {"vault": known}, {}, now=NOW))
        assert found.grants["vault"].for_people == shown
        assert [reason for reason, _ in found.complaints] == said
