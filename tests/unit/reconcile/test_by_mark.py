"""Where a store cannot be looked at as a whole, what stands by itself and is not wanted goes; nothing is forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from airwarden.domain.errors import (
    AirwardenError,
    Forbidden,
    MountMissing,
    PartThrottled,
    PartUnreachable,
    StoreFailed,
    Throttled,
)
from airwarden.domain.holdings import Holding
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address, Grant, Observed, StaticSecret
from airwarden.providers.kubernetes.objects import binding_path
from airwarden.providers.ports import FindsByMark
from airwarden.reconcile.breaker import Breaker
from airwarden.reconcile.sweep import sweep
from unit.reconcile.fakes import CLUSTER, KEY, Bench
from unit.reconcile.test_alone import ITEM, ItemStore
from unit.reconcile.test_sweep import opened

BLIND = (Forbidden("no right"), PartThrottled("slow down", retry_after=30.0), StoreFailed("500"))
GONE = Owner(CLUSTER, "team", "gone", "vault")


class MarkedStore(ItemStore):
    """One in which each object says whose it is, but the principal can be out of sight."""

    blind: AirwardenError | None = None
    gone: MountMissing | None = None
    silent: set[str]
    """Keys whose object does not say whose it is."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)
        self.silent = set()

    def narrowed(self, grant: Grant, observed: Mapping[Address, Observed]) -> Grant | None:
        secrets = [each for each in grant.readable if isinstance(each, StaticSecret)]
        held = frozenset(each for each in secrets if not observed[self._item(grant.owner, each.key)].absent)
        return replace(grant, readable=held)

    async def observe(self, owner: Owner, addresses: Iterable[Address], *, known: bool) -> Mapping[Address, Observed]:
        if self.blind is not None:
            raise self.blind
        return await super().observe(owner, addresses, known=known)

    async def holdings(self) -> frozenset[Holding]:
        if self.blind is not None:
            raise self.blind
        return await self.marked_holdings()

    async def marked(self, owner: Owner, addresses: Iterable[Address]) -> Mapping[Address, Observed]:
        asked = tuple(addresses)
        if self.gone is not None:
            raise self.gone
        assert {each.kind for each in asked} <= self.alone
        return {each: self._seen(each, owner) for each in asked if self._key(each) not in self.silent}

    async def carrying(self, owner: Owner, *, known: bool) -> tuple[Address, ...]:
        assert known in (True, False)
        return tuple(each for each in self.contents if each.name.startswith(f"{owner.short_name_in_store}/"))

    async def marked_holdings(self) -> frozenset[Holding]:
        items = tuple(each for each in self.contents if each.name.startswith(GONE.short_name_in_store))
        return frozenset({Holding(GONE, present=self.addresses(GONE, items))} if items else ())

    @staticmethod
    def _key(address: Address) -> str:
        return address.name.rpartition("/")[2]


@pytest.fixture
async def bench() -> Bench:
    """Return a world with a binding that reads two secrets."""
    made = Bench()
    made.stores["vault"] = store = MarkedStore("vault", made.journal, made.api)
    assert isinstance(store, FindsByMark)
    made.declare("team/a", "team/b")
    await made.settle()
    return made


def store_of(bench: Bench) -> MarkedStore:
    found = bench.stores["vault"]
    assert isinstance(found, MarkedStore)
    return found


def keys(bench: Bench) -> list[str]:
    return [each for each in store_of(bench).keys if not each.startswith("airwarden-")]


def targets(bench: Bench) -> dict[str, str]:
    found = [each for each in bench.binding["status"]["targets"] if each["backend"]]
    return {each["name"].rpartition("/")[2] if each["kind"] == ITEM else each["kind"]: each["state"] for each in found}


@pytest.mark.parametrize("error", BLIND, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("suspended", [False, True], ids=["tightened", "tightened-while-suspended"])
async def test_what_is_not_wanted_goes_and_the_rest_is_as_it_was(
    bench: Bench, error: AirwardenError, *, suspended: bool
) -> None:
    if suspended:
        bench.declare("team/a", "team/b", suspend=True)
        await bench.settle()
    store_of(bench).blind = error
    bench.declare("team/b", suspend=suspended)
    await bench.look()
    assert keys(bench) == ["b"]
    assert targets(bench) == {"b": "Present", "Principal": "Present"}
    assert bench.ready == ("False", error.reason.word)
    assert [each["state"] for each in bench.binding["status"]["secrets"]] == ["Failed"]
    store_of(bench).blind = None
    await bench.settle()
    assert bench.ready == ("True", "Ready")


@pytest.mark.parametrize("error", BLIND, ids=lambda each: type(each).__name__)
async def test_what_marks_tell_to_be_gone_is_said_whatever_the_whole_look_met(
    bench: Bench, error: AirwardenError
) -> None:
    store = store_of(bench)
    store.blind, store.gone = error, MountMissing("what held it is not there")
    await bench.look()
    assert bench.ready == ("False", "MountMissing")
    bench.delete()
    await bench.look()
    assert bench.ready == ("False", "DeletionBlocked"), "the other half is not known to be gone"
    ready = bench.cache.bindings[KEY].load()["status"]["conditions"][0]
    assert error.message in ready["message"]
    store.blind = store.gone = None
    await bench.settle()
    assert store.contents == {}


async def test_while_suspended_what_is_held_is_still_said_to_be(bench: Bench) -> None:
    bench.declare("team/a", "team/b", suspend=True)
    await bench.settle()
    before = bench.binding["status"]["effective"]
    store_of(bench).blind = BLIND[0]
    bench.declare("team/b", suspend=True)
    await bench.look()
    assert bench.binding["status"]["effective"] == before


@pytest.mark.parametrize("way", ["the rules", "the binding"])
async def test_with_all_of_the_access_gone_what_could_not_be_looked_at_is_on_the_record(bench: Bench, way: str) -> None:
    store_of(bench).blind = BLIND[0]
    if way == "the rules":
        bench.tighten()
    else:
        bench.delete()
    store_of(bench).silent = {"b"}
    store_of(bench).refused = {Owner(CLUSTER, "team", "billing", "vault").short_name_in_store, "b"}
    await bench.look()
    assert keys(bench) == ["b"]
    assert targets(bench) == {"b": "Removing", "Principal": "Removing"}


async def test_what_does_not_say_whose_it_is_waits_and_is_not_forgotten(bench: Bench) -> None:
    store_of(bench).blind = BLIND[0]
    store_of(bench).silent = {"a"}
    bench.declare("team/b")
    await bench.look()
    assert keys(bench) == ["a", "b"]
    assert targets(bench) == {"a": "Present", "b": "Present", "Principal": "Present"}


async def test_what_is_not_seen_by_its_mark_is_not_forgotten_either(bench: Bench) -> None:
    store = store_of(bench)
    seen = {each: fields for each, fields in store.contents.items() if not each.name.endswith("/a")}
    store.blind, store.contents = BLIND[0], seen
    bench.declare("team/b", "team/c")
    await bench.look()
    assert "a" in targets(bench)
    assert keys(bench) == ["b"], "nothing is made meanwhile"


async def test_a_removal_that_fails_stays_on_the_record_with_its_reason(bench: Bench) -> None:
    store_of(bench).blind, store_of(bench).refused = BLIND[2], {"a"}
    bench.declare("team/b")
    await bench.look()
    found = next(each for each in bench.binding["status"]["targets"] if each["name"].endswith("/a"))
    assert (found["state"], found["reason"]) == ("Removing", "BackendForbidden")
    assert [each["state"] for each in bench.binding["status"]["secrets"]] == ["Failed"]


async def test_an_account_that_becomes_another_s_loses_what_is_found_by_its_mark(bench: Bench) -> None:
    labels = {"airwarden.dev/binding": "other", "airwarden.dev/cluster": "c1"}
    account = "/api/v1/namespaces/team/serviceaccounts/billing"
    bench.api.change(account, lambda body: body["metadata"].update(labels=labels))
    store_of(bench).blind = BLIND[0]
    await bench.look()
    assert bench.ready == ("False", "ServiceAccountTaken")
    assert keys(bench) == []
    assert targets(bench) == {"Principal": "Present"}


async def test_while_nothing_has_to_go_a_binding_is_as_ready_as_it_was(bench: Bench) -> None:
    store_of(bench).blind = BLIND[1]
    await bench.look()
    assert bench.ready == ("True", "Ready")
    assert targets(bench) == {"a": "Present", "b": "Present", "Principal": "Present"}


@pytest.mark.parametrize("error", [PartThrottled, PartUnreachable])
async def test_one_part_that_is_throttled_or_down_does_not_close_the_store(
    bench: Bench, error: type[PartThrottled | PartUnreachable]
) -> None:
    runtime = await opened(bench)
    for _ in range(10):
        runtime.note_failure(error("slow down", retry_after=30.0))
    assert not runtime.breaker.open
    assert bench.failing == []
    breaker = Breaker()
    for _ in range(3):
        breaker.failed(Throttled("slow down"))
    assert breaker.open


@pytest.mark.parametrize("error", [PartThrottled, PartUnreachable])
async def test_a_part_that_is_throttled_or_down_stops_no_write_to_another(
    bench: Bench, error: type[PartThrottled | PartUnreachable]
) -> None:
    store_of(bench).refused, store_of(bench).error = {"c"}, error
    bench.declare("team/a", "team/b", "team/c", "team/d")
    await bench.look()
    assert keys(bench) == ["a", "b", "d"]


async def test_the_sweep_takes_what_it_finds_by_mark_and_says_that_it_did_not_see_all(bench: Bench) -> None:
    store = store_of(bench)
    item = Address("vault", ITEM, f"{GONE.short_name_in_store}/a")
    store.contents[item] = {"for": GONE.short_name_in_store}
    store.blind = BLIND[0]
    store.refused = {GONE.short_name_in_store}
    tools = bench.sweeps(grace=0.0)
    tools.board["vault"] = found = await sweep(await opened(bench), tools)
    assert item not in store.contents
    assert keys(bench) == ["a", "b"]
    assert (found.status, found.reason.word) == ("Unknown", "BackendForbidden")
    assert "no right" in found.message
    assert [each.name for each in found.orphans] == ["team/gone"]
    again = await sweep(await opened(bench), tools)
    assert (again.orphans, again.count) == (found.orphans, 1), "what can no more be seen is not taken to be gone"


async def test_a_sweep_of_a_store_that_tells_nothing_by_mark_removes_nothing(bench: Bench) -> None:
    bench.stores["vault"] = plain = ItemStore("vault", bench.journal, bench.api)
    plain.errors["holdings"] = BLIND[0]
    bench.restart()
    found = await sweep(await opened(bench), bench.sweeps(grace=0.0))
    assert (found.status, found.message) == ("Unknown", "no right")


@pytest.mark.parametrize("blind", [None, StoreFailed("500")], ids=["seen", "out-of-sight"])
@pytest.mark.parametrize("ending", ["edited", "suspended", "deleted"])
async def test_what_no_record_tells_any_more_goes_by_its_mark(
    bench: Bench, blind: AirwardenError | None, ending: str
) -> None:
    def lose(body: dict[str, Any]) -> None:
        body["status"]["targets"] = [each for each in body["status"]["targets"] if not each["name"].endswith("/b")]

    bench.api.change(binding_path("team", "billing"), lose)
    store_of(bench).blind = blind
    if ending == "deleted":
        bench.delete()
    else:
        bench.declare("team/a", suspend=ending == "suspended")
    bench.watch()
    await bench.look()
    assert keys(bench) == ([] if ending == "deleted" else ["a"])
