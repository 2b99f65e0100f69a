"""What is sent to a Vault, and what is made of servers that answer what no Vault does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from airflow_airwarden.binding_map import Login, VaultStore
from airflow_airwarden.errors import Reason, Unavailable
from airflow_airwarden.readers import vault_http
from airflow_airwarden.readers.vault_http import Answer, VaultConnection
from plane.small_server import Small, serving


@dataclass
class Server:
    """A server that is no Vault: it says what the test gives it, and remembers what it was sent."""

    address: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] = (b"{}",)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    patience: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()

    class Handler(Small):
        def respond(self) -> None:
            found.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in found.pieces:
                try:
                    self.wfile.write(piece)
                except OSError:
                    return
                if len(found.pieces) > 1:
                    found.patience.wait(0.05)

    with serving(Handler) as port:
        found.address = f"http://127.0.0.1:{port}"
        yield found
        found.patience.set()


@pytest.fixture
def connection(server: Server) -> Iterator[VaultConnection]:
    made = VaultConnection(store(server.address), server.address)
    yield made
    made.close()


def store(address: str, namespace: str = "") -> VaultStore:
    return VaultStore("vault", (address,), Login("kubernetes", "role", "/token"), namespace)


def unavailable(call: Callable[[], Answer]) -> Unavailable:
    with pytest.raises(Unavailable) as failure:
        call()
    return failure.value


def test_a_request_names_namespace_token_and_asker(server: Server) -> None:
    server.pieces = (b'{"data": {}}',)
    connection = VaultConnection(store(server.address, namespace="team/airflow"), server.address)
    connection.send("GET", "airflow/data/x", token="the-token", correlation="dag/task/run/1")
    connection.close()
    [(path, headers)] = server.seen
    assert path == "/v1/airflow/data/x"
    wanted = {
        "x-vault-namespace": "team/airflow",
        "x-vault-token": "the-token",
        "x-correlation-id": "dag/task/run/1",
        "x-vault-request": "true",
    }
    assert {name: headers[name] for name in wanted} == wanted


def test_a_redirect_is_not_followed(server: Server, connection: VaultConnection) -> None:
    server.status, server.headers = 307, {"Location": f"{server.address}/v1/elsewhere"}
    failure = unavailable(lambda: connection.send("GET", "x", token="the-token"))
    assert "is not the active server (status 307)" in failure.wrong
    assert len(server.seen) == 1


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"data":', b"\xff\xfe", b"[" * 100_000])
def test_an_answer_that_is_no_object_is_no_answer_of_a_vault(
    server: Server, connection: VaultConnection, content: bytes
) -> None:
    server.pieces = (content,)
    assert unavailable(lambda: connection.send("GET", "x")).reason is Reason.STORE_FAILED


def test_an_answer_without_end_is_left(
    server: Server, connection: VaultConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pieces = (b"x" * 1000,) * 1000
    monkeypatch.setattr(vault_http, "LARGEST_ANSWER", 5000)
    assert unavailable(lambda: connection.send("GET", "x")).reason is Reason.STORE_UNREACHABLE
    monkeypatch.undo()
    monkeypatch.setattr(vault_http, "READ_SECONDS", -1.9)
    assert "did not answer in time" in unavailable(lambda: connection.send("GET", "x")).wrong


def test_a_renewal_that_meets_the_end_of_the_task_is_no_defect(connection: VaultConnection) -> None:
    connection.close()
    assert "ended with the task" in unavailable(lambda: connection.send("POST", "auth/token/renew-self")).wrong


def test_what_looks_like_a_token_is_not_quoted() -> None:
    said = Answer(400, {"errors": ["token hvs.CAESIcanarycanarycanary is bad", "and\n  eyJhbGciOi.eyJzdWIi.c2ln too"]})
    assert said.errors == "token [redacted] is bad and [redacted] too"
    assert len(Answer(400, {"errors": ["word " * 100]}).errors) == 200
    assert "canary" not in repr(said)


def test_words_of_a_server_that_failed_are_not_quoted(server: Server, connection: VaultConnection) -> None:
    server.status, server.pieces = 500, (b'{"errors": ["ALTER USER x PASSWORD canary"]}',)
    assert "canary" not in unavailable(lambda: connection.send("GET", "x")).wrong
