"""Which store is meant and whose a cluster's name is."""

from __future__ import annotations

from typing import Any

import pytest

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.errors import ClusterIDConflict, StoreChanged, StoreFailed
from airwarden.domain.identity import ACCEPT_STORE, Expected, refuse_other_cluster, refuse_other_store
from unit.reconcile.fakes import backend_body

UID = "7f1c"


def backend(store_id: str = "", accept: str = "") -> AirflowSecretBackend:
    body: dict[str, Any] = backend_body()
    if accept:
        body["metadata"]["annotations"] = {ACCEPT_STORE: accept}
    if store_id:
        body["status"] = {"store": {"id": store_id}}
    return AirflowSecretBackend.model_validate(body)


def ids(store_id: str = "", accept: str = "") -> frozenset[str]:
    return Expected.of(backend(store_id, accept), UID).store_ids


def test_the_store_on_the_record_and_the_accepted_one_may_be_used() -> None:
    assert ids() == frozenset()
    assert ids("old") == {"old"}
    assert ids("old", "new") == {"old", "new"}


def test_without_a_record_the_first_store_is_the_one_and_an_old_annotation_bars_nothing() -> None:
    assert ids(accept="other") == frozenset()
    refuse_other_store(Expected(frozenset(), UID), "any", "Vault")


def test_another_store_is_refused_and_the_message_says_how_to_accept_it() -> None:
    refuse_other_store(Expected.of(backend("old"), UID), "old", "Vault")
    refuse_other_store(Expected.of(backend("old", "new"), UID), "new", "Vault")
    with pytest.raises(StoreChanged, match=f"{ACCEPT_STORE}=new") as refused:
        refuse_other_store(Expected.of(backend("old"), UID), "new", "Vault at https://vault")
    assert "old was expected" in refused.value.message


def test_a_store_that_does_not_say_which_it_is_is_not_held_for_the_same() -> None:
    with pytest.raises(StoreFailed):
        refuse_other_store(Expected.of(backend("old"), UID), "", "Vault")


def test_the_name_of_another_cluster_is_refused() -> None:
    expected = Expected(frozenset(), UID)
    refuse_other_cluster(expected, "c1", UID, "the policy m")
    for holder in ("other", ""):
        with pytest.raises(ClusterIDConflict, match="delete the policy m") as refused:
            refuse_other_cluster(expected, "c1", holder, "the policy m")
        assert UID in refused.value.message


@pytest.mark.parametrize("uid", ["", "a b", "a\nb", "x" * 65])
def test_what_is_no_uid_is_not_written_anywhere(uid: str) -> None:
    with pytest.raises(ValueError, match="uid"):
        Expected.of(backend(), uid)
