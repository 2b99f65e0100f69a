"""Token and JWT go to the one Vault over the checked connection: on no redirect, and into no text."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from requests import adapters

from airwarden.domain import errors
from airwarden.providers.vault.store import VaultStore
from contract.vault.bench import Bench, create, grant
from contract.vault.ways import WAYS, Way
from plane.small_server import Small, serving

WANTED = grant("secret")
Opening = Callable[..., VaultStore]
Answer = tuple[int, dict[str, str], bytes]
TOKEN = "hvs.CAESIcanarycanarycanarycanary"


async def observe(store: VaultStore) -> None:
    await store.observe(WANTED.owner, store.addresses(WANTED.owner), known=True)


@dataclass
class Elsewhere:
    """A server that is no Vault: it answers what the test says and remembers what it was sent."""

    address: str
    answer: Callable[[str, str], Answer]
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


def json_answer(status: int, body: object, **headers: str) -> Answer:
    return status, headers, json.dumps(body).encode()


LOGGED_IN = json_answer(200, {"auth": {"client_token": TOKEN, "lease_duration": 900}})


@pytest.fixture
def elsewhere() -> Iterator[Callable[[Callable[[str, str], Answer]], Elsewhere]]:
    """Return a function that starts such a server on the loopback address."""
    servers = ExitStack()

    def start(answer: Callable[[str, str], Answer]) -> Elsewhere:
        class Handler(Small):
            def respond(self) -> None:
                found.seen.append((self.command, self.path, dict(self.headers), self.body()))
                status, headers, content = found.answer(self.command, self.path)
                self.answer(status, content, headers)

        found = Elsewhere(f"http://127.0.0.1:{servers.enter_context(serving(Handler))}", answer)
        return found

    with servers:
        yield start


Starting = Callable[[Callable[[str, str], Answer]], Elsewhere]


@pytest.mark.parametrize("name", list(WAYS))
async def test_no_redirect_is_followed_with_a_secret_id_or_a_token_from_a_file(
    ways: Mapping[str, Way], elsewhere: Starting, name: str
) -> None:
    thief = elsewhere(lambda _method, _path: LOGGED_IN)
    sink = elsewhere(lambda _method, _path: (307, {"Location": f"{thief.address}/v1/x"}, b""))
    store = ways[name].open(address=sink.address)
    with pytest.raises(errors.Unreachable, match=thief.address.removeprefix("http://")) as caught:
        await observe(store)
    await store.close()
    assert thief.seen == []
    proof = ways[name].file.read_text().strip()
    assert any(proof in body.decode() + headers.get("X-Vault-Token", "") for _, _, headers, body in sink.seen)
    assert proof not in all_texts(caught.value)


@pytest.mark.parametrize("name", list(WAYS))
async def test_no_way_to_log_in_takes_anything_ambient(
    ways: Mapping[str, Way], elsewhere: Starting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    def answer(_method: str, path: str) -> Answer:
        if path.endswith("/lookup-self"):
            return json_answer(200, {"data": {"ttl": 900, "num_uses": 0}})
        return LOGGED_IN if path.endswith("/login") else json_answer(404, {"errors": []})

    (tmp_path / ".vault-token").write_text("ambient-token")
    for variable in ("VAULT_TOKEN", "VAULT_NAMESPACE", "VAULT_ROLE_ID", "VAULT_SECRET_ID"):
        monkeypatch.setenv(variable, "ambient-token")
    monkeypatch.setenv("HOME", str(tmp_path))
    sink = elsewhere(answer)
    store = ways[name].open(address=sink.address, namespace="team/a")
    await observe(store)
    await store.close()
    assert len(sink.seen) >= 3
    for _, _, headers, body in sink.seen:
        assert "ambient" not in json.dumps(headers) + body.decode()
        assert headers["X-Vault-Namespace"] == "team/a"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_neither_with_the_token_nor_with_the_jwt(
    opening: Opening, elsewhere: Starting, status: int
) -> None:
    thief = elsewhere(lambda _method, _path: LOGGED_IN)
    host = thief.address.removeprefix("http://")
    away = status, {"Location": f"{thief.address}/v1/x"}, b""
    at_login = elsewhere(lambda _method, _path: away)
    with pytest.raises(errors.Unreachable, match=host):
        await observe(opening(address=at_login.address))
    later = elsewhere(lambda _method, path: LOGGED_IN if path.endswith("/login") else away)
    store = opening(address=later.address)
    with pytest.raises(errors.Unreachable, match=host):
        await observe(store)
    with pytest.raises(errors.Unreachable, match=host):
        await create(store, WANTED)
    assert thief.seen == []


async def test_nothing_ambient_is_used(
    bench: Bench, opening: Opening, elsewhere: Starting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxy = elsewhere(lambda _method, _path: LOGGED_IN)
    (tmp_path / ".vault-token").write_text("ambient-token")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ambient password ambient-password\n")
    for name, value in {
        "HOME": str(tmp_path),
        "VAULT_TOKEN": "ambient-token",
        "VAULT_ADDR": proxy.address,
        "VAULT_NAMESPACE": "ambient",
        "VAULT_CACERT": "/nowhere",
        "VAULT_SKIP_VERIFY": "true",
        "HTTP_PROXY": proxy.address,
        "http_proxy": proxy.address,
        "HTTPS_PROXY": proxy.address,
        "ALL_PROXY": proxy.address,
        "NO_PROXY": "",
        "REQUESTS_CA_BUNDLE": "/nowhere",
        "CURL_CA_BUNDLE": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    await observe(opening())
    ca_pem = bench.plane.vault_ca_path.read_text()
    await observe(opening(address=bench.plane.vault_tls_address, ca_pem=ca_pem))
    assert proxy.seen == []
    sink = elsewhere(lambda _method, path: LOGGED_IN if path.endswith("/login") else json_answer(404, {"errors": []}))
    await observe(opening(address=sink.address))
    for _, path, headers, _ in sink.seen:
        assert "ambient" not in json.dumps(headers)
        assert headers.get("X-Vault-Token", "") == ("" if path.endswith("/login") else TOKEN)
        assert "X-Vault-Namespace" not in headers


async def test_the_namespace_is_sent_with_every_call_but_health(opening: Opening, elsewhere: Starting) -> None:
    def answer(_method: str, path: str) -> Answer:
        if path == "/v1/sys/health":
            return json_answer(200, {"version": "1.21.1+ent", "cluster_id": "x", "sealed": False})
        return LOGGED_IN if path.endswith("/login") else json_answer(200, {"data": {}})

    sink = elsewhere(answer)
    health = await opening(address=sink.address, namespace="team/a").check()
    assert health.version == "1.21.1+ent"
    assert len(health.missing_permissions) == 8
    sent = {path: headers.get("X-Vault-Namespace") for _, path, headers, _ in sink.seen}
    assert sent.pop("/v1/sys/health") is None
    assert set(sent.values()) == {"team/a"}


async def test_a_token_that_dies_again_and_again_is_unauthorized(opening: Opening, elsewhere: Starting) -> None:
    dead = json_answer(403, {"errors": ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]})
    sink = elsewhere(lambda _method, path: LOGGED_IN if path.endswith("/login") else dead)
    store = opening(address=sink.address)
    with pytest.raises(errors.Unauthorized, match="a new login did not help"):
        await observe(store)
    assert store.client.counts()["login"] <= 4


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"auth": None},
        {"auth": {"client_token": ""}},
        {"auth": {"client_token": "a\nb", "lease_duration": 1}},
        {"auth": {"client_token": "ü", "lease_duration": 1}},
        {"auth": {"client_token": TOKEN, "lease_duration": "x"}},
    ],
)
async def test_a_login_without_a_usable_token_is_a_fault(opening: Opening, elsewhere: Starting, body: object) -> None:
    sink = elsewhere(lambda _method, _path: json_answer(200, body))
    with pytest.raises(errors.StoreFailed, match="without a token"):
        await observe(opening(address=sink.address))


@pytest.mark.parametrize(
    ("body", "length", "kind"),
    [
        (b"<html>not a vault</html>", None, errors.StoreFailed),
        (b'{"data": {"policy": "x"', None, errors.StoreFailed),
        (b'{"data": {"policy": "x"', "500", errors.Unreachable),
        (b'{"data": {}}', None, errors.StoreFailed),
        (b'{"data": {"policy": 5}}', None, errors.StoreFailed),
    ],
)
async def test_an_answer_that_makes_no_sense_is_never_absence(
    opening: Opening, elsewhere: Starting, body: bytes, length: str | None, kind: type[errors.AirwardenError]
) -> None:
    headers = {} if length is None else {"Content-Length": length}
    sink = elsewhere(lambda _method, path: LOGGED_IN if path.endswith("/login") else (200, headers, body))
    for known in (True, False):
        with pytest.raises(kind):
            await opening(address=sink.address).observe(WANTED.owner, opening().addresses(WANTED.owner), known=known)


async def test_a_list_that_makes_no_sense_is_not_an_empty_one(opening: Opening, elsewhere: Starting) -> None:
    for data in ({}, {"keys": None}, {"keys": "airwarden.c1.x"}):
        answer = json_answer(200, {"data": data})
        sink = elsewhere(partial(answer_with, LOGGED_IN, answer))
        store = opening(address=sink.address)
        with pytest.raises(errors.StoreFailed, match="without names"):
            await store.observe(WANTED.owner, store.addresses(WANTED.owner), known=False)


async def test_a_vault_that_drips_is_given_up(opening: Opening) -> None:
    stop = asyncio.Event()

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not stop.is_set():
            writer.write(b" ")
            await asyncio.sleep(0.1)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = opening(address=f"http://127.0.0.1:{port}", requests={"timeout": "1s"})
    async with asyncio.timeout(60):  # the whole answer would take a hundred seconds
        with pytest.raises(errors.Unreachable, match="no whole answer"):
            await store.check()
    stop.set()
    await asyncio.sleep(0.3)
    server.close()
    await server.wait_closed()


async def test_the_certificate_is_checked_against_the_given_ca_and_name(bench: Bench, opening: Opening) -> None:
    address, ca_pem = bench.plane.vault_tls_address, bench.plane.vault_ca_path.read_text()
    await observe(opening(address=address, ca_pem=ca_pem))
    await observe(opening(address=address, ca_pem=ca_pem, tls={"serverName": "vault.test"}))
    with pytest.raises(errors.Unreachable, match=r"certificate is not accepted.*serverName"):
        await observe(opening(address=address, ca_pem=ca_pem, tls={"serverName": "other.test"}))
    for other in (bench.plane.ca_path.read_text(), None):
        with pytest.raises(errors.Unreachable, match=r"certificate is not accepted.*caBundleRef"):
            await observe(opening(address=address, ca_pem=other))
    with pytest.raises(errors.InvalidSettings, match="no certificate"):
        opening(address=address, ca_pem="no PEM")
    with pytest.raises(errors.Unreachable, match="TLS"):
        await observe(opening(address=bench.plane.vault_address.replace("http:", "https:"), ca_pem=ca_pem))
    with pytest.raises((errors.StoreFailed, errors.Unreachable), match="http or https"):
        await observe(opening(address=address.replace("https:", "http:")))


async def test_no_certificate_but_the_given_ones_is_trusted(
    bench: Bench, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "DEFAULT_CA_BUNDLE_PATH", str(bench.plane.vault_ca_path))
    with pytest.raises(errors.Unreachable, match="certificate is not accepted"):
        await observe(opening(address=bench.plane.vault_tls_address, ca_pem=bench.plane.ca_path.read_text()))


async def test_a_name_that_does_not_resolve_and_a_port_that_refuses(opening: Opening) -> None:
    with pytest.raises(errors.Unreachable, match="does not resolve"):
        await observe(opening(address="http://nowhere.invalid:8200"))
    with pytest.raises(errors.Unreachable, match="refused"):
        await observe(opening(address="http://127.0.0.1:1"))
    with pytest.raises(errors.Unreachable, match=r"127\.0\.0\.1:1 "):
        await opening(address="http://127.0.0.1:1").check()


def all_texts(error: BaseException) -> str:
    """Return every text of an exception and of those behind it, also suppressed ones, with all their attributes."""
    texts, waiting, seen = [], [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        texts += [repr(each), str(each), repr(vars(each)), "".join(traceback.format_exception(each))]
        waiting += [one for one in (each.__cause__, each.__context__) if one is not None]
    return "\n".join(texts)


def echoing(status: int, said: str) -> Answer:
    """Return an answer that says a text in every place where a text of the server's own could come through."""
    body = {"errors": [f"x {said} y", said], "warnings": [said], "data": {"policy": said, "keys": [said]}}
    headers = {"Location": f"http://{said[:20]}.example/{said}", "Retry-After": said}
    return json_answer(status, body, **headers) if status != 204 else (204, headers, b"")


def answer_with(to_login: Answer, to_all_else: Answer, _method: str, path: str) -> Answer:
    return to_login if path.endswith("/login") else to_all_else


@pytest.mark.parametrize("echo", ["token", "jwt"])
async def test_no_token_or_jwt_in_any_error_or_log_at_debug(
    bench: Bench, opening: Opening, elsewhere: Starting, caplog: pytest.LogCaptureFixture, echo: str
) -> None:
    caplog.set_level(logging.DEBUG)
    jwt = (bench.tokens / "vault").read_text()
    said = TOKEN if echo == "token" else jwt
    texts = []
    for status in (200, 204, 307, 400, 403, 404, 405, 429, 472, 500, 501, 503):
        for to_login in (LOGGED_IN, echoing(status, said)):
            answer = partial(answer_with, to_login, echoing(status, said))
            store = opening(address=elsewhere(answer).address)
            for call in (observe(store), create(store, WANTED), store.check()):
                try:
                    texts.append(repr(await call))
                except errors.AirwardenError as error:
                    texts.append(all_texts(error))
                except AssertionError as error:  # a warning that `create` did not expect
                    texts.append(repr(error.args))
            texts += [repr(store.client), repr(store.client.__dict__), repr(store)]
    cut = opening(address="http://127.0.0.1:1")
    with pytest.raises(errors.Unreachable) as caught:
        await observe(cut)
    texts += [all_texts(caught.value), caplog.text]
    found = "\n".join(texts)
    assert len(found) > 10_000
    assert "urllib3" in caplog.text
    for secret in (TOKEN, TOKEN[4:24], jwt, *(part for part in jwt.split("."))):
        assert secret not in found


async def test_the_real_token_is_in_no_log_at_debug(
    bench: Bench, opening: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = opening()
    await store.check()
    await create(store, WANTED)
    login = store.client._login
    assert login is not None
    assert login.token.startswith("hvs.")
    assert "POST /v1/auth/" in caplog.text
    for secret in (login.token, *(bench.tokens / "vault").read_text().split(".")):
        assert secret not in caplog.text + repr(login) + repr(vars(store.client))
