"""Rotations of database roles on a fake cluster and store: what is asked of both, and what a crash leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import pytest

from airwarden.domain.errors import DatabaseRefused, Rejected, Unreachable
from airwarden.domain.rotation.facts import RoleSettings
from airwarden.providers.kubernetes.objects import binding_path, rotation_path
from airwarden.reconcile.cache import NamespaceView
from unit.reconcile.fake_cluster import Killed, When
from unit.reconcile.rotation_fakes import WAREHOUSE, RotationBench

PATH: Final = rotation_path(*WAREHOUSE)
OWN: Final = "airwarden.c1.team.reporting"
THEIRS: Final = "team.reporting"
DAILY: Final = RoleSettings("main", "team_reporting", period=86_400)
ENGINE: Final[dict[str, Any]] = {
    "engine": "database",
    "rolePrefixes": ["{namespace}.", "airwarden.c1.{namespace}."],
    "connections": ["main"],
    "usernames": ["{namespace}_*"],
    "roots": ["main"],
}


def rule(operations: tuple[str, ...] = ("Read", "RotateNative", "RotateRevoke"), **engine: object) -> dict[str, Any]:
    """Return a rule for database roles; ``engine`` replaces parts of what it says of the engine."""
    return {"operations": list(operations), "dynamic": [{**ENGINE, **engine}]}


@pytest.fixture
async def bench() -> AsyncIterator[RotationBench]:
    """Return an operator's rotations whose rule admits every operation on database roles; none is declared yet."""
    made = RotationBench()
    made.allow(**rule())
    yield made
    await made.engine.stop(0)


def static(name: str = THEIRS, kind: str = "Static", **declare: str) -> dict[str, Any]:
    """Return the spec of a rotation of a role that an admin made."""
    strategy = "Revoke" if kind == "Dynamic" else "Native"
    return {"strategy": strategy, "databaseRole": {"engine": "database", "name": name, "kind": kind}}


def declared(name: str = OWN, user: str = "team_reporting", period: str = "24h", **spec: Any) -> dict[str, Any]:
    """Return the spec of a rotation that makes its role."""
    found = static(name)
    timing = {"period": period} if "schedule" not in spec else {}
    found["databaseRole"]["declare"] = {"connection": "main", "username": user, **timing}
    return {**found, **spec}


def lines(bench: RotationBench, since: int = 0) -> list[str]:
    """Return the requests so far, patches without what they say."""
    return ["PATCH" if line.startswith("PATCH") else line for line in bench.journal.lines[since:]]


async def settled(bench: RotationBench, name: str = "warehouse", **spec: Any) -> int:
    """Declare a rotation and have it looked at; return how many requests that took."""
    bench.declare(name, **spec)
    await bench.rest()
    return len(bench.journal.lines)


async def kill_at(bench: RotationBench, number: int, when: When) -> None:
    """Do a pass that ends at a request, and then all that a new process does."""
    bench.journal.fail_at, bench.journal.when, bench.journal.error = number, when, Killed()
    bench.cache.learn(bench.api.objects[PATH])
    with pytest.raises(Killed):
        await bench.reconciler.reconcile(WAREHOUSE)
    bench.journal.error = None
    bench.restart()
    await bench.rest()


async def test_a_new_rotation_of_a_static_role_costs_one_look_and_one_patch(bench: RotationBench) -> None:
    bench.rotator.roles.put(THEIRS, DAILY)
    await settled(bench, **static(), schedule="0 3 * * *")
    assert lines(bench) == [f"look {THEIRS}", "PATCH", "EVENT"]
    assert bench.condition() == ("True", "Ready")
    status = bench.status()
    assert (status["next"], status["observedRevision"], status["rule"]) == ("2031-05-01T03:00:00Z", "r1", "rotates")
    assert "finalizers" not in bench.api.objects[PATH]["metadata"]


RUN: Final = [f"look {THEIRS}", "PATCH", f"rotate {THEIRS}", f"look {THEIRS}", "PATCH", "EVENT"]


async def test_a_request_rotates_once_with_two_patches(bench: RotationBench) -> None:
    bench.rotator.roles.put(THEIRS, DAILY)
    before = await settled(bench, **static())
    bench.ask("now")
    await bench.rest()
    assert lines(bench, before) == RUN
    assert bench.rotator.roles.rotated == [THEIRS, THEIRS]
    status = bench.status()
    assert (status["lastRun"]["cause"], status["lastRun"]["result"]) == ("Request", "Succeeded")
    assert status["observedRevision"] == "r2"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, len(RUN) + 1))
async def test_killed_at_any_request_a_static_role_is_rotated_once(
    bench: RotationBench, number: int, when: When
) -> None:
    bench.rotator.roles.put(THEIRS, DAILY)
    before = await settled(bench, **static())
    bench.ask("now")
    await kill_at(bench, before + number, when)
    assert bench.rotator.roles.rotated == [THEIRS, THEIRS]
    assert (bench.status()["handledRequest"], bench.status()["lastRun"]["result"]) == ("now", "Succeeded")


async def test_a_due_moment_of_the_schedule_has_the_store_rotate(bench: RotationBench) -> None:
    bench.rotator.roles.put(THEIRS, DAILY)
    await settled(bench, **static(), schedule="0 3 * * *")
    bench.wait(hours=3)
    bench.restart()
    await bench.rest()
    assert bench.rotator.roles.rotated == [THEIRS, THEIRS]
    assert bench.status()["lastRun"]["cause"] == "Schedule"


async def test_a_database_that_refuses_leaves_the_run_to_be_taken_up(bench: RotationBench) -> None:
    bench.rotator.roles.put(THEIRS, DAILY)
    await settled(bench, **static())
    bench.rotator.roles.errors["rotate"] = DatabaseRefused("the database said no")
    bench.ask("now")
    await bench.rest()
    assert bench.condition() == ("False", "DatabaseRefused")
    assert bench.status()["run"]["baseRevision"] == "r1"
    # Vault tries again by itself: what it then did is the run's, and is not done again.
    bench.rotator.roles.errors.clear()
    bench.rotator.roles.turn(THEIRS)
    bench.restart()
    await bench.rest()
    assert bench.rotator.roles.rotated == [THEIRS, THEIRS]
    assert bench.status()["lastRun"]["result"] == "Succeeded"


async def test_a_role_that_is_not_there_fails_for_good(bench: RotationBench) -> None:
    await settled(bench, **static(), request="now")
    assert bench.status()["lastRun"]["reason"] == "DatabaseRoleAbsent"
    assert bench.rotator.roles.rotated == []


MAKE: Final = [f"look {OWN}", "PATCH", "PATCH", "EVENT", f"declare {OWN}", f"look {OWN}", "PATCH", "EVENT", "EVENT"]
"""A look; the finalizer; the run on record; what is about to happen, told; only then the write."""


async def test_a_declared_role_is_made_after_it_was_held_recorded_and_told(bench: RotationBench) -> None:
    await settled(bench, **declared())
    assert lines(bench) == MAKE
    assert bench.told == ["PasswordChanges", "Rotated", "Ready"]
    assert "team_reporting of connection main gets a new password at once" in bench.api.events[0]["message"]
    assert bench.rotator.roles.settings == [DAILY]
    status = bench.status()
    assert (status["lastRun"]["cause"], status["next"], status["phase"]) == (
        "Declaration",
        "2031-05-02T00:00:00Z",
        "Waiting",
    )
    assert bench.condition() == ("True", "Ready")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, len(MAKE) + 1))
async def test_killed_at_any_request_a_declared_role_is_made_once(
    bench: RotationBench, number: int, when: When
) -> None:
    bench.declare(**declared())
    await kill_at(bench, number, when)
    assert bench.rotator.roles.rotated == [OWN]
    assert "run" not in bench.status()
    assert bench.condition() == ("True", "Ready")


async def test_a_role_that_the_store_refuses_is_tried_again_and_not_recorded_anew(bench: RotationBench) -> None:
    bench.rotator.roles.errors["declare"] = Rejected("not an allowed role")
    await settled(bench, **declared())
    run = bench.status()["run"]
    assert bench.condition() == ("False", "BackendRejected")
    bench.restart()
    before = len(bench.journal.lines)
    await bench.rest()
    assert lines(bench, before) == [f"look {OWN}", f"declare {OWN}"]
    bench.rotator.roles.errors.clear()
    bench.restart()
    await bench.rest()
    assert bench.status()["lastRun"]["id"] == run["id"]


async def test_a_schedule_that_vault_reads_otherwise_stops_also_a_run_under_way(bench: RotationBench) -> None:
    bench.rotator.roles.errors["declare"] = DatabaseRefused("not yet")
    await settled(bench, **declared())
    bench.rotator.roles.errors.clear()
    await settled(bench, **declared(schedule="0 3 * * 7"))
    assert bench.condition() == ("False", "InvalidSchedule")
    assert bench.rotator.roles.rotated == []
    await settled(bench, **declared(schedule="0 3 * * 0"))
    assert bench.condition() == ("True", "Ready")
    assert bench.rotator.roles.rotated == [OWN]


async def test_an_edit_is_pushed_and_rotates_nothing(bench: RotationBench) -> None:
    await settled(bench, **declared())
    before = await settled(bench, **declared(schedule="@weekly", startingDeadline="2h"))
    wanted = RoleSettings("main", "team_reporting", schedule="0 0 * * 0", window=7200)
    assert bench.rotator.roles.settings[-1] == wanted
    assert bench.rotator.roles.rotated == [OWN]
    assert "DriftCorrected" not in bench.told
    assert bench.status()["next"] == "2031-05-04T00:00:00Z"
    bench.restart()
    await bench.rest()
    assert lines(bench, before) == [f"look {OWN}"]


async def test_what_somebody_changed_in_the_store_is_corrected_without_rotating(bench: RotationBench) -> None:
    await settled(bench, **declared())
    bench.rotator.roles.put(OWN, replace(DAILY, period=5))
    bench.restart()
    await bench.rest()
    assert bench.rotator.roles.found[OWN].settings == DAILY
    assert bench.rotator.roles.rotated == [OWN]
    assert bench.told[-1] == "DriftCorrected"


async def test_a_backend_that_reports_leaves_what_was_changed_and_still_takes_edits(bench: RotationBench) -> None:
    await settled(bench, **declared())
    body = bench.bench.backend_bodies["vault"]
    body["spec"]["drift"] = {"policy": "Report"}
    body["metadata"]["resourceVersion"] = "900"
    bench.bench.backends.learn(body)
    bench.rotator.roles.put(OWN, replace(DAILY, period=5))
    bench.restart()
    await bench.rest()
    assert bench.condition() == ("False", "Drifted")
    assert bench.rotator.roles.settings == [DAILY]
    await settled(bench, **declared(period="12h"))
    assert bench.rotator.roles.settings[-1].period == 43_200
    assert bench.condition() == ("True", "Ready")


async def test_what_the_store_rotated_by_itself_is_seen_and_told(bench: RotationBench) -> None:
    await settled(bench, **declared())
    bench.wait(hours=24)
    bench.rotator.roles.turn(OWN)
    bench.restart()
    await bench.rest()
    status = bench.status()
    assert (status["lastRun"]["cause"], status["lastRun"]["result"]) == ("Store", "Succeeded")
    assert (status["lastSuccess"], status["next"]) == ("2031-05-02T00:00:00Z", "2031-05-03T00:00:00Z")
    assert bench.told[-1] == "Rotated"
    counted = bench.metrics.registry.get_sample_value(
        "airwarden_rotation_runs_total", {"namespace": "team", "rotation": "warehouse", "result": "Succeeded"}
    )
    assert counted == 1
    before = len(bench.journal.lines)
    bench.restart()
    await bench.rest()
    assert lines(bench, before) == [f"look {OWN}"], "and once"


async def test_a_store_that_is_late_is_told_and_one_that_gives_no_answer_is_not_said_to_be(
    bench: RotationBench,
) -> None:
    await settled(bench, **declared())
    bench.wait(hours=24, minutes=6)
    bench.rotator.roles.errors["look"] = Unreachable("no answer")
    bench.restart()
    await bench.rest()
    assert bench.condition("Healthy") == ("True", "Healthy")
    bench.rotator.roles.errors.clear()
    bench.restart()
    await bench.rest()
    assert bench.condition("Healthy") == ("False", "RotationLate")
    bench.rotator.roles.turn(OWN)
    bench.restart()
    await bench.rest()
    assert bench.condition("Healthy") == ("True", "Healthy")


async def test_a_declared_role_is_rotated_on_demand(bench: RotationBench) -> None:
    before = await settled(bench, **declared())
    bench.ask("now")
    await bench.rest()
    assert lines(bench, before) == [line.replace(THEIRS, OWN) for line in RUN]
    assert bench.rotator.roles.rotated == [OWN, OWN]


async def test_a_role_that_somebody_removed_is_made_again_as_a_run_of_its_own(bench: RotationBench) -> None:
    await settled(bench, **declared())
    first = bench.status()["lastRun"]["id"]
    del bench.rotator.roles.found[OWN]
    bench.restart()
    await bench.rest()
    assert bench.rotator.roles.rotated == [OWN, OWN]
    assert bench.status()["lastRun"]["id"] != first
    assert bench.told.count("PasswordChanges") == 2


async def test_a_role_that_goes_in_the_middle_of_a_run_does_not_count_as_rotated(bench: RotationBench) -> None:
    before = await settled(bench, **declared())
    bench.ask("now")
    bench.rotator.roles.errors["rotate"] = Unreachable("no answer")
    await bench.rest()
    bench.rotator.roles.errors.clear()
    del bench.rotator.roles.found[OWN]
    bench.restart()
    await bench.rest()
    assert f"declare {OWN}" in lines(bench, before)
    assert bench.rotator.roles.rotated == [OWN, OWN]
    assert bench.status()["handledRequest"] == "now"


async def test_suspended_nothing_is_made_and_nothing_pushed(bench: RotationBench) -> None:
    await settled(bench, **declared(), suspend=True)
    assert bench.rotator.roles.settings == []
    condition = next(each for each in bench.status()["conditions"] if each["type"] == "Suspended")
    assert "the store goes on rotating" in condition["message"]


async def test_a_role_that_stands_for_another_user_is_left_alone(bench: RotationBench) -> None:
    bench.rotator.roles.put(OWN, replace(DAILY, username="somebody"))
    await settled(bench, **declared(), request="now")
    assert bench.condition() == ("False", "DeclaredOtherwise")
    assert bench.rotator.roles.settings == []
    assert bench.rotator.roles.rotated == [OWN]


async def test_another_role_of_the_user_in_the_store_stops_it_before_anything_is_written(
    bench: RotationBench,
) -> None:
    bench.rotator.roles.put(OWN, DAILY)
    bench.rotator.roles.found[OWN] = replace(bench.rotator.roles.found[OWN], twins=("elsewhere.reporting",))
    await settled(bench, **declared(period="1h"), request="now")
    assert bench.condition() == ("False", "RotationConflict")
    assert lines(bench) == [f"look {OWN}", "PATCH", "EVENT"]


@pytest.mark.parametrize(
    "other", [declared(), declared(f"{OWN}-too"), static(OWN)], ids=["role", "user", "a role that is declared"]
)
async def test_two_rotations_of_one_role_or_user_both_stop(bench: RotationBench, other: dict[str, Any]) -> None:
    bench.declare(**declared())
    bench.declare("second", **other)
    await bench.rest()
    assert bench.condition() == ("False", "RotationConflict")
    assert bench.condition(name="second") == ("False", "RotationConflict")
    assert bench.rotator.roles.settings == []
    bench.remove("second")
    await bench.rest()
    assert bench.rotator.roles.settings == [DAILY]


@pytest.mark.parametrize(
    "given",
    [
        rule(("Read", "RotateGenerate", "RotateRevoke")),
        rule(engine="other"),
        rule(rolePrefixes=["x."]),
        rule(connections=[]),
        rule(usernames=["team_other"]),
    ],
    ids=["operation", "engine", "prefix", "connection", "user"],
)
async def test_what_the_rule_does_not_name_is_not_made(bench: RotationBench, given: dict[str, Any]) -> None:
    bench.allow(**given)
    await settled(bench, **declared())
    assert bench.condition() == ("False", "RotationNotAllowed")
    assert bench.opened == 0


async def test_a_deleted_rotation_takes_the_role_it_declared_with_it(bench: RotationBench) -> None:
    before = await settled(bench, **declared())
    bench.api.change(PATH, lambda body: body["metadata"].update(deletionTimestamp="2031-05-01T00:00:00Z"))
    await bench.rest()
    assert lines(bench, before) == [f"look {OWN}", f"remove {OWN}", "EVENT", "PATCH"]
    assert PATH not in bench.api.objects
    assert "keeps the last password" in bench.api.events[-1]["message"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 5))
async def test_killed_at_any_request_of_a_deletion_nothing_is_left(
    bench: RotationBench, number: int, when: When
) -> None:
    before = await settled(bench, **declared())
    bench.api.change(PATH, lambda body: body["metadata"].update(deletionTimestamp="2031-05-01T00:00:00Z"))
    await kill_at(bench, before + number, when)
    assert PATH not in bench.api.objects
    assert OWN not in bench.rotator.roles.found


async def test_a_role_that_cannot_be_removed_keeps_the_rotation_and_says_how_to_let_it_go(
    bench: RotationBench,
) -> None:
    await settled(bench, **declared())
    bench.rotator.roles.errors["remove"] = Unreachable("no answer")
    bench.api.change(PATH, lambda body: body["metadata"].update(deletionTimestamp="2031-05-01T00:00:00Z"))
    await bench.rest()
    assert bench.condition() == ("False", "DeletionBlocked")
    bench.rotator.roles.errors.clear()
    bench.restart()
    await bench.rest()
    assert PATH not in bench.api.objects


async def test_a_role_that_is_now_somebody_else_s_is_not_removed(bench: RotationBench) -> None:
    await settled(bench, **declared())
    bench.rotator.roles.put(OWN, replace(DAILY, username="somebody"))
    bench.api.change(PATH, lambda body: body["metadata"].update(deletionTimestamp="2031-05-01T00:00:00Z"))
    await bench.rest()
    assert OWN in bench.rotator.roles.found
    assert PATH not in bench.api.objects


@pytest.mark.parametrize(
    ("namespace", "spec", "stays"),
    [
        ("elsewhere", static(OWN), False),
        ("elsewhere", declared(), False),
        ("team", static(OWN), False),
        ("team", declared(user="refused_user"), False),
        ("team", declared(), True),
    ],
    ids=["a stranger", "a stranger that declares it", "no declaration", "a refused declaration", "its heir"],
)
async def test_only_an_admitted_declaration_of_the_same_namespace_keeps_a_role(
    bench: RotationBench, namespace: str, spec: dict[str, Any], stays: bool
) -> None:
    await settled(bench, **declared())
    other = {"metadata": {"name": "other", "namespace": namespace}, "spec": {"backendRef": {"name": "vault"}, **spec}}
    bench.api.put(rotation_path(namespace, "other"), other)
    await bench.rest()
    bench.api.change(PATH, lambda body: body["metadata"].update(deletionTimestamp="2031-05-01T00:00:00Z"))
    await bench.rest()
    assert PATH not in bench.api.objects
    assert (OWN in bench.rotator.roles.found) is stays


async def test_a_connection_s_user_is_rotated_again_where_a_crash_hid_the_answer(bench: RotationBench) -> None:
    before = await settled(bench, **static("main", "Root"))
    bench.ask("now")
    await kill_at(bench, before + 2, "after")
    assert bench.rotator.roles.rotated == ["main", "main"]
    assert bench.status()["lastRun"]["result"] == "Succeeded"
    bench.wait(hours=1)
    await settled(bench, **static("main", "Root"), request="now", maxAge="30m")
    assert bench.condition("Healthy") == ("False", "Overdue")


@pytest.mark.parametrize("roots", [[], ["other"]])
async def test_a_connection_that_the_rule_does_not_name_is_not_rotated(bench: RotationBench, roots: list[str]) -> None:
    bench.allow(**rule(roots=roots))
    await settled(bench, **static("main", "Root"), request="now")
    assert bench.condition() == ("False", "RotationNotAllowed")
    assert bench.rotator.roles.rotated == []


def bind(bench: RotationBench, name: str, namespace: str = "team", role: str = "team.reads", **more: Any) -> None:
    """Have a binding that reads leases of the role."""
    item = {
        "type": "Connection",
        "id": "reads",
        "backendRef": {"name": "vault"},
        "dynamic": {"engine": "database", "role": role, "kind": "Dynamic"},
    }
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
    spec = {"serviceAccount": {"name": name}, "secrets": [item], **more}
    bench.api.put(binding_path(namespace, name), {"metadata": metadata, "spec": spec})


def see_bindings(bench: RotationBench) -> None:
    """Let the operator hear of all bindings."""
    for path, body in bench.api.objects.items():
        if "/airflowsecretbindings/" in path:
            bench.bench.cache.learn_binding(body)


async def test_leases_end_where_one_binding_alone_uses_the_role(bench: RotationBench) -> None:
    bind(bench, "reader")
    bind(bench, "beside", role="team.other")
    see_bindings(bench)
    before = await settled(bench, **static("team.reads", "Dynamic"))
    bench.ask("now")
    await bench.rest()
    asked, *rest = lines(bench, before)
    assert asked.startswith("GET"), "right before leases end, the cluster is asked who uses the role"
    assert rest == ["PATCH", "rotate team.reads", "PATCH", "EVENT"]
    assert bench.status()["lastRun"]["result"] == "Succeeded"


async def test_after_a_start_leases_do_not_end_before_all_bindings_are_known(bench: RotationBench) -> None:
    bind(bench, "reader")
    see_bindings(bench)
    bind(bench, "unseen")
    await settled(bench, **static("team.reads", "Dynamic"), request="now")
    assert bench.condition() == ("False", "RoleInUse")
    assert bench.rotator.roles.rotated == []


async def test_after_a_start_a_role_is_not_said_to_be_unused(bench: RotationBench) -> None:
    bind(bench, "reader")
    await settled(bench, **static("team.reads", "Dynamic"))
    assert bench.condition() == ("True", "Ready")


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ((), "no binding"),
        ((("one", "team"), ("two", "team")), "team/one, team/two"),
        ((("one", "team"), ("two", "elsewhere")), "team/one, 1 in other namespaces"),
        ((("two", "elsewhere"),), "1 in other namespaces"),
    ],
)
async def test_leases_do_not_end_where_another_would_lose_theirs(
    bench: RotationBench, users: tuple[tuple[str, str], ...], said: str
) -> None:
    bench.allow(**rule(rolePrefixes=["team."]), namespaces={"names": ["team", "elsewhere"]})
    for name, namespace in users:
        bind(bench, name, namespace)
    see_bindings(bench)
    await settled(bench, **static("team.reads", "Dynamic"), request="now")
    condition = next(each for each in bench.status()["conditions"] if each["type"] == "Ready")
    assert (condition["reason"], condition["message"].endswith(f"Used by: {said}")) == ("RoleInUse", True)
    assert bench.rotator.roles.rotated == []


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("home", "said"), [("team", "RoleInUse"), ("nowhere", "Ready")])
async def test_a_role_that_an_environment_gives_to_all_has_all_its_bindings_for_users(
    bench: RotationBench, known: bool, home: str, said: str
) -> None:
    common = {"type": "Connection", "id": "all", "backendRef": {"name": "vault"}}
    bench.bench.declare_environment({**common, "dynamic": {"engine": "database", "role": "team.reads"}}, namespace=home)
    claims: dict[str, Any] = {
        "environmentRef": {"name": "main", "namespace": home},
        "dags": [{"bundle": "git", "ids": ["a"]}],
    }
    bind(bench, "reader")
    bind(bench, "mapped", role="team.other", **claims)
    if known:
        see_bindings(bench)
    await settled(bench, **static("team.reads", "Dynamic"), request="now")
    assert bench.condition()[1] == said
    assert bench.rotator.roles.rotated == ([] if said == "RoleInUse" else ["team.reads"])


@pytest.mark.parametrize("known", [True, False])
async def test_a_binding_that_no_rule_admits_keeps_no_lease_from_being_ended(bench: RotationBench, known: bool) -> None:
    # Else anybody could keep a leaked lease alive by a binding that names its role.
    bind(bench, "reader")
    for number in range(3):
        bind(bench, f"thief-{number}", "elsewhere")
    if known:
        see_bindings(bench)
    await settled(bench, **static("team.reads", "Dynamic"), request="now")
    assert bench.condition() == ("True", "Ready")
    assert bench.rotator.roles.rotated == ["team.reads"]


@pytest.mark.parametrize(
    ("state", "observed", "said"),
    [("Granted", 1, "RoleInUse"), ("Refused", 1, "Ready"), ("Granted", 0, "Ready")],
    ids=["granted", "refused", "of another spec"],
)
@pytest.mark.parametrize("known", [True, False])
async def test_a_binding_has_leases_as_long_as_its_status_says_so_whatever_the_rules_say_now(
    bench: RotationBench, known: bool, state: str, observed: int, said: str
) -> None:
    bind(bench, "reader")
    bind(bench, "before", "elsewhere")
    secret = {"type": "Connection", "id": "reads", "state": state}
    target = {"kind": "VaultPolicy", "name": "p", "state": "Present", "backend": "vault"}
    status = {"observedGeneration": observed, "secrets": [secret], "targets": [target]}
    bench.api.change(binding_path("elsewhere", "before"), lambda body: body.update(status=status))
    if known:
        see_bindings(bench)
    await settled(bench, **static("team.reads", "Dynamic"), request="now")
    assert bench.condition()[1] == said


async def test_a_namespace_that_is_not_seen_yet_may_use_the_role_by_its_labels(bench: RotationBench) -> None:
    selects = {"names": ["team"], "selector": {"matchLabels": {"trusted": "yes"}}}
    bench.allow(**rule(rolePrefixes=["team."]), namespaces=selects)
    bind(bench, "reader")
    bind(bench, "another", "elsewhere")
    await settled(bench, **static("team.reads", "Dynamic"))
    assert bench.condition() == ("False", "RoleInUse")
    bench.bench.cache.namespaces["elsewhere"] = NamespaceView({}, terminating=False)
    bench.restart()
    bench.bench.cache.namespaces["elsewhere"] = NamespaceView({}, terminating=False)
    await bench.rest()
    assert bench.condition() == ("True", "Ready")


async def test_a_role_in_use_is_looked_at_again_as_seldom_as_one_that_is_ready(bench: RotationBench) -> None:
    await settled(bench, **static("team.reads", "Dynamic"))
    assert bench.condition() == ("False", "RoleInUse")
    following = await bench.reconciler.reconcile(WAREHOUSE)
    assert (following.kind, following.after) == ("check", bench.bench.stores["vault"].drift_interval)


async def test_a_moment_passes_for_a_suspended_role_without_a_run(bench: RotationBench) -> None:
    bench.rotator.roles.put(THEIRS, DAILY)
    await settled(bench, **static(), schedule="0 3 * * *", suspend=True)
    bench.wait(hours=4)
    bench.restart()
    await bench.rest()
    assert bench.rotator.roles.rotated == [THEIRS]


async def test_a_rotation_that_no_rule_admits_stops_no_other(bench: RotationBench) -> None:
    # Else a tenant could stop another one's rotations by naming their secrets.
    bench.rotator.roles.put(THEIRS, DAILY)
    bench.allow(**rule(("RotateNative", "RotateGenerate")))
    key = {"key": "team/db", "field": "password"}
    for number, spec in enumerate((static(), key)):
        metadata = {"name": f"thief-{number}", "namespace": "elsewhere", "uid": f"uid-thief-{number}"}
        path = rotation_path("elsewhere", metadata["name"])
        bench.api.put(path, {"metadata": metadata, "spec": {"backendRef": {"name": "vault"}, **spec}})
    bench.declare(**static())
    bench.declare("second")
    await bench.rest()
    assert bench.condition() == ("True", "Ready")
    assert bench.condition(name="second") == ("True", "Ready")
