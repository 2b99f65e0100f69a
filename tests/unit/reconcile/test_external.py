"""Accounts of mode External: given by their owner's label, looked at, and never written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airwarden.reconcile.engine import Engine
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.queue import Key, Urgency
from unit.reconcile.fakes import KEY, Bench, backend_body

ACCOUNT = "/api/v1/namespaces/team/serviceaccounts/worker"
ALLOW = "airwarden.dev/allow-binding"
OWNED = {"airwarden.dev/binding": "billing", "airwarden.dev/cluster": "c1"}
RULE = {
    "name": "own",
    "namespaces": {"names": ["team"]},
    "keyPrefixes": ["{namespace}/"],
    "serviceAccounts": ["Managed", "External"],
}


def give(bench: Bench, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """Make the account as its owner does; by default it is given to the binding."""
    labels = {ALLOW: "billing"} if labels is None else labels
    return bench.api.put(ACCOUNT, {"metadata": {"name": "worker", "namespace": "team", "labels": labels}})


def relabel(bench: Bench, labels: dict[str, str]) -> None:
    bench.api.change(ACCOUNT, lambda body: body["metadata"].update(labels=labels))


@pytest.fixture
def bench() -> Bench:
    """Return a world with an External binding whose account is not there, and a rule that permits the mode."""
    made = Bench()
    made.backend_bodies["vault"] = backend_body(version=2, allow=[RULE])
    made.backends.learn(made.backend_bodies["vault"])
    made.declare("team/db", serviceAccount={"name": "worker", "mode": "External"})
    return made


@pytest.fixture
async def settled(bench: Bench) -> Bench:
    """Return the same with the account given and the binding Ready."""
    give(bench)
    await bench.settle()
    bench.journal.lines.clear()
    return bench


async def test_an_account_that_its_owner_gave_carries_the_access_and_is_not_written(bench: Bench) -> None:
    before = give(bench)
    await bench.settle()
    assert bench.ready == ("True", "Ready")
    assert [fields.get("account") for fields in bench.store.contents.values()] == [None, "worker"]
    assert bench.account("worker") == before
    assert [line for line in bench.journal.lines if "serviceaccounts" in line] == []
    assert "ServiceAccount" not in bench.targets


async def test_a_second_look_reads_the_store_alone(settled: Bench) -> None:
    await settled.look()
    assert settled.journal.lines == ["observe vault one by one"]


async def test_an_account_that_is_missing_is_not_made(bench: Bench) -> None:
    await bench.settle()
    assert bench.ready == ("False", "ServiceAccountNotFound")
    assert (bench.account("worker"), bench.store.contents) == (None, {})
    give(bench)
    await bench.settle()
    assert bench.ready == ("True", "Ready")


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ({}, "ServiceAccountNotAllowed"),
        ({"app.kubernetes.io/managed-by": "airwarden"}, "ServiceAccountNotAllowed"),
        ({ALLOW: "other"}, "ServiceAccountTaken"),
        ({ALLOW: ""}, "ServiceAccountTaken"),
        ({**OWNED, ALLOW: "billing"}, "ServiceAccountTaken"),
        ({"airwarden.dev/cluster": "c2", ALLOW: "billing"}, "ServiceAccountTaken"),
        ({"airwarden.dev/binding": "other", ALLOW: "billing"}, "ServiceAccountTaken"),
    ],
)
async def test_an_account_that_is_not_given_to_the_binding_carries_nothing(
    bench: Bench, labels: dict[str, str], why: str
) -> None:
    before = give(bench, labels)
    await bench.settle()
    assert bench.ready == ("False", why)
    assert bench.store.contents == {}
    assert bench.account("worker") == before


@pytest.mark.parametrize("labels", [{}, {ALLOW: "other"}])
async def test_a_label_that_goes_or_names_another_takes_the_access_away(settled: Bench, labels: dict[str, str]) -> None:
    relabel(settled, labels)
    await settled.settle()
    assert settled.ready[0] == "False"
    assert settled.store.contents == {}
    relabel(settled, {ALLOW: "billing"})
    await settled.settle()
    assert settled.ready == ("True", "Ready")


async def test_an_account_that_goes_takes_the_access_with_it_and_one_made_anew_with_the_label_carries_it_again(
    settled: Bench,
) -> None:
    del settled.api.objects[ACCOUNT]
    await settled.settle()
    assert settled.ready == ("False", "ServiceAccountNotFound")
    assert settled.store.contents == {}
    give(settled)
    await settled.settle()
    assert settled.ready == ("True", "Ready")


async def test_a_rule_that_does_not_list_the_mode_refuses_it_whatever_the_label_says(bench: Bench) -> None:
    give(bench)
    bench.backend_bodies["vault"] = backend_body(version=3)
    bench.backends.learn(bench.backend_bodies["vault"])
    await bench.settle()
    assert bench.ready == ("False", "AccountModeNotAllowed")
    assert bench.store.contents == {}


@pytest.mark.parametrize("labels", [{ALLOW: "billing"}, {}, {**OWNED, ALLOW: "billing"}])
async def test_a_deleted_binding_leaves_the_account_as_it_is_whatever_its_labels(
    settled: Bench, labels: dict[str, str]
) -> None:
    relabel(settled, labels)
    before = settled.account("worker")
    settled.delete()
    await settled.settle()
    assert settled.store.contents == {}
    assert settled.account("worker") == before
    assert [line for line in settled.journal.lines if "serviceaccounts" in line] == []


async def test_a_forged_record_does_not_make_the_account_ours(settled: Bench) -> None:
    account = settled.account("worker")
    assert account is not None
    target = {"backend": "", "kind": "ServiceAccount", "name": "worker", "state": "Present"}
    forged = {**target, "id": account["metadata"]["uid"]}
    path = f"/apis/airwarden.dev/v1alpha1/namespaces/team/airflowsecretbindings/{KEY[1]}"
    settled.api.change(path, lambda body: body["status"]["targets"].append(forged))
    await settled.settle()
    assert "ServiceAccount" not in settled.targets
    settled.delete()
    await settled.settle()
    assert settled.account("worker") == account


async def test_a_managed_binding_does_not_take_an_account_that_is_given_to_another() -> None:
    bench = Bench()
    bench.declare("team/db", account="worker")
    before = give(bench, {ALLOW: "other"})
    await bench.settle()
    assert bench.ready == ("False", "ServiceAccountTaken")
    assert bench.store.contents == {}
    assert bench.account("worker") == before


async def test_a_managed_binding_does_not_take_an_account_although_it_is_given_to_it() -> None:
    bench = Bench()
    bench.declare("team/db", account="worker")
    before = give(bench)
    await bench.settle()
    assert bench.ready == ("False", "NotOwned")
    assert bench.account("worker") == before


async def test_a_label_taken_off_is_as_urgent_as_a_removal_and_one_put_on_is_a_change(settled: Bench) -> None:
    looks: list[tuple[Key, Urgency]] = []
    engine = Engine("c1", settled.cache, settled.backends, settled.reconciler, Metrics(), clock=settled.clock)
    work = engine._lanes._work

    async def note(key: Key, urgency: Urgency) -> None:
        looks.append((key, urgency))
        await work(key, urgency)

    engine._lanes._work = note

    async def hear(kind: str) -> None:
        engine.see_account(kind, settled.api.objects[ACCOUNT])
        for _ in range(10_000):
            await asyncio.sleep(0)
            if engine.idle:
                return
        raise AssertionError("it never came to rest")

    await hear("MODIFIED")
    assert looks == []
    relabel(settled, {})
    await hear("DELETED")  # as a watch by label says it
    assert looks == [(KEY, Urgency.REMOVAL)]
    assert settled.store.contents == {}
    relabel(settled, {ALLOW: "billing"})
    await hear("ADDED")
    assert looks[1:] == [(KEY, Urgency.CHANGE)]
    assert settled.ready == ("True", "Ready")
    await engine.stop(0)
