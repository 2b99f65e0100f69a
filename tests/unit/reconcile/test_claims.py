"""Who else may keep a thing that several bindings can declare: told by what their own passes would do, from memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airwarden.providers.kubernetes.objects import binding_path
from airwarden.reconcile.backends import Runtime
from airwarden.reconcile.claims import Declared
from airwarden.reconcile.on_record import OnRecord
from unit.reconcile.fakes import CLUSTER, KEY, Bench
from unit.reconcile.test_on_record import Sharing

ACCOUNT = "/api/v1/namespaces/team/serviceaccounts/billing"


async def declaring(bench: Bench, ending: str = ".vault") -> list[str]:
    bench.watch()
    runtime = await bench.backends.open("vault")
    assert isinstance(runtime, Runtime)
    before = len(bench.journal.lines)
    records = OnRecord(CLUSTER, bench.cache, "vault", Sharing())
    found = Declared(CLUSTER, bench.cache, runtime, bench.clock, records).declaring(ending)
    assert len(bench.journal.lines) == before, "asked of memory alone"
    return [str(each) for each in found]


async def settled() -> Bench:
    bench = Bench()
    bench.declare("team/a")
    await bench.settle()
    return bench


async def test_a_binding_counts_with_what_it_has_on_record_and_declares() -> None:
    bench = await settled()
    assert await declaring(bench) == ["team/billing"]
    assert await declaring(bench, ".another") == []


async def test_what_is_not_on_record_yet_does_not_count() -> None:
    bench = Bench()
    bench.declare("team/a.vault")
    await bench.settle()
    assert await declaring(bench) == ["team/billing"]
    bench.api.change(binding_path(*KEY), lambda body: body["status"].update(targets=[]))
    assert await declaring(bench) == []


def expire(bench: Bench) -> None:
    bench.declare("team/a", access={"notAfter": "2031-04-01T00:00:00Z"})


def lose_account(bench: Bench) -> None:
    bench.api.change(ACCOUNT, lambda body: body["metadata"].update(labels={}, uid="another"))


def take_account(bench: Bench) -> None:
    labels = {"airwarden.dev/binding": "others"}
    bench.api.change(ACCOUNT, lambda body: body["metadata"]["labels"].update(labels))


@pytest.mark.parametrize(
    "change",
    [
        Bench.delete,
        Bench.tighten,
        expire,
        take_account,
        lambda bench: bench.declare("elsewhere/a"),
    ],
    ids=["deleted", "no rule", "expired", "account of another", "nothing admitted"],
)
async def test_what_the_next_pass_would_take_away_does_not_count(change: Callable[[Bench], None]) -> None:
    bench = await settled()
    change(bench)
    assert await declaring(bench) == []


async def test_an_account_out_of_sight_is_made_again_and_takes_nothing_along() -> None:
    bench = await settled()
    lose_account(bench)
    assert await declaring(bench) == ["team/billing"]


async def test_without_its_account_a_suspended_binding_keeps_nothing() -> None:
    bench = await settled()
    bench.declare("team/a", suspend=True)
    lose_account(bench)
    assert await declaring(bench) == []


async def test_a_suspended_binding_counts_with_what_was_written_for_it() -> None:
    bench = await settled()
    bench.declare("team/a", suspend=True)
    assert await declaring(bench) == ["team/billing"]

    def forget(body: dict[str, Any]) -> None:
        body["status"]["targets"] = [{**each, "digest": ""} for each in body["status"]["targets"]]

    bench.api.change(binding_path(*KEY), forget)
    assert await declaring(bench) == []


async def test_what_cannot_be_judged_stays_as_it_is_and_counts() -> None:
    bench = Bench()
    rule = bench.backend_bodies["vault"]["spec"]["allow"][0]
    rule["namespaces"] = {"selector": {"matchLabels": {"tenant": "a"}}}
    bench.namespace_labels = {"tenant": "a"}
    bench.restart()
    bench.declare("team/a")
    await bench.settle()
    assert bench.ready == ("True", "Ready")
    bench.cache.namespaces.clear()
    assert await declaring(bench) == ["team/billing"]


async def test_a_binding_that_does_not_hold_to_its_schema_keeps_what_it_had_and_counts() -> None:
    bench = await settled()
    spec = {"secrets": [{"type": "Connection", "backendRef": {}}]}
    bench.api.change(binding_path(*KEY), lambda body: body["spec"].update(spec))
    assert await declaring(bench) == ["team/billing"]


async def test_an_external_account_counts_while_its_owner_gives_it() -> None:
    bench = Bench()
    labels = {"airwarden.dev/allow-binding": "billing"}
    bench.api.put(ACCOUNT, {"metadata": {"name": "billing", "namespace": "team", "labels": labels}})
    bench.backend_bodies["vault"]["spec"]["allow"][0]["serviceAccounts"] = ["Managed", "External"]
    bench.restart()
    bench.declare("team/a", serviceAccount={"name": "billing", "mode": "External"})
    await bench.settle()
    assert await declaring(bench) == ["team/billing"], bench.binding["status"]
    lose_account(bench)
    assert await declaring(bench) == []
