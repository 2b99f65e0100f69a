"""The role: every field sent in the form that the operator's policy admits, and read back without false drift."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from airwarden.domain.owner import Owner
from airwarden.domain.resources import Grant, Session
from airwarden.providers.vault import role
from airwarden.providers.vault.role import JSONValue

GRANT = Grant("vault", Owner("c1", "team", "billing", "vault"), "billing-sa", frozenset(), Session(900, 5400))
DESIRED = role.desired_fields(GRANT, "vault")
READ: dict[str, JSONValue] = {  # as Vault 1.21 returns the role that was written
    "alias_name_source": "serviceaccount_uid",
    "audience": "vault",
    "bound_service_account_names": ["billing-sa"],
    "bound_service_account_namespace_selector": "",
    "bound_service_account_namespaces": ["team"],
    "token_bound_cidrs": [],
    "token_explicit_max_ttl": 0,
    "token_max_ttl": 5400,
    "token_no_default_policy": True,
    "token_num_uses": 0,
    "token_period": 0,
    "token_policies": ["airwarden.c1.team.billing.vault"],
    "token_ttl": 900,
    "token_type": "service",
}


def test_every_field_is_sent_lists_of_one_as_texts_and_numbers_as_texts() -> None:
    assert role.request_body(DESIRED) == {
        "bound_service_account_names": "billing-sa",
        "bound_service_account_namespaces": "team",
        "bound_service_account_namespace_selector": "",
        "audience": "vault",
        "alias_name_source": "serviceaccount_uid",
        "token_policies": "airwarden.c1.team.billing.vault",
        "token_ttl": "15m",
        "token_max_ttl": "1h30m",
        "token_explicit_max_ttl": "0",
        "token_period": "0",
        "token_num_uses": "0",
        "token_bound_cidrs": "",
        "token_type": "service",
        "token_no_default_policy": True,
    }


def test_what_vault_returns_of_it_is_equal() -> None:
    assert role.normalise(READ) == DESIRED


@pytest.mark.parametrize(
    "same",
    [
        {"token_bound_cidrs": None},
        {"token_ttl": "900"},
        {"token_policies": ["airwarden.c1.team.billing.vault", "airwarden.c1.team.billing.vault"]},
        {"policies": [], "ttl": 0, "max_ttl": 0, "period": 0, "num_uses": 0, "bound_cidrs": None},
        {"a_field_of_tomorrow": True},
    ],
)
def test_other_forms_of_the_same_are_equal(same: Mapping[str, JSONValue]) -> None:
    assert role.normalise({**READ, **same}) == DESIRED


@pytest.mark.parametrize(
    "change",
    [
        {"bound_service_account_names": ["*"]},
        {"bound_service_account_names": ["billing-sa", "other"]},
        {"bound_service_account_names": []},
        {"bound_service_account_namespaces": ["team", "other"]},
        {"bound_service_account_namespace_selector": '{"matchLabels":{}}'},
        {"audience": None},
        {"audience": "other"},
        {"alias_name_source": "serviceaccount_name"},
        {"token_policies": ["airwarden.c1.team.billing.vault", "admin"]},
        {"token_policies": []},
        {"token_policies": None},
        {"token_ttl": 901},
        {"token_max_ttl": 0},
        {"token_explicit_max_ttl": 1},
        {"token_period": 60},
        {"token_num_uses": 1},
        {"token_bound_cidrs": ["10.0.0.0/8"]},
        {"token_type": "batch"},
        {"token_type": "default"},
        {"token_no_default_policy": False},
        {"token_no_default_policy": None},
        {"policies": ["admin"]},
        {"ttl": 60},
        {"max_ttl": 60},
        {"period": 60},
        {"num_uses": 1},
        {"bound_cidrs": ["10.0.0.0/8"]},
        {"token_ttl": True},
        {"token_ttl": [900]},
        {"audience": ["vault"]},
        {"token_policies": "airwarden.c1.team.billing.vault,admin"},
        {"token_policies": {"airwarden.c1.team.billing.vault": True}},
    ],
)
def test_every_widening_and_narrowing_is_a_difference(change: Mapping[str, JSONValue]) -> None:
    assert role.normalise({**READ, **change}) != DESIRED


def test_an_old_server_without_audience_differs_only_where_one_is_wanted() -> None:
    without = {name: value for name, value in READ.items() if name != "audience"}
    assert role.normalise(without) == role.desired_fields(GRANT, "")
    assert role.normalise(without) != DESIRED


def test_only_its_own_policy_makes_a_role_ours() -> None:
    name = GRANT.owner.name_in_store
    assert role.has_only_policy(DESIRED, name)
    assert not role.has_only_policy(role.normalise({**READ, "token_policies": [name, "x"]}), name)
    assert not role.has_only_policy(role.normalise({**READ, "token_policies": []}), name)
    assert not role.has_only_policy(role.normalise({**READ, "policies": ["x"]}), name)
