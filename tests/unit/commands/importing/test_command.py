"""The command: a dry run writes nothing, values are shown nowhere, and what is written is for its owner alone."""

from __future__ import annotations

import base64
import json
import secrets
import stat
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from typer.testing import CliRunner, Result

from airwarden.cli import app

WHERE = ("-n", "airflow-prod", "--backend", "vault")
CANARIES = {
    name: f"canary-{name}-{secrets.token_hex(8)}" for name in ("password", "extra", "uri", "variable", "broken")
}


@pytest.fixture
def sources(tmp_path: Path) -> list[str]:
    """Files that hold canaries in each place where a value can be, and in what is malformed."""
    connections = {
        "warehouse": {"conn_type": "postgres", "password": CANARIES["password"], "extra": {"key": CANARIES["extra"]}},
        "broken": {"conn_type": "x", "port": CANARIES["broken"]},
        "team/x": {"conn_type": "x", "password": CANARIES["broken"]},
        "hidden": {"conn_type": "x", "password": "***"},
    }
    (tmp_path / "c.json").write_text(json.dumps(connections))
    (tmp_path / "v.json").write_text(json.dumps({"recipient": CANARIES["variable"]}))
    (tmp_path / "x.env").write_text(f"AIRFLOW_CONN_ENV=http://u:{CANARIES['uri']}@h\n")
    files = {"--connections": "c.json", "--variables": "v.json", "--env-file": "x.env"}
    return [word for flag, name in files.items() for word in (flag, str(tmp_path / name))]


def run(*arguments: str, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, ["import", *arguments], env=environment)


def shown_nowhere(text: str) -> bool:
    forms = [
        form for each in CANARIES.values() for form in (each, quote(each), base64.b64encode(each.encode()).decode())
    ]
    return not any(each in text for each in forms)


def test_a_dry_run_shows_what_would_be_made_and_writes_nothing(tmp_path: Path, sources: list[str]) -> None:
    before = sorted(tmp_path.rglob("*"))
    said = run(*WHERE, *sources, "--binding", "billing")
    assert said.exit_code == 1, said.output
    assert sorted(tmp_path.rglob("*")) == before
    lines = [line.split() for line in said.stdout.splitlines()]
    key = "airflow-prod/connections/warehouse"
    assert ["Connection", "warehouse", "billing", key, "c.json", "ready"] in lines
    assert "Connection/broken is left out: port is no number from 1 to 65535" in said.stdout
    assert "Connection/team/x is left out: id: must be an id that Airflow accepts" in said.stdout
    assert "Connection/hidden: password hidden by c.json: fill it in, or take airflow connections export" in said.stdout
    assert "Nothing was written" in said.stderr
    assert shown_nowhere(said.output)


def test_json_says_the_same_for_programs(sources: list[str]) -> None:
    said = run(*WHERE, *sources, "--binding", "billing", "-o", "json")
    rows = {row["id"]: row for row in json.loads(said.stdout)}
    assert (rows["broken"]["state"], rows["broken"]["why"]) == ("left out", "port is no number from 1 to 65535")
    assert shown_nowhere(said.output)


def test_what_is_written_is_for_its_owner_alone_and_values_are_in_their_files_alone(
    tmp_path: Path, sources: list[str]
) -> None:
    folder = tmp_path / "out"
    said = run(*WHERE, *sources, "--binding", "billing", "--write", str(folder))
    assert shown_nowhere(said.output)
    modes = {str(each.relative_to(folder)): stat.S_IMODE(each.stat().st_mode) for each in folder.rglob("*")}
    values = {
        "values/Connection.env.json",
        "values/Connection.hidden.json",
        "values/Connection.warehouse.json",
        "values/Variable.recipient.json",
    }
    assert {name for name in modes if name.endswith(".json")} == values
    assert {modes[name] for name in values} == {0o600}
    assert (modes["values"], modes["put-values.sh"], stat.S_IMODE(folder.stat().st_mode)) == (0o700, 0o700, 0o700)
    assert (folder / "values" / ".gitignore").read_text() == "*\n"
    assert json.loads((folder / "values/Variable.recipient.json").read_text()) == {"value": CANARIES["variable"]}
    for name in ("put-values.sh", "bindings/billing.yaml"):
        assert shown_nowhere((folder / name).read_text())
    [body] = yaml.safe_load_all((folder / "bindings/billing.yaml").read_text())
    assert [each["id"] for each in body["spec"]["secrets"]] == ["env", "hidden", "warehouse", "recipient"]


def test_the_script_is_one_that_a_shell_takes(tmp_path: Path, sources: list[str]) -> None:
    for version in ("1", "2"):
        folder = tmp_path / version
        run(
            *WHERE, *sources, "--binding", "b", "--kv-version", version, "--kv-mount", "team/kv", "--write", str(folder)
        )
        checked = subprocess.run(
            ["sh", "-n", str(folder / "put-values.sh")], capture_output=True, check=False, text=True
        )
        assert (checked.returncode, checked.stderr) == (0, "")


def test_nothing_is_written_where_something_is(tmp_path: Path, sources: list[str]) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine").write_text("x")
    said = run(*WHERE, *sources, "--binding", "b", "--write", str(folder))
    assert (said.exit_code, [each.name for each in folder.iterdir()]) == (2, ["mine"])
    assert "is not empty: give --write a folder of its own" in said.stderr


def test_the_variables_of_the_process_are_taken_only_when_asked(tmp_path: Path) -> None:
    variables = {"AIRFLOW_CONN_HERE": "http://h", "AIRFLOW_VAR_THERE": "v"}
    assert run(*WHERE, "--binding", "b", environment=variables).exit_code == 2
    said = run(*WHERE, "--binding", "b", "--env", environment=variables)
    assert said.exit_code == 0
    assert "airflow-prod/connections/here" in said.stdout


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "nothing was found"),
        (("--env-file", "x.env"), "give either --binding"),
        (("--env-file", "x.env", "--binding", "b", "--map", "m.yaml"), "give either --binding"),
        (("--env-file", "x.env", "--map", "m.yaml"), "m.yaml names dags"),
        (("--env-file", "x.env", "--map", "m.yaml", "--service-account", "s"), "goes with --binding"),
        (("--env-file", "x.env", "--binding", "b", "--airflow-environment", "a/b"), "needs --map"),
        (("--env-file", "x.env", "--binding", "b", "--airflow-environment", "main"), "must be NAMESPACE/NAME"),
        (("--env-file", "x.env", "--binding", "b", "--kv-mount", "a b"), "--kv-mount must be the path of a mount"),
        (("--env-file", "x.env", "--binding", "b", "--service-account", "A_b"), "must be an object name"),
        (("--airflow-url", "http://127.0.0.1:1", "--binding", "b"), "AIRFLOW_TOKEN holds no token"),
    ],
)
def test_wrong_usage_says_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIRFLOW_TOKEN", raising=False)
    (tmp_path / "x.env").write_text("AIRFLOW_VAR_A=1\n")
    (tmp_path / "m.yaml").write_text("bindings: {b: {ids: [a], dags: [{bundle: x, ids: [y]}]}}\n")
    found = run(*WHERE, *flags)
    assert found.exit_code == 2
    assert said in found.stderr
