"""Sends one request to one Vault, and sorts what can come of it.

Called by `vault.py` and `vault_logins.py`. On httpx, which every task has loaded for the Task SDK's own client.
Nothing ambient is used: no VAULT_ADDR or VAULT_TOKEN, no proxy variables, no .netrc; redirects are not followed,
so that a token goes to no other host.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import httpx

from airflow_airwarden import __version__
from airflow_airwarden.binding_map import VaultStore
from airflow_airwarden.errors import Reason, Unavailable
from airflow_airwarden.readers.bounded_transport import FAILURES, TIMEOUTS, BoundedClient
from airflow_airwarden.readers.common import (
    CONNECT_SECONDS,
    READ_SECONDS,
    AtHand,
    authorities,
    json_object,
    retry_after,
)

LARGEST_ANSWER = 4 << 20
Json = Mapping[str, object]
_TOKEN_LIKE = re.compile(r"\b(?:hv[sbr]\.|[sbr]\.|eyJ)[A-Za-z0-9_.\-]{8,}|[A-Za-z0-9_\-]{24,}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What Vault said."""

    status: int
    body: Mapping[str, object] = field(repr=False)
    retry_after: float = 0.0

    @property
    def errors(self) -> str:
        """Vault's own words, one line, cut, and without what looks like a token."""
        said = self.body.get("errors")
        words = " ".join(" ".join(str(each) for each in said).split()) if isinstance(said, list) else ""
        return _TOKEN_LIKE.sub("[redacted]", words)[:200]

    def part(self, name: str) -> Mapping[str, object]:
        """Return an object of the answer, empty if there is none."""
        found = self.body.get(name)
        return found if isinstance(found, dict) else {}

    def text(self, name: str) -> str:
        """Return a text of the answer, empty if there is none."""
        found = self.body.get(name)
        return found if isinstance(found, str) else ""


class VaultConnection:
    """The connections to one address, shared by the threads of one process."""

    def __init__(self, store: VaultStore, address: str) -> None:
        self.address = address
        self._extensions = {"sni_hostname": store.server_name} if store.server_name else {}
        headers = {"X-Vault-Request": "true", "User-Agent": f"airflow-provider-airwarden/{__version__}"}
        if store.namespace:
            headers["X-Vault-Namespace"] = store.namespace
        tls = address.startswith("https://")
        trusted = authorities(store.name, store.ca_file) if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._at_hand = AtHand(
            partial(
                BoundedClient,
                trusted,
                base_url=f"{address}/v1/",
                headers=headers,
                timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
                trust_env=False,
                follow_redirects=False,
            )
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        body: Json | None = None,
        correlation: str = "",
    ) -> Answer:
        """Send one request; Unavailable if this address does not answer it as an active, unsealed server."""
        headers = {"X-Vault-Token": token} if token else {}
        if correlation:
            headers["X-Correlation-Id"] = correlation
        if self._at_hand.client.is_closed:  # a renewal, or another thread, that the end of the task has overtaken
            raise Unavailable(
                Reason.STORE_UNREACHABLE, f"the connection to Vault at {self.address} ended with the task"
            )
        try:
            status, pause, content = self._exchange(method, path, headers, body)
        except (*FAILURES, httpx.DecodingError) as error:
            what = "did not answer in time" if isinstance(error, TIMEOUTS) else "cannot be reached"
            raise Unavailable(
                Reason.STORE_UNREACHABLE, f"Vault at {self.address} {what} ({type(error).__name__})"
            ) from None
        return _sorted(self.address, Answer(status, json_object(content), pause))

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: Json | None
    ) -> tuple[int, float, bytes]:
        """Return status, Retry-After and content; the time-outs hold for the whole of it, not for each piece."""
        ends = time.monotonic() + CONNECT_SECONDS + READ_SECONDS
        with (
            self._at_hand.taken() as client,
            client.ending(ends),
            client.stream(method, path, headers=dict(headers), json=body, extensions=self._extensions) as response,
        ):
            content = b""
            for piece in response.iter_bytes():
                content += piece
                if len(content) > LARGEST_ANSWER:
                    raise httpx.ReadTimeout("the answer has no end")
            return response.status_code, retry_after(response.headers), content

    def close(self) -> None:
        """Close the connections."""
        self._at_hand.client.close()


def _sorted(address: str, answer: Answer) -> Answer:
    """Return an answer that says something about the request; Unavailable for one that is about the server.

    Vault's words are left out above 500: engines put statements of their own into them.
    """
    status = answer.status
    if status == 503:
        raise Unavailable(Reason.STORE_SEALED, f"Vault at {address} is sealed or in maintenance", answer.retry_after)
    if status == 429:
        raise Unavailable(Reason.STORE_BUSY, f"Vault at {address} has too many requests", answer.retry_after)
    if status >= 500 or status == 412:
        raise Unavailable(Reason.STORE_FAILED, f"Vault at {address} failed with status {status}", answer.retry_after)
    if 300 <= status < 400 or status in {472, 473}:
        raise Unavailable(Reason.STORE_UNREACHABLE, f"Vault at {address} is not the active server (status {status})")
    if status == 200 and not answer.body:
        raise Unavailable(Reason.STORE_FAILED, f"{address} answered with something that is no object: no Vault?")
    return answer
