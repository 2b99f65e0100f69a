"""The set-up that an admin runs: no field left open, nothing unsafe rendered, own names never its own to write."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.logins import WorkloadLogin
from airwarden.domain.errors import InvalidSettings
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Grant, Session
from airwarden.providers.vault import role
from airwarden.providers.vault.checking import needed_rights
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.role_forms import KubernetesForm, role_form
from airwarden.providers.vault.setup import OperatorAccount, VaultSetup, vault_setup
from plane.binaries import REPOSITORY

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
    assert paths == {path for path, _ in needed_rights("c1", "kubernetes", "airflow", KubernetesForm("vault"))} | {
        "auth/token/lookup-self"
    }
    for word in ("identity", "rotate", "leases", "sys/auth", "sudo", "data/"):
        assert word not in setup(NAMED).policy_text
    (mounts,) = re.findall(r'path "sys/mounts[^}]*}', setup(NAMED).policy_text)
    assert mounts == 'path "sys/mounts/airflow" {\n  capabilities = ["read"]\n}'


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


FENCED: Mapping[str, Any] = {
    "mode": "Fenced",
    "fenced": {"role": "tasks", "slots": {"own": 3, "shared": 1, "dynamic": 1}},
}


def paths(text: str) -> set[str]:
    return {line.split('"')[1] for line in text.splitlines() if line.startswith("path ")}


def test_in_mode_fenced_the_operator_writes_aliases_of_its_namespaces_and_nothing_else() -> None:
    found = setup(NAMED, **FENCED)
    assert paths(found.policy_text) == {
        "identity/entity-alias",
        "identity/lookup/entity",
        "identity/entity-alias/id",
        "auth/kubernetes/role/tasks",
        "sys/policies/acl/airwarden-fence.c1.tasks",
        "sys/capabilities-self",
        "auth/token/lookup-self",
        "auth/token/renew-self",
        "auth/token/revoke-self",
    }
    fields = [line.strip() for line in found.policy_text.splitlines() if '" = [' in line]
    assert fields == [
        '"name" = ["team-a/*", "team-b/*"]',
        '"mount_accessor" = ["${ACCESSOR}"]',
        '"custom_metadata" = []',
        '"alias_name" = ["team-a/*", "team-b/*"]',
        '"alias_mount_accessor" = ["${ACCESSOR}"]',
    ]
    assert '"delete"' not in found.policy_text
    without = vault_setup(backend(NAMED, **FENCED), cluster="c1", operator=OPERATOR, options=ModeOptions(sweep=False))
    assert paths(found.policy_text) - paths(without.policy_text) == {"identity/entity-alias/id"}


def test_in_mode_fenced_the_tasks_role_is_of_the_listed_namespaces_and_keeps_to_the_shortest_session() -> None:
    rules = [
        {"name": name, "namespaces": NAMED, "keyPrefixes": ["{namespace}/"], "session": {"maxTTL": ttl}}
        for name, ttl in (("short", "10m"), ("long", "2h"))
    ]
    model = backend(NAMED, **FENCED)
    spec = {**model.model_dump(by_alias=True, mode="json")["spec"], "allow": rules}
    made = vault_setup(
        AirflowSecretBackend.model_validate({"metadata": {"name": "vault"}, "spec": spec}),
        cluster="c1",
        operator=OPERATOR,
    )
    assert made.fence is not None
    fields = made.fence.role_fields
    assert fields["bound_service_account_namespaces"] == ["team-a", "team-b"]
    assert fields["token_policies"] == made.fence.policy_name == "airwarden-fence.c1.tasks"
    assert fields["alias_name_source"] == "serviceaccount_name"
    assert (fields["token_ttl"], fields["token_max_ttl"], made.max_lease_ttl) == ("10m", "10m", "2h")


def test_a_move_prints_the_rights_of_both_modes_and_the_end_of_it_takes_the_old_ones_away() -> None:
    fenced, roles = backend(NAMED, **FENCED), backend(NAMED)

    def printed(model: AirflowSecretBackend, options: ModeOptions) -> set[str]:
        return paths(vault_setup(model, cluster="c1", operator=OPERATOR, options=options).policy_text)

    only_fenced, only_roles = printed(fenced, ModeOptions()), printed(roles, ModeOptions())
    assert printed(fenced, ModeOptions(moving=True)) == only_fenced | only_roles
    assert printed(fenced, ModeOptions(mode="Roles", moving=True)) == only_fenced | only_roles
    assert printed(fenced, ModeOptions(mode="Roles")) == only_roles
    emptying = {"identity/entity-alias", "identity/lookup/entity"}
    assert printed(roles, ModeOptions(moving=True)) == only_roles | emptying | {"identity/entity-alias/id"}
    assert printed(roles, ModeOptions(moving=True, sweep=False)) == only_roles | emptying
    with pytest.raises(InvalidSettings, match="has no vault"):
        printed(roles, ModeOptions(mode="Fenced"))


def test_in_mode_fenced_the_shell_fills_in_nothing_but_the_accessor() -> None:
    found = setup(NAMED, **FENCED)
    assert found.fence is not None
    assert "ACCESSOR=$(vault read -field=accessor sys/auth/kubernetes)" in found.script
    for text in (found.policy_text, found.fence.policy_text):
        assert text in found.script
        assert not set("$`\\") & set(text.replace("${ACCESSOR}", ""))
    done = subprocess.run(["sh", "-n"], input=found.script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ACCESSOR" not in setup(NAMED).script


@pytest.mark.parametrize("role", ["airwarden", "AIRWARDEN", "airwarden.c1.x"])
def test_the_tasks_do_not_log_in_with_a_role_of_the_operators(role: str) -> None:
    with pytest.raises(InvalidSettings, match="own role"):
        setup(NAMED, mode="Fenced", fenced={"role": role})


def test_the_example_of_the_docs_is_a_backend_that_can_be_set_up() -> None:
    page = (REPOSITORY / "docs" / "vault-fenced.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    made = vault_setup(
        AirflowSecretBackend.model_validate(_parts(yaml.safe_load(text))), cluster="c1", operator=OPERATOR
    )
    assert made.fence is not None
    assert made.fence.role_name == "airwarden-tasks"


def _parts(found: dict[str, Any]) -> dict[str, Any]:
    assert (found["apiVersion"], found["kind"]) == ("airwarden.dev/v1alpha1", "AirflowSecretBackend")
    return found


APP_ROLE = {"method": "AppRole", "appRole": {"mount": "ops", "roleID": "my-operator", "secretIDFile": "secret-id"}}
JWT = {"method": "JWT", "jwt": {"mount": "ops", "role": "operator", "audience": "vault"}}
TOKEN_FILE = {"method": "TokenFile", "tokenFile": {"name": "token"}}
KUBERNETES = {"method": "Kubernetes", "kubernetes": {"role": "airwarden"}}
BY_KUBERNETES = {"method": "Kubernetes", "kubernetes": {"audience": "vault"}}
BY_JWT = {"method": "JWT", "jwt": {"mount": "tasks", "audience": "vault"}}
BY_APP_ROLE = {"method": "AppRole", "appRole": {"mount": "tasks", "secretIDTTL": "2h"}}
TASKS = (BY_KUBERNETES, BY_JWT, BY_APP_ROLE)


@pytest.mark.parametrize("login", [KUBERNETES, APP_ROLE, JWT, TOKEN_FILE], ids=lambda each: each["method"])
@pytest.mark.parametrize("tasks", TASKS, ids=lambda each: each["method"])
def test_every_pair_of_ways_to_log_in_is_a_shell_script(login: dict[str, Any], tasks: dict[str, Any]) -> None:
    found = setup(NAMED, login=login, workloadLogin=tasks)
    done = subprocess.run(["sh", "-n"], input=found.script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert found.policy_text in found.script


@pytest.mark.parametrize("tasks", TASKS, ids=lambda each: each["method"])
@pytest.mark.parametrize("own_token", [True, False])
def test_the_policy_covers_what_the_check_asks_for_whatever_the_way(tasks: dict[str, Any], own_token: bool) -> None:
    login = WorkloadLogin.model_validate(tasks)
    needed = needed_rights("c1", login.mount, "airflow", role_form(login), own_token=own_token)
    text = setup(NAMED, workloadLogin=tasks).policy_text
    paths = {line.split('"')[1] for line in text.splitlines() if line.startswith("path ")}
    assert {path for path, _ in needed} <= paths
    assert "secret-id" not in text.replace("secret_id", "")


def test_a_token_from_a_file_needs_no_right_to_renew_or_revoke_itself() -> None:
    needed = {
        path for path, _ in needed_rights("c1", "kubernetes", "airflow", KubernetesForm("vault"), own_token=False)
    }
    assert "auth/token/lookup-self" in needed
    assert not needed & {"auth/token/renew-self", "auth/token/revoke-self"}


def test_no_secret_is_printed_and_each_is_written_only_where_it_is_asked_for() -> None:
    script = setup(NAMED, login=APP_ROLE).script
    assert "vault write auth/ops/role/airwarden-operator.c1/role-id role_id=my-operator" in script
    assert 'secret-id > "$SECRET_ID_FILE"' in script
    assert '-field=token > "$TOKEN_FILE"' in setup(NAMED, login=TOKEN_FILE).script
    assert setup(NAMED, login=TOKEN_FILE).role_fields == {}


def test_the_operators_jwt_role_is_bound_to_its_account_and_audience() -> None:
    found = setup(NAMED, login=JWT)
    assert (found.role_mount, found.role_name) == ("ops", "operator")
    assert found.role_fields["bound_subject"] == "system:serviceaccount:airwarden-system:airwarden"
    assert found.role_fields["bound_audiences"] == "vault"
    assert found.role_fields["token_policies"] == "airwarden-operator.c1"
    with pytest.raises(InvalidSettings, match="begins with"):
        setup(NAMED, login={"method": "JWT", "jwt": {"role": "airwarden.c1.x"}})


def test_secret_ids_are_handed_out_by_a_policy_of_its_own_that_demands_wrapping() -> None:
    script = setup(NAMED, workloadLogin=BY_APP_ROLE).script
    policy = script[script.index("airwarden-operator.c1.secret-ids") :]
    assert 'path "auth/tasks/role/+/secret-id"' in policy
    assert 'min_wrapping_ttl = "30s"' in policy
    assert "secret-ids" not in setup(NAMED, workloadLogin=BY_JWT).script


@pytest.mark.parametrize("name", ["airwarden.c1.x", "Operator", "a b", "a'b", "*", "root/x"])
def test_a_policy_that_operators_may_write_is_never_the_operators_own(name: str) -> None:
    with pytest.raises(InvalidSettings, match="cannot be the operator's own policy"):
        vault_setup(backend(NAMED), cluster="c1", operator=OPERATOR, options=ModeOptions(policy=name))


def test_a_policy_of_another_name_is_the_logins_own() -> None:
    found = vault_setup(backend(NAMED), cluster="c1", operator=OPERATOR, options=ModeOptions(policy="second"))
    assert (found.policy_name, found.role_fields["token_policies"]) == ("second", "second")


def test_reading_roles_of_others_is_printed_only_when_asked_for_and_is_one_segment_to_read() -> None:
    plain = setup(NAMED).policy_text
    made = vault_setup(backend(NAMED), cluster="c1", operator=OPERATOR, foreign_role_scan=True)
    assert made.policy_text.removeprefix(plain).splitlines()[1:] == [
        'path "auth/kubernetes/role/+" {',
        '  capabilities = ["read"]',
        "}",
    ]
    assert made.policy_text in made.script
    assert "role/+" not in plain
    fenced = vault_setup(backend(NAMED, **FENCED), cluster="c1", operator=OPERATOR, foreign_role_scan=True)
    assert paths(fenced.policy_text) - paths(setup(NAMED, **FENCED).policy_text) == {
        "auth/kubernetes/role",
        "auth/kubernetes/role/+",
    }
