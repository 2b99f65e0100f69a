"""Vault down, sealed, slow, busy or elsewhere: the lookup is tried again within bounds, and then fails closed."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.sessions import Session
from contract.provider.bench import AUTH, KV, NAMESPACE, Bound, ProviderBench
from plane.control_plane import Plane
from plane.ports import free_ports
from plane.proxy import Answer, Fate, Hang, Proxy, Request

LOGIN = f"POST /v1/auth/{AUTH}/login"


@pytest.fixture(scope="module")
def bound(tasks: ProviderBench) -> Bound:
    return tasks.bind("unlucky")


@pytest.fixture
def through(bound: Bound, proxy: Proxy) -> Iterator[Session]:
    """A process's session that goes through the proxy."""
    session = bound.session(proxy.address, cacheTTLSeconds=0)
    yield session
    session.close()


def password(session: Session) -> object:
    found = session.look_up("Connection", "warehouse")
    assert found is not None
    return found.reading.values["password"]


def refused(session: Session) -> LookupRefused:
    with pytest.raises(LookupRefused) as refusal:
        session.look_up("Connection", "warehouse")
    return refusal.value


def first(count: int, fate: Fate | Answer) -> Callable[[Request], Fate | Answer]:
    """Do this to the first requests, and pass the rest on."""
    numbers = itertools.count(1)
    return lambda _: fate if next(numbers) <= count else Fate.PASS


READ = f"GET /v1/{KV}/data/{NAMESPACE}/unlucky"


@pytest.mark.parametrize(
    "fate",
    [
        Fate.CUT,
        Fate.RESET,
        Fate.LOSE,
        Fate.TRUNCATE,
        Answer(500),
        Answer(502),
        Answer(503),
        Answer(429),
        Answer(412),
        Answer(200),
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again(bound: Bound, proxy: Proxy, through: Session, fate: Fate | Answer) -> None:
    password(through)
    mark = proxy.mark()
    proxy.behaviour = first(2, fate)
    assert password(through) == bound.canary
    assert [each.what for each in proxy.since(mark)] == [READ] * 3, "and with the same login"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(503), Reason.STORE_SEALED),
        (Answer(429), Reason.STORE_BUSY),
        (Answer(500), Reason.STORE_FAILED),
        (Answer(307, b"", (("Location", "http://127.0.0.1:9/v1/x"),)), Reason.STORE_UNREACHABLE),
    ],
    ids=str,
)
def test_what_does_not_pass_fails_closed_after_four_rounds(
    proxy: Proxy, through: Session, answer: Answer, reason: Reason
) -> None:
    password(through)
    mark = proxy.mark()
    proxy.behaviour = lambda _: answer
    refusal = refused(through)
    assert refusal.reason is reason
    assert "4 rounds over 1 addresses were tried" in str(refusal)
    assert len(proxy.since(mark)) == 4


def test_a_store_that_asks_for_long_patience_is_not_waited_for(proxy: Proxy, through: Session) -> None:
    password(through)
    mark = proxy.mark()
    proxy.behaviour = lambda _: Answer(429, b"", (("Retry-After", "30"),))
    began = time.monotonic()
    assert refused(through).reason is Reason.STORE_BUSY
    assert len(proxy.since(mark)) == 1
    assert time.monotonic() - began < 30, "what it asks for was not waited for"


def test_a_store_that_asks_for_short_patience_is_given_it(bound: Bound, proxy: Proxy, through: Session) -> None:
    password(through)
    proxy.behaviour = first(1, Answer(429, b"", (("Retry-After", "1"),)))
    began = time.monotonic()
    assert password(through) == bound.canary
    assert time.monotonic() - began >= 1


def test_a_login_that_gets_no_answer_is_tried_again(bound: Bound, proxy: Proxy, through: Session) -> None:
    proxy.behaviour = first(2, Fate.CUT)
    assert password(through) == bound.canary
    assert [each.what for each in proxy.requests] == [LOGIN] * 3 + [READ]


def test_a_store_that_hangs_is_left_after_the_bound(bound: Bound, proxy: Proxy) -> None:
    session = bound.session(proxy.address, settings={"lookup_seconds": 1.0})
    proxy.behaviour = Hang()
    began = time.monotonic()
    refusal = refused(session)
    assert refusal.reason is Reason.STORE_UNREACHABLE
    assert "did not answer in time (ReadTimeout)" in str(refusal)
    assert time.monotonic() - began >= 5, "one read's time"
    assert [each.what for each in proxy.requests] == [LOGIN], "and no second one"


def test_a_store_that_is_down_is_told_as_such_and_works_again_when_it_is_back(bound: Bound, plane: Plane) -> None:
    session = bound.session(cacheTTLSeconds=0)
    password(session)
    plane.vault.stop()
    try:
        refusal = refused(session)
    finally:
        plane.vault.start()
    assert refusal.reason is Reason.STORE_UNREACHABLE
    assert f"Vault at {plane.vault_address} cannot be reached (ConnectError)" in str(refusal)
    assert "not looked for anywhere else" in str(refusal)
    assert password(session) == bound.canary
    session.close()


def test_a_sealed_store_is_told_as_such(bound: Bound, plane: Plane) -> None:
    session = bound.session(cacheTTLSeconds=0)
    plane.vault.seal()
    try:
        refusal = refused(session)
    finally:
        plane.vault.unseal()
    assert refusal.reason is Reason.STORE_SEALED
    assert "is sealed or in maintenance" in str(refusal)
    session.close()


def test_the_next_address_serves_when_the_first_does_not(bound: Bound, plane: Plane, proxy: Proxy) -> None:
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    session = bound.session(nowhere, proxy.address, cacheTTLSeconds=0)
    assert password(session) == bound.canary
    assert password(session) == bound.canary
    assert [each.what for each in proxy.requests] == [LOGIN, READ, READ], "the address that answered is asked first"
    session.close()


def test_an_address_that_fails_later_is_left_for_the_next_with_a_login_of_its_own(
    bound: Bound, plane: Plane, proxy: Proxy
) -> None:
    session = bound.session(proxy.address, plane.vault_address, cacheTTLSeconds=0)
    password(session)
    proxy.behaviour = lambda _: Answer(503)
    mark = plane.vault.audit.mark()
    assert password(session) == bound.canary
    assert [each.path for each in bound.requests(mark)] == [f"auth/{AUTH}/login", READ.removeprefix("GET /v1/")]
    proxy.behaviour = lambda _: Fate.PASS
    session.close()


def test_tls_is_checked_against_the_maps_authority(bound: Bound, plane: Plane) -> None:
    store = bound.store(plane.vault_tls_address, tls={"caFile": str(plane.vault_ca_path)})
    session = bound.session(store=store)
    assert password(session) == bound.canary
    session.close()
    named = bound.store(plane.vault_tls_address, tls={"caFile": str(plane.vault_ca_path), "serverName": "vault.test"})
    session = bound.session(store=named)
    assert password(session) == bound.canary
    session.close()
    for tls in ({}, {"caFile": str(plane.ca_path)}, {"caFile": str(plane.vault_ca_path), "serverName": "other.test"}):
        refusal = refused(
            bound.session(store=bound.store(plane.vault_tls_address, tls=tls), settings={"lookup_seconds": 1})
        )
        assert (refusal.reason, "cannot be reached (ConnectError)" in str(refusal)) == (Reason.STORE_UNREACHABLE, True)
    absent = bound.store(plane.vault_tls_address, tls={"caFile": "/nowhere/ca.crt"})
    assert "certificate authorities of store vault in /nowhere/ca.crt cannot be read" in str(
        refused(bound.session(store=absent))
    )


def test_nothing_ambient_is_used(bound: Bound, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "VAULT_ADDR"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("VAULT_TOKEN", "ambient")
    session = bound.session()
    assert password(session) == bound.canary
    session.close()


def test_an_end_without_vault_is_told_and_ends(bound: Bound, proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    session = bound.session(proxy.address)
    password(session)
    proxy.behaviour = lambda _: Fate.CUT
    session.close()
    assert "LeftToItsTTL" in caplog.text


def test_no_secret_is_in_any_output_at_debug_level(
    bound: Bound, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    jwt = bound.token_file.read_text()
    session = bound.session(proxy.address, cacheTTLSeconds=0)
    found = session.look_up("Connection", "warehouse")
    told = [repr(found), repr(session), repr(dataclasses.asdict(found.secret)) if found else ""]
    for fate in (
        Answer(403, b'{"errors":["permission denied"]}'),
        Answer(500, bound.canary.encode()),
        Answer(400, b'{"errors":["bad"]}'),
        Fate.TRUNCATE,
    ):
        proxy.behaviour = first(1000, fate)
        refusal = refused(session)
        told.append(f"{refusal} {refusal!r} {refusal.args}")
    token = proxy.answers[1].decode().split('"client_token":"')[1].split('"')[0]
    proxy.behaviour = lambda _: Fate.PASS
    session.close()
    everything = caplog.text + "".join(told)
    assert "warehouse" in everything
    for secret in (bound.canary, jwt, token):
        assert secret not in everything
