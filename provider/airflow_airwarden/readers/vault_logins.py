"""A task's login to Vault and the leases under it: made once, kept alive, given up at the end.

Called by `vault.py`. One login a process and address; it is renewed at two thirds of its life, and when Vault no
longer makes it longer it is used to its end and then replaced. Leases go with the token they were made under, so
giving up the token gives up all of them in one request.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from airflow_airwarden.binding_map import AppRoleLogin, VaultStore
from airflow_airwarden.errors import LookupRefused, Reason, Unavailable, task_ended
from airflow_airwarden.ports import Ended
from airflow_airwarden.readers.common import OneLogin
from airflow_airwarden.readers.task_token import file_text, pod_of
from airflow_airwarden.readers.vault_http import Answer, VaultConnection

_LOG = logging.getLogger(__name__)
MARGIN = 2.0
"""Seconds before its end in which something is no longer handed out: it would end under way."""
LONGEST = 10 * 365 * 86_400.0
"""Seconds; whatever claims to live longer is not believed, and clocks go wrong with it."""
_RENEW_AT = 2 / 3
_STILL_GROWS = 1.0
"""Seconds by which a renewal that is worth another one moves the end."""


@dataclass(slots=True)
class Life:
    """A time span that renewals move, of a token or a lease, on the monotonic clock."""

    seconds: float
    renewable: bool
    ends: float
    renew_at: float

    @classmethod
    def of(cls, seconds: float, *, renewable: bool, now: float) -> Life:
        """Begin a life; 0 seconds have no end."""
        if seconds <= 0:
            return cls(math.inf, renewable=False, ends=math.inf, renew_at=math.inf)
        return cls(seconds, renewable, now + seconds, now + seconds * _RENEW_AT if renewable else math.inf)

    def renewed(self, seconds: float, *, renewable: bool, now: float) -> None:
        """Take a renewal in. One that adds next to nothing was the last: the longest lifetime is reached."""
        grew = now + seconds >= self.ends + min(_STILL_GROWS, self.seconds * 0.1)
        self.ends = now + seconds
        self.renew_at = now + seconds * _RENEW_AT if renewable and grew else math.inf

    def refused(self, now: float, *, gone: bool) -> None:
        """Take a refusal in: it lives to its end, or is gone already."""
        self.renew_at = math.inf
        if gone:
            self.ends = now

    def failed(self, now: float) -> None:
        """Come again, several times before the end."""
        left = self.ends - now
        self.renew_at = now + max(left / 4, 0.5) if left > 0 else math.inf

    def alive(self, now: float) -> bool:
        """Tell whether there is time enough left to begin something with it."""
        return now < self.ends - min(MARGIN, self.seconds / 4)


@dataclass(slots=True)
class VaultLogin:
    """A Vault token in memory, and the leases that were made under it."""

    connection: VaultConnection
    token: str = field(repr=False)
    life: Life
    batch: bool
    made: float
    leases: dict[str, Life] = field(default_factory=dict)

    def lease_ends(self, lease: str) -> float:
        """When the values under a lease stop to work: with the lease or with the token, whichever is first."""
        life = self.leases.get(lease)
        if life is None:
            return 0.0
        return min(life.ends, self.life.ends) - min(MARGIN, life.seconds / 4)


class Logins:
    """The logins of one store in one process."""

    def __init__(self, store: VaultStore) -> None:
        self._store = store
        self._one = OneLogin()
        self._closed = False
        self._sessions: list[VaultLogin] = []
        self.identity: Mapping[str, str] = {}
        self.made = 0

    def at(self, connection: VaultConnection, *, instead_of: VaultLogin | None = None) -> VaultLogin:
        """Return a login at an address, made if there is none alive; LookupRefused or Unavailable if it fails.

        ``instead_of`` is one that Vault no longer knows; if another thread has replaced it, that one is returned.
        """
        with self._one.held(self._store.name):
            if self._closed:
                raise task_ended()
            now = time.monotonic()
            if instead_of is not None:
                instead_of.life.refused(now, gone=True)  # with it went its leases, and what was read under them
            if instead_of in self._sessions:
                self._sessions.remove(instead_of)
            for each in self._sessions:
                if each.connection is connection and each.life.alive(now):
                    return each
            made = self._log_in(connection)
            self._sessions.append(made)  # in place: a signal's handler may have added one meanwhile
            for each in [each for each in self._sessions if each.life.ends <= now]:
                self._sessions.remove(each)
            return made

    def maintain(self) -> float:
        """Renew tokens and leases that are due; return when the next one is."""
        now = time.monotonic()
        for session in list(self._sessions):
            if session.life.renew_at <= now:
                _renew(session, session.life, "auth/token/renew-self", {})
            for lease, life in list(session.leases.items()):
                if life.renew_at <= now:
                    increment = {"lease_id": lease, "increment": math.ceil(life.seconds)}
                    _renew(session, life, "sys/leases/renew", increment)
                elif life.ends <= now:
                    session.leases.pop(lease, None)
        due = [session.life.renew_at for session in self._sessions]
        due += [life.renew_at for session in self._sessions for life in list(session.leases.values())]
        return min(due, default=math.inf)

    def close(self) -> list[Ended]:
        """Revoke every token that still lives, and so its leases: one try each, since the process is about to end."""
        self._closed = True  # first, so that of the threads that wait none logs in
        sessions: list[VaultLogin] = []
        with suppress(Unavailable), self._one.held(self._store.name):  # nothing is raised at the end
            sessions, self._sessions = self._sessions, []
        now = time.monotonic()
        return [_end(self._store.name, each) for each in sessions if each.life.ends > now]

    def _log_in(self, connection: VaultConnection) -> VaultLogin:
        body = _proof(self._store)
        self.made += 1
        answer = connection.send("POST", f"auth/{self._store.login.mount}/login", body=body)
        auth = answer.part("auth")
        token = auth.get("client_token")
        if answer.status != 200 or not isinstance(token, str) or not token:
            raise LoginRefused(self._store, answer)
        self.identity = _identity(body.get("jwt", ""), auth)
        now = time.monotonic()
        life = Life.of(seconds_of(auth.get("lease_duration")), renewable=auth.get("renewable") is True, now=now)
        return VaultLogin(connection, token, life, batch=auth.get("token_type") == "batch", made=now)


class LoginRefused(LookupRefused):
    """Vault does not let this account in under this role."""

    def __init__(self, store: VaultStore, answer: Answer) -> None:
        login = store.login
        if isinstance(login, AppRoleLogin):
            whose = f"with the role id in {login.role_id_file}"
            step = (
                f"The secret-id in {login.secret_id_file} may have ended or be used up, or was never unwrapped: "
                "have airwarden secret-id make another one"
            )
        else:
            whose = f"under role {login.role}"
            step = (
                "The pod must run under the binding's own account, with a token of the audience that the role asks for"
            )
        super().__init__(
            Reason.LOGIN_REFUSED,
            f"Vault refuses the login {whose} at auth/{login.mount} "
            f"(status {answer.status}: {answer.errors or 'no token came back'})",
            step,
        )


def _renew(session: VaultLogin, life: Life, path: str, body: Mapping[str, object]) -> None:
    """Renew a token or a lease; where the store does not answer, it is tried again before the end."""
    try:
        answer = session.connection.send("POST", path, token=session.token, body=body)
    except Unavailable as failure:
        _LOG.warning("%s: %s is tried again", failure.wrong, path)
        life.failed(time.monotonic())
        return
    now = time.monotonic()
    if answer.status != 200:
        _LOG.warning("Vault refuses %s (status %s: %s)", path, answer.status, answer.errors)
        life.refused(now, gone=answer.status == 400 or "invalid token" in answer.errors)
        return
    given = answer.part("auth") or answer.body
    life.renewed(seconds_of(given.get("lease_duration")), renewable=given.get("renewable") is True, now=now)


def _end(store: str, session: VaultLogin) -> Ended:
    leases = len(session.leases)
    calls: list[tuple[str, Mapping[str, object]]] = [("auth/token/revoke-self", {})]
    if session.batch:  # cannot be revoked; its leases can
        calls = [("sys/leases/revoke", {"lease_id": each}) for each in session.leases]
    outcome = "Revoked"
    for path, body in calls:
        try:
            answer = session.connection.send("POST", path, token=session.token, body=body)
        except Unavailable:
            outcome = "LeftToItsTTL"
            break
        if answer.status not in {200, 204}:
            outcome = "LeftToItsTTL"
    return Ended(store, leases, outcome)


def _proof(store: VaultStore) -> Mapping[str, str]:
    """Return what a login sends, read from its files anew: kubelet and people replace what is in them."""
    login = store.login
    if isinstance(login, AppRoleLogin):
        step = "Mount the file that the map names; airwarden secret-id says both, and how to unwrap the secret-id"
        return {
            "role_id": file_text(store.name, login.role_id_file, "role id", step),
            "secret_id": file_text(store.name, login.secret_id_file, "secret-id", step),
        }
    return {"role": login.role, "jwt": file_text(store.name, login.token_file)}


def _identity(jwt: str, auth: Mapping[str, object]) -> Mapping[str, str]:
    """Say whose token it is: account and namespace in Vault's word, the pod's name in the token's own."""
    metadata = auth.get("metadata")
    said = metadata if isinstance(metadata, dict) else {}
    known = {"namespace": "service_account_namespace", "serviceAccount": "service_account_name"}
    found = {key: said.get(name) for key, name in known.items()}
    return {**pod_of(jwt), **{key: value for key, value in found.items() if isinstance(value, str) and value}}


def seconds_of(value: object) -> float:
    """Return a time span that Vault says; 0 for what is none, and no more than LONGEST."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(min(value, LONGEST))
    return 0.0
