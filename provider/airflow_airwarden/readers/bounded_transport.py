"""An httpx transport whose requests end: the time of one holds for all of it, however slowly its pieces come.

httpx's own time-outs hold for each piece, so a server that sends a byte of a header every few seconds holds a task for
as long as it likes. Used by `vault_http.py`. On httpcore, which httpx brings with it, and on nothing private of either.
"""

from __future__ import annotations

import math
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpcore
import httpx

FAILURES = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpx.TransportError)
"""What a request by this transport raises where no whole answer came; named as httpx names it."""
TIMEOUTS = (httpcore.TimeoutException, httpx.TimeoutException)
_CONNECTIONS, _KEPT, _KEPT_SECONDS = 100, 20, 5.0


class BoundedTransport(httpx.BaseTransport):
    """Sends requests; those within `ending` are cut off at its time, wherever they are by then but in a name's look-up.

    Safe for several threads, each of which has times of its own.
    """

    def __init__(self, trusted: ssl.SSLContext) -> None:
        self._bound = _Bound()
        self._pool = httpcore.ConnectionPool(
            ssl_context=trusted,
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_KEPT,
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=_Network(self._bound),
        )

    @contextmanager
    def ending(self, at: float) -> Iterator[None]:
        """Have the requests of this thread end at a time of the monotonic clock. A signal's handler has its own."""
        before, self._bound.ends = self._bound.ends, at
        try:
            yield
        finally:
            self._bound.ends = before

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; raises one of FAILURES."""
        url = request.url
        if not isinstance(request.stream, httpx.SyncByteStream):
            raise TypeError("the request's body comes from a coroutine")
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class BoundedClient(httpx.Client):
    """A client that sends by such a transport, with the authorities that it trusts."""

    def __init__(self, trusted: ssl.SSLContext, **options: Any) -> None:
        self._bounded = BoundedTransport(trusted)
        super().__init__(transport=self._bounded, **options)

    def ending(self, at: float) -> AbstractContextManager[None]:
        """Have the requests of this thread end at a time of the monotonic clock."""
        return self._bounded.ending(at)


class _Bound(threading.local):
    """When the requests of a thread end."""

    ends: float = math.inf

    def within(self, seconds: float | None) -> float | None:
        """Return how long one piece may take. Raises httpcore.ReadTimeout when the time is over."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the request takes too long as a whole")
        allowed = min(left, seconds if seconds is not None else math.inf)
        return allowed if math.isfinite(allowed) else None


class _Network(httpcore.NetworkBackend):
    """Makes connections whose pieces come within the bound."""

    def __init__(self, bound: _Bound) -> None:
        self._bound = bound
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = self._bound.within(timeout)
        return _Stream(self._bound, self._plain.connect_tcp(host, port, seconds, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """One connection."""

    def __init__(self, bound: _Bound, plain: httpcore.NetworkStream) -> None:
        self._bound, self._plain = bound, plain

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._plain.read(max_bytes, self._bound.within(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._plain.write(buffer, self._bound.within(timeout))

    def close(self) -> None:
        self._plain.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        # Of a handshake Python counts the whole time.
        return _Stream(self._bound, self._plain.start_tls(ssl_context, server_hostname, self._bound.within(timeout)))

    def get_extra_info(self, info: str) -> object:
        return self._plain.get_extra_info(info)


class _Body(httpx.SyncByteStream):
    """The content of an answer as it comes."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()
