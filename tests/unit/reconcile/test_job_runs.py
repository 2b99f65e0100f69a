"""Rotations by Job on a fake cluster and store: what is done in which order, and what a crash at any point leaves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from airwarden.api.templates import VARIABLES
from airwarden.domain.errors import ClusterForbidden, Unreachable
from airwarden.providers.kubernetes.api import Json
from airwarden.providers.kubernetes.objects import rotation_path
from airwarden.reconcile.candidate_sweep import CandidateSweep
from unit.reconcile.fake_cluster import Killed
from unit.reconcile.job_fakes import JOB_PATH, SECRETS, JobBench
from unit.reconcile.rotation_fakes import WAREHOUSE

PATH = rotation_path(*WAREHOUSE)


@pytest.fixture
async def bench() -> AsyncIterator[JobBench]:
    """Return an operator's rotations by Job, with none declared yet."""
    made = JobBench()
    yield made
    await made.engine.stop(0)


async def started(bench: JobBench, **job: Any) -> None:
    """Declare a rotation, ask for a run, and let it come to where its Job runs."""
    bench.declare_job(request="now", **job)
    await bench.rest()


def last(bench: JobBench) -> tuple[str, str]:
    found = bench.status()["lastRun"]
    return found["result"], found["reason"]


async def test_a_run_stages_makes_the_job_hands_over_and_records_before_it_lets_it_run(bench: JobBench) -> None:
    await started(bench)
    (name,) = bench.jobs
    lines = [each.replace(name, "JOB") for each in bench.journal.lines]
    order = [
        "stage",
        "POST /apis/batch/v1/namespaces/jobs/jobs",
        "POST /api/v1/namespaces/jobs/secrets",
        "PATCH warehouse status nothing yet",
        "PATCH /apis/batch/v1/namespaces/jobs/jobs/JOB let run",
    ]
    places = [max(number for number, line in enumerate(lines) if line == each) for each in order]
    assert places == sorted(places)
    assert bench.rotator.written == []
    assert bench.status()["run"]["job"]["deadline"]


async def test_success_promotes_marks_and_clears(bench: JobBench) -> None:
    await started(bench)
    bench.run_job()
    await bench.heard()
    assert last(bench) == ("Succeeded", "Rotated")
    assert bench.rotator.staging.values[2] == bench.target == "candidate-1"
    mark = bench.rotator.secrets["team/db"].mark
    assert mark is not None
    assert mark.run == bench.status()["lastRun"]["id"]
    assert bench.rotator.staging.waiting == {}
    assert bench.secrets == []


async def test_the_job_is_told_by_words_of_ours_and_runs_once(bench: JobBench) -> None:
    await started(bench)
    body = bench.under_way()
    assert body is not None
    spec = body["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["template"]["spec"]["restartPolicy"]) == (
        0,
        600,
        "Never",
    )
    (container,) = spec["template"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in container["env"]}
    assert set(told) == set(VARIABLES)
    assert (told["AIRWARDEN_NAMESPACE"], told["AIRWARDEN_KEY"]) == ("team", "team/db")
    assert container["volumeMounts"] == [
        {
            "name": "airwarden-rotation",
            "mountPath": "/var/run/secrets/airwarden.dev/rotation",
            "readOnly": True,
        }
    ]
    secret = bench.api.objects[SECRETS + body["metadata"]["name"]]
    assert secret["immutable"] is True
    assert secret["metadata"]["ownerReferences"][0]["uid"] == body["metadata"]["uid"]


async def test_a_failure_keeps_the_old_value_takes_the_secret_away_and_tries_the_same_candidate_later(
    bench: JobBench,
) -> None:
    await started(bench, attempts=2)
    bench.run_job("Failed", changes=False, message="exit code 3")
    await bench.heard()
    at = bench.status()["run"]["job"]
    assert (at["attempt"], at["reason"]) == (2, "JobFailed")
    assert "exit code 3" in at["trouble"]
    assert (bench.secrets, bench.rotator.written) == ([], [])
    assert bench.under_way() is None, "not before its pause is over"
    bench.wait(seconds=11)
    await bench.heard()
    bench.run_job("Failed", changes=False, message="exit code 4")
    await bench.heard()
    assert last(bench) == ("Failed", "JobFailed")
    assert "exit code 4" in bench.status()["lastRun"]["message"]
    assert bench.condition("Healthy") == ("False", "JobFailed")
    assert bench.ran == ["candidate-1", "candidate-1"]
    assert bench.secrets == []


async def test_the_next_run_takes_the_candidate_that_may_be_in_the_target(bench: JobBench) -> None:
    await started(bench, attempts=1)
    bench.run_job("Failed", changes=True)
    await bench.heard()
    assert bench.target == "candidate-1"
    bench.ask("again")
    await bench.rest()
    bench.run_job()
    await bench.heard()
    assert last(bench) == ("Succeeded", "Rotated")
    assert bench.rotator.staging.values[2] == bench.target == "candidate-1"


async def test_a_job_that_does_not_end_is_ended_and_counts_as_timed_out(bench: JobBench) -> None:
    await started(bench, attempts=1, timeout="1m")
    turn = bench.engine._turns.get(WAREHOUSE)
    assert turn is not None
    assert turn.at - bench.bench.now < timedelta(minutes=2)
    bench.wait(seconds=89)
    await bench.heard()
    assert "run" in bench.status()
    bench.wait(seconds=2)
    await bench.heard()
    assert last(bench) == ("Failed", "JobTimedOut")
    assert (bench.jobs, bench.secrets) == ([], [])


async def test_a_job_of_somebody_elses_is_not_used(bench: JobBench) -> None:
    await started(bench)
    name = bench.jobs[0]
    bench.api.change(JOB_PATH + name, lambda body: body["metadata"].update(labels={}))
    await bench.heard()
    assert bench.condition() == ("False", "JobNotOwned")
    assert bench.rotator.written == []


async def test_a_version_made_by_hand_while_the_job_ran_stands_and_the_candidate_stays(bench: JobBench) -> None:
    await started(bench)
    bench.rotator.by_hand()
    bench.run_job()
    await bench.heard()
    assert last(bench) == ("Superseded", "Superseded")
    assert "The target may have the candidate" in bench.status()["lastRun"]["message"]
    assert bench.rotator.written == []
    bench.ask("again")
    await bench.rest()
    bench.run_job()
    await bench.heard()
    assert bench.rotator.staging.values[3] == bench.target == "candidate-1"


async def test_verify_that_fails_has_the_former_value_written_back_when_that_works(bench: JobBench) -> None:
    await started(bench, verify="try")
    bench.run_job(changes=False)
    await bench.heard()
    assert bench.status()["run"]["job"]["stage"] == "Verify"
    bench.run_job("Failed", changes=False)
    await bench.heard()
    assert bench.status()["run"]["job"]["stage"] == "VerifyFormer"
    bench.run_job(changes=False)
    await bench.heard()
    assert last(bench) == ("Failed", "VerifyFailed")
    assert bench.rotator.staging.values == {1: "first", 2: "candidate-1", 3: "first"}
    assert bench.ran == ["candidate-1", "candidate-1", "first"]
    assert "written back as version 3" in bench.status()["lastRun"]["message"]
    assert bench.condition("Healthy") == ("False", "VerifyFailed")
    assert bench.rotator.staging.waiting == {}


async def test_verify_that_fails_for_both_values_leaves_the_new_one(bench: JobBench) -> None:
    await started(bench, verify="try")
    bench.run_job()
    for end in ("Failed", "Failed"):
        await bench.heard()
        bench.run_job(end, changes=False)
    await bench.heard()
    assert last(bench) == ("Failed", "VerifyFailed")
    assert bench.rotator.staging.values == {1: "first", 2: "candidate-1"}
    assert "version 2 stands" in bench.status()["lastRun"]["message"]


async def test_verify_that_works_ends_the_run(bench: JobBench) -> None:
    await started(bench, verify="try")
    for _ in range(2):
        bench.run_job()
        await bench.heard()
    assert last(bench) == ("Succeeded", "Rotated")
    assert bench.status()["lastRun"]["version"] == 2


async def test_a_template_that_is_missing_is_told_and_its_coming_goes_on(bench: JobBench) -> None:
    await started(bench, template="change", verify="")
    bench.run_job()
    await bench.heard()
    bench.allow(operations=["RotateJob"], jobTemplates=["later"])
    bench.declare_job(request="then", template="later")
    await bench.rest()
    assert bench.condition() == ("False", "TemplateMissing")
    assert bench.condition("Stalled")[0] == "True"
    bench.template("later")
    bench.engine.see_template("later")
    await bench.rest()
    assert bench.under_way() is not None


@pytest.mark.parametrize("unfit", [{"label": "false"}, {"suspend": False}])
async def test_a_cron_job_that_is_no_template_is_not_used(bench: JobBench, unfit: Any) -> None:
    bench.template("change", **unfit)
    await started(bench)
    assert bench.condition() == ("False", "TemplateUnfit")
    assert bench.jobs == []


async def test_a_template_that_the_rule_does_not_name_is_refused(bench: JobBench) -> None:
    bench.allow(operations=["RotateJob"], jobTemplates=["try"])
    await started(bench)
    assert bench.condition() == ("False", "RotationNotAllowed")
    assert "with template try" in bench.status()["conditions"][0]["message"]
    assert (bench.jobs, bench.rotator.staging.made) == ([], 0)


async def test_a_verify_template_that_the_rule_does_not_name_is_refused(bench: JobBench) -> None:
    bench.allow(operations=["RotateJob"], jobTemplates=["change"])
    await started(bench, verify="try")
    assert bench.condition() == ("False", "RotationNotAllowed")


async def test_an_operator_without_a_rotation_namespace_says_so(bench: JobBench) -> None:
    bench.enabled = False
    bench.restart()
    await started(bench)
    assert bench.condition() == ("False", "JobsNotEnabled")


async def test_a_key_of_the_staged_area_is_refused(bench: JobBench) -> None:
    bench.declare(key="airwarden-pending/c1/other/db", strategy="Job", job={"template": "change"}, request="now")
    await bench.rest()
    assert bench.condition() == ("False", "InvalidSpec")


async def test_missing_rights_in_the_cluster_are_told(bench: JobBench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(path: str) -> Any:
        raise ClusterForbidden("no right")

    monkeypatch.setattr(bench.api, "get", refuse)
    await started(bench)
    assert bench.condition() == ("False", "ClusterForbidden")


async def test_tightening_lets_a_job_that_runs_end_and_begins_no_other_try(bench: JobBench) -> None:
    await started(bench)
    bench.allow(rules=False)
    bench.engine.see_backend("vault")
    await bench.rest()
    bench.run_job("Failed", changes=False)
    bench.wait(seconds=11)
    await bench.heard()
    bench.wait(seconds=11)
    await bench.heard()
    assert bench.under_way() is None
    assert bench.condition() == ("False", "RotationNotAllowed")


async def test_tightening_after_the_target_changed_still_promotes(bench: JobBench) -> None:
    await started(bench)
    bench.allow(rules=False)
    bench.run_job()
    await bench.heard()
    assert bench.rotator.staging.values[2] == bench.target


async def test_an_outage_of_the_store_after_the_job_loses_nothing(bench: JobBench) -> None:
    await started(bench)
    bench.run_job()
    bench.rotator.errors["look"] = Unreachable("no answer")
    await bench.heard()
    assert bench.condition() == ("False", "BackendUnreachable")
    del bench.rotator.errors["look"]
    await bench.heard()
    assert bench.rotator.staging.values[2] == bench.target


async def test_an_edit_while_the_job_runs_does_not_touch_the_run(bench: JobBench) -> None:
    await started(bench)
    assert bench.status()["run"]["job"]["part"] == "Value"
    bench.declare(strategy="Job", job={"template": "change"}, part="URIPassword", request="now")
    await bench.rest()
    assert bench.status()["run"]["job"]["part"] == "Value"


async def test_a_strategy_that_changes_while_a_job_runs_makes_no_value_of_its_own(bench: JobBench) -> None:
    await started(bench)
    bench.allow(operations=["RotateJob", "RotateGenerate"], jobTemplates=["change"])
    bench.declare(strategy="Generate", request="now")
    await bench.rest()
    assert last(bench) == ("Failed", "JobGone")
    assert bench.rotator.written == []
    assert bench.rotator.staging.waiting != {}


async def test_a_run_whose_verifying_is_no_longer_wanted_ends_without(bench: JobBench) -> None:
    await started(bench, verify="try")
    del bench.api.objects["/apis/batch/v1/namespaces/jobs/cronjobs/try"]
    bench.run_job()
    await bench.heard()
    assert bench.status()["run"]["job"]["stage"] == "Verify"
    bench.allow(operations=["RotateJob"], jobTemplates=["change"])
    bench.declare_job(request="now")
    await bench.rest()
    assert last(bench) == ("Succeeded", "Rotated")


async def finish(bench: JobBench) -> None:
    """Let time and Jobs go on until no run is left."""
    for _ in range(12):
        if bench.under_way() is not None:
            bench.run_job()
        bench.wait(seconds=12)
        await bench.heard()
        if "run" not in bench.status() and bench.status().get("handledRequest") == "now":
            return
    raise AssertionError(f"the run does not end: {bench.status()}")


async def requests_of_a_run() -> int:
    bench = JobBench()
    bench.declare_job(verify="try")
    await bench.rest()
    before = len(bench.journal.lines)
    bench.ask("now")
    await bench.rest()
    await finish(bench)
    await bench.engine.stop(0)
    return len(bench.journal.lines) - before


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_process_killed_at_any_request_loses_no_value_and_makes_one_candidate(when: Any) -> None:
    count = await requests_of_a_run()
    assert count > 20
    for number in range(1, count + 1):
        bench = JobBench()
        bench.declare_job(verify="try")
        await bench.rest()
        journal = bench.journal
        journal.fail_at, journal.when, journal.error = len(journal.lines) + number, when, Killed()
        bench.ask("now")
        while journal.error is not None:
            bench.cache.learn(bench.api.objects[PATH])
            try:
                await bench.reconciler.reconcile(WAREHOUSE)
            except Killed:
                journal.error = None
                break
            if bench.under_way() is not None:
                bench.run_job()
            if "run" not in bench.status() and bench.status().get("handledRequest") == "now":
                journal.error = None
        await bench.engine.stop(0)
        bench.restart()
        await bench.rest()
        if bench.status().get("handledRequest") != "now" or "run" in bench.status():
            await finish(bench)
        staging = bench.rotator.staging
        current = bench.rotator.secrets["team/db"].version
        assert (staging.values[current], current) == (bench.target, 2), f"killed {when} request {number}"
        assert staging.made == 1
        assert staging.waiting == {}
        assert bench.secrets == []
        assert last(bench) == ("Succeeded", "Rotated")
        await bench.engine.stop(0)


async def test_no_value_is_in_the_status_or_an_event(bench: JobBench) -> None:
    await started(bench)
    bench.run_job("Failed", changes=True)
    await bench.heard()
    said = json.dumps([bench.status(), bench.api.events])
    assert "candidate-1" not in said
    assert '"first"' not in said


async def test_what_no_rotation_owns_is_swept_a_day_later(bench: JobBench) -> None:
    await started(bench, attempts=1)
    bench.run_job("Failed")
    await bench.heard()

    async def rotation(namespace: str, name: str) -> Json | None:
        return bench.api.objects.get(rotation_path(namespace, name))

    sweep = CandidateSweep("c1", bench.bench.backends, bench.rotators, rotation, bench.bench.clock)
    runtime = bench.bench.backends.runtime("vault")
    assert runtime is not None
    assert await sweep.sweep(runtime) == ()
    bench.remove("warehouse")
    assert await sweep.sweep(runtime) == (("team", "warehouse"),)
    assert bench.rotator.staging.waiting == {}
