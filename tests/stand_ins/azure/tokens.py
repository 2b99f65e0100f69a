"""The access tokens of the stand-in: signed by its own key, checked by each of its services.

Made by the token endpoint (`entra.py`) and the metadata endpoint; Resource Manager, Graph and Key Vault check
them as Azure's services do: signature, audience, tenant and time, by the stand-in's clock.
"""

from __future__ import annotations

import base64
import functools
import json
import uuid
from collections.abc import Collection

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from stand_ins.azure.authorization import Caller
from stand_ins.azure.limits import Clock
from stand_ins.azure.messages import Json

LIFETIME = 3599


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    """Return the key of all stand-ins of this process: to make one takes longer than all else at their start."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class BadToken(Exception):
    """The token will not do; `why` is missing | malformed | tenant | expired | audience."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Tokens:
    """Issues and checks."""

    def __init__(self, clock: Clock, tenant: str) -> None:
        self._clock, self._tenant = clock, tenant
        self._key = _key()
        self.lifetime = LIFETIME
        """Seconds that a token lives; a test shortens it."""

    @property
    def issuer(self) -> str:
        """Who the tokens say that they are from."""
        return f"https://sts.windows.net/{self._tenant}/"

    def issue(self, caller: Caller, audience: str) -> Json:
        """Return the answer of a token endpoint."""
        now = int(self._clock.now())
        claims = {
            "aud": audience,
            "iss": self.issuer,
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime,
            "appid": caller.app_id,
            "idtyp": "app",
            "oid": caller.object_id,
            "sub": caller.object_id,
            "tid": self._tenant,
            "uti": uuid.uuid4().hex,
            "ver": "1.0",
        }
        token = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": "stand-in"})
        return {
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "ext_expires_in": self.lifetime,
            "access_token": token,
        }

    def check(self, authorization: str, audiences: Collection[str]) -> Caller:
        """Return who the bearer of this header is; `BadToken` when it does not say, or not for this service."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise BadToken("missing")
        try:
            claims = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["RS256"],
                options={
                    "verify_aud": False,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },  # by its own clock
            )
        except jwt.InvalidTokenError:
            raise BadToken("malformed") from None
        if claims["tid"] != self._tenant:
            raise BadToken("tenant")
        if claims["exp"] <= self._clock.now():
            raise BadToken("expired")
        if claims["aud"].rstrip("/").lower() not in {each.rstrip("/").lower() for each in audiences}:
            raise BadToken("audience")
        return Caller(claims["oid"], claims["appid"])

    def principal_of(self, authorization: str) -> str:
        """Return the object id that a header names, unchecked, for the log."""
        try:
            payload = authorization.split(".")[1]
            return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["oid"])
        except (IndexError, ValueError, KeyError):
            return ""
