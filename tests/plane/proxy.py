"""A proxy in front of Vault or the API server that numbers each request, and can do to it what networks do.

Used by the fault tests: to delay, cut or reset a request, to answer it in the server's place, to lose or
truncate its answer, to let it hang, and to hold it while the operator is killed, so that kills are placed and
not hoped for. It understands HTTP, passes watches on as they come, and ends TLS where it is given a certificate.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from plane.certificates import KeyPair

_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    number: int
    method: str
    path: str
    body: bytes = field(repr=False)

    @property
    def what(self) -> str:
        """Method and path, without the query."""
        return f"{self.method} {self.path.partition('?')[0]}"


class Fate(Enum):
    """What becomes of a request."""

    PASS = "it is passed on"
    CUT = "the connection is closed before it is passed on"
    RESET = "the connection is reset before it is passed on"
    LOSE = "it is passed on, and the connection is closed before the answer"
    TRUNCATE = "it is passed on, and half of the answer comes back"


@dataclass(frozen=True)
class Answer:
    """What the proxy says in the server's place; the request is not passed on."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Behaviour = Callable[[Request], Fate | Answer]


def pass_all(_: Request) -> Fate:
    """Pass every request on."""
    return Fate.PASS


class Stop:
    """Holds the one chosen request, before it is passed on or after its answer is there, until it is let go."""

    def __init__(self, chosen: Callable[[Request], bool], *, after: bool) -> None:
        self.reached = threading.Event()
        self.held: Request | None = None
        self._chosen = chosen
        self._after = after
        self._released = threading.Event()
        self._once = threading.Lock()

    def __call__(self, request: Request) -> Fate:
        """Decide on one request; the chosen one waits here when it is to be stopped before it acts."""
        with self._once:
            if self.held is not None or not self._chosen(request):
                return Fate.PASS
            self.held = request
        if not self._after:
            self.wait()
            return Fate.CUT
        return Fate.LOSE

    def wait(self) -> None:
        """Say that the request is here, and hold it."""
        self.reached.set()
        self._released.wait()

    def answered(self, request: Request) -> None:
        """Hold the chosen request now that it has acted."""
        if self._after and request is self.held:
            self.wait()

    def release(self) -> None:
        """Let go: the connection is closed, whoever is still at its other end."""
        self._released.set()


class Hang:
    """Accepts every request and answers none, until it is let go; then their connections are closed."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._counting = threading.Lock()
        self.held = 0
        """How many requests hang now."""

    def __call__(self, _: Request) -> Fate:
        """Hold a request."""
        with self._counting:
            self.held += 1
        self._over.wait()
        with self._counting:
            self.held -= 1
        return Fate.CUT

    def release(self) -> None:
        """Let all go."""
        self._over.set()


class Proxy:
    """Listens on a port of the loopback address; a context manager."""

    def __init__(self, upstream: str, ca: str | None = None, pair: KeyPair | None = None) -> None:
        self.requests: list[Request] = []
        self.answers: dict[int, bytes] = {}
        """What came back to each request, by its number; watches are left out."""
        self.behaviour: Behaviour = pass_all
        self._numbering = threading.Lock()
        self._ended = threading.Event()
        self._server = _Server(self, upstream, ca)
        if pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pair.certificate, pair.key)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.address = f"{'https' if pair else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self.behaviour, Stop | Hang):
            self.behaviour.release()
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()

    def pause(self, seconds: float) -> None:
        """Keep a request waiting, as a slow server would; for use in a behaviour. The proxy's end ends it."""
        self._ended.wait(seconds)

    def cut_connections(self) -> None:
        """Close every open connection, also those of watches; new ones are taken."""
        self._server.close_connections()

    def mark(self) -> int:
        """Return a position: `since` it gives the requests after it."""
        return len(self.requests)

    def since(self, mark: int) -> list[Request]:
        """Return the requests that came after a mark."""
        return self.requests[mark:]

    def take_in(self, method: str, path: str, body: bytes) -> Request:
        """Number a request."""
        with self._numbering:
            request = Request(len(self.requests) + 1, method, path, body)
            self.requests.append(request)
            return request


class _Server(ThreadingHTTPServer):
    """Hands each connection to a thread of its own, and knows the open ones."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: Proxy, upstream: str, ca: str | None) -> None:
        self.proxy = proxy
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname or "", parts.port or 0)
        self.context = ssl.create_default_context(cafile=ca) if parts.scheme == "https" else None
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to the server behind."""
        host, port = self.upstream
        if self.context is not None:
            return http.client.HTTPSConnection(host, port, context=self.context)
        return http.client.HTTPConnection(host, port)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: broken connections are this proxy's work."""

    def close_connections(self) -> None:
        """Close what is still open."""
        for each in list(self._open):
            self.shutdown_request(each)


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client, with one of its own to the server behind."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # also LIST, which Vault has
            return self._pass_on
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""

    def _pass_on(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = proxy.take_in(self.command, self.path, body)
        behaviour = proxy.behaviour
        fate = behaviour(request)
        if isinstance(fate, Answer):
            self._say(fate)
            return
        if fate in (Fate.CUT, Fate.RESET):
            self._break_off(reset=fate is Fate.RESET)
            return
        upstream = self.server.connect()
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            if fate is Fate.PASS:
                self._answer(answer, request)
                return
            text = answer.read()
            if isinstance(behaviour, Stop):
                behaviour.answered(request)
            if fate is Fate.TRUNCATE:
                self._head(answer, len(text))
                self.wfile.write(text[: len(text) // 2])
            self._break_off(reset=False)
        except OSError:
            self._break_off(reset=False)
        finally:
            upstream.close()

    def _answer(self, answer: http.client.HTTPResponse, request: Request) -> None:
        if answer.getheader("Transfer-Encoding", "").lower() != "chunked":
            self.server.proxy.answers[request.number] = text = answer.read()
            self._head(answer, len(text))
            self.wfile.write(text)
            return
        self._head(answer, None)
        while piece := answer.read1(65536):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _say(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _head(self, answer: http.client.HTTPResponse, length: int | None) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        elif answer.status not in (204, 304):
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _break_off(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
