"""The operator's login to Entra, as the pipelines of Azure's clients ask for it.

The file behind a login is read anew for each token, and a login that was refused is built anew for the next try:
Azure's own credential would read a rotated token ten minutes late, and go on using a token that was refused. Called by
`airwarden.providers.azure.arm`.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
)

from airwarden.api.azure import AzureLoginMethod
from airwarden.domain.errors import InvalidSettings
from airwarden.providers.azure.answers import OPERATOR_LACKS
from airwarden.providers.azure.connection import Connection

_LONGEST: Final = 64 * 1024


class Login:
    """One identity of the operator. Its tokens live in memory alone."""

    lacking: str = OPERATOR_LACKS
    """What a refusal of Azure may mean, for messages."""

    def __init__(self, connection: Connection, transport: Callable[[], AioHttpTransport]) -> None:
        self._connection = connection
        self._transport = transport
        self._credential: AsyncTokenCredential | None = None
        self.number = 0
        """Counts the credentials that were given up."""
        self._asking = asyncio.Lock()

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token, asking Entra once for all who want one. Raises InvalidSettings for an unfit file."""
        async with self._asking:
            if self._credential is None:
                self._credential = self._build()
            try:
                return await self._credential.get_token(*scopes, **options)
            except ClientAuthenticationError:
                self.renew()
                raise

    def renew(self, number: int | None = None) -> None:
        """Forget the credential and its tokens; the next one reads its file anew.

        ``number`` is what `number` was when a request began whose token was refused: others that began with the same
        token do not give up the one that came after.
        """
        if number is not None and number != self.number:
            return
        self._credential = None
        self.number += 1

    async def close(self) -> None:
        """Forget the tokens. Entra has no way to take one back."""
        self.renew()

    async def __aenter__(self) -> Self:
        """Return itself: it is closed by who made it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stay open: several clients share it."""

    def _build(self) -> AsyncTokenCredential:
        known = self._connection
        shared: dict[str, Any] = {"transport": self._transport(), "retry_total": 0}
        if known.method is AzureLoginMethod.MANAGED_IDENTITY:
            return ManagedIdentityCredential(client_id=known.client_id, **shared)
        file = known.file
        if file is None:
            raise InvalidSettings(f"login.file must be given for method {known.method}")
        shared["authority"] = known.authority
        if known.method is AzureLoginMethod.WORKLOAD_IDENTITY:
            return ClientAssertionCredential(known.tenant, known.client_id, lambda: read(file), **shared)
        if known.method is AzureLoginMethod.CLIENT_SECRET:
            return ClientSecretCredential(known.tenant, known.client_id, read(file), **shared)
        try:
            return CertificateCredential(known.tenant, known.client_id, certificate_data=read(file).encode(), **shared)
        except ValueError:
            raise InvalidSettings(
                f"file {file.name} of the token directory is no PEM certificate with its RSA key: put both into it"
            ) from None


def read(file: Path) -> str:
    """Return what a login's file holds. Raises InvalidSettings without saying any of it."""
    try:
        with file.open(encoding="ascii") as opened:
            text = opened.read(_LONGEST).strip()
    except FileNotFoundError:
        raise InvalidSettings(
            f"there is no file {file.name} in the operator's token directory: mount it, or correct login.file"
        ) from None
    except OSError as error:
        raise InvalidSettings(f"file {file.name} of the token directory cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InvalidSettings(f"file {file.name} of the token directory holds no token, secret or PEM text") from None
    if not text:
        raise InvalidSettings(f"file {file.name} of the token directory is empty")
    return text
