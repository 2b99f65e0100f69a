"""Sends one request to one Azure Key Vault, and sorts what can come of it.

Called by `key_vault.py`; `key_vault_login.py` reaches Entra by the same ways. Azure's own client with a pipeline of
ours: it tries nothing again by itself, for it would sleep past the lookup's time; it follows no redirect, so that a
token goes to no other host; it does not ask the vault where to log in, since the map says so; and it logs nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestTimeoutError, ServiceResponseTimeoutError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import CustomHookPolicy, ProxyPolicy, SansIOHTTPPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.secrets import KeyVaultSecret, SecretClient
from requests.utils import get_environ_proxies

from airflow_airwarden import __version__
from airflow_airwarden.binding_map import KeyVaultStore
from airflow_airwarden.errors import Reason, Unavailable
from airflow_airwarden.readers.common import (
    CONNECT_SECONDS,
    READ_SECONDS,
    AtHand,
    authorities,
    json_object,
    retry_after,
)

_PUBLIC = "https://vault.azure.net"
_ID = re.compile(r"https://[^/]+/secrets/[^/]+/([0-9A-Za-z]+)")
_WORD = re.compile(r"[A-Za-z0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class Clock:
    """The time as a reader sees it; a test gives one that does not pass by itself."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    """Seconds since 1970."""
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vault said."""

    status: int
    code: str = ""
    """Azure's innermost code for a refusal."""
    request_id: str = ""
    secret: KeyVaultSecret | None = field(default=None, repr=False)
    """With status 200 alone."""


def audience(vault_url: str) -> str:
    """Return the resource that tokens for a vault are asked for: the vaults' domain in its cloud."""
    domain = (urlsplit(vault_url).hostname or "").partition(".")[2]
    return f"https://{domain}" if domain.startswith("vault.") else _PUBLIC


def transport(store: KeyVaultStore) -> RequestsTransport:
    """Return the opened way to Entra or to the vault, with the time-outs; no netrc and no ambient certificates."""
    made = RequestsTransport(
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        connection_verify=store.ca_file or True,
        use_env_settings=False,
    )
    made.open()  # else threads that come first at once would each open one
    return made


def proxies(url: str) -> ProxyPolicy:
    """Return the proxy that the image's environment names for an address, if any: Azure is outside many clusters."""
    return ProxyPolicy(proxies=get_environ_proxies(url))


def unreachable(error: AzureError) -> str:
    """Say that a server did not answer; the error's own words are the transport's, with addresses and more."""
    late = isinstance(error, (ServiceRequestTimeoutError, ServiceResponseTimeoutError))
    return f"{'did not answer in time' if late else 'cannot be reached'} ({type(error).__name__})"


class _Whole(SansIOHTTPPolicy[Any, Any]):
    """Lets no answer of something else than a vault come to the client's own reading, whose errors quote it."""

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        answered = response.http_response
        if answered.status_code == 200 and not _whole(answered.text()):
            raise Unavailable(
                Reason.STORE_FAILED, f"{_origin(request.http_request.url)} answered with no secret: no Key Vault?"
            )


class KeyVaultConnection:
    """The connections to one vault, shared by the threads of one process."""

    def __init__(self, store: KeyVaultStore, credential: TokenCredential) -> None:
        authorities(store.name, store.ca_file)  # a file that cannot be read is said before a request fails of it
        self._name = store.name
        self._credential = credential
        self._scope = f"{audience(store.vault_url)}/.default"
        self._closed = False
        self._at_hand = AtHand(
            lambda: SecretClient(
                store.vault_url,
                credential,
                policies=[CustomHookPolicy(), proxies(store.vault_url), _Whole()],
                transport=transport(store),
            )
        )

    def get(self, name: str, correlation: str) -> Answer:
        """Ask for a secret's newest version; Unavailable for an answer that is about the server, or none."""
        if self._closed:  # another thread, that the end of the task has overtaken
            raise Unavailable(
                Reason.STORE_UNREACHABLE, f"the connection to the vault of store {self._name} ended with the task"
            )
        ids: list[str] = []

        def note(response: PipelineResponse[Any, Any]) -> None:
            ids.append(str(response.http_response.headers.get("x-ms-request-id", "")))

        headers = {
            "Authorization": f"Bearer {self._credential.get_token(self._scope).token}",
            "User-Agent": f"airflow-provider-airwarden/{__version__} {correlation}".strip(),
        }
        try:
            with self._at_hand.taken() as client:
                secret = client.get_secret(name, headers=headers, raw_response_hook=note)
        except HttpResponseError as error:
            if error.response is not None:
                return self._sorted(error.response)
            raise self._unreachable(error) from None
        except AzureError as error:
            raise self._unreachable(error) from None
        return Answer(200, "", ids[-1], secret)

    def close(self) -> None:
        """Close the connections."""
        self._closed = True
        self._at_hand.client.close()

    def _unreachable(self, error: AzureError) -> Unavailable:
        return Unavailable(Reason.STORE_UNREACHABLE, f"the vault of store {self._name} {unreachable(error)}")

    def _sorted(self, response: Any) -> Answer:
        """Return a refusal of the request; Unavailable for one that is about the server. Nothing said is quoted."""
        status, pause = int(response.status_code), retry_after(response.headers)
        if status == 429:
            raise Unavailable(Reason.STORE_BUSY, f"the vault of store {self._name} has too many requests", pause)
        if status >= 500 or status == 408:
            raise Unavailable(
                Reason.STORE_FAILED, f"the vault of store {self._name} failed with status {status}", pause
            )
        return Answer(status, _code(response.text()), str(response.headers.get("x-ms-request-id", "")))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _whole(text: str) -> bool:
    body = json_object(text)
    attributes = body.get("attributes", {})
    if not isinstance(body.get("value"), str) or not _ID.fullmatch(str(body.get("id", ""))):
        return False
    return isinstance(attributes, dict) and all(
        isinstance(attributes.get(name, 0), int) for name in ("nbf", "exp", "created", "updated")
    )


def _code(text: str) -> str:
    """Return Azure's innermost error code, if it is one word."""
    error = json_object(text).get("error")
    code = ""
    while isinstance(error, dict):
        code = str(error.get("code") or code)
        error = error.get("innererror")
    return code if _WORD.fullmatch(code) else ""
