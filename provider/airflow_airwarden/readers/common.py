"""What the readers of all stores share: time-outs, certificates, what an answer says of itself, and counting.

Called by the readers beside this module.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping
from typing import Any

from airflow_airwarden.errors import LookupRefused, Reason

CONNECT_SECONDS = 2.0
READ_SECONDS = 5.0


class Counts:
    """How many requests and logins a reader made, counted by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
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
