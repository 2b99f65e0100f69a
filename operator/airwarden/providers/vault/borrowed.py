"""A client that uses a token which somebody else made: it neither logs in, nor renews, nor revokes.

For `airwarden.commands`: a command has the rights of the person who runs it, and their token lives on after it.
"""

import time
from collections.abc import Callable
from typing import Final

from airwarden.domain.errors import Unauthorized
from airwarden.providers.vault.answers import Answer, Asked, interpret
from airwarden.providers.vault.client import Login, VaultClient
from airwarden.providers.vault.connection import Connection
from airwarden.providers.vault.transport import Call

_FOREVER: Final = float("inf")
_REMEDY: Final = "Your token's policies do not cover it: ask the Vault administrator for a policy that does"


class BorrowedClient(VaultClient):
    """Sends requests with a given token, as far as the token's own rights go."""

    def __init__(self, connection: Connection, token: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(connection, clock)
        self._login = Login(token, 1, _FOREVER, _FOREVER, _FOREVER)

    async def close(self) -> None:
        """Close all connections. The token is not ours to revoke."""
        self._login = None
        await super().close()

    async def _log_in(self) -> Login:
        raise Unauthorized(
            f"Vault at {self.connection.address} does not know your token, or no longer: log in again with vault login"
        )

    async def _send(self, call: Call, kind: str, token: str) -> Answer:
        raw = await self._exchange(call, kind, token)
        return interpret(raw, Asked(call.what, self.connection.address, hidden=(*call.secrets, token), remedy=_REMEDY))
