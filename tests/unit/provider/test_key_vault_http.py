"""What is made of servers that answer what no Key Vault and no Entra does, and of Azure's words."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from azure.core.credentials import AccessToken

from airflow_airwarden.binding_map import KeyVaultStore
from airflow_airwarden.errors import LookupRefused, Reason, Unavailable
from airflow_airwarden.readers import common, key_vault_http
from airflow_airwarden.readers.key_vault import fields_of
from airflow_airwarden.readers.key_vault_http import Clock, KeyVaultConnection, audience
from airflow_airwarden.readers.key_vault_login import Logins
from plane.certificates import Authority
from plane.small_server import Small, serving

TENANT = "11111111-2222-3333-4444-555555555555"
CANARY = "canary-4711"
GOOD = b'{"value": "v", "id": "https://kv.vault.azure.net/secrets/a/1", "attributes": {"enabled": true}}'


@dataclass
class Server:
    """A server that says what the test gives it, and remembers what it was sent."""

    address: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    content: bytes = GOOD
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    hold: threading.Event | None = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server()
    authority = Authority(tmp_path, "key-vault-http")
    pair = authority.server("server", ["localhost"])

    class Handler(Small):
        def respond(self) -> None:
            found.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            if found.hold is not None:
                found.hold.wait(30)
            self.answer(found.status, found.content, found.headers)

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.certificate, pair.key)
    with serving(Handler, tls) as port:
        found.address = f"https://localhost:{port}"
        yield found
        if found.hold is not None:
            found.hold.set()


def store(server: Server, folder: Path) -> KeyVaultStore:
    token = folder / "token"
    token.write_text("a.b.c")
    return KeyVaultStore("kv", server.address, server.address, TENANT, TENANT, str(token), str(folder / "ca.crt"))


class Held:
    """A credential that has its token already."""

    def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken("the-token", int(time.time()) + 3600)


@pytest.fixture
def connection(server: Server, tmp_path: Path) -> Iterator[KeyVaultConnection]:
    made = KeyVaultConnection(store(server, tmp_path), Held())
    yield made
    made.close()


@pytest.fixture
def logins(server: Server, tmp_path: Path) -> Logins:
    return Logins(store(server, tmp_path), Clock())


def unavailable(connection: KeyVaultConnection) -> Unavailable:
    with pytest.raises(Unavailable) as failure:
        connection.get("a", "")
    return failure.value


def test_a_request_names_token_and_asker_and_the_newest_version(server: Server, connection: KeyVaultConnection) -> None:
    server.headers["x-ms-request-id"] = "request-1"
    answer = connection.get("airflow-a", "dag/task/run/1")
    [(path, headers)] = server.seen
    assert path.partition("?")[0] == "/secrets/airflow-a/"
    assert headers["authorization"] == "Bearer the-token"
    assert headers["user-agent"] == "airflow-provider-airwarden/0.1.0 dag/task/run/1"
    assert (answer.status, answer.request_id) == (200, "request-1")


def test_a_redirect_is_not_followed(server: Server, connection: KeyVaultConnection) -> None:
    server.status, server.headers = 307, {"Location": f"{server.address}/secrets/b/"}
    assert connection.get("a", "").status == 307
    assert len(server.seen) == 1


def test_a_challenge_does_not_say_where_to_log_in(server: Server, connection: KeyVaultConnection) -> None:
    challenge = f'Bearer authorization="{server.address}/other-tenant", resource="https://vault.azure.net"'
    server.status, server.headers = 401, {"WWW-Authenticate": challenge}
    assert connection.get("a", "").status == 401
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"value":',
        b"\xff\xfe",
        b"[" * 100_000,
        GOOD.replace(b'"v"', b"1"),
        GOOD.replace(b"secrets", b"keys"),
        GOOD.replace(b"true}", b'true, "exp": "soon"}'),
        GOOD.replace(b'{"enabled": true}', b"[]"),
    ],
    ids=lambda content: repr(content[:20] + content[-30:]),
)
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_an_answer_that_is_no_secret_is_no_answer_of_a_vault(
    server: Server, connection: KeyVaultConnection, content: bytes, kind: str
) -> None:
    server.content, server.headers = content, {"Content-Type": kind}
    failure = unavailable(connection)
    assert failure.reason is Reason.STORE_FAILED
    assert failure.wrong == f"{server.address} answered with no secret: no Key Vault?"


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"{}", b'{"error": 1}', b'{"error": {"code": "a b"}}'])
def test_a_refusal_without_a_code_is_one_without_a_code(
    server: Server, connection: KeyVaultConnection, content: bytes
) -> None:
    server.status, server.content = 403, content
    answer = connection.get("a", "")
    assert (answer.status, answer.code) == (403, "")


def test_words_of_a_server_are_not_quoted(server: Server, connection: KeyVaultConnection) -> None:
    server.status, server.content = 500, b'{"error": {"code": "canary-4711", "message": "canary-4711"}}'
    assert CANARY not in unavailable(connection).wrong
    server.status = 400
    assert CANARY not in repr(connection.get("a", ""))


def test_a_server_that_is_slow_is_not_waited_for(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (common.CONNECT_SECONDS, common.READ_SECONDS) == (2.0, 5.0)
    monkeypatch.setattr(key_vault_http, "READ_SECONDS", 0.2)
    server.hold = threading.Event()
    made = KeyVaultConnection(store(server, tmp_path), Held())
    assert "did not answer in time" in unavailable(made).wrong
    made.close()
    with pytest.raises(Unavailable, match="did not answer in time"):
        Logins(store(server, tmp_path), Clock()).current()


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"5", b'{"token": "canary-4711"}', b'{"error":', b'{"access_token": "canary-4711"}'],
)
@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_that_is_no_token_is_no_login(
    server: Server, logins: Logins, content: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.content, server.status = content, status
    with pytest.raises(Unavailable, match="neither token nor error") as failure:
        logins.current()
    assert failure.value.reason is Reason.STORE_FAILED
    assert CANARY not in str(failure.value) + caplog.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"error": "invalid_client", "error_codes": [7000229]}', "(AADSTS7000229)"),
        (b'{"error": "invalid_client", "error_description": "AADSTS7000229: canary-4711"}', "(AADSTS7000229)"),
        (b'{"error": "canary-4711", "error_codes": "x"}', "(without a code)"),
    ],
)
def test_a_refusal_is_named_by_its_code(server: Server, logins: Logins, content: bytes, said: str) -> None:
    server.content, server.status = content, 401
    with pytest.raises(LookupRefused) as refusal:
        logins.current()
    assert said in str(refusal.value)
    assert CANARY not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "resource"),
    [
        ("https://kv.vault.azure.net", "https://vault.azure.net"),
        ("https://kv.vault.azure.cn", "https://vault.azure.cn"),
        ("https://kv.vault.usgovcloudapi.net:443", "https://vault.usgovcloudapi.net"),
        ("https://localhost:1234", "https://vault.azure.net"),
        ("https://kv.private.example", "https://vault.azure.net"),
    ],
)
def test_a_token_is_for_the_vaults_of_its_own_cloud(url: str, resource: str) -> None:
    assert audience(url) == resource


def test_a_secret_is_one_text_and_its_members_when_it_is_an_object() -> None:
    assert fields_of("plain") == {"conn_uri": "plain", "value": "plain"}
    assert fields_of("[1]") == {"conn_uri": "[1]", "value": "[1]"}
    text = '{"a": "b", "value": "c"}'
    assert fields_of(text) == {"a": "b", "conn_uri": text, "value": text}
    assert fields_of("[" * 100_000)["value"] == "[" * 100_000


def test_a_request_within_a_request_of_its_thread_has_connections_of_its_own(connection: KeyVaultConnection) -> None:
    with connection._at_hand.taken() as first, connection._at_hand.taken() as second:
        assert first is not second
    with connection._at_hand.taken() as again:
        assert again is first


def test_a_login_within_a_login_of_its_thread_is_let_through(
    server: Server, logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = b'{"access_token": "the-token", "expires_in": 3600, "token_type": "Bearer"}'
    within: list[str] = []
    reads = logins._token

    def interrupted(assertion: str) -> AccessToken:
        monkeypatch.setattr(logins, "_token", reads)
        within.append(logins.current().token)
        return reads(assertion)

    monkeypatch.setattr(logins, "_token", interrupted)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(logins.current).result(30).token == "the-token"
    assert within == ["the-token"]


def test_nobody_logs_in_after_the_end(server: Server, logins: Logins) -> None:
    logins.close()
    with pytest.raises(LookupRefused, match="the task has ended"):
        logins.current()
    assert server.seen == []
