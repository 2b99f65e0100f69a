"""A suspended binding: nothing is added, whatever happens, and what must go goes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airwarden.domain.errors import Unreachable
from airwarden.domain.resources import Address
from unit.reconcile.fakes import Bench

NAME = "airwarden.c1.team.billing.vault"
POLICY, ROLE = Address("vault", "Policy", NAME), Address("vault", "Role", NAME)
ACCOUNTS = "/api/v1/namespaces/team/serviceaccounts"


def suspend(bench: Bench, *keys: str, **spec: Any) -> None:
    """Suspend the binding, with these keys declared."""
    bench.declare(*(keys or ("team/db", "team/more")), suspend=True, **spec)


@pytest.fixture
async def suspended() -> Bench:
    """Return a world with a suspended binding that holds both its secrets; its journal starts afterwards."""
    bench = Bench()
    bench.declare("team/db", "team/more")
    await bench.settle()
    suspend(bench)
    await bench.settle()
    bench.journal.lines.clear()
    return bench


def conditions(bench: Bench) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in bench.binding["status"]["conditions"]}


def states(bench: Bench) -> list[tuple[str, str]]:
    return [(each["state"], each.get("reason", "")) for each in bench.binding["status"]["secrets"]]


def paths(bench: Bench) -> object:
    return bench.store.contents[POLICY]["paths"]


async def test_what_is_held_stays_it_is_ready_and_says_that_it_is_suspended(suspended: Bench) -> None:
    assert conditions(suspended) == {"Ready": ("True", "Ready"), "Suspended": ("True", "Suspended")}
    assert paths(suspended) == ("team/db", "team/more")
    for _ in range(3):
        await suspended.look()
    assert suspended.journal.kinds() == []


async def test_a_new_binding_that_is_suspended_gets_neither_access_nor_account() -> None:
    bench = Bench()
    suspend(bench)
    await bench.settle()
    assert bench.journal.kinds() == ["PATCH billing finalizer on", "PATCH billing status Suspended"]
    assert (bench.store.contents, bench.account(), bench.targets) == ({}, None, {})
    assert states(bench) == [("Pending", "Suspended")] * 2
    assert conditions(bench) == {
        "Ready": ("False", "Suspended"),
        "Stalled": ("True", "Suspended"),
        "Suspended": ("True", "Suspended"),
    }
    bench.declare("team/db")
    await bench.settle()
    assert conditions(bench) == {"Ready": ("True", "Ready")}


async def test_an_edit_adds_nothing_until_the_suspension_ends(suspended: Bench) -> None:
    suspend(suspended, "team/db", "team/more", "team/third")
    await suspended.settle()
    assert suspended.journal.kinds() == ["PATCH billing status Suspended"]
    assert states(suspended) == [("Granted", ""), ("Granted", ""), ("Pending", "Suspended")]
    assert suspended.binding["status"]["summary"]["secrets"] == "2/3"
    suspended.declare("team/db", "team/more", "team/third")
    await suspended.settle()
    assert paths(suspended) == ("team/db", "team/more", "team/third")


async def test_an_edit_removes_and_a_changed_key_is_only_removed(suspended: Bench) -> None:
    suspend(suspended, "team/db", "team/other")
    await suspended.settle()
    assert paths(suspended) == ("team/db",)
    assert states(suspended) == [("Granted", ""), ("Pending", "Suspended")]


async def test_what_was_removed_while_suspended_does_not_come_back_while_suspended(suspended: Bench) -> None:
    suspend(suspended, "team/db")
    await suspended.settle()
    suspend(suspended, "team/db", "team/more")
    await suspended.settle()
    assert paths(suspended) == ("team/db",)


async def test_a_tightened_rule_and_a_deletion_act(suspended: Bench) -> None:
    suspended.tighten()
    await suspended.look()
    assert (suspended.ready, suspended.store.contents) == (("False", "KeyNotAllowed"), {})
    suspended.delete()
    await suspended.look()
    assert suspended.api.objects == {}


async def test_the_end_acts(suspended: Bench) -> None:
    end = (suspended.now - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    suspend(suspended, access={"notAfter": end})
    await suspended.look()
    assert (suspended.ready, suspended.store.contents) == (("False", "Expired"), {})
    assert conditions(suspended)["Suspended"] == ("True", "Suspended")


async def test_sessions_get_shorter_and_never_longer(suspended: Bench) -> None:
    suspend(suspended, access={"session": {"maxTTL": "10m"}})
    await suspended.settle()
    assert suspended.store.contents[ROLE]["max_ttl"] == 600
    suspend(suspended)
    await suspended.settle()
    assert suspended.store.contents[ROLE]["max_ttl"] == 600
    assert suspended.binding["status"]["effective"]["sessionMaxTTL"] == "10m", "the status shows what is really so"


@pytest.mark.parametrize("gone", [POLICY, ROLE])
async def test_what_was_removed_by_hand_is_not_put_back(suspended: Bench, gone: Address) -> None:
    del suspended.store.contents[gone]
    await suspended.settle()
    assert suspended.store.contents == {}, "half of it gives nothing and goes too"
    assert suspended.ready == ("False", "Suspended")
    assert not any(line.startswith(("Create", "Update")) for line in suspended.journal.lines)


async def test_what_was_narrowed_by_hand_stays_narrow_and_what_was_widened_is_narrowed(suspended: Bench) -> None:
    suspended.store.contents[POLICY] = {**suspended.store.contents[POLICY], "paths": ("team/more", "all/of/it")}
    suspended.store.contents[ROLE] = {**suspended.store.contents[ROLE], "ttl": 60, "max_ttl": 99999}
    await suspended.settle()
    assert paths(suspended) == ("team/more",)
    role = suspended.store.contents[ROLE]
    assert (role["ttl"], role["max_ttl"]) == (60, 3600)
    assert states(suspended) == [("Pending", "Suspended"), ("Granted", "")]


async def test_an_account_removed_by_hand_is_not_made_and_its_access_goes(suspended: Bench) -> None:
    """Else whoever may make accounts could take its place."""
    del suspended.api.objects[f"{ACCOUNTS}/billing"]
    await suspended.settle()
    assert (suspended.account(), suspended.store.contents) == (None, {})
    assert suspended.ready == ("False", "Suspended")
    suspended.declare("team/db", "team/more")
    await suspended.settle()
    assert suspended.ready == ("True", "Ready")
    assert suspended.account() is not None


async def test_a_lost_status_adds_nothing_and_the_record_comes_back(suspended: Bench) -> None:
    suspended.api.change("/apis/airwarden.dev/v1alpha1/namespaces/team/airflowsecretbindings/billing", _drop_status)
    await suspended.settle()
    assert suspended.ready == ("True", "Ready")
    assert suspended.targets == {"ServiceAccount": "Present", "Policy": "Present", "Role": "Present"}


def _drop_status(body: dict[str, Any]) -> None:
    del body["status"]


async def test_in_an_outage_it_says_what_it_last_knew(suspended: Bench) -> None:
    suspended.store.errors["observe"] = Unreachable("no answer")
    await suspended.look()
    assert suspended.ready == ("True", "Ready")
    suspend(suspended, "team/db", "team/more", "team/third")
    await suspended.look()
    assert suspended.ready == ("False", "BackendUnreachable")
    assert conditions(suspended)["Suspended"] == ("True", "Suspended")
    assert suspended.targets == {"ServiceAccount": "Present", "Policy": "Present", "Role": "Present"}


async def test_what_is_not_ours_is_neither_kept_nor_touched(suspended: Bench) -> None:
    suspended.api.change("/apis/airwarden.dev/v1alpha1/namespaces/team/airflowsecretbindings/billing", _drop_status)
    suspended.store.foreign.update((POLICY, ROLE))
    before = dict(suspended.store.contents)
    await suspended.settle()
    assert suspended.store.contents == before
    assert suspended.ready == ("False", "NotOwned")
