"""What the operator's policy lets it write into roles: every field that is sent, and none that is left open."""

from __future__ import annotations

import pytest

from airwarden.domain.errors import InvalidSettings
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Grant, Session
from airwarden.providers.vault.fences import fence
from airwarden.providers.vault.role_forms import AppRoleForm, JWTForm, KubernetesForm, RoleForm

GRANT = Grant("vault", Owner("c1", "team-a", "b", "vault"), "sa", frozenset(), Session(900, 3600))
LIFETIMES = {"token_ttl", "token_max_ttl", "token_explicit_max_ttl"}
FORMS: tuple[tuple[RoleForm, set[str]], ...] = (
    (KubernetesForm("vault"), LIFETIMES | {"bound_service_account_names"}),
    (JWTForm("vault"), LIFETIMES),
    (AppRoleForm(3600, 0), LIFETIMES),
)


@pytest.mark.parametrize(("form", "left_open"), FORMS, ids=lambda each: getattr(each, "kind", ""))
def test_every_field_that_is_sent_is_admitted_and_only_lifetimes_are_open(form: RoleForm, left_open: set[str]) -> None:
    allowed = dict(fence(form, "c1", ["team-a", "team-b"]).allowed)
    assert set(allowed) == set(form.desired(GRANT))
    assert {name for name, values in allowed.items() if values == "[]"} == left_open
    assert allowed["token_policies"] == '["airwarden.c1.*"]'


def test_a_jwt_role_is_for_accounts_of_the_namespaces_alone() -> None:
    allowed = dict(fence(JWTForm("vault"), "c1", ["team-a", "team-b"]).allowed)
    assert allowed["bound_subject"] == '["system:serviceaccount:team-a:*", "system:serviceaccount:team-b:*"]'
    assert allowed["bound_audiences"] == '["vault"]'
    assert (allowed["bound_claims"], allowed["groups_claim"]) == ("[{}]", '[""]')


def test_an_app_role_needs_the_secret_id_that_the_backend_describes() -> None:
    allowed = dict(fence(AppRoleForm(5400, 3), "c1", ["team-a"]).allowed)
    assert allowed["bind_secret_id"] == "[true]"
    assert (allowed["secret_id_ttl"], allowed["secret_id_num_uses"]) == ('["1h30m"]', '["3"]')


def test_a_policy_of_our_own_is_one_and_no_list() -> None:
    for form, _ in FORMS:
        assert dict(fence(form, "c1", ["team-a"]).denied)["token_policies"] == '["*,*"]'


@pytest.mark.parametrize("namespace", ['x"', "*", "a b", "", "a,b"])
def test_what_could_be_read_otherwise_is_refused(namespace: str) -> None:
    with pytest.raises(InvalidSettings, match="cannot stand in a policy"):
        fence(KubernetesForm("vault"), "c1", [namespace])


@pytest.mark.parametrize(("form", "names"), [(KubernetesForm("v"), "airwarden.c1.*"), (JWTForm("v"), "airwarden.c1.*")])
def test_other_names_of_the_mount_are_out_of_reach(form: RoleForm, names: str) -> None:
    assert form.names("c1") == names


def test_nothing_below_an_app_role_is_within_reach() -> None:
    assert AppRoleForm(3600, 0).names("c1") == "+"
