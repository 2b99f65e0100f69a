"""Reads Vault: key-value secrets of both versions, and credentials of its engines, under the pod's own identity.

Opened by `readers/__init__.py`. What is sent is one login a process, one request a read, and renewals; retries
are for what may pass (no answer, 429, 5xx) and, within a bound, for a denial right after the login.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NoReturn

from airflow_airwarden.binding_map import Dynamic, DynamicKind, Key, Place, VaultStore
from airflow_airwarden.errors import LookupRefused, Reason, Unavailable
from airflow_airwarden.ports import Ended, Reading, no_end
from airflow_airwarden.readers.common import Counts
from airflow_airwarden.readers.vault_http import Answer, VaultConnection
from airflow_airwarden.readers.vault_logins import Life, Logins, VaultLogin, seconds_of
from airflow_airwarden.settings import Settings

ROUNDS = 4
"""How often all addresses are tried."""
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
Request = Callable[[VaultConnection, str], Answer]


class VaultReader:
    """One Vault of the map, read by one process."""

    def __init__(self, store: VaultStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._connections = [VaultConnection(store, each) for each in store.addresses]
        self._preferred = 0  # the address that answered last
        self._logins = Logins(store)
        self._counts = Counts()

    def read(self, place: Place, correlation: str, deadline: float) -> Reading:
        """Read a place, with retries until the deadline; LookupRefused says why not."""
        method, path, body = self._request(place)
        request = partial(_send, method=method, path=path, body=body, correlation=correlation)
        answer, login = self._answered(request, deadline)
        if answer.status != 200:
            self._refuse(place, answer)
        if isinstance(place, Key):
            return self._static(place, answer, login)
        return _credentials(place, answer, login)

    def identity(self) -> Mapping[str, str]:
        """Return what the login said about the pod; empty before the first."""
        return self._logins.identity

    def maintain(self) -> float:
        """Renew tokens and leases that are due; return when to come again."""
        return self._logins.maintain()

    def close(self) -> list[Ended]:
        """Revoke the tokens, and with them the leases."""
        ended = self._logins.close()
        for each in self._connections:
            each.close()
        return ended

    def counts(self) -> Mapping[str, int]:
        """Return how many requests and logins there were since the last call."""
        return self._counts.since_last(self._logins.made)

    def _request(self, place: Place) -> tuple[str, str, Mapping[str, object] | None]:
        if isinstance(place, Key):
            data = "data/" if self._store.kv_version == 2 else ""
            return "GET", f"{self._store.kv_mount}/{data}{place.key}", None
        if place.kind != DynamicKind.UPDATE:
            return "GET", str(place), None
        if not self._settings.allow_updates:
            raise LookupRefused(
                Reason.UPDATE_NOT_ALLOWED,
                f"{place} is read by a call that changes something in store {self._store.name}",
                "Set the backend's kwarg allow_updates if tasks shall make such calls",
            )
        return "POST", str(place), dict(place.parameters)

    def _answered(self, request: Request, deadline: float) -> tuple[Answer, VaultLogin]:
        """Return the first answer that is about the secret; LookupRefused when no address gives one in time."""
        pause = FIRST_PAUSE
        for round_number in range(1, ROUNDS + 1):
            try:
                return self._round(request, deadline)
            except Unavailable as failure:
                wait = max(pause * random.uniform(0.5, 1.5), failure.retry_after)  # noqa: S311 - jitter
                if round_number == ROUNDS or time.monotonic() + wait > deadline or wait > LONGEST_PAUSE:
                    raise LookupRefused(
                        failure.reason,
                        f"{failure.wrong}; {round_number} rounds over {len(self._connections)} addresses were tried",
                        "Run the task again when the store answers; the secret is not looked for anywhere else",
                    ) from None
            time.sleep(wait)
            pause *= 2
        raise AssertionError("not reached")

    def _round(self, request: Request, deadline: float) -> tuple[Answer, VaultLogin]:
        """Try each address once, the one that answered last first; raise the first one's failure if none answers."""
        first = self._preferred
        count = len(self._connections)
        failed: Unavailable | None = None
        for index in [(first + step) % count for step in range(count)]:
            try:
                answered = self._granted(self._connections[index], request, deadline)
            except Unavailable as failure:
                failed = failed or failure
                if time.monotonic() > deadline:
                    break
            else:
                self._preferred = index
                return answered
        raise failed or AssertionError("a store has an address")

    def _granted(self, connection: VaultConnection, request: Request, deadline: float) -> tuple[Answer, VaultLogin]:
        """Return the answer at one address; a dead token is replaced once, a denial to a fresh one asked again."""
        login = self._logins.at(connection)
        answer = self._counted(request, connection, login)
        if answer.status == 403 and "invalid token" in answer.errors:
            login = self._logins.at(connection, instead_of=login)
            answer = self._counted(request, connection, login)
        ends = min(login.made + self._settings.fresh_denial_seconds, deadline)
        pause = FIRST_PAUSE
        while answer.status == 403 and time.monotonic() + pause < ends:
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause *= 2
            answer = self._counted(request, connection, login)
        return answer, login

    def _counted(self, request: Request, connection: VaultConnection, login: VaultLogin) -> Answer:
        self._counts.request()
        return request(connection, login.token)

    def _static(self, place: Key, answer: Answer, login: VaultLogin) -> Reading:
        data = answer.part("data")
        version = ""
        if self._store.kv_version == 2:
            metadata = data.get("metadata")
            version = str(metadata.get("version", "")) if isinstance(metadata, dict) else ""
            inner = data.get("data")
            data = inner if isinstance(inner, dict) else {}
        if not data:
            self._refuse(place, answer)
        return Reading(data, version, "", answer.text("request_id"), login.connection.address)

    def _refuse(self, place: Place, answer: Answer) -> NoReturn:
        name = self._store.name
        if answer.status == 403:
            raise LookupRefused(
                Reason.ACCESS_DENIED,
                f"store {name} denies this identity {place}",
                "See whether the binding is Ready, and whether the pod runs under the binding's account",
            )
        if "no handler for route" in answer.errors:
            raise LookupRefused(
                Reason.STORE_FAILED,
                f"store {name} has no mount for {place}",
                "See whether the mount was moved",
            )
        if answer.status in {200, 404}:
            raise LookupRefused(
                Reason.SECRET_ABSENT,
                f"store {name} holds nothing at {place}",
                "Write the secret there, or take the id out of the binding; it is not looked for anywhere else",
            )
        raise LookupRefused(
            Reason.STORE_FAILED,
            f"store {name} refuses {place} (status {answer.status}: {answer.errors})",
            "Correct what the store names",
        )


def _send(
    connection: VaultConnection,
    token: str,
    *,
    method: str,
    path: str,
    body: Mapping[str, object] | None,
    correlation: str,
) -> Answer:
    return connection.send(method, path, token=token, body=body, correlation=correlation)


def _credentials(place: Dynamic, answer: Answer, login: VaultLogin) -> Reading:
    """Take over the lease, if there is one. A static role's password is good until its next rotation."""
    now = time.monotonic()
    data = answer.part("data")
    lease = answer.text("lease_id")
    good_until = no_end
    if lease:
        length = seconds_of(answer.body.get("lease_duration"))
        login.leases[lease] = Life.of(length, renewable=answer.body.get("renewable") is True, now=now)
        good_until = partial(login.lease_ends, lease)
    elif place.kind == DynamicKind.STATIC and "ttl" in data:
        good_until = partial(_until, now + seconds_of(data["ttl"]))
    return Reading(data, "", lease, answer.text("request_id"), login.connection.address, good_until)


def _until(moment: float) -> float:
    return moment
