"""An issuer of tokens that the tests own, in the place of a cluster's."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "api://AzureADTokenExchange"


class Issuer:
    """Signs what a test wants signed."""

    def __init__(self, url: str = "https://cluster.example") -> None:
        self.url = url
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def keys(self) -> dict[str, Any]:
        """Return its key set."""
        shown = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**shown, "kid": "one", "use": "sig", "alg": "RS256"}]}

    def token(self, subject: str, *, audience: str = AUDIENCE, expires: float | None = None) -> str:
        """Return a token of this subject."""
        now = time.time()
        claims = {"iss": self.url, "sub": subject, "aud": [audience], "iat": int(now), "nbf": int(now)}
        return jwt.encode({**claims, "exp": int(expires or now + 600)}, self._key, "RS256", headers={"kid": "one"})

    def write(self, path: Path, subject: str, *, audience: str = AUDIENCE) -> Path:
        """Write such a token to a file, as the kubelet does."""
        path.write_text(self.token(subject, audience=audience))
        return path
