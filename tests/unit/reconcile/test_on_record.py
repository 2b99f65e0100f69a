"""What a namespace's bindings have on record of what they may share: each thing once, and each record read once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from airwarden.api import FINALIZER
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address
from airwarden.providers.ports import Claims
from airwarden.reconcile.cache import Cache, Entry
from airwarden.reconcile.on_record import OnRecord

KIND = "AzureRoleAssignment"
Body = dict[str, Any]


class Sharing:
    """A store in which a group's things are of several."""

    def share(self, claims: Claims) -> None:
        raise NotImplementedError

    def shared_name(self, address: Address) -> str:
        return address.name.partition("/")[2] if "#" in address.name else ""


def binding(name: str, *things: str, namespace: str = "team", version: int = 1, backend: str = "kv") -> Body:
    """Return a binding with these on its record, as given."""
    short = Owner("c1", namespace, name, backend).short_name_in_store
    targets = [
        {"backend": backend, "kind": KIND, "name": f"{short}/{each}", "state": "Present", "digest": "d"}
        for each in things
    ]
    metadata = {"namespace": namespace, "name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}
    spec = {"serviceAccount": {"name": name}, "secrets": [{"backendRef": {"name": backend}, "key": "a"}]}
    return {"metadata": {**metadata, "finalizers": [FINALIZER]}, "spec": spec, "status": {"targets": targets}}


def records(cache: Cache) -> OnRecord:
    return OnRecord("c1", cache, "kv", Sharing())


def test_each_thing_counts_once_for_a_namespace_and_for_each_that_has_it() -> None:
    cache = Cache()
    cache.learn_binding(binding("one", "a", "a#g", "b#g"))
    found = records(cache)
    cache.learn_binding(binding("two", "a#g"))
    cache.learn_binding(binding("three", "a#g", namespace="other"))
    assert (set(found.of("team")), set(found.of("other")), set(found.of("none"))) == ({"a#g", "b#g"}, {"a#g"}, set())
    cache.learn_binding(binding("one", version=2))
    assert set(found.of("team")) == {"a#g"}, "the other has it still"
    cache.learn_binding(binding("two", version=2))
    assert set(found.of("team")) == set()


def only_asked_for(body: Body) -> None:
    for each in body["status"]["targets"]:
        each["digest"] = ""


def of_another_binding(body: Body) -> None:
    body["status"]["targets"] = binding("somebody", "a#g")["status"]["targets"]


def of_another_backend(body: Body) -> None:
    body["status"]["targets"] = binding("one", "a#g", backend="twin")["status"]["targets"]


@pytest.mark.parametrize("forge", [only_asked_for, of_another_binding, of_another_backend])
def test_what_was_not_given_does_not_count(forge: Callable[[Body], None]) -> None:
    cache, body = Cache(), binding("one", "a#g")
    forge(body)
    cache.learn_binding(body)
    assert set(records(cache).of("team")) == set()


def test_who_is_being_deleted_has_it_until_it_is_let_go() -> None:
    cache = Cache()
    cache.learn_binding(binding("one", "a#g"))
    found = records(cache)
    leaving = binding("one", "a#g", version=2)
    leaving["metadata"]["deletionTimestamp"] = "2031-05-01T00:00:00Z"
    entry = cache.learn_binding(leaving)
    assert set(found.of("team")) == {"a#g"}
    cache.release_binding(entry)
    assert set(found.of("team")) == set(), "also before the cluster says that it is gone"
    cache.forget_binding(("team", "one"), "")
    assert set(found.of("team")) == set()


def test_who_went_without_our_leave_has_it_until_it_is_taken_away() -> None:
    cache = Cache()
    cache.learn_binding(binding("one", "a#g"))
    found = records(cache)
    gone = cache.lose_binding(binding("one", "a#g", version=2))
    assert gone is not None
    assert set(found.of("team")) == {"a#g"}
    cache.release_binding(gone)
    assert set(found.of("team")) == set()


def test_a_record_is_read_once_for_each_change_however_often_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    read, whole = [], Entry.load

    def counted(entry: Entry) -> dict[str, Any]:
        read.append(entry.key)
        return whole(entry)

    monkeypatch.setattr(Entry, "load", counted)
    cache = Cache()
    for number in range(100):
        cache.learn_binding(binding(f"b{number}", "a#g"))
        cache.learn_binding(binding(f"b{number}", "a#g", namespace="other"))
        cache.learn_binding(binding(f"v{number}", "a#g", backend="twin"))
    found = records(cache)
    for number in range(100):
        cache.learn_binding(binding(f"b{number}", "a#g", f"s{number}#g", version=2))
        assert len(found.of("team")) == number + 2
        assert len(found.of("team")) == number + 2
    assert len(read) == 199, "a hundred at first, of this namespace and backend alone, and then one for each change"


def test_nobody_keeps_up_what_nobody_asks_for_any_more() -> None:
    cache = Cache()
    found = records(cache)
    assert len(cache._followers) == 1
    del found
    assert len(cache._followers) == 0
    cache.learn_binding(copy.deepcopy(binding("one", "a#g")))
