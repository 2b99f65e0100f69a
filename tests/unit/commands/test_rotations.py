"""What `airwarden rotations` and `airwarden rotate` print, from rotations as the API server has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from airwarden.api.rotation import AirflowSecretRotation, LastRun, RotationStatus
from airwarden.commands.calendar import calendar
from airwarden.commands.rotate import follow
from airwarden.commands.rotations import Form, entry, printed, state_of
from airwarden.domain.rotation.decide import Rest
from airwarden.domain.rotation.report import report
from unit.domain.rotation.world import FOUND, OWNER, rotation, situation

NOW = datetime(2031, 1, 8, 12, tzinfo=UTC)  # a Wednesday


def named(name: str, **spec: Any) -> AirflowSecretRotation:
    """Return a rotation with the status that a look at it gives."""
    found = rotation(**spec)
    found = found.model_copy(update={"metadata": found.metadata.model_copy(update={"name": name, "uid": name})})
    around = situation(found, NOW)
    return found.model_copy(update={"status": report(around, Rest(), "own")})


def shown(form: Form, *found: AirflowSecretRotation, weeks: int = 2) -> str:
    """Return what is printed of these rotations."""
    entries = [entry(each, NOW) for each in found]
    return printed(entries, calendar(entries, NOW, weeks), form)


def done(result: str, word: str = "w") -> RotationStatus:
    """Return the status of a rotation whose run for the word has ended."""
    return RotationStatus(handled_request=word, last_run=LastRun(result=result, message="what happened"))


def test_all_are_listed_soonest_first_and_those_on_demand_last(capsys: pytest.CaptureFixture[str]) -> None:
    shown(Form.TABLE, named("on-demand"), named("weekly", schedule="@weekly"), named("daily", schedule="@daily"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAMESPACE", "ROTATION", "KEY", "SCHEDULE", "NEXT", "LAST", "RESULT", "STATE"]
    assert [line.split()[1] for line in lines[1:4]] == ["daily", "weekly", "on-demand"]
    assert lines[1].split()[-2:] == ["2031-01-08T00:00:00Z", "Healthy"] or "Healthy" in lines[1]


def test_the_calendar_counts_the_runs_of_each_day_to_come() -> None:
    text = shown(Form.TABLE, named("daily", schedule="@daily"), named("weekly", schedule="0 3 * * 5"))
    header, first, second = text.strip().splitlines()
    assert header.split()[-7:] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert first.split() == ["2031-01-06", "·", "1", "2", "1", "1"]
    assert second.split() == ["2031-01-13", "1", "1", "1", "1", "2", "1", "1"]


def test_roles_are_named_and_the_store_s_own_schedule_is_in_the_calendar() -> None:
    role = {"engine": "database", "name": "airwarden.c1.team.x", "kind": "Static"}
    declare = {"connection": "main", "username": "team_x"}
    target: dict[str, Any] = {"key": None, "field": None, "strategy": "Native"}
    weekly = named("weekly", databaseRole={**role, "declare": declare}, schedule="@weekly", **target)
    daily = named("daily", databaseRole={**role, "declare": {**declare, "period": "24h"}}, **target)
    found = {each["rotation"]: each for each in json.loads(shown(Form.JSON, weekly, daily))}
    assert found["weekly"]["key"] == "database/airwarden.c1.team.x"
    assert found["weekly"]["coming"] == ["2031-01-12T00:00:00Z", "2031-01-19T00:00:00Z"]
    assert found["daily"]["schedule"] == "every 24h"


def test_json_has_every_run_to_come() -> None:
    found = json.loads(shown(Form.JSON, named("weekly", schedule="@weekly"), named("asked")))
    assert [each["rotation"] for each in found] == ["weekly", "asked"]
    assert found[0]["coming"] == ["2031-01-12T00:00:00Z", "2031-01-19T00:00:00Z"]
    assert found[1]["coming"] == []


@pytest.mark.parametrize("form", [Form.SVG, Form.HTML])
def test_picture_and_page_are_well_formed_and_name_the_runs(form: Form) -> None:
    text = shown(form, named("daily", schedule="@daily"))
    root = ET.fromstring(text.removeprefix("<!DOCTYPE html>\n").replace('<meta charset="utf-8">', ""))  # noqa: S314 - ours
    words = " ".join(root.itertext())
    assert words.count("00:00 team/daily") == 11
    assert "2031-01-08" in words


def test_a_page_shows_what_is_in_a_name_as_text() -> None:
    made = named("daily", schedule="@daily")
    hostile = made.model_copy(update={"spec": made.spec.model_copy(update={"key": "<script>alert(1)</script>"})})
    assert "<script>" not in shown(Form.HTML, hostile)


def test_a_day_with_many_runs_says_how_many_more() -> None:
    text = shown(Form.SVG, *(named(f"daily-{number}", schedule="@daily") for number in range(9)))
    assert "and 6 more" in text


def test_a_rotation_with_too_many_runs_is_said_to_be_cut() -> None:
    assert "not all runs are shown of team/busy" in shown(Form.TABLE, named("busy", schedule="* * * * *"))


def test_what_is_suspended_has_no_run_to_come() -> None:
    assert json.loads(shown(Form.JSON, named("off", schedule="@daily", suspend=True)))[0]["coming"] == []


def test_the_state_is_one_word() -> None:
    assert state_of(rotation()) == "Unseen"
    assert state_of(named("on-demand")) == "Healthy"
    assert state_of(named("off", suspend=True)) == "Suspended"
    assert state_of(named("old", maxAge="1h")) == "Overdue"


def looking(*statuses: RotationStatus) -> Callable[[], Any]:
    """Return what answers with one status after the other."""
    left = list(statuses)

    async def look() -> AirflowSecretRotation:
        return rotation(status=left.pop(0) if len(left) > 1 else left[0])

    return look


@pytest.mark.parametrize(("result", "status"), [("Succeeded", 0), ("Failed", 1), ("Superseded", 1)])
async def test_a_run_is_followed_to_its_end(result: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert await follow(looking(RotationStatus(), done(result)), "w", 30, pause=0) == status
    assert capsys.readouterr().out == f"{result}: what happened\n"


async def test_a_rotation_that_cannot_run_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    refused = named("warehouse")
    situated = situation(refused, NOW, FOUND)
    assert situated.owner == OWNER
    stalled = RotationStatus.model_validate(
        {"conditions": [{"type": "Stalled", "status": "True", "reason": "RotationNotAllowed", "message": "no rule"}]}
    )
    assert await follow(looking(stalled), "w", 30, pause=0) == 1
    assert "RotationNotAllowed" in capsys.readouterr().err


async def test_an_end_that_does_not_come_is_not_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert await follow(looking(RotationStatus()), "w", 0.05, pause=0.01) == 2
    assert "has not ended" in capsys.readouterr().err
