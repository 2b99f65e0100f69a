"""One pass over a binding: the order of its writes, its honesty about failures, and what it never touches."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from airwarden.api import FINALIZER
from airwarden.domain.errors import (
    AirwardenError,
    ClusterFailed,
    Forbidden,
    MountMissing,
    ObjectGone,
    Rejected,
    Sealed,
    StoreFailed,
    Throttled,
    Unauthorized,
    Unreachable,
)
from airwarden.domain.resources import Address
from airwarden.providers.azure.vault import VaultMissing, VaultSoftDeleted
from airwarden.providers.kubernetes.objects import binding_path
from unit.reconcile.fakes import KEY, Bench, backend_body

NAME = "airwarden.c1.team.billing.vault"
POLICY, ROLE = Address("vault", "Policy", NAME), Address("vault", "Role", NAME)
ACCOUNTS = "/api/v1/namespaces/team/serviceaccounts"


@pytest.fixture
def bench() -> Bench:
    """Return a world with one backend and one declared binding that nothing was done for yet."""
    made = Bench()
    made.declare("team/db")
    return made


@pytest.fixture
async def settled(bench: Bench) -> Bench:
    """Return a world in which the binding is Ready; its journal starts afterwards."""
    await bench.settle()
    assert bench.ready == ("True", "Ready")
    bench.journal.lines.clear()
    return bench


async def test_a_new_binding_is_finalized_recorded_written_and_reported_in_this_order(bench: Bench) -> None:
    await bench.look()
    assert bench.journal.kinds() == [
        "PATCH billing finalizer on",
        "PATCH billing status Pending",
        f"POST {ACCOUNTS}",
        "Create Policy in vault",
        "Create Role in vault",
        "PATCH billing status Ready",
    ]
    assert bench.targets == {"ServiceAccount": "Present", "Policy": "Present", "Role": "Present"}


async def test_a_second_look_writes_nothing(settled: Bench) -> None:
    await settled.look()
    assert settled.journal.lines == ["observe vault one by one"]


async def test_a_restart_writes_nothing(settled: Bench) -> None:
    settled.restart()
    await settled.look()
    assert settled.journal.kinds() == []


async def test_an_edit_of_a_key_is_one_store_write_and_one_status(settled: Bench) -> None:
    settled.declare("team/db", "team/more")
    await settled.look()
    assert settled.journal.kinds() == ["Update Policy in vault", "PATCH billing status Ready"]


async def test_a_tightened_rule_removes_policy_then_role_and_says_why(settled: Bench) -> None:
    settled.tighten()
    await settled.look()
    assert settled.journal.kinds() == [
        "Delete Policy in vault",
        "Delete Role in vault",
        "PATCH billing status KeyNotAllowed",
    ]
    assert settled.store.contents == {}
    assert settled.targets == {"ServiceAccount": "Present"}


async def test_a_deletion_takes_the_stores_then_the_account_then_the_finalizer(settled: Bench) -> None:
    settled.delete()
    await settled.look()
    assert settled.journal.kinds() == [
        "Delete Policy in vault",
        "Delete Role in vault",
        f"DELETE {ACCOUNTS}/billing",
        "PATCH billing finalizer off",
    ]
    assert settled.api.objects == {}


async def test_a_binding_without_our_finalizer_is_left_alone_when_it_is_deleted(bench: Bench) -> None:
    stamp = {"deletionTimestamp": "2031-05-01T00:00:00Z", "finalizers": ["other/one"]}
    bench.api.change(binding_path(*KEY), lambda body: body["metadata"].update(stamp))
    await bench.look()
    assert bench.journal.kinds() == []


async def test_the_finalizer_of_others_stays_when_ours_is_added_and_taken_off() -> None:
    bench = Bench()
    bench.declare("team/db")
    bench.api.change(binding_path(*KEY), lambda body: body["metadata"].update(finalizers=["other/one"]))
    await bench.settle()
    assert bench.binding["metadata"]["finalizers"] == ["other/one", FINALIZER]
    bench.delete()
    await bench.look()
    assert bench.binding["metadata"]["finalizers"] == ["other/one"]


OUTAGES = (
    Unreachable("no answer"),
    Sealed("sealed"),
    Throttled("slow down"),
    StoreFailed("500"),
    Unauthorized("login refused"),
    Forbidden("not permitted"),
)


@pytest.mark.parametrize("error", OUTAGES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("step", ["observe", "Delete Policy", "Delete Role"])
async def test_a_removal_that_fails_keeps_finalizer_and_record_and_finishes_later(
    settled: Bench, step: str, error: AirwardenError
) -> None:
    settled.delete()
    settled.store.errors[step] = error
    following = await settled.look()
    assert following.kind == "retry"
    assert FINALIZER in settled.binding["metadata"]["finalizers"]
    assert settled.ready == ("False", "DeletionBlocked")
    assert "ServiceAccount" in settled.targets
    assert settled.account() is not None
    settled.store.errors.clear()
    await settled.settle()
    assert settled.api.objects == {}
    assert settled.store.contents == {}


async def test_a_removal_that_the_store_rejects_for_good_still_keeps_the_finalizer(settled: Bench) -> None:
    settled.delete()
    settled.store.errors["Delete Policy"] = Rejected("400")
    await settled.look()
    assert FINALIZER in settled.binding["metadata"]["finalizers"]
    assert settled.ready == ("False", "DeletionBlocked")


async def test_an_account_that_cannot_be_removed_keeps_the_finalizer(settled: Bench) -> None:
    settled.delete()
    settled.journal.fail_at, settled.journal.error = 4, ClusterFailed("500")
    await settled.look()
    assert settled.journal.lines[3] == f"GET {ACCOUNTS}/billing"
    assert FINALIZER in settled.binding["metadata"]["finalizers"]
    await settled.settle()
    assert settled.api.objects == {}


async def test_a_gone_backend_blocks_the_deletion_while_something_is_recorded_there(settled: Bench) -> None:
    settled.delete()
    settled.backends.forget("vault")
    await settled.look()
    assert settled.ready == ("False", "DeletionBlocked")
    settled.backends.learn(settled.backend_bodies["vault"])
    await settled.settle()
    assert settled.store.contents == {}


@pytest.mark.parametrize("error", OUTAGES[:4], ids=lambda each: type(each).__name__)
async def test_what_was_acknowledged_stays_ready_while_the_store_is_down_at_no_write(
    settled: Bench, error: AirwardenError
) -> None:
    settled.store.errors["observe"] = error
    await settled.look()
    assert settled.journal.kinds() == []
    assert settled.ready == ("True", "Ready")


@pytest.mark.parametrize("error", OUTAGES, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("gone", [MountMissing, VaultMissing, VaultSoftDeleted])
async def test_access_whose_mount_is_gone_is_not_ready_whatever_the_store_says_before_it_is_looked_at_again(
    settled: Bench, error: AirwardenError, gone: type[MountMissing]
) -> None:
    settled.store.errors["observe"] = gone("what held it is not there")
    following = await settled.look()
    assert settled.ready == ("False", gone.reason.word)
    assert (following.kind, following.after) == ("retry", 600.0), "not sooner than a drift check: its backend wakes it"
    assert settled.targets == {"Policy": "Present", "Role": "Present", "ServiceAccount": "Present"}, (
        "as it was recorded"
    )
    settled.journal.lines.clear()
    settled.store.errors["observe"] = error
    await settled.look()
    assert settled.journal.kinds() == []
    assert settled.ready == ("False", gone.reason.word)
    settled.store.errors.clear()
    settled.store.contents.clear()
    await settled.settle()
    assert settled.ready == ("True", "Ready")
    assert POLICY in settled.store.contents


async def edits_and_goes_back(settled: Bench) -> None:
    settled.declare("team/db", "team/more")
    await settled.look()
    assert settled.ready == ("False", "BackendUnreachable")
    settled.declare("team/db")


async def is_tightened_and_widened(settled: Bench) -> None:
    settled.tighten()
    await settled.look()
    settled.backend_bodies["vault"] = backend_body(version=9)
    settled.backends.learn(settled.backend_bodies["vault"])


async def loses_its_account_for_a_while(settled: Bench) -> None:
    path = f"{ACCOUNTS}/billing"
    before = copy.deepcopy(settled.api.objects[path])
    settled.api.change(path, lambda body: body["metadata"].update(labels={}, uid="another"))
    await settled.look()
    assert settled.ready == ("False", "NotOwned")
    settled.api.objects[path] = before


@pytest.mark.parametrize(
    "meanwhile",
    [edits_and_goes_back, is_tightened_and_widened, loses_its_account_for_a_while],
    ids=lambda f: f.__name__,
)
async def test_access_whose_mount_is_gone_is_not_ready_again_before_a_look_whatever_else_failed_meanwhile(
    settled: Bench, meanwhile: Callable[[Bench], Awaitable[None]]
) -> None:
    settled.store.errors["observe"] = MountMissing("what held it is not there")
    await settled.look()
    settled.store.errors["observe"] = Unreachable("no answer")
    await meanwhile(settled)
    await settled.look()
    assert settled.ready == ("False", "MountMissing")
    settled.restart()
    settled.journal.lines.clear()
    await settled.look()
    assert settled.journal.kinds() == []
    settled.store.errors.clear()
    settled.store.contents.clear()
    await settled.settle()
    assert settled.ready == ("True", "Ready")
    assert not any(each.get("reason") for each in settled.binding["status"]["targets"])


async def test_an_edit_while_the_store_is_down_is_not_ready_and_is_made_afterwards(settled: Bench) -> None:
    settled.store.errors["observe"] = Unreachable("no answer")
    settled.declare("team/db", "team/more")
    following = await settled.look()
    assert (following.kind, settled.ready) == ("retry", ("False", "BackendUnreachable"))
    settled.store.errors.clear()
    await settled.settle()
    assert settled.ready == ("True", "Ready")
    assert settled.store.contents[POLICY]["paths"] == ("team/db", "team/more")


async def test_an_acknowledgement_with_a_warning_is_none(bench: Bench) -> None:
    bench.store.warnings = ("some fields were ignored",)
    await bench.look()
    assert bench.ready == ("False", "BackendRejected")
    assert bench.targets["Policy"] == "Pending"


async def test_something_foreign_under_our_name_is_neither_written_nor_removed(bench: Bench) -> None:
    bench.store.contents[POLICY] = {"owner": "somebody"}
    bench.store.foreign.add(POLICY)
    await bench.settle()
    assert bench.ready == ("False", "NotOwned")
    assert bench.store.contents == {POLICY: {"owner": "somebody"}}
    bench.delete()
    await bench.settle()
    assert bench.store.contents == {POLICY: {"owner": "somebody"}}
    assert binding_path(*KEY) not in bench.api.objects


async def test_drift_is_corrected_and_told_once(settled: Bench) -> None:
    settled.store.contents[ROLE] = {"account": "*", "ttl": 1}
    del settled.store.contents[POLICY]
    await settled.look()
    assert settled.journal.kinds()[:2] == ["Create Policy in vault", "Update Role in vault"]
    assert [each["reason"] for each in settled.api.events].count("DriftCorrected") == 1
    await settled.look()
    assert [each["reason"] for each in settled.api.events].count("DriftCorrected") == 1


def make_account(bench: Bench, labels: dict[str, str] | None = None, name: str = "billing") -> dict[str, Any]:
    return bench.api.put(
        f"{ACCOUNTS}/{name}", {"metadata": {"name": name, "namespace": "team", "labels": labels or {}}}
    )


async def test_an_account_that_we_did_not_make_is_not_bound_whatever_it_is(bench: Bench) -> None:
    before = make_account(bench)
    await bench.settle()
    assert bench.ready == ("False", "NotOwned")
    assert bench.store.contents == {}
    assert bench.account() == before
    bench.delete()
    await bench.settle()
    assert bench.account() == before


async def test_an_account_of_another_binding_is_taken(bench: Bench) -> None:
    before = make_account(bench, {"airwarden.dev/binding": "other", "airwarden.dev/cluster": "c1"})
    await bench.settle()
    assert bench.ready == ("False", "ServiceAccountTaken")
    assert bench.store.contents == {}
    assert bench.account() == before


async def test_an_account_that_becomes_another_binding_s_withdraws_all_access(settled: Bench) -> None:
    labels = {"airwarden.dev/binding": "other", "airwarden.dev/cluster": "c1"}
    settled.api.change(f"{ACCOUNTS}/billing", lambda body: body["metadata"].update(labels=labels))
    await settled.settle()
    assert settled.ready == ("False", "ServiceAccountTaken")
    assert settled.store.contents == {}


async def test_an_account_of_ours_that_lost_its_labels_gets_them_back(settled: Bench) -> None:
    settled.api.change(f"{ACCOUNTS}/billing", lambda body: body["metadata"].update(labels={}))
    await settled.settle()
    assert settled.ready == ("True", "Ready")
    account = settled.account()
    assert account is not None
    assert account["metadata"]["labels"]["airwarden.dev/binding"] == "billing"


async def test_an_account_made_anew_is_taken_up_only_with_our_labels(settled: Bench) -> None:
    del settled.api.objects[f"{ACCOUNTS}/billing"]
    await settled.settle()
    assert settled.ready == ("True", "Ready")
    assert settled.account() is not None


async def test_a_write_for_an_object_that_changed_meanwhile_is_not_done(bench: Bench) -> None:
    bench.watch()
    bench.api.change(binding_path(*KEY), lambda body: body["metadata"].update(annotations={"a": "b"}))
    with pytest.raises(ObjectGone):
        await bench.reconciler.reconcile(KEY)
    assert bench.store.contents == {}


async def test_a_status_is_never_written_to_another_binding_of_the_same_name(settled: Bench) -> None:
    settled.declare("other/db")
    settled.watch()
    path = binding_path(*KEY)
    del settled.api.objects[path]
    settled.api.put(path, {"metadata": {"name": KEY[1], "namespace": KEY[0]}, "spec": {}})
    with pytest.raises(ObjectGone):
        await settled.reconciler.reconcile(KEY)
    assert "status" not in settled.binding


async def test_a_binding_that_is_not_to_its_schema_keeps_what_it_has_and_says_which_field(settled: Bench) -> None:
    contents = dict(settled.store.contents)
    settled.api.change(binding_path(*KEY), lambda body: body["spec"].update(secrets=[]))
    await settled.look()
    assert settled.ready == ("False", "InvalidSpec")
    assert settled.store.contents == contents
    await settled.look()
    assert settled.journal.kinds() == ["PATCH billing status InvalidSpec"]


async def test_while_the_namespace_is_unknown_a_selector_rule_adds_and_removes_nothing() -> None:
    bench = Bench()
    bench.namespace_labels = None
    body = backend_body()
    body["spec"]["allow"][0]["namespaces"] = {"selector": {"matchLabels": {"tenant": "a"}}}
    bench.backend_bodies["vault"] = body
    bench.restart()
    bench.declare("team/db")
    await bench.settle()
    assert bench.ready == ("False", "Pending")
    assert bench.store.contents == {}
    bench.namespace_labels = {"tenant": "a"}
    bench.restart()
    await bench.settle()
    assert bench.ready == ("True", "Ready")
    bench.namespace_labels = None
    bench.restart()
    await bench.settle()
    assert set(bench.store.contents) == {POLICY, ROLE}


async def test_two_stores_are_written_apart_and_one_that_is_down_does_not_hold_the_other() -> None:
    bench = Bench(("vault", "other"))
    item = {"type": "Connection", "id": "x", "backendRef": {"name": "other"}, "key": "team/x"}
    bench.declare("team/db")
    bench.api.change(binding_path(*KEY), lambda body: body["spec"]["secrets"].append(item))
    bench.stores["other"].errors["observe"] = Unreachable("no answer")
    await bench.settle()
    assert set(bench.stores["vault"].contents) == {POLICY, ROLE}
    assert bench.ready == ("False", "BackendUnreachable")
    states = [each["state"] for each in bench.binding["status"]["secrets"]]
    assert states == ["Granted", "Failed"]
    bench.stores["other"].errors.clear()
    await bench.settle()
    assert bench.ready == ("True", "Ready")


async def test_a_secret_moved_to_another_store_leaves_nothing_in_the_first() -> None:
    bench = Bench(("vault", "other"))
    bench.declare("team/db")
    await bench.settle()
    bench.declare("team/db", backend="other")
    await bench.settle()
    assert bench.stores["vault"].contents == {}
    assert set(bench.stores["other"].contents) == {
        Address("other", kind, "airwarden.c1.team.billing.other") for kind in ("Policy", "Role")
    }
