"""Reads Azure Key Vault under the pod's own identity, by workload identity.

Opened by `readers/__init__.py`. What is sent is one login a process and one request a read; retries are for what may
pass (no answer, 429, 5xx) and, within a bound, for refusals of what Azure has not taken in yet. A name goes to the
vault as the map has it. Dates are looked at here: a vault hands out a secret before and after its time.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn

from azure.keyvault.secrets import KeyVaultSecret

from airflow_airwarden.binding_map import Key, KeyVaultStore, Place
from airflow_airwarden.errors import LookupRefused, Reason, Unavailable
from airflow_airwarden.ports import Ended, Reading, no_end
from airflow_airwarden.readers.common import Counts, json_object
from airflow_airwarden.readers.key_vault_http import Answer, Clock, KeyVaultConnection
from airflow_airwarden.readers.key_vault_login import KeyVaultLogin, Logins, NotYet
from airflow_airwarden.settings import Settings

ROUNDS = 4
"""How often a vault that does not serve is asked."""
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
_FIREWALLED = frozenset({"ForbiddenByFirewall", "ForbiddenByConnection"})


class KeyVaultReader:
    """One vault of the map, read by one process."""

    def __init__(self, store: KeyVaultStore, settings: Settings, clock: Clock | None = None) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock or Clock()
        self._logins = Logins(store, self._clock)
        self._connection = KeyVaultConnection(store, self._logins)
        self._counts = Counts()

    def read(self, place: Place, correlation: str, deadline: float) -> Reading:
        """Read a secret's newest version, with retries until the deadline; LookupRefused says why not."""
        if not isinstance(place, Key):
            raise TypeError("the map's check lets only keys through")
        pause, tries = FIRST_PAUSE, 0
        while True:
            wait, ends = pause * random.uniform(0.5, 1.5), deadline  # noqa: S311 - jitter
            try:
                return self._reading(place, self._answered(place, correlation))
            except Unavailable as failure:
                tries += 1
                wait, refusal = max(wait, failure.retry_after), _given_up(failure, tries)
                if tries == ROUNDS:
                    raise refusal from None
            except NotYet as early:
                refusal = early.refusal
                ends = min(early.since + self._settings.fresh_denial_seconds, deadline)
            if self._clock.monotonic() + wait > ends:
                raise refusal
            self._clock.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE)

    def identity(self) -> Mapping[str, str]:
        """Return what the pod's token says of the pod; empty before the first login."""
        return self._logins.identity

    def maintain(self) -> float:
        """Nothing is renewed: Entra's tokens are replaced, by whoever needs one."""
        return no_end()

    def close(self) -> list[Ended]:
        """Forget the login and close the connections."""
        ended = self._logins.close()
        self._connection.close()
        return ended

    def counts(self) -> Mapping[str, int]:
        """Return how many requests and logins there were since the last call."""
        return self._counts.since_last(self._logins.made)

    def _answered(self, place: Key, correlation: str) -> Answer:
        """Return the vault's answer; a login that it does not take is replaced once."""
        login = self._logins.current()
        answer = self._asked(place, correlation)
        if answer.status == 401:
            login = self._logins.current(instead_of=login)
            answer = self._asked(place, correlation)
        if answer.status != 200:
            self._refuse(place, answer, login)
        return answer

    def _asked(self, place: Key, correlation: str) -> Answer:
        self._counts.request()
        return self._connection.get(place.key, correlation)

    def _reading(self, place: Key, answer: Answer) -> Reading:
        secret = answer.secret
        if secret is None:
            raise TypeError("an answer with status 200 has a secret")
        self._check_time(place, secret)
        good_until = no_end
        if secret.properties.expires_on is not None:
            left = secret.properties.expires_on.timestamp() - self._clock.wall()
            good_until = partial(float, self._clock.monotonic() + left)
        version = str(secret.properties.version or "")
        return Reading(fields_of(str(secret.value)), version, "", answer.request_id, self._store.vault_url, good_until)

    def _check_time(self, place: Key, secret: KeyVaultSecret) -> None:
        now = datetime.fromtimestamp(self._clock.wall(), UTC)
        begins, ends = secret.properties.not_before, secret.properties.expires_on
        if begins is not None and now < begins:
            raise LookupRefused(
                Reason.SECRET_NOT_YET_VALID,
                f"{place} of store {self._store.name} is not to be used before {_moment(begins)}",
                "Run the task again then, or correct the secret's date",
            )
        if ends is not None and now >= ends:
            raise LookupRefused(
                Reason.SECRET_EXPIRED,
                f"{place} of store {self._store.name} expired at {_moment(ends)}",
                "Put a new version into the vault, or correct the secret's date",
            )

    def _refuse(self, place: Key, answer: Answer, login: KeyVaultLogin) -> NoReturn:
        name, code = self._store.name, answer.code
        if answer.status == 401:
            raise LookupRefused(
                Reason.LOGIN_REFUSED,
                f"the vault of store {name} takes no token of client {self._store.client}",
                "See whether the vault belongs to the tenant that the backend names",
            )
        if code == "ForbiddenByRbac":
            refusal = LookupRefused(
                Reason.ACCESS_DENIED,
                f"store {name} denies this identity {place} ({code})",
                "See whether the binding is Ready, and whether the pod runs under the binding's account; Azure may "
                "take ten minutes to act on a new role assignment: then run the task again",
            )
            raise NotYet(refusal, login.made)
        if code in _FIREWALLED:
            raise LookupRefused(
                Reason.STORE_UNREACHABLE,
                f"the firewall of store {name}'s vault does not let this pod's network in ({code})",
                "Let the network of the workers in, or give them a private endpoint",
            )
        if code == "SecretDisabled":
            raise LookupRefused(
                Reason.SECRET_DISABLED,
                f"the newest version of {place} of store {name} is disabled",
                "Enable it, or put a new version into the vault; no older version is read instead",
            )
        if code == "SecretNotFound":
            raise LookupRefused(
                Reason.SECRET_ABSENT,
                f"store {name} holds nothing at {place}",
                "Write the secret there, or take the id out of the binding; it is not looked for anywhere else",
            )
        raise LookupRefused(
            Reason.ACCESS_DENIED if answer.status == 403 else Reason.STORE_FAILED,
            f"store {name} refuses {place} (status {answer.status}: {code or 'without a code of Key Vault'})",
            "Correct what the store names; for AccessDenied, put the vault into RBAC mode",
        )


def fields_of(text: str) -> Mapping[str, object]:
    """Return a secret's fields: a vault holds one text, which is the whole value and may be an object of fields."""
    return {**json_object(text), "conn_uri": text, "value": text}


def _given_up(failure: Unavailable, tries: int) -> LookupRefused:
    asked = f"{failure.wrong}; it was asked {tries} times" if tries > 1 else failure.wrong
    return LookupRefused(
        failure.reason, asked, "Run the task again when it answers; the secret is not looked for anywhere else"
    )


def _moment(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
