"""The example of docs/migration.md prints what stands there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from airwarden.cli import app

PAGE = (Path(__file__).parents[4] / "docs" / "migration.md").read_text()


def test_the_example_prints_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [groups] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    Path("groups.yaml").write_text(groups)
    ids = ("warehouse", "billing_api", "team/ftp")
    Path("connections.json").write_text(json.dumps({each: {"conn_type": "http", "host": "h"} for each in ids}))
    Path("variables.json").write_text(json.dumps({"recipient": "r", "billing_limit": 5}))
    [(command, output)] = re.findall(r"```console\n\$ (.*?)\n(.*?)```", PAGE, re.DOTALL)
    program, *arguments = shlex.split(command)
    said = CliRunner().invoke(app, arguments)
    assert (program, said.exit_code) == ("airwarden", 1)
    assert said.stdout.strip() == output.strip()
