"""A task's login to Entra: made once, used until shortly before its end, and then made anew.

Called by `key_vault.py`. The projected token is read at each login, since Azure's own credential would read a rotated
one ten minutes late, and each login has a credential of its own, since an old one would give out a token again that
was refused. What has just been made in Azure is not known everywhere at once, so some refusals are no last word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import RetryPolicy, SansIOHTTPPolicy
from azure.identity import ClientAssertionCredential

from airflow_airwarden.binding_map import KeyVaultStore
from airflow_airwarden.errors import LookupRefused, Reason, Unavailable, task_ended
from airflow_airwarden.ports import Ended
from airflow_airwarden.readers.common import OneLogin, json_object, retry_after
from airflow_airwarden.readers.key_vault_http import Clock, audience, proxies, transport, unreachable
from airflow_airwarden.readers.task_token import file_text, pod_of

MARGIN = 60.0
"""Seconds before its end in which a login is no longer used."""
_NO_CREDENTIAL = frozenset({70021, 700211, 700212, 700213})
"""Entra knows no federated credential for the token's issuer, subject and audience."""
_NO_IDENTITY = frozenset({700016})
"""Entra knows no such client."""
_STALE = frozenset({700024})
"""The projected token is not within its time."""
_CODE = re.compile(r"AADSTS(\d{4,8})")


class _Served(SansIOHTTPPolicy[Any, Any]):
    """Lets only answers of Entra about the login come to Azure's credential, which would quote any other in a log."""

    def __init__(self, authority: str) -> None:
        self._authority = authority

    def on_response(
        self,
        request: PipelineRequest[Any],  # noqa: ARG002 - the policy's
        response: PipelineResponse[Any, Any],
    ) -> None:
        answered = response.http_response
        status = int(answered.status_code)
        if status == 429 or status >= 500:
            reason = Reason.STORE_BUSY if status == 429 else Reason.STORE_FAILED
            wrong = f"Entra at {self._authority} answered with status {status}"
            raise Unavailable(reason, wrong, retry_after(answered.headers))
        body = json_object(answered.text())
        token = isinstance(body.get("access_token"), str) and str(body.get("expires_in", "")).isdecimal()
        if not (token if status == 200 else body.get("error")):
            wrong = f"{self._authority} answered with neither token nor error (status {status}): no Entra?"
            raise Unavailable(Reason.STORE_FAILED, wrong)


class NotYet(Exception):
    """A refusal that may be a matter of minutes: what the operator has just written is still on its way in Azure."""

    def __init__(self, refusal: LookupRefused, since: float) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.since = since
        """From when the time counts within which it is fresh."""


@dataclass(frozen=True, slots=True)
class KeyVaultLogin:
    """A token of Entra, in memory alone."""

    token: str = field(repr=False)
    made: float
    ends: float
    """When it is no longer used, on the monotonic clock."""
    expires_on: int


class Logins:
    """The login of one store in one process. A TokenCredential, as Azure's clients ask for one."""

    def __init__(self, store: KeyVaultStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._scope = f"{audience(store.vault_url)}/.default"
        self._one = OneLogin()
        self._closed = False
        self._current: KeyVaultLogin | None = None
        self._began: float | None = None
        self.identity: Mapping[str, str] = {}
        self.made = 0

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        """Return the token; a task needs no other than the one for its vault."""
        found = self.current()
        return AccessToken(found.token, found.expires_on)

    def current(self, *, instead_of: KeyVaultLogin | None = None) -> KeyVaultLogin:
        """Return the login, made if there is none alive; LookupRefused, NotYet or Unavailable if that fails.

        ``instead_of`` is one that the vault no longer takes; if another thread has replaced it, that one is returned.
        """
        with self._one.held(self._store.name):
            if self._closed:
                raise task_ended()
            if self._current is instead_of:
                self._current = None
            if self._current is None or self._clock.monotonic() >= self._current.ends:
                self._current = None
                self._current = self._log_in()
            return self._current

    def close(self) -> list[Ended]:
        """Forget the token. Entra has no way to take it back, so it lives on to its end."""
        self._closed = True  # first, so that of the threads that wait none logs in
        had = None
        with suppress(Unavailable), self._one.held(self._store.name):  # nothing is raised at the end
            had, self._current = self._current, None
        return [Ended(self._store.name, 0, "LeftToItsTTL")] if had is not None else []

    def _log_in(self) -> KeyVaultLogin:
        assertion = file_text(self._store.name, self._store.token_file)
        now = self._clock.monotonic()
        self._began = now if self._began is None else self._began
        self.made += 1
        try:
            found = self._token(assertion)
        except ClientAuthenticationError as error:
            raise self._refused(error) from None
        except AzureError as error:
            wrong = f"Entra at {self._store.authority} {unreachable(error)}"
            raise Unavailable(Reason.STORE_UNREACHABLE, wrong) from None
        self.identity = pod_of(assertion)
        lasts = found.expires_on - self._clock.wall()
        return KeyVaultLogin(found.token, now, now + lasts - min(MARGIN, lasts / 4), found.expires_on)

    def _token(self, assertion: str) -> AccessToken:
        store = self._store
        with ClientAssertionCredential(
            store.tenant,
            store.client,
            lambda: assertion,
            authority=store.authority,
            transport=transport(store),
            policies=[proxies(store.authority), RetryPolicy(retry_total=0), _Served(store.authority)],
        ) as credential:
            return credential.get_token(self._scope)

    def _refused(self, error: ClientAuthenticationError) -> Exception:
        """Sort Entra's refusals. Its words are not quoted, since they repeat what the token says."""
        store, codes = self._store, _codes(error.response)
        named = ", ".join(f"AADSTS{each}" for each in sorted(codes)) or "without a code"
        refusal = LookupRefused(
            Reason.LOGIN_REFUSED,
            f"Entra refuses the login of client {store.client} in tenant {store.tenant} ({named})",
            _next_step(codes),
        )
        return NotYet(refusal, self._began or 0.0) if codes & (_NO_CREDENTIAL | _NO_IDENTITY) else refusal


def _codes(response: Any) -> frozenset[int]:
    body = json_object(response.text()) if response is not None else {}
    numbers = body.get("error_codes")
    if isinstance(numbers, list) and numbers:
        return frozenset(each for each in numbers if isinstance(each, int))
    return frozenset(int(each) for each in _CODE.findall(str(body.get("error_description", "")))[:1])


def _next_step(codes: frozenset[int]) -> str:
    if codes & _NO_IDENTITY:
        return (
            "See whether the binding is Ready; Azure may take minutes to know a new identity: run the task again then"
        )
    if codes & _NO_CREDENTIAL:
        return (
            "See whether the binding is Ready, and whether the pod runs under the binding's own account; Azure may "
            "take minutes to act on a new federated credential: then run the task again"
        )
    if codes & _STALE:
        return "The kubelet replaces the token while it works: see whether the node's and the pod's clocks are right"
    return "Microsoft's list of AADSTS codes says what it means; the identity and its tenant stand in the binding's map"
