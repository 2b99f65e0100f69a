"""Many rotations of one secret that the rules refuse: what they cost others, counted in judgements and passes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from airwarden.domain.guardrails import AdmittedRotation, BackendView, Refused, RotationRequest, judge_rotation
from airwarden.providers.kubernetes.objects import rotation_path
from airwarden.reconcile import rotation_verdicts
from airwarden.reconcile.cache import NamespaceView
from airwarden.reconcile.queue import Key, Urgency
from unit.reconcile.rotation_fakes import WAREHOUSE, RotationBench

MANY: Final = 1000
THIEVES: Final = "thieves"


@pytest.fixture
async def bench() -> AsyncIterator[RotationBench]:
    made = RotationBench()
    yield made
    await made.engine.stop(0)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the namespaces for which rules are asked, one for each judgement."""
    asked: list[str] = []

    def judge(
        key: str, operation: Any, request: RotationRequest, backend: BackendView
    ) -> AdmittedRotation | Refused | None:
        asked.append(request.namespace)
        return judge_rotation(key, operation, request, backend)

    monkeypatch.setattr(rotation_verdicts, "judge_rotation", judge)
    return asked


def steal(bench: RotationBench, count: int, first: int = 0) -> None:
    """Have somebody name the warehouse's key in many rotations of their own."""
    spec = {"backendRef": {"name": "vault"}, "key": "team/db", "field": "password", "schedule": "@daily"}
    for number in range(first, first + count):
        metadata = {"name": f"r{number}", "namespace": THIEVES, "uid": f"uid-r{number}"}
        bench.api.put(rotation_path(THIEVES, f"r{number}"), {"metadata": metadata, "spec": spec})


def known(bench: RotationBench) -> None:
    """Let the operator know all that the cluster has, and look at nothing yet."""
    for path, body in bench.api.objects.items():
        if "/airflowsecretrotations/" in path:
            bench.engine.know_rotation(body)


def submissions(bench: RotationBench) -> list[Key]:
    """Return what is handed in to be looked at from now on; none of it is looked at."""
    woken: list[Key] = []

    def noted(key: Key, urgency: Urgency) -> None:
        del urgency
        woken.append(key)

    bench.engine._submit = noted  # type: ignore[method-assign] # counts
    return woken


async def look(bench: RotationBench, key: Key = WAREHOUSE) -> None:
    await bench.reconciler.reconcile(key)


async def test_refused_rotations_of_a_secret_are_judged_once_and_not_in_each_pass_of_another(
    bench: RotationBench, judged: list[str]
) -> None:
    steal(bench, MANY)
    bench.declare()
    known(bench)
    await look(bench)
    assert bench.condition() == ("True", "Ready"), "and they stop nobody"
    assert judged.count(THIEVES) == MANY
    judged.clear()
    bench.allow()  # the rules come anew with each status of the backend
    await look(bench)
    assert judged == ["team"]


async def test_a_refused_pass_judges_no_other_rotation(bench: RotationBench, judged: list[str]) -> None:
    steal(bench, MANY)
    known(bench)
    await look(bench, (THIEVES, "r0"))
    assert bench.api.objects[rotation_path(THIEVES, "r0")]["status"]["conditions"][0]["reason"] == "RotationNotAllowed"
    assert judged == [THIEVES]


async def test_a_refused_rotation_that_comes_or_goes_wakes_none(bench: RotationBench) -> None:
    steal(bench, 3)
    bench.declare()
    await bench.rest()
    woken = submissions(bench)
    steal(bench, 2, first=3)
    bench.watch()
    assert woken == [(THIEVES, "r3"), (THIEVES, "r4")]
    body = bench.api.objects.pop(rotation_path(THIEVES, "r0"))
    bench.engine.see_rotation("DELETED", body)
    assert len(woken) == 2


async def test_one_that_is_admitted_wakes_those_that_it_stops_and_no_refused_one(bench: RotationBench) -> None:
    steal(bench, 3)
    bench.declare()
    await bench.rest()
    woken = submissions(bench)
    bench.declare("second")
    bench.watch()
    assert woken == [WAREHOUSE, ("team", "second")]


async def test_a_verdict_follows_the_rules(bench: RotationBench) -> None:
    steal(bench, 1)
    bench.declare()
    await bench.rest()
    assert bench.condition() == ("True", "Ready")
    bench.allow(namespaces={"names": ["team", THIEVES]}, keyPrefixes=["team/"], operations=["Read", "RotateGenerate"])
    bench.engine.see_backend("vault")
    await bench.rest()
    assert bench.condition() == ("False", "RotationConflict")


async def test_a_verdict_follows_the_labels_of_the_namespace(bench: RotationBench) -> None:
    selects = {"names": ["team"], "selector": {"matchLabels": {"trusted": "yes"}}}
    bench.allow(namespaces=selects, keyPrefixes=["team/"], operations=["RotateGenerate"])
    bench.bench.cache.namespaces[THIEVES] = NamespaceView({}, terminating=False)
    steal(bench, 1)
    bench.declare()
    await bench.rest()
    assert bench.condition() == ("True", "Ready")
    for labels, said in (({"trusted": "yes"}, ("False", "RotationConflict")), ({}, ("True", "Ready"))):
        bench.bench.cache.namespaces[THIEVES] = NamespaceView(labels, terminating=False)
        bench.engine.see_namespace(THIEVES)
        await bench.rest()
        assert bench.condition() == said


async def test_an_edit_is_judged_anew(bench: RotationBench) -> None:
    bench.declare()
    bench.declare("second", strategy="Revoke")
    await bench.rest()
    assert bench.condition() == ("True", "Ready")
    bench.declare("second")
    await bench.rest()
    assert bench.condition(name="second") == ("False", "RotationConflict")


async def test_of_a_rotation_that_is_gone_nothing_is_kept(bench: RotationBench) -> None:
    steal(bench, 1)
    bench.declare()
    await bench.rest()
    body = bench.api.objects.pop(rotation_path(THIEVES, "r0"))
    bench.engine.see_rotation("DELETED", body)
    assert set(bench.reconciler.verdicts._kept) == {WAREHOUSE}
