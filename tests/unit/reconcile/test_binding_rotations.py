"""A binding's rotations on a fake cluster: made, set right and removed by its own passes, and shown in its status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airwarden.api.rotation import AirflowSecretRotation
from airwarden.domain.errors import ClusterForbidden
from airwarden.domain.rotation import sugar
from airwarden.providers.kubernetes.accounts import BINDING
from airwarden.providers.kubernetes.api import Json
from airwarden.providers.kubernetes.objects import binding_path, rotation_path
from airwarden.reconcile.engine import Engine
from airwarden.reconcile.metrics import Metrics
from unit.reconcile.fake_cluster import Killed
from unit.reconcile.fakes import KEY, Bench, backend_body

NAME = sugar.name_of("billing", "Connection/id0")
PATH = rotation_path("team", NAME)
DONE = {"id": "r-1", "time": "2031-05-02T03:00:05Z", "result": "Succeeded", "reason": "Rotated", "version": 7}


@pytest.fixture
def bench() -> Bench:
    """Return an operator on an empty cluster."""
    return Bench()


async def settled(bench: Bench, *keys: str, **spec: Any) -> Bench:
    """Declare the binding, and look until nothing changes."""
    bench.declare(*(keys or ("team/db",)), **spec)
    await bench.settle()
    bench.journal.lines.clear()
    return bench


def rotations(bench: Bench) -> dict[str, Json]:
    """Return the specs of all rotations that there are, by name."""
    return {
        path.rsplit("/", 1)[1]: body["spec"]
        for path, body in sorted(bench.api.objects.items())
        if "/airflowsecretrotations/" in path
    }


def said(bench: Bench, path: str = PATH, reason: str = "", **status: Any) -> None:
    """Let the rotation's status say so."""
    ready: Json = {"type": "Ready", "status": "False" if reason else "True", "reason": reason or "Ready"}
    bench.api.change(path, lambda body: body.update(status={"conditions": [{**ready, "message": "so"}], **status}))


def rename(bench: Bench, item: str) -> None:
    """Give the binding's secret another id."""
    bench.api.change(binding_path(*KEY), lambda body: body["spec"]["secrets"][0].update(id=item))


def by_hand(bench: Bench, name: str = "own", key: str = "team/db", namespace: str = "team") -> str:
    """Make a rotation as somebody else does."""
    path = rotation_path(namespace, name)
    spec = {"backendRef": {"name": "vault"}, "key": key, "field": "password"}
    bench.api.put(path, {"metadata": {"name": name, "namespace": namespace}, "spec": spec})
    return path


def health(bench: Bench) -> tuple[str, str] | None:
    """Return what the binding says of its rotations."""
    found = [each for each in bench.binding["status"]["conditions"] if each["type"] == "RotationsHealthy"]
    return (found[0]["status"], found[0]["reason"]) if found else None


def changes(bench: Bench) -> list[str]:
    """Return what was asked of the cluster about rotations, and of the binding's status."""
    return [each for each in bench.journal.kinds() if "otations" in each or NAME in each or "status" in each]


async def test_a_binding_without_rotations_asks_and_says_nothing_of_them(bench: Bench) -> None:
    await settled(bench)
    assert "rotations" not in bench.binding["status"]
    assert health(bench) is None
    assert not [each for each in bench.journal.lines if "rotation" in each]


async def test_each_static_secret_gets_a_rotation_that_carries_the_binding_s_labels(bench: Bench) -> None:
    await settled(bench, "team/db", "team/more", rotation={"schedule": "@daily", "jitter": "10m"})
    names = [sugar.name_of("billing", f"Connection/id{number}") for number in (0, 1)]
    assert sorted(rotations(bench)) == sorted(names)
    made = bench.api.objects[PATH]
    assert made["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "airwarden",
        "airwarden.dev/binding": "billing",
        "airwarden.dev/cluster": "c1",
    }
    spec = AirflowSecretRotation.model_validate({key: made[key] for key in ("metadata", "spec")}).spec
    assert (spec.key, spec.field, spec.schedule, spec.jitter) == ("team/db", "password", "@daily", "10m")
    assert bench.ready == ("True", "Ready")


async def test_a_second_look_and_a_restart_write_nothing(bench: Bench) -> None:
    await settled(bench, rotation={"schedule": "@daily"})
    await bench.look()
    bench.restart()
    await bench.look()
    assert bench.journal.kinds() == []


async def test_an_edit_is_carried_over_and_what_others_changed_is_set_right(bench: Bench) -> None:
    await settled(bench, rotation={"schedule": "@daily", "jitter": "10m"})
    bench.declare("team/db", rotation={"schedule": "@weekly"})
    await bench.settle()
    assert rotations(bench)[NAME]["schedule"] == "@weekly"
    assert "jitter" not in rotations(bench)[NAME]
    bench.api.change(PATH, lambda body: body["spec"].update(suspend=True))
    bench.watch()
    assert not bench.reconciler.rotations.shows_what_is_so(bench.model)
    await bench.settle()
    assert not rotations(bench)[NAME].get("suspend", False)


async def test_a_key_that_moves_makes_the_rotation_anew(bench: Bench) -> None:
    await settled(bench, rotation={})
    before = bench.api.objects[PATH]["metadata"]["uid"]
    bench.declare("team/other", rotation={})
    await bench.settle()
    assert rotations(bench)[NAME]["key"] == "team/other"
    assert bench.api.objects[PATH]["metadata"]["uid"] != before


async def test_suspending_the_binding_suspends_its_rotations_and_makes_no_new_ones(bench: Bench) -> None:
    await settled(bench, rotation={})
    bench.declare("team/db", "team/more", rotation={}, suspend=True)
    await bench.settle()
    assert {name: spec.get("suspend") for name, spec in rotations(bench).items()} == {NAME: True}


@pytest.mark.parametrize("gone", ["item", "rotation"])
async def test_a_rotation_goes_with_its_item_and_with_the_sugar_and_its_last_state_is_kept(
    bench: Bench, gone: str
) -> None:
    await settled(bench, rotation={})
    said(bench, lastRun=DONE, lastSuccess=DONE["time"])
    if gone == "item":
        rename(bench, "id1")
    else:
        bench.declare("team/db")
    await bench.settle()
    assert NAME not in rotations(bench)
    (left,) = [each for each in bench.binding["status"]["rotations"] if each.get("removed")]
    assert (left["name"], left["result"], left["version"], left["lastRun"]) == (
        f"team/{NAME}",
        "Succeeded",
        7,
        DONE["time"],
    )
    assert "next" not in left
    bench.journal.lines.clear()
    await bench.look()
    assert bench.journal.kinds() == []


async def test_what_is_kept_of_rotations_that_are_gone_is_bounded(bench: Bench) -> None:
    await settled(bench, rotation={})
    for number in range(20):
        rename(bench, f"n{number}")
        await bench.settle()
    removed = [each for each in bench.binding["status"]["rotations"] if each.get("removed")]
    assert len(removed) == 16
    assert removed[-1]["name"] == f"team/{sugar.name_of('billing', 'Connection/n18')}"


async def test_before_the_event_of_a_deletion_comes_nothing_is_deleted_twice(bench: Bench) -> None:
    await settled(bench, rotation={})
    bench.declare("team/db")
    entry = bench.rotations.rotations["team", NAME]
    await bench.look()
    bench.rotations.learn({**entry.load(), "metadata": {**entry.load()["metadata"], "resourceVersion": "1"}})
    bench.journal.lines.clear()
    await bench.reconciler.reconcile(KEY)
    assert bench.journal.kinds() == []


async def test_deleting_the_binding_removes_its_rotations_though_its_store_is_down(bench: Bench) -> None:
    await settled(bench, rotation={})
    others = by_hand(bench)
    bench.store.errors["observe"] = ClusterForbidden("no way there")
    bench.delete()
    await bench.look()
    assert PATH not in bench.api.objects
    assert others in bench.api.objects
    assert bench.ready == ("False", "DeletionBlocked")
    bench.store.errors.clear()
    await bench.look()
    assert [path for path in bench.api.objects if "/team/" in path] == [others]
    assert bench.reconciler._tools.rotations._deleted == {}, "nothing is kept of what is gone"


async def test_a_rotation_of_the_name_that_is_not_ours_is_left_alone_and_told(bench: Bench) -> None:
    path = by_hand(bench, NAME, key="team/else")
    before = bench.api.objects[path]
    await settled(bench, rotation={"schedule": "@daily"})
    assert bench.api.objects[path] == before
    assert health(bench) == ("False", "NotOwned")
    assert bench.ready == ("True", "Ready")
    del bench.api.objects[path]
    await bench.settle()
    assert rotations(bench)[NAME]["key"] == "team/db"
    bench.api.change(path, lambda body: body["metadata"].update(labels={BINDING: "another"}))
    bench.delete()
    await bench.settle()
    assert path in bench.api.objects


@pytest.mark.parametrize("labels", [{"airwarden.dev/cluster": "c2"}, {"app.kubernetes.io/managed-by": "somebody"}])
async def test_a_label_of_another_cluster_or_tool_is_not_ours(bench: Bench, labels: dict[str, str]) -> None:
    await settled(bench, rotation={})
    bench.api.change(PATH, lambda body: body["metadata"]["labels"].update(labels))
    bench.declare("team/db")
    await bench.settle()
    assert PATH in bench.api.objects


async def test_a_rotation_that_somebody_labelled_as_ours_under_another_name_stays(bench: Bench) -> None:
    await settled(bench, rotation={})
    path = by_hand(bench)
    labels = bench.api.objects[PATH]["metadata"]["labels"]
    bench.api.change(path, lambda body: body["metadata"].update(labels=labels))
    await bench.settle()
    assert path in bench.api.objects


async def test_the_binding_shows_next_and_last_of_all_rotations_of_what_it_reads(bench: Bench) -> None:
    path = by_hand(bench)
    await settled(bench, "team/db", "team/more")
    said(bench, path, next="2031-05-03T03:00:00Z", lastRun=DONE, lastSuccess=DONE["time"])
    bench.watch()
    assert not bench.reconciler.rotations.shows_what_is_so(bench.model)
    await bench.settle()
    assert [each for each in bench.journal.kinds() if "status" in each] == ["PATCH billing status Ready"]
    summary = bench.binding["status"]["summary"]
    assert (summary["nextRotation"], summary["lastRotation"]) == ("2031-05-03T03:00:00Z", DONE["time"])
    (shown,) = bench.binding["status"]["rotations"]
    assert (shown["name"], shown["secret"], shown["version"]) == ("team/own", "Connection/id0", 7)
    assert health(bench) == ("True", "Healthy")
    assert bench.reconciler.rotations.shows_what_is_so(bench.model)
    del bench.api.objects[path]
    await bench.settle()
    assert "rotations" not in bench.binding["status"]
    assert health(bench) is None


@pytest.mark.parametrize(("role", "shown"), [("team.reports", True), ("team.others", False)])
async def test_the_binding_shows_the_rotation_of_a_database_role_that_it_reads(
    bench: Bench, role: str, *, shown: bool
) -> None:
    path = rotation_path("team", "own")
    rotated = {"engine": "database", "name": "team.reports", "kind": "Static"}
    spec = {"backendRef": {"name": "vault"}, "databaseRole": rotated, "strategy": "Native"}
    bench.api.put(path, {"metadata": {"name": "own", "namespace": "team"}, "spec": spec})
    said(bench, path, next="2031-05-03T03:00:00Z", lastRun=DONE, lastSuccess=DONE["time"])
    dynamic = [{"engine": "database", "rolePrefixes": ["{namespace}."]}]
    rules = [{"name": "own", "namespaces": {"names": ["team"]}, "dynamic": dynamic}]
    bench.backends.learn(backend_body(version=9, allow=rules))
    read = {"engine": "database", "role": role, "kind": "Static"}
    await settled(bench, secrets=[{"type": "Connection", "id": "db", "backendRef": {"name": "vault"}, "dynamic": read}])
    assert bench.binding["status"]["summary"].get("nextRotation") == ("2031-05-03T03:00:00Z" if shown else None)
    assert [each["secret"] for each in bench.binding["status"].get("rotations", ())] == ["Connection/db"] * shown


async def test_when_others_rotate_what_a_binding_may_not_read_is_not_shown(bench: Bench) -> None:
    said(bench, by_hand(bench, key="finance/db", namespace="finance"), next="2031-05-03T03:00:00Z")
    await settled(bench, "finance/db")
    assert bench.ready == ("False", "KeyNotAllowed")
    assert "rotations" not in bench.binding["status"]


async def test_a_refused_rotation_is_told_and_the_access_stays_ready(bench: Bench) -> None:
    await settled(bench, rotation={})
    said(bench, reason="RotationNotAllowed")
    await bench.settle()
    assert health(bench) == ("False", "RotationNotAllowed")
    assert bench.ready == ("True", "Ready")
    assert bench.binding["status"]["rotations"][0]["reason"] == "RotationNotAllowed"
    assert [each["reason"] for each in bench.api.events][-1] == "RotationNotAllowed"
    said(bench)
    await bench.settle()
    assert health(bench) == ("True", "Healthy")


async def test_what_the_cluster_refuses_is_told_and_tried_again(bench: Bench) -> None:
    refusing: Callable[..., Any] = bench.api.post

    async def post(path: str, body: Json) -> Json:
        if path.endswith("/airflowsecretrotations"):
            raise ClusterForbidden("no right to create")
        found: Json = await refusing(path, body)
        return found

    bench.api.post = post  # type: ignore[method-assign]
    bench.declare("team/db", rotation={})
    following = await bench.look()
    assert following.kind == "retry"
    assert health(bench) == ("False", "ClusterForbidden")
    assert bench.ready == ("True", "Ready")
    bench.api.post = refusing  # type: ignore[method-assign]
    await bench.settle()
    assert NAME in rotations(bench)


async def test_a_rotation_that_came_unseen_is_not_overwritten(bench: Bench) -> None:
    bench.declare("team/db", rotation={})
    bench.watch()
    path = by_hand(bench, NAME, key="team/else")
    await bench.reconciler.reconcile(KEY)
    assert rotations(bench)[NAME]["key"] == "team/else"
    await bench.settle()
    assert health(bench) == ("False", "NotOwned")
    assert path in bench.api.objects


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("act", ["create", "edit", "move", "take away", "delete"])
async def test_killed_at_any_request_the_next_process_finishes_it(when: Any, act: str) -> None:
    """Each number of request of the act, until one is reached that is not made any more."""
    before: dict[str, Any] = {} if act == "create" else {"rotation": {"schedule": "@daily"}}
    after: dict[str, Any] = {} if act == "take away" else {"rotation": {"schedule": "@weekly"}}
    for number in range(1, 40):
        bench = await settled(Bench(), **before)
        bench.journal.fail_at, bench.journal.when, bench.journal.error = number, when, Killed()
        if act == "delete":
            bench.delete()
        else:
            bench.declare("team/other" if act == "move" else "team/db", **after)
        try:
            await bench.settle()
        except Killed:
            bench.journal.error = None
            bench.restart()
            await bench.settle()
            wanted = {} if act in ("take away", "delete") else {NAME: "@weekly"}
            assert {name: spec["schedule"] for name, spec in rotations(bench).items()} == wanted, f"{act} at {number}"
            continue
        assert number > 2
        return
    raise AssertionError("it never ended")


async def rest(engine: Engine) -> None:
    """Let all that is queued be done."""
    for _ in range(10_000):
        await asyncio.sleep(0)
        if engine.idle:
            return
    raise AssertionError("no rest")


async def test_a_changed_rotation_wakes_those_that_read_its_secret_and_no_others(bench: Bench) -> None:
    engine = Engine("c1", bench.cache, bench.backends, bench.reconciler, Metrics(), clock=bench.clock)
    path = by_hand(bench)
    await settled(bench)
    engine.see_rotation(bench.rotations.rotations["team", "own"])
    assert engine.idle, "the binding shows it already"
    said(bench, path, next="2031-05-03T03:00:00Z")
    elsewhere = bench.rotations.learn({**bench.api.objects[path], "spec": {"key": "team/else"}})
    engine.see_rotation(elsewhere)
    assert engine.idle, "no binding reads that key"
    engine.see_rotation(bench.rotations.learn(bench.api.change(path, lambda body: body["metadata"].update(labels={}))))
    assert not engine.idle
    await rest(engine)
    assert bench.binding["status"]["summary"]["nextRotation"] == "2031-05-03T03:00:00Z"
    await engine.stop(0)


@pytest.mark.parametrize("ours", [True, False])
async def test_a_binding_hears_that_a_rotation_of_a_name_that_it_wants_is_gone(bench: Bench, *, ours: bool) -> None:
    if not ours:
        by_hand(bench, NAME, key="team/else")
    engine = Engine("c1", bench.cache, bench.backends, bench.reconciler, Metrics(), clock=bench.clock)
    await settled(bench, rotation={})
    del bench.api.objects[PATH]
    lost = bench.rotations.forget(("team", NAME), "")
    assert lost is not None
    engine.see_rotation(lost)
    await rest(engine)
    assert NAME in rotations(bench)
    await engine.stop(0)


async def test_before_a_new_rotation_was_looked_at_what_was_said_before_stays(bench: Bench) -> None:
    await settled(bench, rotation={})
    assert health(bench) is None, "nobody knows yet"
    said(bench)
    await bench.settle()
    assert health(bench) == ("True", "Healthy")
    bench.declare("team/db", "team/more", rotation={})
    await bench.settle()
    assert health(bench) == ("True", "Healthy")
    said(bench, rotation_path("team", sugar.name_of("billing", "Connection/id1")), reason="RotationNotAllowed")
    await bench.settle()
    assert health(bench) == ("False", "RotationNotAllowed")
