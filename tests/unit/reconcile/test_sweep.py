"""What a binding left is removed without one, in its store and as its account; what is owned or foreign never is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from airwarden.api.reasons import Reason
from airwarden.domain.errors import ClusterFailed, ClusterIDConflict, Forbidden, MountMissing, StoreFailed, Unreachable
from airwarden.domain.holdings import Holding, Use
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address, Adoption
from airwarden.domain.sweep import FEW
from airwarden.providers.kubernetes.accounts import Accounts
from airwarden.providers.kubernetes.api import Json
from airwarden.providers.kubernetes.live import LiveBinding, LiveObjects
from airwarden.providers.kubernetes.objects import binding_path
from airwarden.providers.ports import SWEEP_FORMER
from airwarden.reconcile import parts
from airwarden.reconcile.account_sweep import AccountSweep
from airwarden.reconcile.backends import Runtime
from airwarden.reconcile.sweep import Found, SweepTools, sweep
from unit.reconcile.fake_cluster import FakeApi, Journal
from unit.reconcile.fakes import CLUSTER, KEY, Bench, FakeStore, held_by

GONE = Owner(CLUSTER, "team", "gone", "vault")


def leave(bench: Bench, owner: Owner = GONE) -> tuple[Address, ...]:
    """Put into the store what a binding leaves that went unseen."""
    addresses = bench.store.addresses(owner)
    for each in addresses:
        bench.store.contents[each] = {"owner": str(owner)}
    return addresses


async def opened(bench: Bench, name: str = "vault") -> Runtime:
    found = await bench.backends.open(name)
    assert isinstance(found, Runtime)
    return found


async def swept(bench: Bench, grace: float = 0.0, tools: SweepTools | None = None) -> Found:
    return await sweep(await opened(bench), tools or bench.sweeps(grace=grace))


async def settled() -> Bench:
    """Return a bench with one binding that is Ready."""
    bench = Bench()
    bench.declare("team/db")
    await bench.settle()
    return bench


async def test_what_no_binding_owns_goes_and_the_rest_stays() -> None:
    bench = await settled()
    before = dict(bench.store.contents)
    leave(bench)
    found = await swept(bench)
    assert bench.store.contents == before
    assert (found.status, found.reason, found.count) == ("True", Reason.SWEPT, 0)


async def test_it_waits_for_its_grace_and_stands_on_the_record_meanwhile() -> None:
    bench = await settled()
    addresses = leave(bench)
    tools = bench.sweeps(grace=3600)
    tools.board["vault"] = first = await swept(bench, tools=tools)
    assert [each.name for each in first.orphans] == ["team/gone"]
    assert set(addresses) <= set(bench.store.contents)
    assert await swept(bench, tools=tools) == first, "the same says the same, so that nothing is written"


async def test_an_account_of_the_store_that_cannot_be_read_removes_nothing() -> None:
    bench = await settled()
    addresses = leave(bench)
    for error in (Unreachable("down"), StoreFailed("broken"), MountMissing("gone")):
        bench.store.errors["holdings"] = error
        found = await swept(bench)
        assert (found.status, found.reason) == ("Unknown", error.reason)
    assert set(addresses) <= set(bench.store.contents)


async def test_a_list_of_bindings_that_fails_removes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await settled()
    addresses = leave(bench)

    async def fail(_self: FakeApi, path: str) -> Json:
        raise ClusterFailed(f"no answer to {path}")

    monkeypatch.setattr(FakeApi, "get", fail)
    found = await swept(bench)
    assert (found.status, found.reason) == ("Unknown", Reason.CLUSTER_UNAVAILABLE)
    assert set(addresses) <= set(bench.store.contents)


async def test_an_empty_list_of_bindings_removes_nothing_and_says_what_to_do() -> None:
    bench = Bench()
    addresses = leave(bench)
    found = await swept(bench)
    assert (found.status, found.reason, found.count) == ("False", Reason.SWEEP_HELD, 1)
    assert "airwarden sweep --backend vault --delete" in found.message
    assert set(addresses) <= set(bench.store.contents)


async def test_too_many_at_once_remove_nothing() -> None:
    bench = await settled()
    for number in range(FEW + 1):
        leave(bench, Owner(CLUSTER, "team", f"gone{number}", "vault"))
    found = await swept(bench)
    assert (found.reason, found.count) == (Reason.SWEEP_HELD, FEW + 1)
    assert len(bench.store.contents) == 2 * (FEW + 2)


async def test_a_binding_that_comes_before_the_removal_keeps_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = await settled()
    addresses = leave(bench)

    async def there(_self: LiveObjects, _namespace: str, _name: str) -> LiveBinding:
        return LiveBinding(Use(frozenset({"vault"})), frozenset())

    monkeypatch.setattr(LiveObjects, "binding", there)
    found = await swept(bench)
    assert (found.reason, found.count) == (Reason.SWEEP_INCOMPLETE, 1)
    assert set(addresses) <= set(bench.store.contents)


async def test_what_does_not_carry_our_mark_is_never_touched() -> None:
    bench = await settled()
    addresses = leave(bench)
    bench.store.foreign |= set(addresses)
    found = await swept(bench)
    assert found.reason is Reason.SWEEP_INCOMPLETE
    assert "not marked as ours" in found.message
    assert set(addresses) <= set(bench.store.contents)


async def test_what_was_there_before_its_binding_is_left_to_its_owner() -> None:
    bench = await settled()
    addresses = leave(bench)
    bench.store.adoptions[addresses[0]] = Adoption("scope", frozenset({"Policy"}))
    found = await swept(bench)
    assert found.reason is Reason.SWEEP_INCOMPLETE
    assert "in the store before its binding was" in found.message
    assert set(addresses) <= set(bench.store.contents)


async def test_names_of_other_backends_in_the_same_store_are_left_to_them() -> None:
    bench = await settled()
    other = Owner(CLUSTER, "team", "gone", "elsewhere")
    bench.store.contents[Address("vault", "Policy", other.name_in_store)] = {}
    before = dict(bench.store.contents)
    assert (await swept(bench, grace=3600)).count == 0
    assert (await swept(bench)).count == 0
    assert bench.store.contents == before


async def test_a_binding_moved_to_another_backend_with_its_status_wiped_leaves_nothing_behind() -> None:
    bench = Bench(("vault", "second"))
    bench.declare("team/db")
    await bench.settle()
    bench.api.change(binding_path(*KEY), lambda body: body.pop("status"))
    bench.declare("team/db", backend="second")
    await bench.settle()
    assert len(bench.stores["vault"].contents) == 2
    await swept(bench)
    assert bench.stores["vault"].contents == {}
    assert len(bench.stores["second"].contents) == 2


class SlotStore(FakeStore):
    """A store that keeps one thing for each account, under the account's name, with the binding's mark in it."""

    def addresses(self, owner: Owner, others: Iterable[Address] = ()) -> tuple[Address, ...]:
        return (Address(self.name, "Slots", owner.account_in_store),)

    async def holdings(self) -> frozenset[Holding]:
        return frozenset(Holding.of(held_by(address, fields)) for address, fields in self.contents.items())


def fill(store: FakeStore, kind: str, account: str, binding: str) -> Address:
    """Put into the store what one account has for a binding of the team."""
    address = Address(store.name, kind, f"team/{account}")
    store.contents[address] = {"owner": f"team/{binding}"}
    return address


@pytest.fixture
def slots() -> Bench:
    """Return a bench whose store keeps slots of accounts, and a binding db with account billing."""
    bench = Bench()
    bench.stores["vault"] = SlotStore("vault", bench.journal, bench.api)
    bench.declare("team/db")
    return bench


async def test_what_an_account_has_that_the_live_binding_of_that_mark_does_not_name_goes(slots: Bench) -> None:
    kept = fill(slots.store, "Slots", "billing", KEY[1])
    fill(slots.store, "Slots", "old", KEY[1])
    waiting = await swept(slots, grace=3600)
    assert [each.name for each in waiting.orphans] == ["team/billing/old"]
    assert len(slots.store.contents) == 2
    found = await swept(slots)
    assert (set(slots.store.contents), found.reason) == ({kept}, Reason.SWEPT)


async def test_an_account_on_the_forged_record_of_a_binding_is_not_the_one_that_it_names(slots: Bench) -> None:
    target = {"backend": "", "kind": "ServiceAccount", "name": "old", "state": "Present"}
    slots.api.change(binding_path(*KEY), lambda body: body.update(status={"targets": [target]}))
    old = fill(slots.store, "Slots", "old", KEY[1])
    await swept(slots)
    assert old not in slots.store.contents


async def test_what_an_account_has_whose_binding_comes_to_name_it_before_the_removal_stays(
    slots: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = fill(slots.store, "Slots", "old", KEY[1])

    async def named(_self: LiveObjects, _namespace: str, _name: str) -> LiveBinding:
        return LiveBinding(Use(frozenset({"vault"}), "old"), frozenset())

    monkeypatch.setattr(LiveObjects, "binding", named)
    found = await swept(slots)
    assert (found.reason, found.count) == (Reason.SWEEP_INCOMPLETE, 1)
    assert old in slots.store.contents


async def test_an_account_waits_for_the_slots_of_its_own(slots: Bench) -> None:
    fill(slots.store, "Slots", "left", "gone")
    path = account(slots, "left")
    await account_sweep(slots, vault=replace(await swept(slots, grace=3600), status="True")).sweep()
    assert path in slots.api.objects
    await account_sweep(slots, vault=await swept(slots)).sweep()
    assert path not in slots.api.objects


async def moved_store(*capabilities: str) -> Bench:
    """Return a bench with a Ready binding whose store was in another mode before."""
    bench = await settled()
    (await opened(bench)).capabilities = capabilities
    return bench


async def test_what_another_mode_left_goes_when_no_binding_has_it_on_record_and_nothing_else_goes() -> None:
    bench = await moved_store(SWEEP_FORMER)
    before = dict(bench.store.contents)
    fill(bench.store, "Former", "billing", KEY[1])
    waiting = await swept(bench, grace=3600)
    assert [each.name for each in waiting.orphans] == ["team/billing/billing"]
    assert len(bench.store.contents) == len(before) + 1
    found = await swept(bench)
    assert (bench.store.contents, found.count) == (before, 0)


async def test_what_another_mode_left_is_the_binding_s_own_to_remove_while_its_record_says_so() -> None:
    bench = await moved_store(SWEEP_FORMER)
    former = fill(bench.store, "Former", "billing", KEY[1])
    target = {"backend": "vault", "kind": "Former", "name": "team/billing", "state": "Removing"}
    bench.api.change(binding_path(*KEY), lambda body: body["status"]["targets"].append(target))
    assert (await swept(bench)).count == 0
    assert former in bench.store.contents


async def test_what_another_mode_left_is_not_asked_for_where_the_login_may_not() -> None:
    bench = await moved_store()
    former = fill(bench.store, "Former", "billing", KEY[1])
    bench.store.errors["former holdings"] = Forbidden("no")
    assert (await swept(bench)).status == "True"
    assert former in bench.store.contents


async def test_a_list_of_what_another_mode_left_that_fails_removes_nothing() -> None:
    bench = await moved_store(SWEEP_FORMER)
    addresses = leave(bench)
    bench.store.errors["former holdings"] = ClusterIDConflict("another cluster's")
    assert (await swept(bench)).reason is Reason.CLUSTER_ID_CONFLICT
    assert set(addresses) <= set(bench.store.contents)


async def test_a_failed_removal_is_said_and_tried_again() -> None:
    bench = await settled()
    leave(bench)
    bench.store.errors["Delete Role"] = StoreFailed("not now")
    found = await swept(bench)
    assert (found.status, found.reason, found.count) == ("False", Reason.SWEEP_INCOMPLETE, 1)
    assert "not now" in found.message
    bench.store.errors.clear()
    assert (await swept(bench)).count == 0


async def test_a_pass_and_a_sweep_of_one_binding_take_turns() -> None:
    bench = await settled()
    leave(bench, Owner(CLUSTER, *KEY, "vault"))
    order: list[str] = []

    async def hold() -> None:
        async with bench.locks.take(KEY):
            order.append("sweep")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            order.append("sweep ends")

    async def look() -> None:
        await asyncio.sleep(0)
        await bench.look()
        order.append("pass ends")

    await asyncio.gather(hold(), look())
    assert order == ["sweep", "sweep ends", "pass ends"]


async def test_what_lay_on_a_mount_that_is_gone_is_gone_in_the_store_that_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = await settled()
    addresses = leave(bench)
    policy, role = addresses
    whole = bench.store.observe

    async def without_role(owner: Owner, asked: Any, *, known: bool) -> Any:
        if role in tuple(asked):
            raise MountMissing("no handler for route")
        return await whole(owner, asked, known=known)

    monkeypatch.setattr(bench.store, "observe", without_role)
    runtime = await opened(bench)
    part = await parts.observe_removal(runtime, GONE, {})
    assert part.progress.fault is not None, "a store that is not on the record may be another one"
    body = {**bench.backend_bodies["vault"], "status": {"store": {"id": "store-1"}}}
    body["metadata"] = {**body["metadata"], "resourceVersion": "9"}
    bench.backends.learn(body)
    progress = await parts.write(await parts.observe_removal(await opened(bench), GONE, {}), creating=False)
    assert progress.complete
    assert policy not in bench.store.contents

    async def nothing(_owner: Owner, _asked: Any, *, known: bool) -> Any:
        raise MountMissing("no handler for route")

    monkeypatch.setattr(bench.store, "observe", nothing)
    assert (await parts.observe_removal(await opened(bench), GONE, {})).progress.fault is not None


# The cluster's own part.


def account(bench: Bench, name: str, **labels: str) -> str:
    path = f"/api/v1/namespaces/team/serviceaccounts/{name}"
    bench.api.put(
        path,
        {
            "metadata": {
                "name": name,
                "namespace": "team",
                "labels": {
                    "app.kubernetes.io/managed-by": "airwarden",
                    "airwarden.dev/binding": "gone",
                    "airwarden.dev/cluster": CLUSTER,
                    **labels,
                },
                "managedFields": [{"manager": "airwarden"}],
            }
        },
    )
    return path


def account_sweep(bench: Bench, grace: float = 0.0, **board: Found) -> AccountSweep:
    tools = bench.sweeps(grace=grace)
    tools.board.update(board or {"vault": Found("True", Reason.SWEPT, "")})
    return AccountSweep(CLUSTER, tools, Accounts(bench.api))


async def test_an_account_without_its_binding_goes_and_that_of_a_binding_stays() -> None:
    bench = await settled()
    path = account(bench, "left")
    await account_sweep(bench).sweep()
    assert path not in bench.api.objects
    assert bench.account() is not None


async def test_an_account_is_ours_only_by_all_labels_and_our_own_write() -> None:
    bench = await settled()
    paths = [
        account(bench, "other-cluster", **{"airwarden.dev/cluster": "c2"}),
        account(bench, "by-hand", **{"app.kubernetes.io/managed-by": "helm"}),
        account(bench, "labelled"),
    ]
    bench.api.change(paths[-1], lambda body: body["metadata"].update(managedFields=[{"manager": "kubectl"}]))
    await account_sweep(bench).sweep()
    assert set(paths) <= set(bench.api.objects)


async def test_an_account_waits_for_its_grace_and_for_all_stores() -> None:
    bench = await settled()
    path = account(bench, "left")
    later = account_sweep(bench, grace=3600)
    await later.sweep()
    assert path in bench.api.objects
    leave(bench)
    waiting = await swept(bench, grace=3600)
    unknown = Found("Unknown", Reason.BACKEND_UNREACHABLE, "down")
    for board in (waiting, unknown):
        await account_sweep(bench, vault=board).sweep()
        assert path in bench.api.objects
    unswept = account_sweep(bench)
    unswept.tools.board.clear()
    await unswept.sweep()
    assert path in bench.api.objects


async def test_accounts_are_not_believed_to_be_orphans_when_there_is_no_binding_at_all() -> None:
    bench = Bench()
    await opened(bench)
    path = account(bench, "left")
    await account_sweep(bench).sweep()
    assert path in bench.api.objects


@pytest.mark.parametrize("page", [{}, {"items": None, "metadata": {}}, {"items": [], "metadata": None}])
async def test_what_is_not_surely_the_whole_list_is_none(page: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_self: FakeApi, _path: str) -> Json:
        return page

    monkeypatch.setattr(FakeApi, "get", answer)
    with pytest.raises(ClusterFailed):
        await LiveObjects(FakeApi(Journal())).bindings()


async def test_a_list_is_read_to_its_last_page_from_the_newest_state(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def answer(_self: FakeApi, path: str) -> Json:
        asked.append(path)
        name = f"b{len(asked)}"
        more = {"continue": "next"} if len(asked) == 1 else {}
        return {"items": [{"metadata": {"namespace": "team", "name": name}}], "metadata": more}

    monkeypatch.setattr(FakeApi, "get", answer)
    assert set(await LiveObjects(FakeApi(Journal())).bindings()) == {("team", "b1"), ("team", "b2")}
    assert [each.partition("?")[2] for each in asked] == ["limit=500", "limit=500&continue=next"]
