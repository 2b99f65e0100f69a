"""Schedules that a store keeps: what it understands as we do, and when it rotates next."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airwarden.domain.rotation import roles
from airwarden.domain.rotation.decide import timetable_of
from airwarden.domain.rotation.facts import RoleFacts, RoleSettings
from airwarden.domain.rotation.schedule import InvalidSchedule
from unit.domain.rotation.world import START, rotation

DECLARE = {"connection": "main", "username": "team_x"}


def declared(period: str | None = None, **spec: Any) -> Any:
    """Return a rotation that declares its role."""
    target = {"engine": "database", "name": "airwarden.c1.team.x", "kind": "Static"}
    return rotation(
        key=None,
        field=None,
        strategy="Native",
        databaseRole={**target, "declare": {**DECLARE, "period": period}},
        **spec,
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("@weekly", "0 0 * * 0"),
        ("@midnight", "0 0 * * *"),
        ("*/15 1-5/2 1,15 JAN *", "*/15 1-5/2 1,15 JAN *"),
        ("0 3 * * SUN", "0 3 * * SUN"),
        ("0 3 * * 1-5/2", "0 3 * * 1-5/2"),
        ("0 3 1 * 5", "0 3 1 * 5"),
    ],
)
def test_a_schedule_is_written_out_for_the_store(text: str, written: str) -> None:
    assert roles.store_schedule(text) == written


@pytest.mark.parametrize(
    "text",
    ["0 3 * * 7", "0 3 * * 5-7", "0 3 * * 1,7", "0 3 * * 1/3", "0 3 */2 * 5", "0 3 L * *", "0 3 15W * *", "0 0 31 2 *"],
)
def test_what_the_store_reads_otherwise_or_not_at_all_is_refused(text: str) -> None:
    with pytest.raises(InvalidSchedule):
        roles.store_schedule(text)
    with pytest.raises(InvalidSchedule):
        timetable_of(declared(schedule=text), START)


def test_the_operator_keeps_no_time_for_a_declared_role() -> None:
    assert timetable_of(declared(schedule="@daily"), START) is None
    shown = roles.shown_table(declared(schedule="@daily"))
    assert shown is not None
    assert next(shown.coming(START)) == datetime(2031, 1, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("settings", "due"),
    [
        (RoleSettings("main", "team_x", period=3600), datetime(2031, 1, 6, 11, tzinfo=UTC)),
        (RoleSettings("main", "team_x", schedule="0 3 * * *"), datetime(2031, 1, 7, 3, tzinfo=UTC)),
        (RoleSettings("main", "team_x", schedule="CRON_TZ=UTC 0 3 * * *"), None),
    ],
)
def test_the_next_rotation_follows_from_the_last_by_what_the_store_has(
    settings: RoleSettings, due: datetime | None
) -> None:
    assert roles.due(declared("24h"), RoleFacts(True, "r1", START, settings)) == due


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"period": "24h", "schedule": "@daily"}, "exactly one of schedule and databaseRole.declare.period"),
        ({}, "exactly one of schedule and databaseRole.declare.period"),
        ({"period": "24h", "jitter": "1m"}, "window and jitter do not go with"),
        ({"period": "24h", "window": {"opens": "@daily", "duration": "1h"}}, "window and jitter do not go with"),
        ({"schedule": "@daily", "timeZone": "Europe/Berlin"}, "timeZone must be UTC"),
        ({"schedule": "@daily", "startingDeadline": "59m"}, "is at least 1h"),
        ({"period": "24h", "startingDeadline": "2h"}, "goes with a schedule alone"),
        ({"period": "4s"}, "must be at least 5s"),
        ({"period": "24h", "keepVersions": 3}, "keepVersions is for a key"),
        ({"period": "24h", "part": "URIPassword"}, "part and generate are for a key"),
        ({"period": "24h", "generate": {"length": 20}}, "part and generate are for a key"),
    ],
)
def test_what_the_store_cannot_do_is_refused_with_the_reason(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        declared(**spec)
