"""The set-up that an admin runs: no field left open, nothing unsafe rendered, own names never its own to write."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.errors import InvalidSettings
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Grant, Session
from airwarden.providers.vault import role
from airwarden.providers.vault.checking import needed_rights
from airwarden.providers.vault.setup import OperatorAccount, VaultSetup, vault_setup

OPERATOR = OperatorAccount("airwarden-system", "airwarden")
NAMED: Mapping[str, object] = {"names": ["team-b", "team-a"]}
SELECTED: Mapping[str, object] = {"selector": {"matchLabels": {"tenant": "true"}}}


def backend(*namespaces: Mapping[str, object], max_ttl: str = "1h", **vault: Any) -> AirflowSecretBackend:
    rules = [
        {"name": f"rule-{number}", "namespaces": each, "keyPrefixes": ["{namespace}/"], "session": {"maxTTL": max_ttl}}
        for number, each in enumerate(namespaces)
    ]
    settings = {
        "address": "https://vault:8200",
        "login": {"kubernetes": {"role": "airwarden"}},
        "kv": {"mount": "airflow"},
        "workloadLogin": {"kubernetes": {"audience": "vault"}},
        **vault,
    }
    return AirflowSecretBackend.model_validate(
        {"metadata": {"name": "vault"}, "spec": {"type": "Vault", "vault": settings, "allow": rules}}
    )


def setup(*namespaces: Mapping[str, object], extra: tuple[str, ...] = (), **vault: Any) -> VaultSetup:
    return vault_setup(backend(*namespaces, **vault), cluster="c1", operator=OPERATOR, namespaces=extra)


def test_the_policy_admits_every_field_that_is_sent_and_leaves_only_lifetimes_and_accounts_open() -> None:
    text = setup(NAMED).policy_text
    fields = role.desired_fields(
        Grant("vault", Owner("c1", "team-a", "b", "vault"), "sa", frozenset(), Session(900, 3600)), "vault"
    )
    block = text[text.index("allowed_parameters") : text.index("denied_parameters")]
    assert {line.split('"')[1] for line in block.splitlines() if '" = ' in line} == set(fields)
    still_open = {line.split('"')[1] for line in block.splitlines() if line.endswith("= []")}
    assert still_open == {"bound_service_account_names", "token_ttl", "token_max_ttl", "token_explicit_max_ttl"}
    assert '"bound_service_account_namespaces" = ["team-a", "team-b"]' in block
    assert '"audience" = ["vault"]' in block
    assert '"*" = []' not in text


def test_the_policy_covers_what_the_check_asks_for_and_nothing_else_but_looking_itself_up() -> None:
    paths = {line.split('"')[1] for line in setup(NAMED).policy_text.splitlines() if line.startswith("path ")}
    assert paths == {path for path, _ in needed_rights("c1", "kubernetes")} | {"auth/token/lookup-self"}
    for word in ("identity", "rotate", "leases", "sys/auth", "sys/mounts", "sudo", "data/"):
        assert word not in setup(NAMED).policy_text


def test_own_names_do_not_fall_under_own_rights() -> None:
    found = setup(NAMED)
    assert not found.policy_name.startswith("airwarden.")
    for name in ("airwarden.c1.x", "airwarden.c1.", "Airwarden.C1.x"):
        login = {"kubernetes": {"role": name if name[-1] != "." else name + "y"}}
        with pytest.raises(InvalidSettings, match="begins with"):
            setup(NAMED, login=login)


def test_no_namespace_at_all_is_refused_because_an_empty_list_means_all() -> None:
    with pytest.raises(InvalidSettings, match="--workload-namespace"):
        setup()
    with pytest.raises(InvalidSettings, match="--workload-namespace"):
        setup(SELECTED)
    assert '"bound_service_account_namespaces" = ["x"]' in setup(SELECTED, extra=("x",)).policy_text


@pytest.mark.parametrize("name", ["*", "team-*", "a,b", "", 'x"] }', "A", "a b", "a\n"])
def test_a_pattern_is_no_namespace(name: str) -> None:
    with pytest.raises(InvalidSettings, match="write names"):
        setup(NAMED, extra=(name,))


@pytest.mark.parametrize("cluster", ["c.1", "", "C1", "c*", "c1."])
def test_a_cluster_name_that_would_widen_the_rights_is_refused(cluster: str) -> None:
    with pytest.raises(InvalidSettings):
        vault_setup(backend(NAMED), cluster=cluster, operator=OPERATOR)


def test_the_longest_session_of_any_rule_caps_the_mount_and_the_operator_on_it() -> None:
    found = vault_setup(backend(NAMED, max_ttl="10m"), cluster="c1", operator=OPERATOR)
    assert found.max_lease_ttl == "10m"
    assert "vault auth tune -max-lease-ttl=10m kubernetes" in found.script
    assert found.role_fields["token_max_ttl"] == "10m"
    other = setup(NAMED, login={"kubernetes": {"mount": "ops", "role": "airwarden"}})
    assert other.role_fields["token_max_ttl"] == "4h"
    assert "vault auth enable -path=ops kubernetes" in other.script


def test_the_operators_own_login_is_bound_to_its_account_and_audience() -> None:
    fields = setup(NAMED).role_fields
    assert fields["bound_service_account_names"] == "airwarden"
    assert fields["bound_service_account_namespaces"] == "airwarden-system"
    assert fields["audience"] == "vault"
    assert fields["token_policies"] == "airwarden-operator.c1"
    assert fields["token_no_default_policy"] is True
    with pytest.raises(InvalidSettings, match="no service account"):
        vault_setup(backend(NAMED), cluster="c1", operator=OperatorAccount("airwarden-system", "*"))


def test_the_script_is_a_shell_script_that_holds_the_parts_and_explains_selectors() -> None:
    found = setup(NAMED, SELECTED, namespace="team/admin")
    assert found.policy_text in found.script
    assert "export VAULT_NAMESPACE=team/admin" in found.script
    assert "Selected by label: rule-1." in found.script
    assert "vault secrets enable" not in found.script
    done = subprocess.run(["sh", "-n"], input=found.script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with_kv = vault_setup(backend(NAMED), cluster="c1", operator=OPERATOR, enable_kv=True)
    assert "vault secrets enable -path=airflow -version=2 kv" in with_kv.script
