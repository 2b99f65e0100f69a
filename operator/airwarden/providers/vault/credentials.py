"""What proves to a Vault who the operator is: each way to log in, from the file that it reads.

Each file lies in the operator's one token directory and is read anew at each login, because the kubelet,
Vault Agent or an admin replaces it. Nothing of a file's content is in any error. Called by
`airwarden.providers.vault.client`.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from airwarden.domain.errors import InvalidSettings
from airwarden.providers.vault.connection import Credentials, ProjectedToken, SecretIDFile, TokenFile
from airwarden.providers.vault.transport import Call

_JWT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_WORD: Final = re.compile(r"[\x21-\x7e]{1,4096}")
_WRAPPED: Final = "hvs."
_LONGEST_FILE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Proof:
    """A login ready to be sent."""

    call: Call
    secret: str = field(repr=False)
    """What must never be in a message."""
    token: str = field(default="", repr=False)
    """The token itself, where there is one already: the call asks Vault about it."""
    advice: str = ""
    """What to check when Vault refuses it."""


def prove(credentials: Credentials, backend: str) -> Proof:
    """Read the file and return what to send. Blocking.

    Raises InvalidSettings, naming the file and never its content, when it is not there or holds something else.
    """
    match credentials:
        case ProjectedToken():
            jwt = read_token(credentials, backend)
            call = Call("POST", f"auth/{credentials.mount}/login", {"role": credentials.role, "jwt": jwt})
            return Proof(call, jwt, advice="Check the login's role, audience and account")
        case SecretIDFile():
            secret_id = _secret_id(credentials.file, backend)
            body = {"role_id": credentials.role_id, "secret_id": secret_id}
            advice = f"Check login.appRole.roleID, and put a secret-id that still holds into file {credentials.file}"
            return Proof(Call("POST", f"auth/{credentials.mount}/login", body), secret_id, advice=advice)
        case TokenFile():
            token = read_vault_token(credentials, backend)
            advice = f"Put a token that Vault knows into file {credentials.file}"
            return Proof(Call("GET", "auth/token/lookup-self"), token, token, advice)


def read_token(credentials: ProjectedToken, backend: str) -> str:
    """Return the operator's own service-account token.

    Raises InvalidSettings, naming the file and never its content, when the file is not there, holds no
    such token, or the token is for another audience.
    """
    path = credentials.file
    token = _content(path, f"mount a projected service-account token with the audience of backend {backend} there")
    audiences = _audiences(token) if _JWT.fullmatch(token) is not None else None
    if audiences is None:
        raise InvalidSettings(f"token file {path} holds no service-account token: mount a projected token there")
    if credentials.audience not in audiences:
        raise InvalidSettings(
            f"token file {path} is not for audience {credentials.audience!r}, which backend {backend} asks "
            f"for: set the audience of the projected token, or {credentials.setting} of the backend"
        )
    return token


def read_vault_token(credentials: TokenFile, backend: str) -> str:
    """Return the Vault token in the file. Raises InvalidSettings when the file is not there or holds no such token."""
    path = credentials.file
    put = f"put a token of Vault for backend {backend} there, and nothing else"
    token = _content(path, put)
    if _JWT.fullmatch(token) is not None and _audiences(token) is not None:
        raise InvalidSettings(
            f"token file {path} holds a service-account token, which is not sent as a token of Vault: {put}, "
            "or choose another login.method"
        )
    return _one_word(token, path, put)


def _secret_id(path: Path, backend: str) -> str:
    put = f"put the secret-id of backend {backend} there, and nothing else"
    secret_id = _one_word(_content(path, put), path, put)
    if secret_id.startswith(_WRAPPED):
        raise InvalidSettings(f"token file {path} holds a wrapping token: unwrap it first, and {put}")
    return secret_id


def _one_word(text: str, path: Path, put: str) -> str:
    if not text:
        raise InvalidSettings(f"token file {path} is empty: {put}")
    if _WORD.fullmatch(text) is None:
        raise InvalidSettings(f"token file {path} holds more than one word, or none of plain letters: {put}")
    return text


def _content(path: Path, put: str) -> str:
    reason = ""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE + 1)
        if len(content) <= _LONGEST_FILE:
            return content.decode("ascii", "replace").strip()
        reason = f"longer than {_LONGEST_FILE} bytes"
    except OSError as error:
        reason = error.strerror or "not readable"
    raise InvalidSettings(f"token file {path} cannot be read ({reason}): {put}")


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
