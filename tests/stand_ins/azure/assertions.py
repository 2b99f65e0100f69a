"""Checks the assertions with which clients of Entra log in: federated tokens, and ones signed by a certificate.

Called by `entra.py`. A federated token's signature is checked against the keys of its issuer, then issuer,
subject and audience against the credentials of the identity: exactly, and in this order, so that the error says
which of them did not match, as Entra's does.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import jwt
from jwt.types import Options

from stand_ins.azure.directory import Application
from stand_ins.azure.messages import Json, Refused
from stand_ins.azure.world import Credential

Keys = Callable[[], Json]
"""Fetches the key set (JWKS) of an issuer."""
_LEEWAY = 300
_NOT_FOUND = "No matching federated identity record found for presented assertion"
_CHECK = (
    "Check your federated identity credential Subject, Audience and Issuer against the presented assertion. "
    "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
)
_TIMELESS: Options = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
_UNCHECKED: Options = {**_TIMELESS, "verify_signature": False}


class Assertions:
    """Knows the issuers that a test told it of."""

    def __init__(self) -> None:
        self.issuers: dict[str, Keys] = {}
        self._sets: dict[str, dict[str, Any]] = {}
        self.combined_errors = False
        """Whether a mismatch is AADSTS70021 for all three, as it was before the codes were told apart."""

    def federated(self, assertion: str, credentials: Sequence[Credential], now: float) -> None:
        """Refuse a token that none of these credentials is for."""
        claims = self._claims(assertion)
        issuer, subject = str(claims.get("iss", "")), str(claims.get("sub", ""))
        audiences = claims.get("aud", [])
        audiences = [audiences] if isinstance(audiences, str) else audiences
        of_issuer = [each for each in credentials if each.issuer == issuer]
        of_subject = [each for each in of_issuer if each.subject == subject]
        if not of_issuer:
            raise self._no_record(700211, "issuer", issuer, claims)
        if not of_subject:
            if any(each.subject.lower() == subject.lower() for each in of_issuer):
                raise aadsts(
                    7002138,
                    "invalid_client",
                    f"{_NOT_FOUND} subject '{subject}'. The subject matches with case-insensitive comparison, "
                    f"but not with case-sensitive comparison. {_CHECK}",
                )
            raise self._no_record(700213, "subject", subject, claims)
        if not any(audience in each.audiences for each in of_subject for audience in audiences):
            raise self._no_record(700212, "audience", " ".join(audiences), claims)
        self._verify(assertion, issuer)
        in_time(claims, now)

    def signed_by_certificate(
        self, assertion: str, application: Application, audiences: Sequence[str], now: float
    ) -> None:
        """Refuse an assertion that no certificate of the application signed."""
        try:
            header = jwt.get_unverified_header(assertion)
            named = str(header.get("x5t#S256") or header.get("x5t", "")).rstrip("=")
            thumbprint = base64.urlsafe_b64decode(named + "=" * (-len(named) % 4))
        except (jwt.InvalidTokenError, ValueError):
            raise malformed() from None
        certificate = application.certificates.get(thumbprint)
        words = "The certificate with identifier used to sign the client assertion is not registered on application."
        if certificate is None:
            raise aadsts(700027, "invalid_client", words, status=401)
        try:
            claims = jwt.decode(assertion, certificate.public_key(), algorithms=["PS256", "RS256"], options=_TIMELESS)  # type: ignore[arg-type]
        except jwt.InvalidTokenError:
            raise _unsigned() from None
        if claims.get("iss") != application.app_id or claims.get("sub") != application.app_id:
            raise aadsts(700021, "invalid_client", "Client assertion application identifier doesn't match.", status=401)
        if claims.get("aud") not in audiences:
            raise aadsts(
                700023, "invalid_client", "Client assertion audience claim does not match Realm issuer.", status=401
            )
        in_time(claims, now)

    def _claims(self, assertion: str) -> Json:
        try:
            return dict(jwt.decode(assertion, options=_UNCHECKED))
        except jwt.InvalidTokenError:
            raise malformed() from None

    def _verify(self, assertion: str, issuer: str) -> None:
        header = jwt.get_unverified_header(assertion)
        if header.get("alg") != "RS256":
            raise aadsts(
                5002738,
                "invalid_client",
                f"Invalid JWT token. '{header.get('alg')}' is not a supported signature algorithm.",
            )
        key = self._key(issuer, str(header.get("kid", "")))
        if key is None:
            raise _unsigned()
        try:
            jwt.decode(assertion, key, algorithms=["RS256"], options=_TIMELESS)
        except jwt.InvalidTokenError:
            raise _unsigned() from None

    def _key(self, issuer: str, kid: str) -> Any:
        if kid not in self._sets.get(issuer, {}):
            fetch = self.issuers.get(issuer)
            if fetch is None:
                raise aadsts(50166, "invalid_request", f"Request to External OIDC endpoint failed: {issuer}")
            self._sets[issuer] = {each.key_id or "": each.key for each in jwt.PyJWKSet.from_dict(fetch()).keys}
        return self._sets[issuer].get(kid)

    def _no_record(self, code: int, part: str, value: str, claims: Json) -> Refused:
        if self.combined_errors:
            said = f"Assertion Issuer: '{claims.get('iss')}'. Assertion Subject: '{claims.get('sub')}'."
            return aadsts(70021, "invalid_request", f"{_NOT_FOUND}. {said} {_CHECK}")
        return aadsts(code, "invalid_client", f"{_NOT_FOUND} {part} '{value}'. {_CHECK}")


def in_time(claims: Json, now: float) -> None:
    """Refuse an assertion before and after its time; five minutes are allowed for clocks."""
    begins, ends = float(claims.get("nbf", 0)), float(claims.get("exp", 0))
    if begins - _LEEWAY <= now < ends + _LEEWAY:
        return
    raise aadsts(
        700024,
        "invalid_client",
        f"Client assertion is not within its valid time range. Current time: {_moment(now)}, assertion valid from "
        f"{_moment(begins)}, expiry time of assertion {_moment(ends)}.",
        status=401,
    )


def _unsigned() -> Refused:
    return aadsts(700027, "invalid_client", "Client assertion failed signature validation.", status=401)


def malformed() -> Refused:
    """Return the refusal of what is no token at all."""
    return aadsts(50027, "invalid_request", "JWT token is invalid or malformed.")


def aadsts(code: int, error: str, words: str, *, status: int = 400) -> Refused:
    """Return a refusal in Entra's numbering; `error` is OAuth's word for it."""
    return Refused(status, str(code), f"AADSTS{code}: {words}", inner=error)


def _moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat().replace("+00:00", "Z")
