"""Early words on access that has to end, and on access that is to stay when its binding goes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import pytest

from integration.admission.asking import Asking, bindings_path
from integration.admission.wanted import ahead, backend, fenced_backend, key_vault_backend, rule, wanting
from plane.waiting import wait_for

Json = dict[str, Any]
_ALLOWED = (
    "rule own-tree allows keys below team-e/, shared/ and roles of database beginning with team-e., shared. "
    "to Managed accounts for sessions up to 1h"
)
_NAMES = {"names": ["team-e"]}
_WAYS: Final = ("update", "merge-patch+json", "apply-patch+yaml")


@pytest.fixture(scope="module")
def team(asking: Asking) -> str:
    """Return a namespace whose access has to end within 30 days by backend `ending`."""
    asking.make_namespace("team-e")
    asking.judge_by(
        backend("ending", rule(namespaces=_NAMES, maxLifetime="720h")),
        backend("staying", rule(namespaces=_NAMES, orphan=True)),
        backend("going", rule(namespaces=_NAMES)),
        backend("both", rule(namespaces=_NAMES, maxLifetime="720h", orphan=True)),
    )
    return "team-e"


def test_access_without_an_end_is_refused_where_the_rule_wants_one(asking: Asking, team: str) -> None:
    assert asking.refusal(wanting(team, "ending", "team-e/db")) == (
        "billing (Managed) may not read key team-e/db of backend ending without an end (access.notAfter): "
        f"{_ALLOWED}, with access.notAfter at most 720h ahead"
    )


def test_an_end_that_is_too_late_is_refused(asking: Asking, team: str) -> None:
    late = ahead(days=30, minutes=20)
    assert asking.refusal(wanting(team, "ending", "team-e/db", end=late)) == (
        f"billing (Managed) may not read key team-e/db of backend ending until {late}: "
        f"{_ALLOWED}, with access.notAfter at most 720h ahead"
    )
    assert asking.refusal(wanting(team, "ending", "team-e/db", end="2999-12-31T23:59:59Z")) is not None


@pytest.mark.parametrize("span", [{"days": -400}, {"hours": 1}, {"days": 30}], ids=str)
def test_an_end_that_is_near_enough_is_admitted(asking: Asking, team: str, span: dict[str, float]) -> None:
    assert asking.refusal(wanting(team, "ending", "team-e/db", end=ahead(**span))) is None


def test_an_operator_whose_clock_is_four_minutes_ahead_is_not_forestalled(asking: Asking, team: str) -> None:
    assert asking.refusal(wanting(team, "ending", "team-e/db", end=ahead(days=30, minutes=4))) is None


@pytest.mark.parametrize("lifetime", ["999999h999999m999999s", "43200m", "700h1200m", "719h59m60s"])
def test_every_way_to_write_a_lifetime_is_read(asking: Asking, team: str, lifetime: str) -> None:
    asking.judge_by(backend("written", rule(namespaces=_NAMES, maxLifetime=lifetime)))
    assert asking.refusal(wanting(team, "written", "team-e/db", end=ahead(days=29))) is None
    assert asking.refusal(wanting(team, "written", "team-e/db", end="2999-12-31T23:59:59Z")) is not None


def test_another_end_is_measured_from_the_edit_and_not_from_the_creation(asking: Asking, team: str) -> None:
    asking.judge_by(backend("brief", rule(namespaces=_NAMES, maxLifetime="1s")))
    body = wanting(team, "brief", "team-e/db", end=ahead(seconds=1), name="moved")
    asking.make(body)
    for way in _WAYS:
        assert "with access.notAfter at most 1s ahead" in (_moved(asking, body, ahead(days=1), way) or "")
    made = asking.plane.api.admin.request("GET", f"{bindings_path(team)}/moved")["metadata"]["creationTimestamp"]
    later = datetime.fromisoformat(made) + timedelta(minutes=5, seconds=11)
    end = later.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for way in _WAYS:
        refusal = partial(_moved, asking, body, end, way)
        wait_for(f"the edit by {way} is admitted later on", partial(_is_none, refusal), 60)


def _is_none(answer: Callable[[], str | None]) -> bool:
    return answer() is None


def _moved(asking: Asking, body: Json, end: str, way: str) -> str | None:
    """Return why another end would be refused when it is written in that way."""
    access = {"session": {}, "notAfter": end}
    whole = {**body, "spec": {**body["spec"], "access": access}}
    if way == "update":
        return asking.refusal_of_edit(whole)
    return asking.refusal_of_patch(body, {"spec": {"access": access}} if way == "merge-patch+json" else whole, way)


def test_an_edit_that_takes_the_stamps_off_is_not_measured(asking: Asking, team: str) -> None:
    asking.judge_by(backend("bare", rule(namespaces=_NAMES, maxLifetime="1h")))
    body = wanting(team, "bare", "team-e/db", end=ahead(seconds=1), name="bare")
    asking.make(body)
    edit = {"metadata": {"managedFields": [{}]}, "spec": {"access": {"notAfter": ahead(days=400)}}}
    assert asking.refusal_of_patch(body, edit, "merge-patch+json") is None


def test_an_edit_that_leaves_a_far_end_is_not_refused_for_it_since_it_may_be_near_by_now(
    asking: Asking, team: str
) -> None:
    body = wanting(team, "later", "team-e/db", end=ahead(days=400), name="left")
    asking.make(body)
    asking.judge_by(backend("later", rule(namespaces=_NAMES, maxLifetime="720h")))
    edit = wanting(team, "later", "team-e/db", "team-e/more", end=body["spec"]["access"]["notAfter"], name="left")
    assert asking.refusal_of_edit(edit) is None
    del edit["spec"]["access"]["notAfter"]
    assert "without an end (access.notAfter)" in (asking.refusal_of_edit(edit) or "")


def test_one_rule_must_admit_place_and_end_together(asking: Asking, team: str) -> None:
    asking.judge_by(
        backend(
            "split",
            rule("lasting", namespaces=_NAMES, keyPrefixes=["lasting/"]),
            rule("ending", namespaces=_NAMES, maxLifetime="1h"),
        )
    )
    assert asking.refusal(wanting(team, "split", "lasting/db")) is None
    assert asking.refusal(wanting(team, "split", "lasting/db", end=ahead(days=9))) is None
    assert asking.refusal(wanting(team, "split", "team-e/db")) is not None
    assert asking.refusal(wanting(team, "split", "team-e/db", end=ahead(days=9))) is not None
    assert asking.refusal(wanting(team, "split", "team-e/db", end=ahead(minutes=9))) is None


# Access that stays.


def test_access_may_stay_where_the_rule_permits_it(asking: Asking, team: str) -> None:
    assert asking.refusal(wanting(team, "staying", "team-e/db", deletionPolicy="Orphan")) is None


def test_access_may_not_stay_where_the_rule_says_nothing(asking: Asking, team: str) -> None:
    assert asking.refusal(wanting(team, "going", "team-e/db", deletionPolicy="Orphan")) == (
        "billing (Managed) may not read key team-e/db of backend going with deletionPolicy Orphan: "
        f"{_ALLOWED}, with deletionPolicy Delete only"
    )


def test_access_that_ends_may_not_stay(asking: Asking, team: str) -> None:
    end = ahead(days=1)
    assert asking.refusal(wanting(team, "staying", "team-e/db", end=end, deletionPolicy="Orphan")) == (
        f"billing (Managed) may not read key team-e/db of backend staying until {end} with deletionPolicy Orphan: "
        f"{_ALLOWED}, with deletionPolicy Orphan only without access.notAfter"
    )


@pytest.mark.parametrize("end", [None, ahead(days=1)], ids=["no end", "an end"])
def test_access_that_has_to_end_may_not_stay(asking: Asking, team: str, end: str | None) -> None:
    wanted = wanting(team, "both", "team-e/db", end=end, deletionPolicy="Orphan")
    said = asking.refusal(wanted) or ""
    assert said.endswith(f"{_ALLOWED}, with access.notAfter at most 720h ahead, with deletionPolicy Delete only")


def test_access_in_slots_may_not_stay(asking: Asking, team: str) -> None:
    unheld = rule(namespaces=_NAMES, orphan=True, session={"maxTTL": "1h", "required": False})
    asking.judge_by(fenced_backend("slots", unheld))
    wanted = wanting(team, "slots", "team-e/db")
    assert asking.refusal(copy.deepcopy(wanted)) is None
    wanted["spec"]["deletionPolicy"] = "Orphan"
    assert (asking.refusal(wanted) or "").endswith("for sessions up to 1h, with deletionPolicy Delete only")


def test_access_in_a_key_vault_may_not_stay(asking: Asking, team: str) -> None:
    kept = rule(namespaces=_NAMES, orphan=True, keyPrefixes=["airflow-"], session={"maxTTL": "1h", "required": False})
    asking.judge_by(key_vault_backend("kv", {key: each for key, each in kept.items() if key != "dynamic"}))
    wanted = wanting(team, "kv", "airflow-db")
    assert asking.refusal(copy.deepcopy(wanted)) is None
    wanted["spec"]["deletionPolicy"] = "Orphan"
    assert (asking.refusal(wanted) or "").endswith("for sessions up to 1h, with deletionPolicy Delete only")
