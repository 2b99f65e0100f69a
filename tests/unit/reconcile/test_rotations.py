"""Rotations on a fake cluster and store: what is asked of both, in which order, and what a broken one leaves."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from airwarden.domain.errors import (
    Forbidden,
    NoConnectionURI,
    NoVersions,
    Rejected,
    StoreChanged,
    Unauthorized,
    Unreachable,
)
from airwarden.domain.rotation.facts import RunMark, SecretState
from airwarden.providers.kubernetes.objects import rotation_path
from unit.reconcile.fake_cluster import Killed
from unit.reconcile.rotation_fakes import WAREHOUSE, RotationBench

PATH = rotation_path(*WAREHOUSE)
RUN = ["look team/db", "PATCH", "write team/db", "mark team/db", "PATCH", "EVENT"]
"""Every request of one run, in order."""


@pytest.fixture
async def bench() -> AsyncIterator[RotationBench]:
    """Return an operator's rotations, with none declared yet."""
    made = RotationBench()
    yield made
    await made.engine.stop(0)


def lines(bench: RotationBench, since: int = 0) -> list[str]:
    """Return the requests so far, patches without what they say."""
    return ["PATCH" if line.startswith("PATCH") else line for line in bench.journal.lines[since:]]


async def settled(bench: RotationBench, **spec: Any) -> int:
    """Declare a rotation and have it looked at; return how many requests that took."""
    bench.declare(**spec)
    await bench.rest()
    return len(bench.journal.lines)


async def test_a_new_rotation_costs_one_look_and_one_patch_and_changes_no_value(bench: RotationBench) -> None:
    await settled(bench, schedule="0 3 * * *")
    assert lines(bench) == ["look team/db", "PATCH", "EVENT"]
    assert bench.condition() == ("True", "Ready")
    assert bench.condition("Healthy") == ("True", "Healthy")
    status = bench.status()
    assert (status["phase"], status["next"], status["rule"]) == ("Waiting", "2031-05-01T03:00:00Z", "rotates")
    assert (status["observedVersion"], status["versionTime"]) == (1, "2031-04-01T00:00:00Z")
    assert bench.rotator.written == []


async def test_a_request_makes_one_version_with_two_patches(bench: RotationBench) -> None:
    before = await settled(bench, keepVersions=5)
    bench.ask("now")
    await bench.rest()
    assert lines(bench, before) == RUN
    assert bench.rotator.written == [2]
    assert bench.rotator.kept == [5]
    mark = bench.rotator.secrets["team/db"].mark
    assert mark is not None
    assert mark.owner == "c1/team/warehouse"
    status = bench.status()
    assert "run" not in status
    assert (status["handledRequest"], status["lastRun"]["result"], status["lastRun"]["version"]) == (
        "now",
        "Succeeded",
        2,
    )
    assert mark.run == status["lastRun"]["id"]
    assert bench.told == ["Ready", "Rotated"]


async def test_the_same_word_asks_once(bench: RotationBench) -> None:
    await settled(bench, request="now")
    before = len(bench.journal.lines)
    bench.api.change(PATH, lambda body: body["metadata"].update(labels={"a": "b"}))
    await bench.rest()
    assert lines(bench, before) == []
    assert bench.rotator.written == [2]


async def test_a_restart_looks_and_writes_nothing(bench: RotationBench) -> None:
    before = await settled(bench, request="now", schedule="0 3 * * *")
    bench.restart()
    await bench.rest()
    assert lines(bench, before) == ["look team/db"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, len(RUN) + 1))
async def test_a_process_killed_at_any_request_of_a_run_leaves_one_version(
    bench: RotationBench, number: int, when: Any
) -> None:
    before = await settled(bench)
    bench.ask("now")
    bench.journal.fail_at, bench.journal.when, bench.journal.error = before + number, when, Killed()
    bench.cache.learn(bench.api.objects[PATH])
    with pytest.raises(Killed):
        await bench.reconciler.reconcile(WAREHOUSE)
    bench.journal.error = None
    bench.restart()
    await bench.rest()
    assert bench.rotator.written == [2]
    status = bench.status()
    assert "run" not in status
    assert (status["handledRequest"], status["lastRun"]["result"], status["observedVersion"]) == ("now", "Succeeded", 2)


async def test_an_edit_that_comes_between_look_and_record_has_the_pass_done_again(bench: RotationBench) -> None:
    await settled(bench)
    bench.ask("now")
    bench.cache.learn(bench.api.objects[PATH])
    bench.api.change(PATH, lambda body: body["metadata"].update(labels={"a": "b"}))
    with pytest.raises(Exception, match="changed or went before the write"):
        await bench.reconciler.reconcile(WAREHOUSE)
    assert bench.rotator.written == []
    await bench.rest()
    assert bench.rotator.written == [2]


async def test_a_moment_of_the_schedule_is_rotated_for_when_it_comes(bench: RotationBench) -> None:
    await settled(bench, schedule="0 3 * * *")
    bench.wait(hours=3)
    bench.engine._turn_due(WAREHOUSE, None)  # type: ignore[arg-type] # its timer asks the clock once a second
    await bench.rest()
    assert bench.rotator.written == [2]
    assert (bench.status()["handledSlot"], bench.status()["next"]) == ("2031-05-01T03:00:00Z", "2031-05-02T03:00:00Z")


async def test_the_turn_of_the_next_run_is_kept(bench: RotationBench) -> None:
    await settled(bench, schedule="0 3 * * *")
    turn = bench.engine._turns.get(WAREHOUSE)
    assert turn is not None
    assert turn.at.isoformat() == "2031-05-01T03:00:00+00:00"


async def test_what_is_asked_while_a_pass_ends_is_not_lost(
    bench: RotationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = bench.api.post
    words = ["meanwhile"]

    async def asked_at_once(path: str, body: Any) -> Any:
        while words:
            bench.ask(words.pop())
            bench.watch()
        return await post(path, body)

    monkeypatch.setattr(bench.api, "post", asked_at_once)
    await settled(bench)
    assert bench.status()["handledRequest"] == "meanwhile"
    assert bench.rotator.written == [2]


async def test_a_rotation_that_no_rule_admits_asks_nothing_of_the_store(bench: RotationBench) -> None:
    bench.allow(operations=["Read"])
    await settled(bench, request="now")
    assert bench.condition() == ("False", "RotationNotAllowed")
    assert bench.condition("Stalled")[0] == "True"
    assert bench.status()["phase"] == "Refused"
    assert (bench.opened, bench.rotator.written) == (0, [])
    bench.allow(operations=["Read", "RotateGenerate"])
    bench.engine.see_backend("vault")
    await bench.rest()
    assert bench.rotator.written == [2]


async def test_a_key_outside_the_rule_is_refused(bench: RotationBench) -> None:
    await settled(bench, key="other/db", request="now")
    assert bench.condition() == ("False", "RotationNotAllowed")
    assert bench.opened == 0


async def test_tightening_ends_runs_to_come_and_finishes_one_that_wrote(bench: RotationBench) -> None:
    await settled(bench)
    bench.rotator.errors["mark"] = Unreachable("no answer")
    bench.ask("now")
    await bench.rest()
    assert bench.rotator.written == [2]
    assert bench.status()["run"]["baseVersion"] == 1
    del bench.rotator.errors["mark"]
    bench.allow(rules=False)
    bench.engine.see_backend("vault")
    await bench.rest()
    assert bench.status()["lastRun"]["result"] == "Succeeded"
    assert bench.condition() == ("False", "RotationNotAllowed")
    bench.ask("again")
    await bench.rest()
    assert bench.rotator.written == [2]


async def test_a_backend_without_a_login_for_rotations_rotates_nothing(bench: RotationBench) -> None:
    bench.allow(enabled=False, operations=["RotateGenerate"])
    await settled(bench, request="now")
    assert bench.condition() == ("False", "RotationNotEnabled")
    bench.allow(operations=["RotateGenerate"])
    bench.engine.see_backend("vault")
    await bench.rest()
    assert bench.rotator.written == [2]


async def test_a_backend_that_is_not_there_heals_when_it_comes(bench: RotationBench) -> None:
    bench.bench.backends.forget("vault")
    await settled(bench, request="now")
    assert bench.condition() == ("False", "BackendNotFound")
    bench.allow(operations=["RotateGenerate"])
    bench.engine.see_backend("vault")
    await bench.rest()
    assert bench.rotator.written == [2]


async def test_a_schedule_that_cannot_be_read_is_told_and_runs_nothing(bench: RotationBench) -> None:
    await settled(bench, schedule="0 0 31 2 *", request="now")
    assert bench.condition() == ("False", "InvalidSchedule")
    assert bench.rotator.written == []


async def test_a_spec_outside_its_schema_is_told_once(bench: RotationBench) -> None:
    before = await settled(bench, jitter="soon")
    assert bench.condition() == ("False", "InvalidSpec")
    bench.restart()
    await bench.rest()
    assert lines(bench, before) == []


async def test_two_rotations_of_one_secret_conflict_until_one_is_deleted(bench: RotationBench) -> None:
    bench.declare(request="now")
    bench.declare("other", request="now", field="user")
    for path, body in bench.api.objects.items():
        if "/airflowsecretrotations/" in path:
            bench.engine.know_rotation(body)
    await bench.rest()
    for name in ("warehouse", "other"):
        assert bench.condition(name=name) == ("False", "RotationConflict")
    assert bench.rotator.written == []
    bench.remove("other")
    await bench.rest()
    assert bench.condition() == ("True", "Ready")
    assert bench.rotator.written == [2]


async def test_a_second_rotation_that_comes_later_stops_the_first(bench: RotationBench) -> None:
    await settled(bench)
    bench.declare("other")
    await bench.rest()
    assert bench.condition() == ("False", "RotationConflict")
    assert "team/other" in bench.status()["conditions"][0]["message"]


@pytest.mark.parametrize("broken", [False, True])
async def test_a_rotation_that_may_not_run_does_not_stop_the_one_that_may(
    bench: RotationBench, *, broken: bool
) -> None:
    await settled(bench, request="now")
    theirs = copy.deepcopy(bench.api.objects[PATH])
    theirs["metadata"] |= {"name": "theirs", "namespace": "team" if broken else "elsewhere", "uid": "u-2"}
    theirs["spec"] |= {"schedule": "never"} if broken else {}
    theirs.pop("status")
    where = rotation_path(theirs["metadata"]["namespace"], "theirs")
    bench.api.objects[where] = theirs
    found = bench.rotator.secrets["team/db"]
    bench.rotator.secrets["team/db"] = replace(found, mark=RunMark("c1/elsewhere/theirs", "r", "t"))
    bench.ask("again")
    await bench.rest()
    assert bench.condition() == ("True", "Ready")
    assert bench.rotator.written == [2, 3]
    said = next(each for each in bench.api.objects[where]["status"]["conditions"] if each["type"] == "Ready")
    assert said["reason"] == ("InvalidSpec" if broken else "RotationNotAllowed")


async def test_a_secret_of_another_clusters_rotation_is_left_alone(bench: RotationBench) -> None:
    found = bench.rotator.secrets["team/db"]
    bench.rotator.secrets["team/db"] = replace(found, mark=RunMark("c2/team/warehouse", "r", "t"))
    await settled(bench, request="now")
    assert bench.condition() == ("False", "RotationConflict")
    assert bench.rotator.written == []


async def test_a_version_made_by_hand_between_look_and_write_is_respected(bench: RotationBench) -> None:
    await settled(bench)
    bench.rotator.before_write = bench.rotator.by_hand
    bench.ask("now")
    await bench.rest()
    assert bench.rotator.written == []
    assert bench.status()["lastRun"]["result"] == "Superseded"
    assert bench.status()["observedVersion"] == 2
    assert bench.told[-1] == "Superseded"


async def test_a_version_made_by_hand_is_seen_at_the_next_look(bench: RotationBench) -> None:
    await settled(bench)
    bench.wait(days=1)
    bench.rotator.by_hand()
    await bench.reconciler.reconcile(WAREHOUSE)
    assert (bench.status()["observedVersion"], bench.status()["versionTime"]) == (2, "2031-05-02T00:00:00Z")


@pytest.mark.parametrize(
    ("state", "reason"),
    [(SecretState.DELETED, "SecretDeleted"), (SecretState.DESTROYED, "SecretDestroyed")],
)
async def test_a_secret_that_is_gone_is_told_before_any_run_is_due(
    bench: RotationBench, state: SecretState, reason: str
) -> None:
    bench.rotator.secrets["team/db"] = replace(bench.rotator.secrets["team/db"], state=state)
    await settled(bench)
    assert bench.condition() == ("False", reason)
    bench.ask("now")
    await bench.rest()
    assert (bench.status()["lastRun"]["result"], bench.status()["lastRun"]["reason"]) == ("Failed", reason)
    assert bench.condition("Healthy") == ("False", reason)
    assert bench.status()["handledRequest"] == "now"


async def test_what_only_the_write_finds_out_ends_the_run_with_its_reason(bench: RotationBench) -> None:
    bench.rotator.errors["write"] = NoConnectionURI("no URI")
    await settled(bench, part="URIPassword", request="now")
    assert bench.status()["lastRun"]["reason"] == "NoConnectionURI"
    assert bench.condition("Healthy") == ("False", "NoConnectionURI")
    assert "run" not in bench.status()


async def test_a_store_with_one_version_only_ends_the_request(bench: RotationBench) -> None:
    bench.rotator.errors["look"] = NoVersions("version 1")
    await settled(bench)
    assert bench.condition() == ("False", "NoVersions")
    bench.ask("now")
    await bench.rest()
    assert bench.status()["lastRun"]["reason"] == "NoVersions"


async def test_an_outage_in_which_nothing_is_due_writes_nothing(bench: RotationBench) -> None:
    before = await settled(bench, schedule="0 3 * * *")
    bench.rotator.errors["look"] = Unreachable("no answer")
    following = await bench.reconciler.reconcile(WAREHOUSE)
    assert following.kind == "retry"
    assert lines(bench, before) == ["look team/db"]
    assert bench.condition() == ("True", "Ready")


async def test_an_outage_of_a_run_costs_one_patch_and_its_end_finishes_it(bench: RotationBench) -> None:
    await settled(bench)
    bench.rotator.errors["write"] = Unreachable("no answer")
    bench.ask("now")
    await bench.rest()
    assert bench.condition() == ("False", "BackendUnreachable")
    assert bench.condition("Reconciling")[0] == "True"
    before = len(bench.journal.lines)
    for _ in range(2):
        assert (await bench.reconciler.reconcile(WAREHOUSE)).kind == "retry"
    assert "PATCH" not in lines(bench, before)
    del bench.rotator.errors["write"]
    bench.engine.backend_recovered("vault")
    await bench.reconciler.reconcile(WAREHOUSE)
    assert bench.rotator.written == [2]
    assert bench.condition() == ("True", "Ready")


async def test_a_store_that_counts_as_down_is_not_asked(bench: RotationBench) -> None:
    await settled(bench)
    runtime = bench.bench.backends.runtime("vault")
    assert runtime is not None
    for _ in range(3):
        runtime.note_failure(Unreachable("no answer"))
    before = len(bench.journal.lines)
    following = await bench.reconciler.reconcile(WAREHOUSE)
    assert (following.kind, following.waiting) == ("retry", "vault")
    assert lines(bench, before) == []


@pytest.mark.parametrize("error", [Unauthorized("refused"), Forbidden("no right")])
async def test_a_refused_login_of_rotations_does_not_hold_bindings_back(bench: RotationBench, error: Exception) -> None:
    await settled(bench)
    bench.rotator.errors["look"] = error
    for _ in range(4):
        await bench.reconciler.reconcile(WAREHOUSE)
    runtime = bench.bench.backends.runtime("vault")
    assert runtime is not None
    assert not runtime.breaker.open


async def test_a_store_that_may_not_be_ours_is_not_asked(bench: RotationBench) -> None:
    await settled(bench)
    runtime = bench.bench.backends.runtime("vault")
    assert runtime is not None
    runtime.bar(StoreChanged("another store"))
    before = len(bench.journal.lines)
    bench.ask("now")
    await bench.rest()
    assert bench.condition() == ("False", "StoreChanged")
    assert not [line for line in lines(bench, before) if line.startswith(("look", "write"))]


async def test_a_mark_that_the_store_refuses_for_good_does_not_undo_the_run(bench: RotationBench) -> None:
    bench.rotator.errors["mark"] = Rejected("too many")
    await settled(bench, request="now")
    assert bench.status()["lastRun"]["result"] == "Succeeded"


async def test_what_is_suspended_says_so(bench: RotationBench) -> None:
    await settled(bench, suspend=True, request="now", schedule="@hourly")
    assert bench.condition("Suspended")[0] == "True"
    assert (bench.status()["phase"], bench.rotator.written) == ("Suspended", [])
    assert "next" not in bench.status()


async def test_an_overdue_value_is_told_whoever_should_have_rotated_it(bench: RotationBench) -> None:
    await settled(bench, maxAge="240h")
    assert bench.condition("Healthy") == ("False", "Overdue")
    assert "Overdue" in bench.told
    sample = {"namespace": "team", "rotation": "warehouse"}
    registry = bench.metrics.registry
    assert registry.get_sample_value("airwarden_rotation_overdue", sample) == 1
    assert registry.get_sample_value("airwarden_rotation_age_seconds", sample) == 30 * 86400
    bench.rotator.by_hand()
    await bench.reconciler.reconcile(WAREHOUSE)
    assert bench.condition("Healthy") == ("True", "Healthy")
    assert registry.get_sample_value("airwarden_rotation_overdue", sample) == 0


async def test_the_series_of_a_rotation_go_with_it(bench: RotationBench) -> None:
    await settled(bench, request="now", schedule="@daily")
    registry = bench.metrics.registry
    counted = {"namespace": "team", "rotation": "warehouse", "result": "Succeeded"}
    assert registry.get_sample_value("airwarden_rotation_runs_total", counted) == 1
    bench.remove("warehouse")
    names = {sample.name for family in registry.collect() for sample in family.samples if "rotation" in sample.labels}
    assert names == set()


async def test_the_rotating_side_is_opened_once_and_anew_when_its_login_changes(bench: RotationBench) -> None:
    await settled(bench)
    bench.ask("now")
    await bench.rest()
    assert bench.opened == 1
    bench.allow(operations=["RotateGenerate"], name="other")
    bench.engine.see_backend("vault")
    await bench.rest()
    assert bench.opened == 1, "a rule is no other way in"
    bench.bench.backends.learn(
        {**bench.bench.backend_bodies["vault"], "metadata": {"name": "vault", "uid": "new", "resourceVersion": "99"}}
    )
    bench.engine.see_backend("vault")
    await bench.rest()
    assert bench.opened == 2
    assert bench.rotator.closed


async def test_a_backend_that_goes_has_its_rotating_side_closed(bench: RotationBench) -> None:
    await settled(bench)
    bench.bench.backends.forget("vault")
    bench.engine.see_backend("vault")
    await bench.rest()
    assert bench.rotator.closed
    assert bench.condition() == ("False", "BackendNotFound")


async def test_a_pass_that_never_ends_while_nothing_is_heard_fails_the_health_of_the_process(
    bench: RotationBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, stuck = asyncio.Event(), asyncio.Event()

    async def hang(*_: object) -> None:
        begun.set()
        await stuck.wait()

    monkeypatch.setattr(bench.reconciler, "reconcile", hang)
    assert bench.engine.stalled_seconds() == 0.0
    bench.declare()
    bench.engine.see_rotation("ADDED", bench.api.objects[PATH])
    await begun.wait()
    later = time.monotonic() + 1000
    monkeypatch.setattr("airwarden.reconcile.stalls.time.monotonic", lambda: later)
    assert bench.engine.stalled_seconds() > 900
