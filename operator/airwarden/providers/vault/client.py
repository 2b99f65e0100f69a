"""One logged-in, paced and bounded client for one Vault.

All requests of a backend go through one object: it holds the only login, renews it before it ends, logs
in once more when the token is dead, and keeps the backend within its own threads, so that a slow Vault
slows nothing else. Called by `airwarden.providers.vault.store`.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Final

from airwarden.domain.errors import AirwardenError, InvalidSettings, StoreFailed, Unauthorized, Unreachable
from airwarden.providers.concurrency import Pace, SingleFlight
from airwarden.providers.vault.answers import Answer, Asked, DeadToken, RawAnswer, interpret
from airwarden.providers.vault.connection import Connection, TokenFile
from airwarden.providers.vault.credentials import Proof, prove, read_vault_token
from airwarden.providers.vault.health import HEALTH, read_health
from airwarden.providers.vault.identity import Identity
from airwarden.providers.vault.transport import Call, Transport

_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,4096}")
_RENEW_AFTER: Final = 2 / 3
_RENEW_AGAIN: Final = 5.0
_LOOK_AGAIN: Final = 30.0
"""Seconds after which a token's file is looked at again: its owner may have put another one there."""
_DRIPPING: Final = 3
"""Time-outs after which an answer that still comes is given up."""
_RENEW: Final = Call("POST", "auth/token/renew-self", {})
_REVOKE: Final = Call("POST", "auth/token/revoke-self", {})


@dataclass(frozen=True, slots=True)
class Login:
    """One token of Vault and its times, on the client's clock."""

    token: str = field(repr=False)
    number: int
    """Counts logins, so that a caller can say which of them failed it."""
    lease: float
    """Seconds that Vault gave at login; a renewal that gives less is the last one."""
    renew_at: float
    expires: float
    ours: bool = True
    """Whether the operator made the token: only then does it renew it, and revoke it at exit."""


class VaultClient:
    """Sends requests with the operator's login. Belongs to one event loop; opening does no I/O."""

    def __init__(self, connection: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self.connection = connection
        self._clock = clock
        self._transport = Transport(connection)
        self._threads = ThreadPoolExecutor(connection.max_concurrent, f"vault-{connection.backend}")
        self._under_way = asyncio.Semaphore(connection.max_concurrent)
        self._pace = Pace(connection.per_second, clock)
        self._login: Login | None = None
        self._logins = 0
        self.identity: Identity | None = None
        """Which Vault is meant, and which cluster asks: shown anew at each login, before it is used."""
        self._proven = 0
        """Number of the login under which that was shown."""
        self._logging_in = SingleFlight(self._enter)
        self._proving = SingleFlight(self.prove)
        self._renewing: asyncio.Task[None] | None = None
        self._counts: Counter[str] = Counter()
        self._closed = False

    async def request(self, call: Call, *, identified: bool = True, kind: str = "request") -> Answer:
        """Send one request with the login, making or replacing the login if need be; it is counted as ``kind``.

        Only what tells nothing and changes nothing may be sent to a Vault that is not ``identified``.
        """
        login = await self._current()
        try:
            await self._identify(login, identified)
            return await self._send(call, kind, login.token)
        except DeadToken:
            login = await self._current(dead=login)
        try:
            await self._identify(login, identified)
            return await self._send(call, kind, login.token)
        except DeadToken as error:
            message = error.message
        raise Unauthorized(f"{message}: a new login did not help. Look at the login's role in Vault")

    async def anonymous(self, call: Call) -> RawAnswer:
        """Send one request without token and namespace header, and return the answer as it came."""
        return await self._exchange(call, "health", "", in_namespace=False)

    async def ensure_login(self) -> None:
        """Log in unless there is a login already."""
        await self._current()

    async def health(self) -> tuple[str, str, float | None]:
        """Return version, id and time (seconds since 1970, if told) of a Vault that serves requests.

        Raises StoreChanged when it is not the one meant.
        """
        version, store_id, server_time = read_health(await self.anonymous(HEALTH), self.connection.address)
        if self.identity is not None:
            self.identity.refuse_other_store(store_id)
        return version, store_id, server_time

    async def prove(self) -> None:
        """Show under the present login that the cluster's name is ours in this Vault. Raises ClusterIDConflict."""
        login = self._login
        if self.identity is None or login is None:
            return
        await self.identity.refuse_other_cluster(lambda call: self._send(call, "check", login.token))
        self._proven = login.number

    async def owns_cluster_name(self) -> bool:
        """Tell whether a marker shows that the cluster's name is ours here; False where there is none.

        Raises ClusterIDConflict when it is another cluster's.
        """
        if self.identity is None:
            return False
        return await self.identity.owns_cluster_name(partial(self.request, kind="check"))

    def counts(self) -> Mapping[str, int]:
        """Return how many requests were sent so far: request, scan, login, renew, revoke, health, check."""
        return MappingProxyType(dict(self._counts))

    async def close(self) -> None:
        """Revoke the login and close all connections. Does not raise for a Vault that is down.

        Takes no longer than the requests under way and one more.
        """
        self._closed = True
        if self._renewing is not None:
            await asyncio.wait({self._renewing})
        await self._logging_in.settle()
        login, self._login = self._login, None
        try:
            if login is not None and login.ours:
                await self._send(_REVOKE, "revoke", login.token)
        except AirwardenError:
            # Vault is down or the token is dead already: the lease ends it, and we must not hang at exit.
            return
        finally:
            self._threads.shutdown(wait=False)
            self._transport.close()

    async def _current(self, dead: Login | None = None) -> Login:
        """Return a login that should hold, and is not the dead one."""
        if self._closed:
            raise self._is_closed()
        login, now = self._login, self._clock()
        if login is None or now >= login.expires or (dead is not None and login.number == dead.number):
            return await self._logging_in.join()
        if now >= login.renew_at and self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(login))
        return login

    async def _identify(self, login: Login, needed: bool) -> None:
        if needed and self.identity is not None and self._proven != login.number:
            await self._proving.join()

    async def _enter(self) -> Login:
        """Log in, but to no other Vault than the one meant: another one may answer where a token has died."""
        if self.identity is not None:
            await self.health()
        return await self._log_in()

    async def _log_in(self) -> Login:
        started = self._clock()
        connection = self.connection
        proof = await asyncio.get_running_loop().run_in_executor(
            self._threads, prove, connection.credentials, connection.backend
        )
        raw = await self._exchange(proof.call, "login", proof.token)
        ours = not proof.token
        granted = _granted(interpret(raw, self._asked_login(proof))) if ours else self._looked_up(raw, proof)
        if granted is None:
            raise StoreFailed(
                f"Vault at {connection.address} answered {proof.call.what} without a token: is it a Vault?"
            )
        token, lease = granted
        self._logins += 1
        login = _timed(Login(token, self._logins, lease, 0.0, 0.0, ours), lease, started)
        self._login = login if ours else replace(login, renew_at=min(login.renew_at, started + _LOOK_AGAIN))
        return self._login

    def _asked_login(self, proof: Proof) -> Asked:
        return replace(self._transport.asked(proof.call, proof.secret), login=True, advice=proof.advice)

    def _looked_up(self, raw: RawAnswer, proof: Proof) -> tuple[str, float] | None:
        """Return the token of a file with the seconds that are left of it, as Vault says."""
        try:
            answer = interpret(raw, self._transport.asked(proof.call, proof.secret))
        except DeadToken as error:
            raise Unauthorized(f"{error.message}. {proof.advice}") from None
        left, uses = answer.data.get("ttl"), answer.data.get("num_uses")
        if isinstance(left, bool) or not isinstance(left, int) or left < 0:
            return None
        if uses:
            raise InvalidSettings(
                f"the token of backend {self.connection.backend} has only {uses} uses left, and the operator needs one "
                f"without such a limit. {proof.advice}"
            )
        return proof.token, float(left) or float("inf")

    async def _renew(self, login: Login) -> None:
        """Prolong the login, or replace it when Vault no longer prolongs it."""
        started = self._clock()
        try:
            if isinstance(self.connection.credentials, TokenFile):
                await self._look_again(login, self.connection.credentials)
                return
            granted = _granted(await self._send(_RENEW, "renew", login.token))
            if granted is None or granted[1] < login.lease:
                await self._logging_in.join()
            else:
                self._replace(login, _timed(login, granted[1], started))
        except DeadToken:
            self._replace(login, None)
        except AirwardenError:
            # The token still holds: requests go on with it, and the next one after a pause tries again.
            self._replace(login, replace(login, renew_at=self._clock() + _RENEW_AGAIN))
        finally:
            self._renewing = None

    async def _look_again(self, login: Login, credentials: TokenFile) -> None:
        """Log in anew if the token's file holds another one by now."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, read_vault_token, credentials, self.connection.backend
        )
        if found == login.token:
            self._replace(login, replace(login, renew_at=self._clock() + _LOOK_AGAIN))
        else:
            await self._logging_in.join()

    def _replace(self, old: Login, new: Login | None) -> None:
        """Put a login in the place of an old one, unless a newer one stands there already."""
        if self._login is not None and self._login.number == old.number:
            self._login = new

    async def _send(self, call: Call, kind: str, token: str) -> Answer:
        raw = await self._exchange(call, kind, token)
        return interpret(raw, self._transport.asked(call, token))

    async def _exchange(self, call: Call, kind: str, token: str, *, in_namespace: bool = True) -> RawAnswer:
        await self._pace.wait()
        async with self._under_way:
            if self._closed and call is not _REVOKE:
                raise self._is_closed()
            self._counts[kind] += 1
            work = partial(self._transport.exchange, call, token, in_namespace=in_namespace)
            try:
                # The transport keeps its own time; this is for a Vault that sends its answer in drips.
                async with asyncio.timeout(self.connection.timeout * _DRIPPING):
                    return await asyncio.get_running_loop().run_in_executor(self._threads, work)
            except TimeoutError:
                address = self.connection.address
        raise Unreachable(f"Vault at {address} gave no whole answer to {call.what}: look at what stands between")

    def _is_closed(self) -> Unreachable:
        return Unreachable(f"the connection to backend {self.connection.backend} was closed")


def _granted(answer: Answer) -> tuple[str, float] | None:
    """Return token and lease of a login or renewal; None when there is no usable token in the answer."""
    auth = answer.body.get("auth")
    if not isinstance(auth, Mapping):
        return None
    token, lease = auth.get("client_token"), auth.get("lease_duration")
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        return None
    if isinstance(lease, bool) or not isinstance(lease, int | float) or lease < 0:
        return None
    # A lease of 0 never ends.
    return token, float(lease) or float("inf")


def _timed(login: Login, lease: float, started: float) -> Login:
    """Return the login with its times. They count from before the request, and end a little early."""
    return replace(login, renew_at=started + lease * _RENEW_AFTER, expires=started + lease - min(5.0, lease / 10))
