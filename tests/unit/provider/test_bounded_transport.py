"""A request ends in its time, however slowly a server answers it piece by piece."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from airflow_airwarden.binding_map import Login, VaultStore
from airflow_airwarden.errors import Reason, Unavailable
from airflow_airwarden.readers import vault_http
from airflow_airwarden.readers.bounded_transport import TIMEOUTS, BoundedTransport
from airflow_airwarden.readers.vault_http import VaultConnection

BOUND, FAR_TOO_LATE = 1.0, 30.0


class SlowServer:
    """A server that sends a byte of a header now and then, and never ends them."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                peer, _ = self._listening.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._drip, args=(peer,), daemon=True))
            self._threads[-1].start()

    def _drip(self, peer: socket.socket) -> None:
        with peer:
            try:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not self._ended.wait(0.1):
                    peer.sendall(b"x")
            except OSError:
                return

    def close(self) -> None:
        self._ended.set()
        self._listening.close()


@pytest.fixture
def slow() -> Iterator[SlowServer]:
    """Return a server whose headers never end."""
    found = SlowServer()
    yield found
    found.close()


@pytest.fixture
def transport() -> Iterator[BoundedTransport]:
    """Return a transport that is closed after the test."""
    found = BoundedTransport(ssl.create_default_context())
    yield found
    found.close()


def test_a_vault_whose_headers_never_end_did_not_answer_in_time(
    slow: SlowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_http, "READ_SECONDS", BOUND / 2)
    monkeypatch.setattr(vault_http, "CONNECT_SECONDS", BOUND / 2)
    connection = VaultConnection(VaultStore("vault", (slow.address,), Login("k", "r", "/t")), slow.address)
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="did not answer in time") as refusal:
        connection.send("GET", "x")
    assert refusal.value.reason is Reason.STORE_UNREACHABLE
    assert time.monotonic() - begun < FAR_TOO_LATE
    connection.close()


def test_each_thread_has_a_time_of_its_own_and_a_request_within_another_does_not_change_it(
    slow: SlowServer, transport: BoundedTransport
) -> None:
    begun = time.monotonic()
    with httpx.Client(transport=transport, timeout=FAR_TOO_LATE) as client, transport.ending(begun + FAR_TOO_LATE):
        for _ in range(2):
            with transport.ending(time.monotonic() + BOUND / 2), pytest.raises(TIMEOUTS):
                client.get(slow.address)
        ends: list[float] = []
        other = threading.Thread(target=lambda: ends.append(transport._bound.ends))
        other.start()
        other.join()
        assert ends == [float("inf")]
        assert transport._bound.ends == begun + FAR_TOO_LATE
    assert time.monotonic() - begun < FAR_TOO_LATE


def test_a_request_whose_time_is_over_is_not_sent(slow: SlowServer, transport: BoundedTransport) -> None:
    with (
        httpx.Client(transport=transport) as client,
        transport.ending(time.monotonic()),
        pytest.raises(TIMEOUTS, match="too long as a whole"),
    ):
        client.get(slow.address)
