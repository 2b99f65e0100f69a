"""The second login that an admin sets up: the keys that rules let be rotated, and no right more than was asked for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from airwarden.api.backend import AirflowSecretBackend
from airwarden.cli import app
from airwarden.domain.errors import InvalidSettings, RotationNotEnabled
from airwarden.domain.identity import Expected
from airwarden.providers.kubernetes.api import KubernetesApi
from airwarden.providers.opening import Opening
from airwarden.providers.vault.answers import Answer
from airwarden.providers.vault.connection import ProjectedToken
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.rotation.opening import open_rotator
from airwarden.providers.vault.rotation.rotator import VaultRotator
from airwarden.providers.vault.rotation.setup import RotationOptions, RotationSetup, rotated_prefixes
from airwarden.providers.vault.setup import OperatorAccount, VaultSetup, vault_setup
from airwarden.providers.vault.store import key_grammar
from airwarden.providers.vault.transport import Call
from plane.binaries import REPOSITORY
from unit.vault.test_setup import APP_ROLE, FENCED, JWT, TOKEN_FILE

OPERATOR = OperatorAccount("airwarden-system", "airwarden")
KUBERNETES: dict[str, Any] = {"method": "Kubernetes", "kubernetes": {"role": "airwarden-rotation"}}
RULES: tuple[dict[str, Any], ...] = (
    {"name": "reads", "namespaces": {"names": ["team-a", "team-r"]}, "keyPrefixes": ["{namespace}/", "read/"]},
    {
        "name": "rotates",
        "namespaces": {"names": ["team-a", "team-b"]},
        "keyPrefixes": ["{namespace}/rotated/", "shared/"],
        "operations": ["Read", "RotateGenerate"],
    },
)
SELECTING: dict[str, Any] = {
    "name": "selects",
    "namespaces": {"selector": {"matchLabels": {"tenant": "true"}}},
    "keyPrefixes": ["{namespace}/"],
    "operations": ["RotateGenerate"],
}
EXPECTED = Expected(frozenset(), "u-1", claims=False)


OWN: dict[str, Any] = {"kubernetes": {"role": "airwarden"}}


def backend(
    *rules: dict[str, Any], login: dict[str, Any] | None = KUBERNETES, own: dict[str, Any] = OWN, **vault: Any
) -> AirflowSecretBackend:
    settings = {
        "address": "https://vault:8200",
        "login": own,
        "kv": {"mount": "airflow"},
        "workloadLogin": {"kubernetes": {"audience": "vault"}},
        **vault,
    }
    spec = {"type": "Vault", "vault": settings, "allow": list(rules or RULES)}
    if login is not None:
        spec["rotation"] = {"login": login}
    return AirflowSecretBackend.model_validate({"metadata": {"name": "vault"}, "spec": spec})


def printed(model: AirflowSecretBackend | None = None, **options: Any) -> VaultSetup:
    return vault_setup(model or backend(), cluster="c1", operator=OPERATOR, **options)


def rotation(model: AirflowSecretBackend | None = None, **options: Any) -> RotationSetup:
    found = printed(model, **options).rotation
    assert found is not None
    return found


def rights(text: str) -> dict[str, list[str]]:
    limit = r"(?:  allowed_parameters = \{\n(?:    [^\n]*\n)+  \}\n)?"
    blocks = re.findall(rf'path "([^"]+)" \{{\n  capabilities = \[([^\]]+)\]\n{limit}\}}', text)
    assert len(blocks) == text.count("path ")
    return {path: re.findall(r'"([a-z]+)"', listed) for path, listed in blocks}


PREFIXES = ("shared/", "team-a/rotated/", "team-b/rotated/")
BESIDE = {
    "sys/policies/acl/airwarden.c1.cluster-id": ["read"],
    "auth/token/lookup-self": ["read"],
    "auth/token/renew-self": ["update"],
    "auth/token/revoke-self": ["update"],
}


def test_the_rights_are_those_of_the_rules_that_let_rotate_and_no_value_is_read() -> None:
    wanted = dict(BESIDE)
    for prefix in PREFIXES:
        wanted[f"airflow/data/{prefix}*"] = ["patch"]
        wanted[f"airflow/metadata/{prefix}*"] = ["patch", "read"]
        wanted[f"airflow/subkeys/{prefix}*"] = ["read"]
    assert rights(rotation().policy_text) == wanted
    assert printed().policy_text == printed(backend(login=None)).policy_text, "the other login has no more than before"


def test_reading_and_password_policies_are_given_only_when_asked_for() -> None:
    asked = rights(
        rotation(rotation=RotationOptions(read=True, password_policies=("words", "words", "pins"))).policy_text
    )
    usual = rights(rotation().policy_text)
    assert {path: given for path, given in asked.items() if usual.get(path) != given} == {
        **{f"airflow/data/{prefix}*": ["patch", "read"] for prefix in PREFIXES},
        "sys/policies/password/words/generate": ["read"],
        "sys/policies/password/pins/generate": ["read"],
    }
    for name in ("*", "+", "a b", 'x"] }', "../acl/x", ""):
        with pytest.raises(ValueError, match="cannot be a path"):
            rotation(rotation=RotationOptions(password_policies=(name,)))


def test_a_namespace_that_a_rule_selects_by_label_is_listed_and_others_get_nothing_by_it() -> None:
    model = backend(*RULES, SELECTING)
    assert rotated_prefixes(model, ("team-c",)) == (*PREFIXES, "team-c/")
    assert rotated_prefixes(model, ()) == PREFIXES
    assert "airflow/data/team-c/*" in rights(rotation(model, namespaces=("team-c",)).policy_text)


def test_an_engine_without_versions_gets_no_right_on_values() -> None:
    assert rights(rotation(backend(kv={"mount": "airflow", "version": 1})).policy_text) == BESIDE


def test_in_mode_fenced_there_is_no_marker_to_read() -> None:
    found = rights(rotation(backend(**FENCED)).policy_text)
    assert "sys/policies/acl/airwarden.c1.cluster-id" not in found
    assert "airflow/data/shared/*" in found


def test_without_a_login_for_rotations_nothing_is_printed_and_nothing_opened(tmp_path: Path) -> None:
    model = backend(login=None)
    made = printed(model)
    assert made.rotation is None
    assert "rotat" not in made.script
    with pytest.raises(RotationNotEnabled, match=r"spec\.rotation"):
        open_rotator(model, EXPECTED, cluster="c1", token_directory=tmp_path, ca_pem=None)


def test_the_login_for_rotations_has_its_own_name_policy_and_role() -> None:
    made = printed()
    assert made.rotation is not None
    assert (made.policy_name, made.rotation.policy_name) == ("airwarden-operator.c1", "airwarden-rotation.c1")
    fields = made.rotation.login.fields
    assert fields["token_policies"] == "airwarden-rotation.c1"
    assert fields["bound_service_account_names"] == "airwarden"
    assert fields["token_no_default_policy"] is True
    assert rotation(options=ModeOptions(policy="second")).policy_name == "second.rotation"
    with pytest.raises(InvalidSettings, match="begins with"):
        rotation(backend(login={"kubernetes": {"role": "airwarden.c1.x"}}))


@pytest.mark.parametrize("login", [KUBERNETES, JWT, APP_ROLE, TOKEN_FILE], ids=lambda each: each["method"])
def test_every_way_to_log_in_is_a_shell_script(login: dict[str, Any]) -> None:
    made = printed(backend(login=login))
    assert made.rotation is not None
    assert made.rotation.policy_text in made.script
    done = subprocess.run(["sh", "-n"], input=made.script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if made.rotation.login.mount == "ops":
        assert "vault auth enable -path=ops" in made.script


def test_two_secret_ids_or_tokens_are_written_where_each_was_asked_for() -> None:
    other = {
        "method": "AppRole",
        "appRole": {"mount": "ops", "roleID": "rotation", "secretIDFile": "rotation-id"},
    }
    script = printed(backend(login=other)).script
    assert '> "$ROTATION_SECRET_ID_FILE"' in script
    both = printed(backend(login={"method": "TokenFile", "tokenFile": {"name": "rotation"}}, own=TOKEN_FILE))
    assert both.script.count('-field=token > "$TOKEN_FILE"') == 1
    assert both.script.count('-field=token > "$ROTATION_TOKEN_FILE"') == 1


def test_the_client_has_the_login_for_rotations_and_not_the_other(tmp_path: Path) -> None:
    opened = open_rotator(backend(), EXPECTED, cluster="c1", token_directory=tmp_path, ca_pem=None)
    credentials = opened.client.connection.credentials
    assert isinstance(credentials, ProjectedToken)
    assert (credentials.role, credentials.file) == ("airwarden-rotation", tmp_path / "vault")
    assert opened.client.identity is not None


def test_the_example_of_the_docs_is_a_backend_that_can_be_set_up() -> None:
    page = (REPOSITORY / "docs" / "vault-rotation.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    body = yaml.safe_load(text)
    assert (body["apiVersion"], body["kind"]) == ("airwarden.dev/v1alpha1", "AirflowSecretBackend")
    found = rights(rotation(AirflowSecretBackend.model_validate(body)).policy_text)
    assert found.keys() - BESIDE.keys() == {
        f"airflow/{kind}/airflow-prod/connections/*" for kind in ("data", "metadata", "subkeys")
    }


class _Cluster(KubernetesApi):
    """As much of a cluster as opening asks for."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def get(self, path: str) -> dict[str, Any]:
        self.paths.append(path)
        return {"metadata": {"uid": "u-1"}}


async def test_opening_asks_whose_the_cluster_is_and_never_claims_its_name(tmp_path: Path) -> None:
    api = _Cluster()
    opening = Opening(api, "c1", "airwarden-system", tmp_path)
    with pytest.raises(RotationNotEnabled):
        await opening.open_rotator(backend(login=None))
    assert api.paths == []
    opened = await opening.open_rotator(backend())
    assert api.paths == ["/api/v1/namespaces/kube-system"]
    assert isinstance(opened, VaultRotator)
    asked: list[str] = []

    async def no_marker(call: Call) -> Answer:
        asked.append(call.what)
        return Answer(absent=True)

    assert opened.client.identity is not None
    await opened.client.identity.refuse_other_cluster(no_marker)
    assert asked == ["GET sys/policies/acl/airwarden.c1.cluster-id"], "this login may not write the marker"


def test_the_command_prints_it_with_its_options(tmp_path: Path) -> None:
    file = tmp_path / "backend.yaml"
    body = {"kind": "AirflowSecretBackend", **backend().model_dump(by_alias=True, mode="json", exclude_none=True)}
    file.write_text(yaml.safe_dump(body))
    options = ["--cluster", "c1", "--rotation-read", "--password-policy", "words", "--password-policy", "pins"]
    done = CliRunner().invoke(app, ["vault-setup", str(file), *options])
    assert done.exit_code == 0, done.output
    wanted = RotationOptions(read=True, password_policies=("words", "pins"))
    assert rotation(rotation=wanted).policy_text in done.output


BY_JOB: dict[str, Any] = {
    "name": "by-job",
    "namespaces": {"names": ["team-j"]},
    "keyPrefixes": ["{namespace}/"],
    "operations": ["RotateJob"],
    "jobTemplates": ["change"],
}


def test_rotations_by_job_read_values_and_stage_candidates_where_a_rule_has_the_operation() -> None:
    usual, found = rights(rotation().policy_text), rights(rotation(backend(*RULES, BY_JOB)).policy_text)
    assert {path: given for path, given in found.items() if usual.get(path) != given} == {
        "airflow/data/team-j/*": ["patch", "read"],
        "airflow/metadata/team-j/*": ["patch", "read"],
        "airflow/subkeys/team-j/*": ["read"],
        "airflow/data/airwarden-pending/c1/*": ["create", "read"],
        "airflow/metadata/airwarden-pending/c1/*": ["delete", "list", "patch", "read"],
    }
    assert "airwarden-pending" not in printed(backend(*RULES, BY_JOB)).policy_text


def test_of_metadata_only_what_a_run_notes_may_be_written() -> None:
    # With delete_version_after or cas_required a thief could have versions deleted, or writes of others refused.
    text = rotation(backend(*RULES, BY_JOB)).policy_text
    limits = dict(
        re.findall(r'path "airflow/metadata/([^"]+)" \{\n[^\n]+\n  allowed_parameters = \{\n([^}]+)  \}', text)
    )
    marks, versions = '    "custom_metadata" = []\n', '    "max_versions" = []\n'
    assert limits == {
        **{f"{prefix}*": marks + versions for prefix in (*PREFIXES, "team-j/")},
        "airwarden-pending/c1/*": marks,
    }


def test_no_key_below_the_staged_area_is_one_of_the_store() -> None:
    for version in (1, 2):
        grammar = key_grammar(version)
        assert "not in use yet" in (grammar.complaint("airwarden-pending/c1/team/db") or "")
        assert grammar.complaint("airwarden-pending-of-ours/db") is None
