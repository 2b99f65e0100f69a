"""Roles of people are printed as literals and nothing else, whatever a group is called, with what is doubtful named."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from airwarden.cli import app
from airwarden.commands.roles import Grant, as_json, mapping, python, warnings

PAGE = (Path(__file__).parents[3] / "docs" / "commands.md").read_text()
HOSTILE = [
    "'): __import__('os').system('id') #",
    '"""\nimport os\n"""',
    "x']}\nimport os\nAUTH_ROLES_MAPPING = {'y': ['Admin",
    "a\\",
    "\\'",
    "\u202e\u2028\x00\r\n",
    "{{ config }}",
    "${IFS}",
]


def read(text: str) -> dict[str, Any]:
    """Return what Airflow gets of the fragment; fail if there is anything in it but names and literals."""
    found: dict[str, Any] = {}
    for statement in ast.parse(text).body:
        assert isinstance(statement, ast.Assign), ast.dump(statement)
        [target] = statement.targets
        assert isinstance(target, ast.Name)
        found[target.id] = ast.literal_eval(statement.value)
    return found


@given(
    st.lists(st.tuples(st.text() | st.sampled_from(HOSTILE), st.text() | st.sampled_from(HOSTILE)), min_size=1),
    st.text() | st.sampled_from(HOSTILE),
)
def test_no_group_role_or_name_breaks_out_of_its_quotes(pairs: list[tuple[str, str]], whose: str) -> None:
    grants = [Grant(role, "entra", group) for role, group in pairs]
    text = python(grants, whose)
    assert text.isascii()
    assert read(text) == {"AUTH_ROLES_MAPPING": mapping(grants), "AUTH_ROLES_SYNC_AT_LOGIN": True}
    assert json.loads(as_json(grants)) == mapping(grants)


def test_a_group_of_two_roles_gets_both() -> None:
    grants = [
        Grant("Op", "entra", "a"),
        Grant("Viewer", "entra", "a"),
        Grant("Op", "entra", "b"),
        Grant("Op", "x", "a"),
    ]
    assert mapping(grants) == {"a": ["Op", "Viewer"], "b": ["Op"]}


def test_what_a_reviewer_should_look_at_is_said() -> None:
    assert warnings([Grant("Admin", "entra", "a"), Grant("Public", "entra", "b")]) == []
    [unknown] = warnings([Grant("Operator", "entra", "a"), Grant("Operator", "entra", "b")])
    assert unknown.startswith("role Operator is none of Airflow's own (Public, Viewer, User, Op, Admin)")
    [mixed] = warnings([Grant("Op", "okta", "a"), Grant("Op", "entra", "b")])
    assert mixed.startswith("Airflow does not tell entra and okta apart")


@pytest.fixture
def environment() -> dict[str, Any]:
    [found] = [each for each in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "AirflowEnvironment" in each]
    body: dict[str, Any] = yaml.safe_load(found)
    return body


def run(body: object, *flags: str) -> Result:
    return CliRunner().invoke(app, ["roles", "render", "-f", "-", *flags], input=yaml.safe_dump(body))


def test_the_page_shows_what_is_printed(environment: dict[str, Any]) -> None:
    [shown] = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    said = run(environment)
    assert (said.exit_code, said.stdout, said.stderr) == (0, shown, "")
    assert json.loads(run(environment, "-o", "json").stdout) == read(shown)["AUTH_ROLES_MAPPING"]


def test_one_providers_groups_are_printed_alone(environment: dict[str, Any]) -> None:
    mappings = environment["spec"]["roleMappings"]
    mappings[0]["groups"].append({"provider": "okta", "value": "ops"})
    assert "does not tell entra and okta apart" in run(environment).stderr
    said = run(environment, "--provider", "okta", "-o", "json")
    assert (json.loads(said.stdout), said.stderr) == ({"ops": ["Op"]}, "")


@pytest.mark.parametrize("flags", [("--provider", "other"), ()])
def test_an_empty_mapping_is_not_printed(environment: dict[str, Any], flags: tuple[str, ...]) -> None:
    if not flags:
        environment["spec"]["roleMappings"] = []
    said = run(environment, *flags)
    assert (said.exit_code, said.stdout) == (2, "")
    assert "an empty mapping would take every role away" in said.stderr


@pytest.mark.parametrize("value", [*HOSTILE, "someone@example.com"])
def test_a_hostile_group_is_refused_by_the_schema_already(environment: dict[str, Any], value: str) -> None:
    environment["spec"]["roleMappings"][0]["groups"][0]["value"] = value
    said = run(environment)
    assert (said.exit_code, said.stdout) == (2, "")
    assert "must be a group as the identity provider's claim has it" in said.stderr


def test_wrong_usage_says_what_to_give(environment: dict[str, Any]) -> None:
    for arguments, words in (
        ([], "give either -f FILE or NAMESPACE/ENVIRONMENT"),
        (["main"], "'main' is no environment"),
        (["-f", "/nowhere.yaml"], "cannot be read"),
    ):
        said = CliRunner().invoke(app, ["roles", "render", *arguments])
        assert (said.exit_code, words in said.stderr) == (2, True), said.stderr
    assert "hold 0 AirflowEnvironments" in run({"kind": "Other"}).stderr
    assert "does not hold to its schema: spec." in run({**environment, "spec": {}}).stderr
