"""One backend's way to Azure Resource Manager: Azure's clients on a pipeline of our own.

The pipeline neither sleeps nor registers providers nor follows redirects: what Azure asks us to wait becomes the time
of the next pass. A subscription, or a service in it, that asks for a pause or hangs keeps no other waiting: each
request says which side it goes to. Each operation group has a client of its own: one for several changes the API
version of pages that are still to come. Called by the modules beside it.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import aiohttp
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    ContentDecodePolicy,
    HeadersPolicy,
    RequestIdPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest
from azure.mgmt.authorization.aio import AuthorizationManagementClient
from azure.mgmt.core import AsyncARMPipelineClient
from azure.mgmt.msi.aio import ManagedServiceIdentityClient

from airwarden.domain.errors import (
    AirwardenError,
    InvalidSettings,
    OfAPart,
    PartThrottled,
    PartUnreachable,
    StoreFailed,
    Unreachable,
)
from airwarden.providers.azure import answers
from airwarden.providers.azure.connection import Connection
from airwarden.providers.azure.login import Login
from airwarden.providers.concurrency import Pace

T = TypeVar("T")
LimitSink = Callable[[str, str, int], None]
"""Takes a backend, the name of a limit and how many requests it still permits."""
MakeLogin = Callable[[Connection, Callable[[], AioHttpTransport]], Login]
"""Makes the login of a connection, given its way to the network."""
_LIMITS: Final = "x-ms-ratelimit-remaining-"
_PAUSE: Final = 30.0
"""Seconds for which a side is left alone that asked for it without saying how long."""
_SILENT: Final = 5.0
_LONGEST_SILENCE: Final = 60.0
"""Seconds for which a part is left alone that did not answer: first, and after many times in a row."""


class Arm:
    """The clients of one backend. They share a login, the connections and what is known of limits."""

    def __init__(
        self,
        connection: Connection,
        told: LimitSink,
        clock: Callable[[], float] = time.monotonic,
        login: MakeLogin = Login,
        parts: frozenset[str] = frozenset(),
    ) -> None:
        self.connection = connection
        self._clock = clock
        self._login = login(connection, self._transport)
        self._policies: list[Any] = [
            RequestIdPolicy(),
            HeadersPolicy({"Accept": "application/json"}),
            UserAgentPolicy("airwarden"),
            ContentDecodePolicy(),
            AsyncBearerTokenCredentialPolicy(self._login, connection.scope),
            _Limits(connection.backend, told),
        ]
        self._session: aiohttp.ClientSession | None = None
        self._shared: AioHttpTransport | None = None
        self._free = asyncio.Semaphore(connection.max_concurrent)
        self._pace = Pace(connection.per_second, clock)
        self._parts = parts
        """Sides without which the store is still of use: that one does not answer says nothing of the whole."""
        self._left_alone: dict[str, tuple[float, type[OfAPart]]] = {}
        """Until when, by side, and after what."""
        self._unanswered: dict[str, int] = {}
        """How often in a row, by part."""
        self._turns: dict[str, asyncio.Semaphore] = {}
        """By side: one alone, however long it takes to answer, leaves a request at a time to the others."""

    def assignments(self, subscription: str) -> Any:
        """Return the operations on role assignments; the SDK's type for it depends on the version that is chosen."""
        options = self._options()
        client = AuthorizationManagementClient(self._login, subscription, "2022-04-01", **options)
        return client.role_assignments

    def identities(self, subscription: str) -> ManagedServiceIdentityClient:
        """Return the operations on user-assigned identities and their federated credentials."""
        scopes = [self.connection.scope]
        return ManagedServiceIdentityClient(self._login, subscription, credential_scopes=scopes, **self._options())

    async def call(self, side: str, doing: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do one request, or a list of several pages, and raise the operator's own errors.

        A token that is refused is replaced once; what Entra refuses is not tried again here. Raises PartThrottled at
        once while the side asked to be left alone, PartUnreachable while it is a part that did not answer before.
        """
        self._leave_alone(side, doing)
        turns = self._turns.setdefault(side, asyncio.Semaphore(max(1, self.connection.max_concurrent - 1)))
        async with turns, self._free:
            await self._pace.wait()
            self._leave_alone(side, doing)  # it may have asked for that while this one waited
            login = self._login.number
            try:
                try:
                    found = await work()
                except HttpResponseError as error:
                    if error.status_code != 401 or answers.from_entra(error):
                        raise
                    self._login.renew(login)
                    found = await work()
            except AzureError as error:
                raise self._failed(error, side, doing) from None
            except TimeoutError:
                raise self._noted(Unreachable(f"{doing}: no answer in time"), side) from None
            except (TypeError, ValueError) as error:
                # Azure's clients read an answer without looking whether it is what it should be.
                raise StoreFailed(f"{doing}: the answer cannot be read ({type(error).__name__})") from None
        self._unanswered.pop(side, None)
        return found

    async def listed(self, side: str, doing: str, pages: Callable[[], AsyncIterable[T]]) -> list[T]:
        """Return all items of a paged list."""

        async def work() -> list[T]:
            return [each async for each in pages()]

        return await self.call(side, doing, work)

    async def send(self, side: str, request: HttpRequest, doing: str) -> Mapping[str, Any]:
        """Send a request for which there is no client, and return the answer's body."""
        client: AsyncARMPipelineClient[Any, Any] = AsyncARMPipelineClient(**self._options())
        return await self._sent(client, side, request, doing)

    async def send_to(self, service: str, request: HttpRequest, doing: str) -> Mapping[str, Any]:
        """Send a request to another service of the cloud, by its address, with a token that is for it alone."""
        options = self._options()
        own = [each for each in self._policies if not isinstance(each, AsyncBearerTokenCredentialPolicy)]
        options["policies"] = [*own, AsyncBearerTokenCredentialPolicy(self._login, f"{service}/.default")]
        options["base_url"] = service
        return await self._sent(AsyncARMPipelineClient(**options), service, request, doing)

    async def _sent(
        self, client: AsyncARMPipelineClient[Any, Any], side: str, request: HttpRequest, doing: str
    ) -> Mapping[str, Any]:
        request.url = client.format_url(request.url)

        async def work() -> Mapping[str, Any]:
            response = await client.send_request(request)
            if response.status_code >= 400:
                raise _refused(response)
            return response.json() if response.text() else {}

        return await self.call(side, doing, work)

    async def log_in(self) -> None:
        """Get a token now, so that it is known whether there is a login. Raises what `Login.get_token` does."""
        try:
            await self._login.get_token(self.connection.scope)
        except AzureError as error:
            raise answers.failure(error, "logging in to Azure", self._login.lacking) from None

    async def close(self) -> None:
        """Forget the login and close all connections."""
        await self._login.close()
        if self._session is not None:
            await self._session.close()

    def _leave_alone(self, side: str, doing: str) -> None:
        until, met = self._left_alone.get(side, (0.0, OfAPart))
        left = until - self._clock()
        if left > 0:
            why = "asked to be left alone" if met is PartThrottled else "did not answer a moment ago"
            raise met(f"{doing}: {side} {why}", retry_after=left)

    def _failed(self, error: AzureError, side: str, doing: str) -> AirwardenError:
        return self._noted(answers.failure(error, doing, self._login.lacking), side)

    def _noted(self, found: AirwardenError, side: str) -> AirwardenError:
        if isinstance(found, Unreachable) and side in self._parts:
            before = self._unanswered[side] = self._unanswered.get(side, 0) + 1
            pause = min(_LONGEST_SILENCE, _SILENT * 2.0 ** (min(before, 8) - 1))
            found = PartUnreachable(found.message, retry_after=pause)
        else:
            self._unanswered.pop(side, None)
        if isinstance(found, OfAPart):
            self._left_alone[side] = self._clock() + (found.retry_after or _PAUSE), type(found)
        return found

    def _options(self) -> dict[str, Any]:
        return {
            "base_url": self.connection.resource_manager,
            "policies": list(self._policies),
            "transport": self._transport(),
        }

    def _transport(self) -> AioHttpTransport:
        if self._shared is None:
            known = self.connection
            connector = aiohttp.TCPConnector(ssl=_context(known.ca_pem), limit=known.max_concurrent)
            self._session = aiohttp.ClientSession(
                connector=connector, trust_env=True, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
            self._shared = AioHttpTransport(
                session=self._session,
                session_owner=False,
                connection_timeout=known.timeout,
                read_timeout=known.timeout,
            )
        return self._shared


class _Limits(SansIOHTTPPolicy[Any, Any]):
    """Reads from each answer how many requests are left."""

    def __init__(self, backend: str, told: LimitSink) -> None:
        self._backend = backend
        self._told = told

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:  # noqa: ARG002 - the SDK's signature
        for name, value in response.http_response.headers.items():
            if name.lower().startswith(_LIMITS) and value.isdecimal():
                self._told(self._backend, name.lower().removeprefix(_LIMITS), int(value))


def _refused(response: Any) -> HttpResponseError:
    """Return the error of an answer; some providers leave the outer ``error`` out."""
    error = HttpResponseError(response=response)
    if error.error is None:
        error.error = _Flat.of(response)
    return error


class _Flat:
    """Code and message of an error without an envelope."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message

    @classmethod
    def of(cls, response: Any) -> Any:
        try:
            body = response.json()
        except ValueError:
            return None
        return cls(str(body.get("code", "")), str(body.get("message", ""))) if isinstance(body, dict) else None


def _context(ca_pem: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_pem is not None:
        try:
            context = ssl.create_default_context(cadata=ca_pem)
        except (ssl.SSLError, ValueError):
            raise InvalidSettings("tls.caBundleRef holds no PEM certificates: correct the ConfigMap") from None
    return context
