"""Rotations by Job under attack and after crashes: templates, names and Secrets that nobody may come by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from airwarden.api.fields import moment_text
from airwarden.domain.errors import ClusterFailed, Rejected, Unreachable, VersionGone
from airwarden.domain.rotation.jobs import MOST_LOST
from airwarden.providers.kubernetes.api import Json
from airwarden.providers.kubernetes.jobs import Jobs
from airwarden.providers.kubernetes.objects import rotation_path
from airwarden.reconcile.candidate_sweep import CandidateSweep
from airwarden.reconcile.job_sweep import JobSweep
from unit.reconcile.job_fakes import JOB_PATH, SECRETS, JobBench
from unit.reconcile.rotation_fakes import JOBS, WAREHOUSE

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


def at(bench: JobBench) -> Json:
    """Return the record of the run under way."""
    found: Json = bench.status()["run"]["job"]
    return found


async def look(bench: JobBench) -> None:
    """Do one pass at once: the engine would wait before one more."""
    bench.cache.learn(bench.api.objects[PATH])
    await bench.reconciler.reconcile(WAREHOUSE)


async def lose_job(bench: JobBench) -> None:
    """Delete the Job that runs before its end is seen, and let the pause after it go by."""
    body = bench.under_way()
    assert body is not None
    del bench.api.objects[JOB_PATH + body["metadata"]["name"]]
    await look(bench)
    bench.wait(seconds=11)
    await look(bench)


def edit(bench: JobBench, **job: Any) -> None:
    """Edit the rotation's Job as its author does."""
    bench.api.change(PATH, lambda body: body["spec"]["job"].update(job))


def forge(bench: JobBench, **job: Any) -> None:
    """Write the run's record as somebody with the right to write statuses does."""
    bench.api.change(PATH, lambda body: body["status"]["run"]["job"].update(job))


def held_back(bench: JobBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process end between the Secret and the record: every write of a status fails from then on."""
    patch = bench.api.patch

    async def fail(path: str, operations: Any) -> Any:
        if path.endswith("/status") and bench.secrets:
            raise ClusterFailed("killed")
        return await patch(path, operations)

    monkeypatch.setattr(bench.api, "patch", fail)


async def crashed(bench: JobBench, **job: Any) -> None:
    """Leave a Job that is held, and its Secret, with no record of them: as a kill there does."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        held_back(bench, monkeypatch)
        bench.declare_job(request="now", **job)
        bench.cache.learn(bench.api.objects[PATH])
        with pytest.raises(ClusterFailed):
            await bench.reconciler.reconcile(WAREHOUSE)
    assert len(bench.jobs) == len(bench.secrets) == 1


def sweep_of(bench: JobBench) -> JobSweep:
    """Return the sweep of the rotation namespace, for Jobs that are eleven minutes old."""
    made = moment_text(bench.bench.now - timedelta(minutes=11))
    for name in bench.jobs:
        bench.api.change(JOB_PATH + name, lambda body: body["metadata"].update(creationTimestamp=made))

    async def rotation(namespace: str, name: str) -> Json | None:
        return bench.api.objects.get(rotation_path(namespace, name))

    return JobSweep(Jobs(bench.api, JOBS), rotation, bench.bench.clock)


async def test_a_verify_template_that_is_edited_in_while_the_job_runs_is_never_used(bench: JobBench) -> None:
    bench.template("forbidden")
    await started(bench, verify="try")
    edit(bench, verify="forbidden")
    await bench.rest()
    bench.run_job()
    await bench.heard()
    made = [bench.api.objects[JOB_PATH + each]["metadata"]["annotations"] for each in bench.jobs]
    assert made == [{"airwarden.dev/made-of": "change"}, {"airwarden.dev/made-of": "try"}]
    bench.run_job()
    await bench.heard()
    assert last(bench) == ("Succeeded", "Rotated")
    await look(bench)
    assert bench.condition() == ("False", "RotationNotAllowed"), "of what is declared by now"


async def test_a_verify_template_forged_into_the_record_is_refused_and_the_value_stands(bench: JobBench) -> None:
    bench.template("forbidden")
    await started(bench, verify="try")
    forge(bench, verify="forbidden")
    bench.run_job()
    await bench.heard()
    assert len(bench.jobs) == 1
    assert last(bench) == ("Succeeded", "Rotated")
    assert (
        "not tried: no rule" in bench.status()["lastRun"]["message"]
        or "not tried" in (bench.status()["lastRun"]["message"])
    )


async def test_a_template_that_is_edited_in_between_two_tries_is_not_used(bench: JobBench) -> None:
    bench.template("forbidden")
    await started(bench)
    edit(bench, template="forbidden")
    bench.run_job("Failed", changes=False)
    await bench.heard()
    bench.wait(seconds=11)
    await bench.heard()
    body = bench.under_way()
    assert body is not None
    assert body["metadata"]["annotations"] == {"airwarden.dev/made-of": "change"}


async def test_a_job_held_since_a_crash_is_not_let_run_once_another_template_is_declared(bench: JobBench) -> None:
    await crashed(bench)
    bench.allow(operations=["RotateJob"], jobTemplates=["try"])
    edit(bench, template="try")
    await bench.rest()
    for _ in range(3):
        await bench.heard()
    body = bench.under_way()
    assert body is not None
    assert body["metadata"]["annotations"] == {"airwarden.dev/made-of": "try"}


async def test_a_rule_that_is_tightened_stops_verifying_and_the_new_value_stands(bench: JobBench) -> None:
    await started(bench, verify="try")
    bench.allow(rules=False)
    bench.engine.see_backend("vault")
    bench.run_job()
    await bench.heard()
    assert bench.under_way() is None
    assert last(bench) == ("Succeeded", "Rotated")
    assert "it is not tried" in bench.status()["lastRun"]["message"]
    assert bench.rotator.staging.waiting == {}


async def test_a_former_value_is_not_tried_by_a_template_that_no_rule_permits_any_more(bench: JobBench) -> None:
    await started(bench, verify="try")
    bench.run_job(changes=False)
    await bench.heard()
    bench.run_job("Failed", changes=False)
    bench.allow(operations=["RotateJob"], jobTemplates=["change"])
    await bench.heard()
    assert bench.under_way() is None
    assert last(bench) == ("Failed", "VerifyFailed")
    assert "The former value was not tried, so version 2 stands" in bench.status()["lastRun"]["message"]


async def test_a_name_forged_into_the_record_has_nothing_deleted(bench: JobBench) -> None:
    bench.api.put(SECRETS + "postgres-manager", {"metadata": {"name": "postgres-manager"}, "stringData": {}})
    await started(bench)
    forge(bench, job="postgres-manager")
    await bench.rest()
    bench.run_job("Failed", changes=False)
    await bench.heard()
    assert bench.secrets == ["postgres-manager"]
    assert at(bench)["attempt"] == 2


async def test_a_user_forged_into_the_record_is_not_written(bench: JobBench) -> None:
    await started(bench, users=["billing", "ledger"], userField="user")
    forge(bench, switch="admin")
    bench.run_job()
    await bench.heard()
    assert last(bench) == ("Failed", "JobGone")
    assert bench.rotator.written == []
    assert bench.rotator.staging.waiting != {}


async def test_a_later_try_is_about_the_user_that_the_first_one_changed(bench: JobBench) -> None:
    await started(bench, users=["billing", "ledger"], userField="user")
    first = {name: at(bench)[name] for name in ("part", "switch", "userField", "template")}
    assert first["switch"]
    bench.run_job("Failed")
    await bench.heard()
    assert {name: at(bench)[name] for name in first} == first


async def test_a_strategy_that_changes_takes_job_and_secret_away(bench: JobBench) -> None:
    await started(bench)
    bench.allow(operations=["RotateJob", "RotateGenerate"], jobTemplates=["change"])
    bench.declare(strategy="Generate", request="now")
    await bench.rest()
    assert last(bench) == ("Failed", "JobGone")
    assert (bench.jobs, bench.secrets) == ([], [])


async def test_a_strategy_that_changes_after_a_crash_takes_job_and_secret_away(bench: JobBench) -> None:
    await crashed(bench)
    bench.allow(operations=["RotateJob", "RotateGenerate"], jobTemplates=["change"])
    bench.declare(strategy="Generate", request="now")
    await bench.rest()
    assert last(bench) == ("Failed", "JobGone")
    assert (bench.jobs, bench.secrets, bench.rotator.written) == ([], [], [])


async def test_a_strategy_that_changes_once_the_store_has_the_value_leaves_no_candidate(bench: JobBench) -> None:
    await started(bench, verify="try")
    bench.run_job()
    await bench.heard()
    assert at(bench)["stage"] == "Verify"
    bench.allow(operations=["RotateJob", "RotateGenerate"], jobTemplates=["change"])
    bench.declare(strategy="Generate", request="now")
    await bench.rest()
    assert last(bench) == ("Succeeded", "Rotated")
    assert "the strategy was changed" in bench.status()["lastRun"]["message"]
    assert bench.rotator.staging.waiting == {}
    assert bench.secrets == []
    assert bench.under_way() is None


async def test_a_run_that_is_superseded_after_a_crash_takes_job_and_secret_away(bench: JobBench) -> None:
    await crashed(bench)
    bench.rotator.by_hand()
    await bench.rest()
    assert last(bench) == ("Superseded", "Superseded")
    assert (bench.jobs, bench.secrets) == ([], [])


async def test_the_secret_goes_at_the_end_of_its_job_also_while_the_store_is_away(bench: JobBench) -> None:
    await started(bench)
    bench.run_job()
    bench.rotator.errors["look"] = Unreachable("no answer")
    await bench.heard()
    assert bench.secrets == []
    assert at(bench)["stage"] == "Promote"


async def test_what_a_deleted_rotation_leaves_is_swept(bench: JobBench) -> None:
    await crashed(bench)
    bench.remove("warehouse")
    assert await sweep_of(bench).sweep() != ()
    assert (bench.jobs, bench.secrets) == ([], [])


async def test_the_secret_of_an_ended_job_is_swept_and_the_job_stays_for_an_hour(bench: JobBench) -> None:
    await started(bench)
    bench.remove("warehouse")
    assert await sweep_of(bench).sweep() == (), "it runs"
    bench.run_job()
    sweep = sweep_of(bench)
    assert await sweep.sweep() == tuple(bench.jobs)
    assert bench.secrets == []
    assert bench.api.objects[JOB_PATH + bench.jobs[0]]["spec"]["ttlSecondsAfterFinished"] == 3600
    assert await sweep.sweep() == ()


async def test_what_a_run_waits_for_is_not_swept(bench: JobBench) -> None:
    await started(bench)
    bench.run_job()
    assert await sweep_of(bench).sweep() == ()
    assert len(bench.secrets) == 1
    await bench.heard()
    assert last(bench) == ("Succeeded", "Rotated")


@pytest.mark.parametrize("managed", ["airwarden", "somebody"])
async def test_a_job_that_is_not_ours_is_not_swept(bench: JobBench, managed: str) -> None:
    await crashed(bench)
    bench.remove("warehouse")
    name = bench.jobs[0] if managed != "airwarden" else "backup"
    body = bench.api.objects.pop(JOB_PATH + bench.jobs[0])
    labels = {**body["metadata"]["labels"], "app.kubernetes.io/managed-by": managed}
    bench.api.put(JOB_PATH + name, {**body, "metadata": {**body["metadata"], "name": name, "labels": labels}})
    assert await sweep_of(bench).sweep() == ()
    assert len(bench.jobs) == 1


async def test_a_job_stays_longer_than_an_outage_until_its_end_is_on_record(bench: JobBench) -> None:
    await started(bench)
    body = bench.under_way()
    assert body is not None
    assert body["spec"]["ttlSecondsAfterFinished"] >= timedelta(days=7).total_seconds()


async def test_a_job_whose_success_nobody_saw_is_repeated_and_target_and_store_come_together(bench: JobBench) -> None:
    await started(bench, attempts=1)
    bench.run_job()
    del bench.api.objects[JOB_PATH + bench.jobs[0]]
    bench.wait(hours=2)
    await bench.heard()
    bench.wait(seconds=11)
    await bench.heard()
    bench.run_job()
    await bench.heard()
    assert last(bench) == ("Succeeded", "Rotated")
    assert bench.target == bench.rotator.staging.values[2] == "candidate-1"


async def test_a_job_that_goes_unseen_again_and_again_fails_the_try_at_last(bench: JobBench) -> None:
    await started(bench, attempts=1)
    for number in range(MOST_LOST):
        await lose_job(bench)
        assert (at(bench).get("attempt", 1), at(bench)["lost"]) == (1, number + 1)
    await lose_job(bench)
    assert last(bench) == ("Failed", "JobGone")
    assert bench.rotator.staging.made == 1


async def test_a_verifying_job_that_goes_unseen_never_counts_as_a_failure(bench: JobBench) -> None:
    await started(bench, verify="try")
    bench.run_job()
    await bench.heard()
    for _ in range(MOST_LOST + 1):
        await lose_job(bench)
    assert last(bench) == ("Succeeded", "Rotated")
    assert "not tried" in bench.status()["lastRun"]["message"]


@pytest.mark.parametrize("error", [Rejected("too large"), VersionGone("gone")])
async def test_a_promotion_that_can_never_be_done_ends_the_run_and_says_why(bench: JobBench, error: Exception) -> None:
    await started(bench)
    bench.rotator.staging.refuses = error
    bench.run_job()
    await bench.heard()
    message = bench.status()["lastRun"]["message"]
    assert bench.rotator.staging.waiting != {}
    if isinstance(error, Rejected):
        assert last(bench) == ("Failed", "BackendRejected")
        assert "too large" in message
    else:
        assert last(bench) == ("Superseded", "Superseded")
        assert "does not keep version 1" in message
        assert "somebody else" not in message


@pytest.mark.parametrize("error", [Rejected("too large"), VersionGone("gone")])
async def test_a_former_value_that_cannot_be_written_back_ends_the_run(bench: JobBench, error: Exception) -> None:
    await started(bench, verify="try")
    bench.run_job(changes=False)
    await bench.heard()
    bench.run_job("Failed", changes=False)
    await bench.heard()
    bench.rotator.staging.refuses = error
    bench.run_job(changes=False)
    await bench.heard()
    assert last(bench) == ("Failed", "VerifyFailed")
    assert "stands" in bench.status()["lastRun"]["message"]
    assert "somebody else" not in bench.status()["lastRun"]["message"]


async def test_a_store_that_keeps_one_version_still_has_the_new_value_tried(bench: JobBench) -> None:
    await started(bench, verify="try")
    bench.run_job()
    await bench.heard()
    del bench.rotator.staging.values[1]
    await bench.rest()
    bench.run_job()
    await bench.heard()
    assert last(bench) == ("Succeeded", "Rotated")


@pytest.mark.parametrize(
    ("subject", "strategy", "swept"),
    [
        ("team/db#password", "Job", False),
        ("", "Job", False),
        ("team/db#password", "Generate", True),
        ("team/other#password", "Job", True),
    ],
)
async def test_a_candidate_is_swept_that_the_rotation_of_its_name_is_not_for(
    bench: JobBench, subject: str, strategy: str, *, swept: bool
) -> None:
    bench.declare_job()
    bench.rotator.staging.waiting["c1/team/warehouse"] = "candidate"
    bench.rotator.staging.subject = subject
    bench.api.change(PATH, lambda body: body["spec"].update(strategy=strategy))

    async def rotation(namespace: str, name: str) -> Json | None:
        return bench.api.objects.get(rotation_path(namespace, name))

    runtime = bench.bench.backends.runtime("vault")
    if runtime is None:
        await bench.bench.backends.open("vault")
        runtime = bench.bench.backends.runtime("vault")
    assert runtime is not None
    sweep = CandidateSweep("c1", bench.bench.backends, bench.rotators, rotation, bench.bench.clock)
    assert bool(await sweep.sweep(runtime)) is swept
