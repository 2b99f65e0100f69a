"""What the readers of all stores share: time-outs, certificates, what an answer says of itself, and counting.

Called by the readers beside this module.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, TypeVar

from airflow_airwarden.errors import LookupRefused, Reason, Unavailable

CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0

LOGIN_SECONDS = 30.0
"""How long a thread waits while another one logs in."""


T = TypeVar("T", bound=AbstractContextManager[Any])


class AtHand(Generic[T]):
    """The one client that the threads of a process share.

    A signal's handler that comes while its own thread is at work in it is given another one for that time: the first
    may hold locks, and cannot go on before the handler ends.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self.client = make()
        self._busy: set[int] = set()
        """The threads that are at work in it."""

    @contextmanager
    def taken(self) -> Iterator[T]:
        """Give the client, or another one that is closed afterwards."""
        me = threading.get_ident()
        if me in self._busy:
            with self._make() as another:
                yield another
            return
        self._busy.add(me)
        try:
            yield self.client
        finally:
            self._busy.discard(me)


class OneLogin:
    """Held while logging in: one login, however many threads want it.

    A signal's handler may want one in the midst of its own thread's login, which cannot go on before the handler ends:
    it is let through. A thread that another one keeps waiting gives up in the end.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()

    @contextmanager
    def held(self, store: str) -> Iterator[None]:
        """Hold it; Unavailable if another thread does so for too long."""
        if not self._lock.acquire(timeout=LOGIN_SECONDS):
            wrong = f"another thread of this process has been logging in to store {store} for {LOGIN_SECONDS:g} seconds"
            raise Unavailable(Reason.STORE_FAILED, wrong)
        try:
            yield
        finally:
            self._lock.release()


class Counts:
    """How many requests and logins a reader made, counted by many threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal's handler may count in the midst of its thread's own counting
        self._requests = 0
        self._logins = 0

    def request(self) -> None:
        """Count one request."""
        with self._lock:
            self._requests += 1

    def since_last(self, logins: int) -> Mapping[str, int]:
        """Return what was made since the last call; ``logins`` is how many there were in all."""
        with self._lock:
            found = {"requests": self._requests, "logins": logins - self._logins}
            self._requests, self._logins = 0, logins
        return found


def authorities(store: str, file: str) -> ssl.SSLContext:
    """Return a context that trusts a file's certificates, the system's without one; LookupRefused if unreadable."""
    try:
        return ssl.create_default_context(cafile=file or None)
    except (OSError, ssl.SSLError):
        raise LookupRefused(
            Reason.STORE_UNREACHABLE,
            f"the certificate authorities of store {store} in {file} cannot be read",
            "Mount the file that the map names, with certificates in PEM",
        ) from None


def json_object(content: str | bytes) -> dict[str, Any]:
    """Return the object that an answer's content is; an empty one where it is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the pause in seconds that an answer asks for; 0 where it asks for none."""
    text = str(headers.get("Retry-After", ""))
    return float(text) if text.isascii() and text.isdecimal() else 0.0
