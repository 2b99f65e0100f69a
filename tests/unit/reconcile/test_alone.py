"""A store with an object for each secret: what fails of one fails for that secret alone; and what such stores bring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from airwarden.domain.errors import AirwardenError, Forbidden, Unreachable
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Action, Address, Claim, Grant, Observed, Operation, Resource, StaticSecret
from airwarden.providers.kubernetes.accounts import CARRIER
from airwarden.providers.ports import Store, Written
from unit.reconcile.fakes import Bench, FakeStore

ITEM = "Item"


class ItemStore(FakeStore):
    """A principal for each owner, and an object for each secret that names it."""

    alone = frozenset({ITEM})
    refused: set[str]
    """Keys whose object cannot be written or removed."""
    taken: set[str]
    """Keys whose object is somebody else's."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.refused, self.taken = set(), set()
        self.error: type[AirwardenError] = Forbidden

    def render(self, grant: Grant) -> tuple[Resource, ...]:
        principal = self._principal(grant.owner)
        keys = sorted(each.key for each in grant.readable if isinstance(each, StaticSecret))
        items = (
            Resource(self._item(grant.owner, key), {"for": principal.name}, opens=StaticSecret(key)) for key in keys
        )
        return (Resource(principal, {"owner": str(grant.owner)}), *items)

    def addresses(self, owner: Owner, others: Iterable[Address] = ()) -> tuple[Address, ...]:
        return (*dict.fromkeys(each for each in others if each.kind == ITEM), self._principal(owner))

    def former(self, owner: Owner) -> tuple[Address, ...]:
        return ()

    async def observe(self, owner: Owner, addresses: Iterable[Address], *, known: bool) -> Mapping[Address, Observed]:
        return {each: self._seen(each, owner) for each in addresses}

    async def apply(self, operation: Operation) -> Written:
        if operation.address.name.rpartition("/")[2] in self.refused:
            raise self.error("not for you")
        if operation.action is Action.DELETE:
            self.contents.pop(operation.address, None)
        elif operation.resource is not None:
            self.contents[operation.address] = operation.resource.fields
        return Written("id-of-it")

    @property
    def keys(self) -> list[str]:
        """Keys that the store opens, and whether there is a principal."""
        return sorted(each.name.rpartition("/")[2] for each in self.contents)

    def _seen(self, address: Address, owner: Owner) -> Observed:
        if address.name.rpartition("/")[2] in self.taken:
            return Observed(address, {"for": "others"}, Claim.FOREIGN, held_by="somebody else made it: remove it")
        return self._observed(address, owner)

    def _principal(self, owner: Owner) -> Address:
        return Address(self.name, "Principal", owner.at(self.name).short_name_in_store)

    def _item(self, owner: Owner, key: str) -> Address:
        return Address(self.name, ITEM, f"{owner.at(self.name).short_name_in_store}/{key.rpartition('/')[2]}")


@pytest.fixture
def bench() -> Bench:
    return itemised(Bench())


def itemised(bench: Bench) -> Bench:
    bench.stores["vault"] = ItemStore("vault", bench.journal, bench.api)
    as_reconciled: Store = bench.stores["vault"]
    assert as_reconciled.alone
    return bench


def store_of(bench: Bench) -> ItemStore:
    found = bench.stores["vault"]
    assert isinstance(found, ItemStore)
    return found


def states(bench: Bench) -> dict[str, tuple[str, str]]:
    return {each["id"]: (each["state"], each.get("reason", "")) for each in bench.binding["status"]["secrets"]}


async def test_each_secret_has_its_object_and_all_of_them_go_with_the_binding(bench: Bench) -> None:
    bench.declare("team/a", "team/b")
    await bench.settle()
    assert bench.ready == ("True", "Ready")
    principal = Owner("c1", "team", "billing", "vault").short_name_in_store
    assert store_of(bench).keys == sorted(["a", "b", principal])
    bench.declare("team/b")
    await bench.settle()
    assert store_of(bench).keys == sorted(["b", principal])
    bench.delete()
    await bench.look()
    assert store_of(bench).keys == []


async def test_a_write_that_fails_fails_its_own_secret_and_no_other(bench: Bench) -> None:
    store_of(bench).refused = {"a"}
    bench.declare("team/a", "team/b", "team/c")
    await bench.look()
    assert states(bench) == {
        "id0": ("Failed", "BackendForbidden"),
        "id1": ("Granted", ""),
        "id2": ("Granted", ""),
    }
    assert bench.ready == ("False", "BackendForbidden")
    store_of(bench).refused = set()
    await bench.settle()
    assert bench.ready == ("True", "Ready")


async def test_a_store_that_is_down_is_not_asked_for_each_secret(bench: Bench) -> None:
    store_of(bench).refused, store_of(bench).error = {"a"}, Unreachable
    bench.declare("team/a", "team/b")
    await bench.look()
    assert "b" not in store_of(bench).keys
    assert set(states(bench).values()) == {("Failed", "BackendUnreachable")}


async def test_an_object_of_somebody_else_fails_its_own_secret_and_no_other(bench: Bench) -> None:
    store_of(bench).taken = {"a"}
    bench.declare("team/a", "team/b")
    await bench.look()
    assert states(bench) == {"id0": ("Failed", "NotOwned"), "id1": ("Granted", "")}
    assert "somebody else made it" in bench.binding["status"]["secrets"][0]["message"]
    assert "a" not in store_of(bench).keys
    assert "b" in store_of(bench).keys


async def test_the_principal_stays_until_everything_that_names_it_is_gone(bench: Bench) -> None:
    bench.declare("team/a", "team/b")
    await bench.settle()
    store_of(bench).refused = {"a"}
    bench.delete()
    await bench.look()
    assert [each for each in store_of(bench).keys if not each.startswith("airwarden-")] == ["a"]
    assert any(each.startswith("airwarden-") for each in store_of(bench).keys)
    store_of(bench).refused = set()
    await bench.look()
    assert store_of(bench).keys == []


async def test_a_target_in_a_status_that_the_binding_does_not_derive_is_never_removed(bench: Bench) -> None:
    bench.declare("team/a")
    await bench.settle()
    other = Owner("c1", "team", "other", "vault").short_name_in_store
    forged = Address("vault", ITEM, f"{other}/stolen")
    store_of(bench).contents[forged] = {"for": other}
    entry = {"backend": "vault", "kind": ITEM, "name": forged.name, "state": "Present"}
    bench.binding["status"]["targets"].append(entry)
    bench.restart()
    await bench.look()
    assert forged in store_of(bench).contents


async def test_what_takes_effect_later_is_a_condition_of_its_own_and_time_moves_it_on(bench: Bench) -> None:
    store_of(bench).effect_lag = 600.0
    bench.restart()
    bench.declare("team/a")
    following = await bench.look()
    assert bench.ready == ("True", "Ready")
    shown = effective(bench)
    assert (shown["status"], shown["reason"]) == ("Unknown", "Propagating")
    assert following.turn is not None
    bench.now = following.turn.at
    following = await bench.look()
    assert (effective(bench)["status"], effective(bench)["reason"]) == ("True", "Effective")
    assert following.turn is None
    before = len(bench.journal.kinds())
    await bench.look()
    assert len(bench.journal.kinds()) == before


async def test_a_store_that_acts_at_once_has_no_such_condition(bench: Bench) -> None:
    bench.declare("team/a")
    await bench.settle()
    assert [each["type"] for each in bench.binding["status"]["conditions"]] == ["Ready"]


async def test_an_account_carries_what_the_store_asks_for_and_nothing_else_is_written(bench: Bench) -> None:
    store_of(bench).annotated = {"store.test/client": "one"}
    bench.declare("team/a")
    await bench.settle()
    account = bench.account()
    assert account is not None
    assert account["metadata"]["annotations"] == {"store.test/client": "one"}
    assert account["metadata"]["managedFields"][-1]["manager"] == CARRIER
    store_of(bench).annotated = {"store.test/client": "two"}
    await bench.settle()
    account = bench.account()
    assert account is not None
    assert account["metadata"]["annotations"] == {"store.test/client": "two"}


async def test_a_store_without_sessions_of_its_own_promises_none(bench: Bench) -> None:
    store_of(bench).sessions = None
    rule = bench.backend_bodies["vault"]["spec"]["allow"][0]
    rule["session"] = {"required": False}
    bench.restart()
    bench.declare("team/a")
    await bench.settle()
    status = bench.binding["status"]
    assert bench.ready == ("True", "Ready")
    assert status["effective"].get("sessionTTL", "") == ""
    assert {each["reason"] for each in status["targets"] if each["backend"]} == {"SessionTTLNotEnforced"}
    rule["session"] = {"required": True}
    bench.restart()
    await bench.look()
    assert bench.ready == ("False", "SessionNotAllowed")


def effective(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in bench.binding["status"]["conditions"] if each["type"] == "Effective")
    assert datetime.fromisoformat(found["lastTransitionTime"]) <= datetime.now(UTC).replace(year=2100)
    return found
