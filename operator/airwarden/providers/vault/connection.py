"""How to reach one Vault and log in to it, and the token file that proves who the operator is.

The file is a projected service-account token that the kubelet renews, so it is read anew at each login.
Called by `airwarden.providers.vault.client`; made by `airwarden.providers.vault.opening`.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from airwarden.domain.errors import InvalidSettings

_JWT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_LONGEST_FILE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Connection:
    """One Vault, as the backend describes it. Nothing here is secret."""

    backend: str
    """Name of the backend, for messages."""
    address: str
    namespace: str
    timeout: float
    """Seconds to wait for a connection, and then for an answer."""
    max_concurrent: int
    per_second: int
    ca_pem: str | None
    """Certificates to trust; None means those of the operating system."""
    server_name: str
    login_mount: str
    login_role: str
    audience: str
    token_file: Path


def read_token(connection: Connection) -> str:
    """Return the operator's own service-account token.

    Raises InvalidSettings, naming the file and never its content, when the file is not there, holds no
    such token, or the token is for another audience.
    """
    path = connection.token_file
    token = _content(path, connection.backend)
    if _JWT.fullmatch(token) is None:
        raise InvalidSettings(f"token file {path} holds no service-account token: mount a projected token there")
    audiences = _audiences(token)
    if audiences is None:
        raise InvalidSettings(f"token file {path} holds no service-account token: mount a projected token there")
    if connection.audience not in audiences:
        raise InvalidSettings(
            f"token file {path} is not for audience {connection.audience!r}, which backend {connection.backend} asks "
            "for: set the audience of the projected token, or login.kubernetes.audience of the backend"
        )
    return token


def _content(path: Path, backend: str) -> str:
    reason = ""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_FILE).decode("ascii", "replace").strip()
    except OSError as error:
        reason = error.strerror or "not readable"
    raise InvalidSettings(
        f"token file {path} cannot be read ({reason}): mount a projected service-account token with the audience "
        f"of backend {backend} there"
    )


def _audiences(token: str) -> tuple[str, ...] | None:
    """Return the audiences of a JWT, unverified: Vault verifies. None when it is no JWT."""
    payload = token.split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    if not isinstance(claims, dict):
        return None
    named = claims.get("aud", ())
    found = [named] if isinstance(named, str) else named
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()
