"""One HTTP exchange with Vault, through hvac, that leaks nothing and trusts nothing ambient.

No token, proxy or certificate comes from the environment; a redirect is never followed; nothing is sent
twice. The exceptions of `requests` hold the request with its token and JWT, so none of them gets out,
not even as the cause or context of ours. Blocking; called by `airwarden.providers.vault.client` on its threads.
"""

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import requests
from hvac.adapters import RawAdapter
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from airwarden.domain.errors import InvalidSettings, Unreachable
from airwarden.providers.vault.answers import Asked, RawAnswer
from airwarden.providers.vault.connection import Connection

_FAILURES: Final = (requests.RequestException, HTTPError, OSError)
_MOST: Final = 32
_MERGE: Final = "application/merge-patch+json"
"""The one type that Vault takes with PATCH."""
_CAUSES: Final[tuple[tuple[tuple[type[BaseException], ...], str], ...]] = (
    (
        (ssl.SSLError, requests.exceptions.SSLError),
        "no TLS connection could be made: check that the address is https only where Vault speaks TLS",
    ),
    (
        (NameResolutionError, socket.gaierror),
        "its name does not resolve: check the address and the cluster's DNS",
    ),
    (
        (requests.Timeout, TimeoutError),
        "time ran out after {timeout} s: check Vault's load, the network policy, and requests.timeout",
    ),
    ((ConnectionRefusedError,), "the connection was refused: check the address, and that Vault runs"),
    ((NewConnectionError,), "no connection could be made: check the address and the network policy"),
)
"""Why there was no answer, the most telling first."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. The body may hold a JWT, so it is not shown."""

    method: str
    path: str
    body: Mapping[str, object] | None = field(default=None, repr=False)
    wrap_seconds: int = 0
    """Seconds for which Vault is to wrap its answer, so that only its first reader has it; 0 for no wrapping."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What the body holds that must be in no message, should the other side repeat it."""

    @property
    def what(self) -> str:
        """Method and path, for messages."""
        return f"{self.method} {self.path}"


class _Sender(Protocol):
    """The part of hvac's adapter that is used."""

    def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        *,
        raise_exception: bool,
        timeout: tuple[float, float],
        json: Mapping[str, object] | None,
    ) -> requests.Response: ...


class _VerifyingAdapter(HTTPAdapter):
    """Connections that trust the given certificates only, and check them for the given name."""

    def __init__(self, connections: int, context: ssl.SSLContext | None, server_name: str) -> None:
        self._context = context
        self._server_name = server_name
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0, pool_block=True)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: object) -> None:
        if self._context is not None:
            kwargs["ssl_context"] = self._context
            if self._server_name:
                kwargs["server_hostname"] = self._server_name
        super().init_poolmanager(connections, maxsize, block=block, **kwargs)

    def cert_verify(self, conn: object, url: str, verify: object, cert: object) -> None:
        """Leave the context as it is: the overridden method would add the certificates of certifi to it."""


class Transport:
    """A pool of connections to one Vault. Safe to use from many threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        session = requests.Session()
        session.trust_env = False
        context = _context(connection) if connection.address.startswith("https:") else None
        for scheme in ("https://", "http://"):
            session.mount(scheme, _VerifyingAdapter(connection.max_concurrent, context, connection.server_name))
        self._session = session
        self._sender: _Sender = RawAdapter(
            base_uri=connection.address, token="", session=session, allow_redirects=False, namespace=None
        )

    def exchange(self, call: Call, token: str, *, in_namespace: bool = True) -> RawAnswer:
        """Send one request and return the answer, whatever its status. Raises Unreachable without one."""
        headers = {"X-Vault-Token": token} if token else {}
        if in_namespace and self._connection.namespace:
            headers["X-Vault-Namespace"] = self._connection.namespace
        if call.wrap_seconds:
            headers["X-Vault-Wrap-TTL"] = f"{call.wrap_seconds}s"
        if call.method == "PATCH":
            headers["Content-Type"] = _MERGE
        wait = (self._connection.timeout, self._connection.timeout)
        try:
            answer = self._sender.request(
                call.method, f"/v1/{call.path}", headers, raise_exception=False, timeout=wait, json=call.body
            )
            return RawAnswer(
                answer.status_code,
                answer.content,
                answer.headers.get("Retry-After", ""),
                answer.headers.get("Location", ""),
            )
        except _FAILURES as error:
            failure = explain(error, self._connection.timeout)
        # Raised out here, so that the exception above, which holds token and body, is not its context.
        raise Unreachable(f"Vault at {self._connection.address} gave no answer to {call.what}: {failure}")

    def asked(self, call: Call, *hidden: str) -> Asked:
        """Return the description of a call that `interpret` wants."""
        return Asked(call.what, self._connection.address, hidden=(*call.secrets, *hidden))

    def close(self) -> None:
        """Close all connections."""
        self._session.close()


def explain(error: BaseException, timeout: float) -> str:
    """Return why there was no answer, by the kinds of the exceptions: their texts may hold headers."""
    found = _nested(error)
    for each in found:
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted ({each.verify_message}): check tls.caBundleRef and tls.serverName"
    for kinds, cause in _CAUSES:
        if any(isinstance(each, kinds) for each in found):
            return cause.format(timeout=f"{timeout:g}")
    return "the connection was cut: check http or https in the address, and look at Vault's log"


def _nested(error: BaseException) -> list[BaseException]:
    """Return the exception and those within it: requests and urllib3 wrap them as arguments and reasons."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(found) < _MOST:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and not any(each is one for one in found):
            found.append(each)
            waiting += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]
    return found


def _context(connection: Connection) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=connection.ca_pem)
    except (ssl.SSLError, ValueError):
        reason = "holds no certificate that can be read"
    raise InvalidSettings(
        f"the CA bundle of backend {connection.backend} {reason}: put PEM certificates into the ConfigMap it names"
    )
