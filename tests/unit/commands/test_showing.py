"""A table for people, plain columns for pipes, JSON for programs; and no answer is no."""

from __future__ import annotations

import io
import json

import pytest

from airwarden.commands.showing import Output, confirmed, plain, progress, show

COLUMNS = ("store", "name")
ROWS = ({"store": "vault", "name": "airwarden.c1.team.billing.vault"}, {"store": "longer-name", "name": "[red]x"})


def test_into_a_pipe_go_aligned_lines_without_colour(capsys: pytest.CaptureFixture[str]) -> None:
    show(COLUMNS, ROWS, Output.TABLE)
    assert capsys.readouterr().out.splitlines() == [
        "STORE         NAME",
        "vault         airwarden.c1.team.billing.vault",
        "longer-name   [red]x",
    ]


def test_on_a_terminal_it_is_a_table_and_names_are_no_markup(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    show(COLUMNS, ROWS, Output.TABLE)
    shown = capsys.readouterr().out
    assert "[red]x" in shown
    assert "\x1b[1m" in shown


def test_json_is_a_list_with_the_same_words(capsys: pytest.CaptureFixture[str]) -> None:
    show(COLUMNS, ROWS, Output.JSON)
    assert json.loads(capsys.readouterr().out) == list(ROWS)


def test_control_characters_of_a_name_do_not_reach_the_terminal() -> None:
    assert plain(("name",), ({"name": "a\x1b[2Jb\nc"},)) == ["NAME", "a [2Jb c"]


def test_where_nobody_can_answer_the_answer_is_no(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert not confirmed("Remove it?", yes=False)
    assert "give --yes" in capsys.readouterr().err
    assert confirmed("Remove it?", yes=True)


def test_progress_says_nothing_into_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("looking", 2) as step:
        step()
        step()
    assert capsys.readouterr() == ("", "")
