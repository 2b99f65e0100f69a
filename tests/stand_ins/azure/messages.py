"""What goes in and out of the stand-in's services: requests, answers and refusals.

Every service of the stand-in (Resource Manager, Entra, Graph, Key Vault, the metadata endpoint) is a function
from a `Request` to an `Answer`; `server.py` alone knows HTTP. A `Refused` carries what Azure would say, and
each service writes it in its own way.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


class Refused(Exception):
    """Azure says no: the status, its own error code and its words."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, inner: str = ""
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.inner = status, code, message, inner
        self.headers: dict[str, str] = dict(headers or {})


class Vanished(Exception):
    """The connection ends without an answer: so it does for a host that is gone, as near to that as a port comes."""


@dataclass(frozen=True)
class Request:
    """One request, whatever the service."""

    service: str
    """arm | entra | graph | vault | imds."""
    method: str
    path: str
    """Decoded, without the query."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name."""
    body: bytes = field(default=b"", repr=False)
    origin: str = ""
    """Scheme, host and port as the client wrote them: links in answers begin with it."""
    vault: str = ""
    """The name of the vault whose host was asked."""

    def json(self) -> Json:
        """Return the body as an object, or refuse as Resource Manager does."""
        try:
            content = json.loads(self.body)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise Refused(
                400, "InvalidRequestContent", "The request content was invalid and could not be deserialized."
            )
        return content


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Logged:
    """One request as the stand-in's log keeps it. Neither tokens nor secrets nor bodies are kept."""

    at: float
    service: str
    method: str
    path: str
    query: Mapping[str, str]
    principal: str
    """Object id of the caller; empty where the request named none."""
    status: int
    code: str
    """Azure's error code; empty when all went well."""
    retry_after: str
    """The Retry-After header of the answer; empty without."""
    request_id: str = ""
    """The x-ms-request-id header of the answer; empty without."""


def is_guid(text: object) -> bool:
    """Tell whether this is a GUID as Azure takes it: 8-4-4-4-12 hexadecimal digits."""
    if not isinstance(text, str) or len(text) != 36:
        return False
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def instant(seconds: float) -> str:
    """Write a moment as Azure does."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat().replace("+00:00", "Z")
