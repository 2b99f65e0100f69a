"""Roles of the JWT and AppRole methods: every field sent, read back without false drift, and none left open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from airwarden.api.logins import WorkloadLogin, WorkloadMethod
from airwarden.domain.errors import InvalidSettings
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Grant, Session
from airwarden.providers.vault import role
from airwarden.providers.vault.role import JSONValue
from airwarden.providers.vault.role_forms import AppRoleForm, JWTForm, KubernetesForm, RoleForm, role_form

GRANT: Final = Grant("vault", Owner("c1", "team", "billing", "vault"), "billing-sa", frozenset(), Session(900, 5400))
NAME: Final = GRANT.owner.name_in_store
TOKEN: Final[dict[str, JSONValue]] = {
    "token_bound_cidrs": [],
    "token_explicit_max_ttl": 0,
    "token_max_ttl": 5400,
    "token_no_default_policy": True,
    "token_num_uses": 0,
    "token_period": 0,
    "token_policies": [NAME],
    "token_ttl": 900,
    "token_type": "service",
}
JWT_READ: Final[dict[str, JSONValue]] = {  # as Vault 1.21 returns the role that was written
    **TOKEN,
    "allowed_redirect_uris": [],
    "bound_audiences": ["vault"],
    "bound_claims": {},
    "bound_claims_type": "string",
    "bound_subject": "system:serviceaccount:team:billing-sa",
    "claim_mappings": {},
    "clock_skew_leeway": 0,
    "expiration_leeway": 0,
    "groups_claim": "",
    "max_age": 0,
    "not_before_leeway": 0,
    "oidc_scopes": [],
    "role_type": "jwt",
    "user_claim": "sub",
    "user_claim_json_pointer": False,
    "verbose_oidc_logging": False,
}
APP_ROLE_READ: Final[dict[str, JSONValue]] = {
    **TOKEN,
    "bind_secret_id": True,
    "local_secret_ids": False,
    "secret_id_bound_cidrs": [],
    "secret_id_num_uses": 5,
    "secret_id_ttl": 86400,
}
JWT, APP_ROLE = JWTForm("vault"), AppRoleForm(86400, 5)
READS: Final[tuple[tuple[RoleForm, Mapping[str, JSONValue]], ...]] = ((JWT, JWT_READ), (APP_ROLE, APP_ROLE_READ))
SAME: Final[tuple[tuple[RoleForm, Mapping[str, JSONValue]], ...]] = (
    (JWT, {"bound_claims": None, "claim_mappings": None, "allowed_redirect_uris": None, "oidc_scopes": None}),
    (JWT, {"token_bound_cidrs": None, "policies": [], "ttl": 0, "a_field_of_tomorrow": True}),
    (APP_ROLE, {"secret_id_bound_cidrs": None, "local_secret_ids": True, "period": 0, "bound_cidr_list": None}),
)
JWT_CHANGES: Final[tuple[Mapping[str, JSONValue], ...]] = (
    {"role_type": "oidc"},
    {"user_claim": "aud"},
    {"user_claim_json_pointer": True},
    {"bound_audiences": ["vault", "other"]},
    {"bound_audiences": []},
    {"bound_subject": ""},
    {"bound_subject": "system:serviceaccount:other:billing-sa"},
    {"bound_claims": {"sub": "system:serviceaccount:*"}},
    {"bound_claims_type": "glob"},
    {"claim_mappings": {"sub": "x"}},
    {"groups_claim": "aud"},
    {"expiration_leeway": 3600},
    {"clock_skew_leeway": -1},
    {"allowed_redirect_uris": ["https://x"]},
    {"verbose_oidc_logging": True},
    {"token_policies": [NAME, "admin"]},
    {"token_max_ttl": 0},
    {"policies": ["admin"]},
)
APP_ROLE_CHANGES: Final[tuple[Mapping[str, JSONValue], ...]] = (
    {"bind_secret_id": False},
    {"bind_secret_id": None},
    {"secret_id_ttl": 0},
    {"secret_id_num_uses": 0},
    {"secret_id_bound_cidrs": ["10.0.0.0/8"]},
    {"token_policies": ["admin"]},
    {"token_no_default_policy": False},
    {"policies": ["admin"]},
    {"period": 60},
    {"bound_cidr_list": ["10.0.0.0/8"]},
)
DIFFERENT: Final[tuple[tuple[RoleForm, Mapping[str, JSONValue]], ...]] = (
    *((JWT, each) for each in JWT_CHANGES),
    *((APP_ROLE, each) for each in APP_ROLE_CHANGES),
)


@pytest.mark.parametrize(("form", "read"), READS, ids=lambda each: getattr(each, "kind", ""))
def test_what_vault_returns_of_a_role_is_equal(form: RoleForm, read: Mapping[str, JSONValue]) -> None:
    assert form.normalise(read) == form.desired(GRANT)


@pytest.mark.parametrize(("form", "same"), SAME)
def test_other_forms_of_the_same_are_equal(form: RoleForm, same: Mapping[str, JSONValue]) -> None:
    read = dict(next(read for each, read in READS if each == form))
    assert form.normalise({**read, **same}) == form.desired(GRANT)


@pytest.mark.parametrize(("form", "change"), DIFFERENT, ids=str)
def test_every_widening_and_narrowing_is_a_difference(form: RoleForm, change: Mapping[str, JSONValue]) -> None:
    read = dict(next(read for each, read in READS if each == form))
    assert form.normalise({**read, **change}) != form.desired(GRANT)


def test_every_field_is_sent_numbers_as_texts_and_maps_as_maps() -> None:
    sent = JWT.body(JWT.desired(GRANT))
    assert set(sent) == set(JWT_READ)
    assert sent["bound_subject"] == "system:serviceaccount:team:billing-sa"
    assert (sent["bound_claims"], sent["claim_mappings"]) == ({}, {})
    assert (sent["bound_audiences"], sent["allowed_redirect_uris"], sent["expiration_leeway"]) == ("vault", "", "0")
    assert APP_ROLE.body(APP_ROLE.desired(GRANT)) == {
        "bind_secret_id": True,
        "secret_id_ttl": "24h",
        "secret_id_num_uses": "5",
        "secret_id_bound_cidrs": "",
        "token_policies": NAME,
        "token_ttl": "15m",
        "token_max_ttl": "1h30m",
        "token_explicit_max_ttl": "0",
        "token_period": "0",
        "token_num_uses": "0",
        "token_bound_cidrs": "",
        "token_type": "service",
        "token_no_default_policy": True,
    }


@pytest.mark.parametrize(("form", "read"), READS, ids=lambda each: getattr(each, "kind", ""))
def test_only_its_own_policy_makes_a_role_ours(form: RoleForm, read: Mapping[str, JSONValue]) -> None:
    assert role.has_only_policy(form.normalise(read), NAME)
    changes: tuple[Mapping[str, JSONValue], ...] = (
        {"token_policies": [NAME, "x"]},
        {"token_policies": []},
        {"policies": ["x"]},
    )
    for change in changes:
        assert not role.has_only_policy(form.normalise({**read, **change}), NAME)


def test_the_backends_method_decides_the_roles() -> None:
    def form(**login: object) -> RoleForm:
        return role_form(WorkloadLogin.model_validate(login))

    assert form(kubernetes={"audience": "a"}) == KubernetesForm("a")
    assert form(method="JWT", jwt={"audience": "a"}) == JWTForm("a")
    assert form(method="AppRole", appRole={}) == AppRoleForm(86400, 0)
    assert form(method="AppRole", appRole={"secretIDTTL": "1h", "secretIDUses": 3}) == AppRoleForm(3600, 3)
    with pytest.raises(InvalidSettings, match="no settings for method JWT"):
        role_form(WorkloadLogin.model_construct(method=WorkloadMethod.JWT))


def test_only_a_role_without_an_account_says_what_it_does_not_protect() -> None:
    assert (KubernetesForm("a").caveat, JWT.caveat) == ("", "")
    assert "whoever holds a secret-id has the binding's access" in APP_ROLE.caveat
