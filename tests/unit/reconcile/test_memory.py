"""What the operator remembers: the newest state wins, the indexes follow, an outage is known after three failures."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.api import FINALIZER
from airwarden.domain.errors import (
    AirwardenError,
    Forbidden,
    MountMissing,
    Rejected,
    Sealed,
    StoreFailed,
    Throttled,
    Unauthorized,
    Unreachable,
)
from airwarden.providers.kubernetes.accounts import Account
from airwarden.reconcile.breaker import Breaker
from airwarden.reconcile.cache import Cache
from unit.reconcile.fakes import Bench

KEY = ("team", "billing")


def body(
    version: int, backend: str = "vault", account: str = "billing", uid: str = "u-1", **more: Any
) -> dict[str, Any]:
    """Return a binding as an event brings it."""
    return {
        "metadata": {"name": KEY[1], "namespace": KEY[0], "uid": uid, "resourceVersion": str(version), **more},
        "spec": {
            "serviceAccount": {"name": account},
            "secrets": [{"type": "Connection", "id": "a", "backendRef": {"name": backend}, "key": "team/a"}],
        },
    }


@given(st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=8))
def test_whatever_the_order_of_events_the_newest_state_is_kept_and_the_indexes_agree(versions: list[int]) -> None:
    cache = Cache()
    for version in versions:
        cache.learn_binding(body(version, backend=f"b{version % 3}", account=f"a{version % 2}"))
    newest = max(versions)
    assert cache.bindings[KEY].version == newest
    for number in range(3):
        assert cache.using_backend(f"b{number}") == ((KEY,) if number == newest % 3 else ())
    for number in range(2):
        assert cache.naming_account("team", f"a{number}") == ((KEY,) if number == newest % 2 else ())
    assert cache.in_namespace("team") == (KEY,)
    assert cache.forget_binding(KEY, "u-1")
    assert cache.using_backend(f"b{newest % 3}") == cache.in_namespace("team") == ()


def test_a_backend_counts_as_used_as_long_as_the_status_records_something_there() -> None:
    cache = Cache()
    cache.learn_binding({**body(1, "new"), "status": {"targets": [{"backend": "old", "kind": "P", "name": "n"}]}})
    assert cache.using_backend("old") == cache.using_backend("new") == (KEY,)


def test_the_end_of_an_earlier_binding_does_not_take_its_successor() -> None:
    cache = Cache()
    cache.learn_binding(body(5, uid="u-2"))
    assert not cache.forget_binding(KEY, "u-1")
    assert KEY in cache.bindings


def test_deletion_and_finalizer_are_read_from_the_object() -> None:
    cache = Cache()
    entry = cache.learn_binding(body(1, finalizers=["x", FINALIZER], deletionTimestamp="2031-05-01T00:00:00Z"))
    assert (entry.deleting, entry.finalized) == (True, True)
    assert cache.learn_binding(body(2, finalizers=["x"])).finalized is False
    assert "managedFields" not in cache.learn_binding(body(3, managedFields=[{"manager": "m"}])).load()["metadata"]


def account(version: int, uid: str = "u-1") -> Account:
    return Account("team", "billing", uid, str(version), {}, None)


def test_an_older_state_of_an_account_does_not_replace_a_newer_one_but_another_account_does() -> None:
    cache = Cache()
    for each in (account(5), account(4)):
        cache.learn_account(each)
    assert cache.accounts["team", "billing"].resource_version == "5"
    cache.learn_account(account(9, "u-2"))
    cache.forget_account("team", "billing", "u-1")
    assert cache.accounts["team", "billing"].uid == "u-2"
    cache.forget_account("team", "billing", "u-2")
    assert cache.accounts == {}


DOWN = (Unreachable("no answer"), Sealed("sealed"), Throttled("slow down"), Unauthorized("login refused"))
OWN = (Forbidden("path"), Rejected("400"), StoreFailed("500"), MountMissing("mount"))


@pytest.mark.parametrize("error", DOWN, ids=lambda each: type(each).__name__)
def test_the_third_failure_of_a_store_in_a_row_stops_requests_until_it_answers(error: AirwardenError) -> None:
    breaker = Breaker()
    for _ in range(2):
        breaker.failed(error)
        breaker.guard()
    breaker.failed(error)
    with pytest.raises(type(error)):
        breaker.guard()
    assert breaker.succeeded()
    breaker.guard()
    assert not breaker.succeeded()


def test_an_answer_in_between_starts_the_count_anew() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(DOWN[0])
        breaker.failed(DOWN[0])
        breaker.succeeded()
    assert not breaker.open


@pytest.mark.parametrize("error", OWN, ids=lambda each: type(each).__name__)
def test_a_failure_that_one_binding_can_cause_never_stops_the_others(error: AirwardenError) -> None:
    breaker = Breaker()
    for _ in range(10):
        breaker.failed(error)
    breaker.guard()
    assert not breaker.open


def test_a_long_outage_does_not_pile_up_tracebacks() -> None:
    breaker = Breaker()
    for _ in range(3):
        breaker.failed(DOWN[0])
    frames = []
    for _ in range(20):
        with pytest.raises(Unreachable) as caught:
            breaker.guard()
        frames.append(len(caught.traceback))
    assert frames == [frames[0]] * 20


async def test_names_of_backends_that_do_not_exist_are_not_remembered() -> None:
    bench = Bench()
    for number in range(50):
        assert await bench.backends.open(f"nothing-{number}") is None
    assert await bench.backends.open("vault") is not None
    assert set(bench.backends._opening) == {"vault"}
