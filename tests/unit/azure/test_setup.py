"""What azure-setup prints is exactly what the operator needs, and hands out one role."""

from __future__ import annotations

import copy
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from airwarden.api.azure import SECRETS_USER
from airwarden.api.backend import AirflowSecretBackend
from airwarden.cli import app
from airwarden.providers.azure.opening import place_of, settings
from airwarden.providers.azure.rights import needed, permitted
from airwarden.providers.azure.setup import granted, script

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "azure.md").read_text()
(BODY,) = [
    yaml.safe_load(each)
    for each in re.findall(r"```yaml\n(apiVersion: \S+\nkind: AirflowSecretBackend\n.*?)```", PAGE, re.DOTALL)
]


def test_what_is_printed_covers_what_is_checked_and_nothing_reads_a_secret() -> None:
    backend = AirflowSecretBackend.model_validate({key: BODY[key] for key in ("metadata", "spec")})
    place = place_of(backend, settings(backend), "prod-eu")
    roles = {each.scope: [{"actions": each.actions}] for each in granted(place)}
    for scope, actions in needed(place).items():
        assert all(permitted(action, roles[scope]) for action in actions)
    everything = [action for each in granted(place) for action in each.actions]
    assert not any("*" in action or "getSecret" in action or "vaults/secrets" in action for action in everything)
    (handing,) = [each for each in granted(place) if "Microsoft.Authorization/roleAssignments/write" in each.actions]
    assert handing.condition.count(SECRETS_USER) == 2
    assert handing.scope == place.vault_id


def test_without_diagnostics_and_location_less_is_needed() -> None:
    body = json.loads(json.dumps(BODY))
    del body["spec"]["azureKeyVault"]["diagnostics"]
    del body["spec"]["azureKeyVault"]["identities"]["location"]
    backend = AirflowSecretBackend.model_validate({key: body[key] for key in ("metadata", "spec")})
    everything = {action for each in granted(place_of(backend, settings(backend), "c")) for action in each.actions}
    assert not any("diagnosticSettings" in action for action in everything)
    assert "Microsoft.ManagedIdentity/userAssignedIdentities/write" not in everything
    assert "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write" in everything


def test_the_documented_command_prints_commands_for_az(tmp_path: Path) -> None:
    file = tmp_path / "backend.yaml"
    file.write_text(yaml.safe_dump(BODY))
    done = CliRunner().invoke(app, ["azure-setup", str(file), "--cluster", "prod-eu"])
    assert done.exit_code == 0, done.output
    assert done.output.count("az role definition create") == 3
    for text in re.findall(r"--role-definition '(\{.*?\n\})'", done.output, re.DOTALL):
        assert json.loads(text)["IsCustom"] is True
    assert "--condition-version 2.0" in done.output


def test_a_shell_reads_each_line_whatever_a_resource_group_is_called() -> None:
    body = json.loads(json.dumps(BODY))
    body["spec"]["azureKeyVault"]["vault"]["resourceGroup"] = "rg(prod)"
    body["spec"]["azureKeyVault"]["identities"]["resourceGroup"] = "ids(prod)"
    backend = AirflowSecretBackend.model_validate({key: body[key] for key in ("metadata", "spec")})
    text = script(place_of(backend, settings(backend), "prod-eu"))
    bash = shutil.which("bash")
    assert bash is not None
    assert subprocess.run([bash, "-n"], input=text, text=True, check=False, capture_output=True).stderr == ""
    words = shlex.split(text, comments=True)
    scopes = [words[number + 1] for number, word in enumerate(words) if word == "--scope"]
    assert scopes[0].endswith("/resourcegroups/rg(prod)/providers/microsoft.keyvault/vaults/" + backend_vault(body))
    assert scopes[1].endswith("/resourceGroups/ids(prod)")


def backend_vault(body: dict[str, Any]) -> str:
    """Return the name of the vault, as ids have it."""
    return str(body["spec"]["azureKeyVault"]["vault"]["name"]).lower()


def test_a_file_without_a_key_vault_is_said(tmp_path: Path) -> None:
    file = tmp_path / "backend.yaml"
    file.write_text("kind: Namespace\nmetadata: {name: x}\n")
    done = CliRunner().invoke(app, ["azure-setup", str(file), "--cluster", "prod-eu"])
    assert done.exit_code == 1
    assert "no AirflowSecretBackend of type AzureKeyVault" in done.stderr


def test_another_cloud_without_the_vaults_own_address_is_refused() -> None:
    body = copy.deepcopy(BODY)
    body["spec"]["azureKeyVault"]["resourceManager"] = "https://management.usgovcloudapi.net"
    with pytest.raises(ValidationError, match="must be given for another cloud"):
        AirflowSecretBackend.model_validate({key: body[key] for key in ("metadata", "spec")})
    body["spec"]["azureKeyVault"]["vault"]["url"] = "https://kv.vault.usgovcloudapi.net"
    AirflowSecretBackend.model_validate({key: body[key] for key in ("metadata", "spec")})
