"""Files as Airflow's commands write them, and files that nobody should have written: told by line, never by content."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from airwarden.api.binding import SecretType
from airwarden.commands.importing.files import exported, variables, variables_file
from airwarden.domain.errors import InvalidSettings

CANARY = "canary-4711"
CONNECTIONS = {
    "warehouse": {"conn_type": "postgres", "host": "db", "password": CANARY, "port": 5432, "extra": None},
    "Other.one": {"conn_type": "http", "host": "h", "password": None, "port": None, "extra": '{"a": 1}'},
}


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(("name", "write"), [("c.json", json.dumps), ("c.yaml", yaml.safe_dump), ("c.yml", yaml.dump)])
def test_an_export_of_connections_is_read(tmp_path: Path, name: str, write: type[str]) -> None:
    found = exported(SecretType.CONNECTION, written(tmp_path, name, write(CONNECTIONS)))
    assert {each.id: each.payload for each in found} == {
        "warehouse": {"conn_type": "postgres", "host": "db", "password": CANARY, "port": "5432"},
        "Other.one": {"conn_type": "http", "host": "h", "extra": '{"a": 1}'},
    }
    assert {each.origin for each in found} == {name}


def test_an_export_as_env_has_ids_and_uris_or_json(tmp_path: Path) -> None:
    lines = f'# a comment\nwarehouse=postgres://u:{CANARY}@h?a=b\n\nOther={{"conn_type": "http"}}\n'
    first, second = exported(SecretType.CONNECTION, written(tmp_path, "c.env", lines))
    assert (first.id, first.payload) == ("warehouse", {"conn_uri": f"postgres://u:{CANARY}@h?a=b"})
    assert (second.id, second.payload) == ("Other", {"conn_type": "http"})


def test_an_id_that_stands_there_twice_is_left_out(tmp_path: Path) -> None:
    for name, text in (
        ("c.json", '{"a": {"host": "1"}, "b": {"host": "2"}, "a": {"host": "3"}}'),
        ("c.yaml", "a: {host: '1'}\nb: {host: '2'}\na: {host: '3'}\n"),
        ("c.env", "a=http://1\nb=http://2\na=http://3\n"),
    ):
        found = {each.id: each.wrong for each in exported(SecretType.CONNECTION, written(tmp_path, name, text))}
        assert found == {"a": "it stands there twice: leave one out", "b": ""}, name


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("c.json", f'{{"a": "{CANARY}', "no whole JSON (line 1, column"),
        ("c.json", "[]", "no object whose names are ids"),
        ("c.json", "[" * 100_000, "nested too deep"),
        ("c.json", "", "no whole JSON (line 1, column 1)"),
        ("c.yaml", f"a: 'x\nb: {CANARY}: {CANARY}", "no YAML (line"),
        ("c.yaml", "5: {host: h}", "no object whose names are ids"),
        ("c.yaml", f"a: !!python/object/apply:os.system ['{CANARY}']", "no YAML (line 1"),
        ("c.yaml", "2026-99-99: 1", "no YAML that Airflow writes"),
        ("c.env", f"{CANARY}\n", "wrong at line 1: it is no id, equals sign and value"),
        ("c.csv", "a,b", "no known format"),
    ],
)
def test_a_broken_file_is_told_by_its_place(tmp_path: Path, name: str, content: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        exported(SecretType.CONNECTION, written(tmp_path, name, content))
    assert said in refused.value.message
    assert CANARY not in refused.value.message
    assert str(tmp_path / name) in refused.value.message


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"cannot be read \(No such file"):
        exported(SecretType.VARIABLE, tmp_path / "absent.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSettings, match="is not UTF-8"):
        exported(SecretType.VARIABLE, tmp_path / "b.json")


def test_a_file_of_variables_is_read_as_shells_and_docker_write_it(tmp_path: Path) -> None:
    lines = (
        "AIRFLOW_CONN_WAREHOUSE=postgres://u:p@h",
        "export AIRFLOW_VAR_RECIPIENT='a b'",
        'AIRFLOW_VAR_QUOTED="c d"',
        "# AIRFLOW_VAR_COMMENT=x",
        "AIRFLOW__CORE__EXECUTOR=LocalExecutor",
        "OTHER=1",
        "",
    )
    found = variables_file(written(tmp_path, ".env", "\n".join(lines)))
    assert [(each.type, each.id, dict(each.payload), each.case_unknown) for each in found] == [
        ("Connection", "warehouse", {"conn_uri": "postgres://u:p@h"}, True),
        ("Variable", "recipient", {"value": "a b"}, True),
        ("Variable", "quoted", {"value": "c d"}, True),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"AIRFLOW_VAR_X='{CANARY}", "its quotes do not end on its line"),
        (f'AIRFLOW_VAR_X="{CANARY}$HOME"', "its quotes do not end on its line"),
        (f"AIRFLOW_VAR__TEAM___X={CANARY}", "it is a team's own"),
        (f"AIRFLOW_CONN_X={CANARY}", "neither a URI such as"),
        ("AIRFLOW_VAR_X=", "its value is empty"),
        ("AIRFLOW_VAR_X=1\nAIRFLOW_VAR_X=2", "it stands there twice"),
    ],
)
def test_a_line_that_cannot_be_taken_says_why(tmp_path: Path, line: str, said: str) -> None:
    [found] = variables_file(written(tmp_path, ".env", line + "\n"))
    assert said in found.wrong
    assert CANARY not in found.wrong


def test_the_variables_of_a_process_are_read() -> None:
    found = variables({"AIRFLOW_CONN_A_B": "http://h", "AIRFLOW_VAR_": "x", "PATH": "/bin", "AIRFLOW_VAR_C": "'q'"})
    assert [(each.id, dict(each.payload)) for each in found] == [
        ("a_b", {"conn_uri": "http://h"}),
        ("c", {"value": "'q'"}),
    ]
