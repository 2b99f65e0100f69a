"""A backend that moved to another mode: the new access first and read back, then what the old mode left."""

from __future__ import annotations

import pytest

from airwarden.domain.errors import Forbidden, StoreFailed
from airwarden.domain.resources import Address, Operation
from airwarden.providers.kubernetes.objects import binding_path
from airwarden.providers.ports import Written
from unit.reconcile.fakes import KEY, Bench

FORMER = Address("vault", "Former", "team/billing")
NAME = "airwarden.c1.team.billing.vault"
POLICY = Address("vault", "Policy", NAME)


@pytest.fixture
async def moved(bench: Bench) -> Bench:
    """Return a world in which all that the binding has in the store is of the other mode."""
    bench.declare("team/db")
    await bench.settle()
    bench.store.contents = {FORMER: {"paths": ("team/db",)}}
    record(bench)
    bench.journal.lines.clear()
    return bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def record(bench: Bench) -> None:
    """Leave the account and the old mode's object alone on the record."""
    former = {"backend": "vault", "kind": "Former", "name": FORMER.name, "state": "Present", "digest": "x"}
    targets = [each for each in bench.binding["status"]["targets"] if not each["backend"]]
    path = binding_path(*KEY)
    bench.api.change(path, lambda body: body["status"].update(targets=[*targets, former]))


async def test_the_new_access_is_written_and_read_back_before_the_old_goes(moved: Bench) -> None:
    await moved.look()
    assert [each for each in moved.journal.kinds() if "PATCH" not in each] == [
        "Create Policy in vault",
        "Create Role in vault",
        "Delete Former in vault",
    ]
    assert [each for each in moved.journal.lines if "observe" in each or "Former" in each][-2:] == [
        "observe vault one by one",
        "Delete Former in vault",
    ]
    assert moved.ready == ("True", "Ready")
    assert set(moved.targets) == {"ServiceAccount", "Policy", "Role"}
    assert FORMER not in moved.store.contents


async def test_the_old_access_stays_on_the_record_while_the_new_cannot_be_written(moved: Bench) -> None:
    moved.store.errors["Create Role"] = Forbidden("no")
    await moved.look()
    assert moved.ready == ("False", "BackendForbidden")
    assert moved.targets["Former"] == "Removing"
    assert FORMER in moved.store.contents
    moved.store.errors.clear()
    await moved.settle()
    assert FORMER not in moved.store.contents
    assert moved.ready == ("True", "Ready")


async def test_the_old_access_stays_while_the_new_does_not_read_back(
    moved: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply = moved.store.apply

    async def losing(operation: Operation) -> Written:
        written = await apply(operation)
        if operation.address.kind == "Role":
            moved.store.contents.pop(operation.address, None)
        return written

    monkeypatch.setattr(moved.store, "apply", losing)
    await moved.look()
    assert moved.ready == ("False", "BackendError")
    assert [each["state"] for each in moved.binding["status"]["secrets"]] == ["Failed"]
    assert FORMER in moved.store.contents
    assert moved.targets["Former"] == "Removing"


async def test_the_old_access_stays_beside_an_object_of_somebody_else(moved: Bench) -> None:
    moved.store.contents[POLICY] = {"paths": ()}
    moved.store.foreign.add(POLICY)
    await moved.settle()
    assert moved.ready == ("False", "NotOwned")
    assert FORMER in moved.store.contents
    assert moved.targets["Former"] == "Removing"


async def test_what_gives_more_than_is_granted_goes_first_and_although_the_new_cannot_be_written(moved: Bench) -> None:
    moved.store.contents[FORMER] = {"paths": ("team/db", "team/more")}
    moved.store.errors["Create Policy"] = StoreFailed("no")
    await moved.look()
    assert FORMER not in moved.store.contents
    assert moved.ready == ("False", "BackendError")


async def test_what_is_read_to_work_is_granted_though_the_old_access_cannot_be_removed(moved: Bench) -> None:
    moved.store.errors["Delete Former"] = Forbidden("no")
    for _ in range(2):
        await moved.look()
    assert moved.ready == ("False", "BackendForbidden")
    assert [each["state"] for each in moved.binding["status"]["secrets"]] == ["Granted"]
    moved.store.contents.pop(POLICY)
    moved.store.errors["Create Policy"] = Forbidden("no")
    await moved.look()
    assert [each["state"] for each in moved.binding["status"]["secrets"]] == ["Failed"]


async def test_without_a_grant_the_old_access_goes_as_well(moved: Bench) -> None:
    moved.tighten()
    await moved.settle()
    assert moved.store.contents == {}
    assert set(moved.targets) == {"ServiceAccount"}


async def test_what_cannot_be_read_is_not_removed_and_the_new_access_is_there_all_the_same(moved: Bench) -> None:
    moved.store.errors["observe Former"] = Forbidden("no")
    await moved.look()
    assert moved.ready == ("False", "BackendForbidden")
    assert POLICY in moved.store.contents
    assert FORMER in moved.store.contents
    ready = next(each for each in moved.binding["status"]["conditions"] if each["type"] == "Ready")
    assert "reading Former team/billing in vault, which the backend's other mode left" in ready["message"]
    moved.delete()
    await moved.look()
    assert moved.ready == ("False", "DeletionBlocked")
    assert POLICY not in moved.store.contents
    moved.store.errors.clear()
    await moved.look()
    assert moved.store.contents == {}
    assert binding_path(*KEY) not in moved.api.objects


async def test_a_deleted_binding_leaves_nothing_of_the_old_mode_though_it_gives_nothing_any_more(moved: Bench) -> None:
    # A move that broke off between policy and role leaves such a role, and it is on the record.
    moved.store.contents[FORMER] = {"paths": ()}
    moved.delete()
    await moved.look()
    assert moved.store.contents == {}
    assert binding_path(*KEY) not in moved.api.objects


async def test_tasks_are_told_the_new_role_once_it_gives_access_though_the_old_one_cannot_be_removed(
    moved: Bench,
) -> None:
    old = "vault/former-role"
    path = binding_path(*KEY)
    moved.api.change(path, lambda body: body["status"]["effective"].update(roles=[old]))
    moved.store.errors["Create Role"] = Forbidden("no")
    await moved.look()
    assert moved.binding["status"]["effective"]["roles"] == [old]
    moved.store.errors = {"Delete Former": Forbidden("no")}
    await moved.look()
    assert moved.ready == ("False", "BackendForbidden")
    assert moved.binding["status"]["effective"]["roles"] == [f"vault/{NAME}"]


async def test_what_another_backend_of_the_same_place_held_is_looked_at_again_as_soon_as_that_has_let_go() -> None:
    bench = Bench(("vault", "other"))
    bench.declare("team/db")
    await bench.settle()
    bench.declare("team/db", backend="other")
    held = Address("other", "Policy", "airwarden.c1.team.billing.other")
    other = bench.stores["other"]
    other.contents[held] = {"paths": ()}
    other.foreign.add(held)
    assert (await bench.look()).kind == "retry"
    assert (await bench.look()).kind == "check"


async def test_what_is_not_on_the_record_is_not_looked_for(bench: Bench) -> None:
    bench.declare("team/db")
    bench.store.errors["observe Former"] = Forbidden("no")
    await bench.settle()
    assert bench.ready == ("True", "Ready")


async def test_an_account_that_is_taken_takes_the_old_access_away_as_well(moved: Bench) -> None:
    path = "/api/v1/namespaces/team/serviceaccounts/billing"
    moved.api.change(path, lambda body: body["metadata"]["labels"].update({"airwarden.dev/binding": "another"}))
    await moved.settle()
    assert moved.ready == ("False", "ServiceAccountTaken")
    assert moved.store.contents == {}


async def test_what_the_store_keeps_is_named_in_an_event(moved: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    apply = moved.store.apply

    async def keeping(operation: Operation) -> Written:
        await apply(operation)
        return Written(left="alias 7 stays" if operation.address == FORMER else "")

    monkeypatch.setattr(moved.store, "apply", keeping)
    await moved.settle()
    events = moved.api.events
    assert [(each["reason"], each["message"]) for each in events if "stays" in each["message"]] == [
        ("LeftBehind", "alias 7 stays")
    ]
