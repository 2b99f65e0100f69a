"""The backends of docs/vault-logins.md: admitted by the API server, and the set-up of each can be printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from airwarden.api import crd
from airwarden.cli import app
from plane.binaries import REPOSITORY
from plane.control_plane import Plane

PAGE = (REPOSITORY / "docs" / "vault-logins.md").read_text()
BACKENDS: list[dict[str, Any]] = [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def test_the_page_shows_some() -> None:
    methods = {each["spec"]["vault"][field]["method"] for each in BACKENDS for field in ("login", "workloadLogin")}
    assert methods == {"AppRole", "JWT"}


@pytest.mark.parametrize("body", BACKENDS, ids=lambda each: each["metadata"]["name"])
def test_a_documented_backend_is_admitted_and_its_set_up_printed(
    plane: Plane, body: dict[str, Any], tmp_path: Path
) -> None:
    plane.api.apply(*(yaml.safe_load(text) for text in crd.crd_files().values()))
    plane.kubectl("wait", "--for=condition=Established", *(f"crd/{kind.plural}.airwarden.dev" for kind in crd.KINDS))
    text = yaml.safe_dump(body)
    said = plane.kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-", stdin=text)
    assert body["metadata"]["name"] in said
    file = tmp_path / "backend.yaml"
    file.write_text(text)
    done = CliRunner().invoke(app, ["vault-setup", str(file), "--cluster", "prod-eu", "--policy", "airwarden-eu"])
    assert done.exit_code == 0, done.output
    assert "vault policy write airwarden-eu - <<'END'" in done.output


def test_the_documented_command_is_one() -> None:
    line = next(each for each in PAGE.splitlines() if each.startswith("airwarden secret-id"))
    arguments = shlex.split(line)[1:]
    done = CliRunner().invoke(app, [*arguments, "--kubeconfig", "/nowhere/kubeconfig"], env={"VAULT_TOKEN": "x"})
    assert done.exit_code == 2
    assert "/nowhere/kubeconfig" in done.stderr, "nothing else is wrong with it"
