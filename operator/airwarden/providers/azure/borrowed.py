"""The login to Azure of the person who runs a command: what Azure's own tools would use, and never the operator's.

Asked in their order: a service principal of AZURE_CLIENT_ID, the workload identity of a pod, `az login`. Nothing opens
a browser, and the metadata endpoint of a machine is not tried: where a command runs beside the operator, its identity
could be the operator's. Called by `airwarden.commands.key_vaults`.
"""

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity import CredentialUnavailableError
from azure.identity.aio import (
    AzureCliCredential,
    CertificateCredential,
    ClientSecretCredential,
    WorkloadIdentityCredential,
)

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.errors import InvalidSettings, Unauthorized
from airwarden.domain.resources import Operation
from airwarden.providers.azure import answers
from airwarden.providers.azure.connection import Connection
from airwarden.providers.azure.identities import NotYet
from airwarden.providers.azure.login import Login
from airwarden.providers.azure.opening import connection_of, place_of, settings
from airwarden.providers.azure.store import AzureStore
from airwarden.providers.ports import Written

_EARLY: Final = 300.0
"""Seconds before its end from which a token is asked for anew."""
_CLI_SECONDS: Final = 30
"""How long `az` may take: it starts slowly, and has the tenant to ask."""
_NAMED: Final = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID")


class NotLoggedIn(InvalidSettings):
    """Nobody is logged in to Azure where the command runs."""


class BorrowedLogin(Login):
    """The caller's identity in one tenant. Its tokens live in memory alone."""

    lacking = "Your login lacks the right, or there is no such scope"

    def __init__(
        self, connection: Connection, transport: Callable[[], AioHttpTransport], environment: Mapping[str, str]
    ) -> None:
        super().__init__(connection, transport)
        self._environment = environment
        self._held: dict[tuple[str, ...], AccessToken] = {}

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token, from the first way that the caller has prepared.

        Raises NotLoggedIn where there is none, Unauthorized where Entra refuses the one that there is, InvalidSettings
        where it is the operator's.
        """
        async with self._asking:
            held = self._held.get(scopes)
            if held is not None and held.expires_on - time.time() > _EARLY and not options.get("claims"):
                return held
            found = await self._asked(*scopes)
            self._refuse_operators(found.token)
            self._held[scopes] = found
            return found

    def renew(self, number: int | None = None) -> None:
        """Forget the tokens, unless others that were refused together have done so."""
        if number is None or number == self.number:
            self._held.clear()
        super().renew(number)

    async def _asked(self, *scopes: str) -> AccessToken:
        for name, make in self._ways():
            try:
                return await make().get_token(*scopes)
            except CredentialUnavailableError:
                continue
            except (ServiceRequestError, ServiceResponseError) as error:
                raise answers.failure(error, f"logging in to Azure by {name}") from None
            except AzureError as error:
                raise Unauthorized(
                    f"{name} gives no token for tenant {self._connection.tenant}: {answers.from_login(error)}. Run az "
                    f"login --tenant {self._connection.tenant}, or correct the AZURE_ variables"
                ) from None
            except (ValueError, OSError) as error:
                raise InvalidSettings(
                    f"{name} cannot be used ({type(error).__name__}): correct the AZURE_ variables, or unset them and "
                    "run az login"
                ) from None
        raise NotLoggedIn(
            f"nobody is logged in to Azure: run az login --tenant {self._connection.tenant}, or set AZURE_TENANT_ID, "
            "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
        )

    def _ways(self) -> Iterator[tuple[str, Callable[[], AsyncTokenCredential]]]:
        """Yield the ways that are prepared, by what a message calls them."""
        given = {name: value for name, value in self._environment.items() if name.startswith("AZURE_") and value}
        shared: dict[str, Any] = {
            "transport": self._transport(),
            "retry_total": 0,
            "authority": self._connection.authority,
        }
        tenant, client = (given.get(each, "") for each in _NAMED)
        if tenant and client:
            if secret := given.get("AZURE_CLIENT_SECRET"):
                yield "AZURE_CLIENT_SECRET", partial(ClientSecretCredential, tenant, client, secret, **shared)
            elif path := given.get("AZURE_CLIENT_CERTIFICATE_PATH"):
                password = given.get("AZURE_CLIENT_CERTIFICATE_PASSWORD")
                more = {**shared, "password": password} if password else shared
                yield "AZURE_CLIENT_CERTIFICATE_PATH", partial(CertificateCredential, tenant, client, path, **more)
            if file := given.get("AZURE_FEDERATED_TOKEN_FILE"):
                yield (
                    "AZURE_FEDERATED_TOKEN_FILE",
                    partial(
                        WorkloadIdentityCredential, tenant_id=tenant, client_id=client, token_file_path=file, **shared
                    ),
                )
        yield "az", partial(AzureCliCredential, tenant_id=self._connection.tenant, process_timeout=_CLI_SECONDS)

    def _refuse_operators(self, token: str) -> None:
        """Raise InvalidSettings for a token of the operator's own identity: commands show what the caller may do."""
        if self._connection.client_id.lower() in {each.lower() for each in _clients(token)}:
            raise InvalidSettings(
                f"you are logged in to Azure as the operator of backend {self._connection.backend}, whose identity is "
                "for the operator alone: log in as yourself with az login, or set the AZURE_ variables of another one"
            )


def _clients(token: str) -> Iterator[str]:
    """Yield which application a token is for, as far as it says so: Entra's are signed texts that hold claims."""
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, IndexError):
        return
    if isinstance(claims, dict):
        yield from (claims[name] for name in ("appid", "azp") if isinstance(claims.get(name), str))


class BorrowedStore(AzureStore):
    """A backend's store with the login of a person, who waits for the turn of a write: a pass would come back."""

    async def apply(self, operation: Operation) -> Written:
        """Do one operation when it is its turn."""
        while True:
            try:
                return await super().apply(operation)
            except NotYet as error:
                await asyncio.sleep(error.retry_after or 0.0)


def open_borrowed(
    backend: AirflowSecretBackend, *, cluster: str, environment: Mapping[str, str], ca_pem: str | None
) -> BorrowedStore:
    """Return the backend's store, used with the caller's own login. Nothing is sent yet.

    ``environment`` holds the caller's variables. Raises InvalidSettings for settings that cannot be used.
    """
    azure = settings(backend)
    connection = connection_of(backend, azure, Path(os.devnull), ca_pem)
    login = partial(BorrowedLogin, environment=environment)
    return BorrowedStore(connection, place_of(backend, azure, cluster), lambda *_: None, login=login)
