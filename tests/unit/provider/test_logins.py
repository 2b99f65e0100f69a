"""Logins to a Vault: one for all threads, none that waits for itself, and none that nobody gives up."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_airwarden.binding_map import Dynamic, DynamicKind, Key, Login, VaultStore
from airflow_airwarden.errors import LookupRefused, Unavailable
from airflow_airwarden.readers import common
from airflow_airwarden.readers.vault import VaultReader
from airflow_airwarden.readers.vault_http import Answer, VaultConnection
from airflow_airwarden.settings import Settings
from plane.waiting import wait_for

Before = Callable[[str], object]


class SmallVault:
    """A Vault in memory, behind a connection's one method; a test may act before each of its answers."""

    address = "http://vault"

    def __init__(self) -> None:
        self.made = 0
        self.tokens: set[str] = set()
        self.before: Before = lambda _: None

    def send(self, method: str, path: str, *, token: str = "", body: Any = None, correlation: str = "") -> Answer:
        self.before(path)
        if path == "auth/kubernetes/login":
            self.made += 1
            self.tokens.add(f"t{self.made}")
            return Answer(200, {"auth": {"client_token": f"t{self.made}", "lease_duration": 900, "renewable": True}})
        if token not in self.tokens:
            return Answer(403, {"errors": ["permission denied", "invalid token"]})
        if path == "auth/token/revoke-self":
            self.tokens.discard(token)
            return Answer(204, {})
        if "/creds/" in path:
            lease = {"lease_id": f"lease-of-{token}", "lease_duration": 3600, "renewable": True}
            return Answer(200, {**lease, "data": {"username": token}})
        return Answer(200, {"data": {"data": {"value": "v"}, "metadata": {"version": 1}}})

    def close(self) -> None:
        """Close nothing."""


class Held:
    """Holds every request until it may go on."""

    def __init__(self) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, path: str) -> None:
        self.reached.set()
        assert self.go_on.wait(60), path


@pytest.fixture
def vault() -> SmallVault:
    return SmallVault()


@pytest.fixture
def reader(tmp_path: Path, vault: SmallVault) -> VaultReader:
    (tmp_path / "token").write_text("jwt")
    store = VaultStore("vault", ("http://vault",), Login("kubernetes", "r", str(tmp_path / "token")))
    made = VaultReader(store, Settings())
    made._connections = [vault]  # type: ignore[list-item]
    return made


def logged_in(reader: VaultReader, vault: SmallVault) -> str:
    return reader._logins.at(vault).token  # type: ignore[arg-type]


def test_a_login_within_a_login_of_its_thread_is_let_through_and_both_are_given_up(
    reader: VaultReader, vault: SmallVault
) -> None:
    within: list[str] = []

    def handler(path: str) -> None:
        vault.before = lambda _: None
        within.append(logged_in(reader, vault))

    vault.before = handler
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(logged_in, reader, vault).result(30) == "t2"
    assert within == ["t1"]
    reader.close()
    assert vault.tokens == set()


def test_a_thread_gives_up_where_another_one_logs_in_for_too_long(
    reader: VaultReader, vault: SmallVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.before = held = Held()
    monkeypatch.setattr(common, "LOGIN_SECONDS", 0.1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(logged_in, reader, vault)
        assert held.reached.wait(30)
        with pytest.raises(Unavailable, match="another thread of this process has been logging in to store vault"):
            logged_in(reader, vault)
        held.go_on.set()
        assert first.result(30) == "t1"


def test_a_request_within_a_request_of_its_thread_has_connections_of_its_own() -> None:
    made = VaultConnection(VaultStore("vault", ("http://vault",), Login("k", "r", "/t")), "http://vault")
    with made._at_hand.taken() as first, made._at_hand.taken() as second:
        assert first is not second
        assert first._bounded is not second._bounded
    assert second.is_closed
    with made._at_hand.taken() as again:
        assert again is first
    made.close()


def test_what_was_read_under_a_token_that_vault_no_longer_knows_is_not_given_out(
    reader: VaultReader, vault: SmallVault
) -> None:
    soon = time.monotonic() + 60
    leased = reader.read(Dynamic("database", "r", DynamicKind.DYNAMIC), "", soon)
    assert leased.good_until() > time.monotonic() + 600
    vault.tokens.clear()  # somebody revoked it, and its leases with it
    reader.read(Key("a"), "", soon)
    assert vault.made == 2
    assert leased.good_until() <= time.monotonic()
    again = reader.read(Dynamic("database", "r", DynamicKind.DYNAMIC), "", soon)
    assert (again.values, vault.made) == ({"username": "t2"}, 2)
    assert again.good_until() > time.monotonic() + 600


def test_of_threads_that_wait_for_a_login_at_the_end_none_makes_one_that_nobody_gives_up(
    reader: VaultReader, vault: SmallVault
) -> None:
    vault.before = held = Held()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(logged_in, reader, vault)
        assert held.reached.wait(30)
        others = [pool.submit(logged_in, reader, vault) for _ in range(6)]
        closing = pool.submit(reader.close)
        wait_for("the end has begun", lambda: reader._logins._closed, 30)
        vault.before = lambda _: None
        held.go_on.set()
        assert first.result(30) == "t1"
        closing.result(30)
        refused = [each.exception(30) for each in others]
    assert {type(each) for each in refused} == {LookupRefused}
    assert (vault.made, vault.tokens) == (1, set())
    with pytest.raises(LookupRefused, match="the task has ended"):
        logged_in(reader, vault)


@pytest.mark.parametrize("said", [10**400, math.nan, math.inf, -1], ids=["huge", "nan", "inf", "negative"])
def test_a_vault_that_lies_about_times_ends_no_renewals_and_no_read(
    reader: VaultReader, vault: SmallVault, monkeypatch: pytest.MonkeyPatch, said: float
) -> None:
    soon = time.monotonic() + 60
    answered = vault.send

    def lying(method: str, path: str, **more: Any) -> Answer:
        if path in {"auth/token/renew-self", "sys/leases/renew"}:
            return Answer(200, {"auth": {"lease_duration": said, "renewable": True}})
        answer = answered(method, path, **more)
        if "/creds/" in path:
            return Answer(200, {**answer.body, "lease_duration": said})
        if "/static-creds/" in path:
            return Answer(200, {"data": {"username": "u", "ttl": said}})
        return answer

    monkeypatch.setattr(vault, "send", lying)
    for kind in (DynamicKind.DYNAMIC, DynamicKind.STATIC):
        assert not math.isnan(reader.read(Dynamic("database", "r", kind), "", soon).good_until())
    [session] = reader._logins._sessions
    for life in (session.life, *session.leases.values()):
        life.renew_at = 0.0 if math.isfinite(life.renew_at) else math.inf
    assert reader.maintain() >= time.monotonic()
