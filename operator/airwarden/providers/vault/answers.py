"""What an HTTP answer of Vault means: a value, or exactly one of the typed errors.

Two kinds of 403 and three of 404 are told apart here, once (`docs` page of reasons: what each means to a
user). Nothing of an answer but Vault's own `errors` and `warnings` texts, cut and redacted, gets into a
message. Pure; called by `airwarden.providers.vault.client`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from airwarden.domain.errors import (
    AirwardenError,
    Forbidden,
    MountMissing,
    Rejected,
    Sealed,
    StoreFailed,
    Throttled,
    Unauthorized,
    Unreachable,
    VersionMoved,
)
from airwarden.providers.vault.role import JSONValue

_LONGEST: Final = 300
_LONGEST_HEARD: Final = 10_000
"""Characters of which anything is looked at."""
_LONGEST_WAIT: Final = 300.0
_TOKENS: Final = re.compile(
    r"\b(?:hv[a-z]|[sbr])\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)*"  # tokens of Vault, new and old
    r"|eyJ[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*)*"  # a JWT, or a part of one
)
_QUOTED: Final = r"""(?:'(?:[^'\\]|\\.|'')*(?:'|$)|"[^"]*(?:"|$)|\$(\w*)\$.*?(?:\$\1\$|$))"""
"""A text as SQL has it. It may have no end: a database cuts what it repeats."""
_DATABASES: Final = (
    re.compile(rf"(?is)\b(?:password|pwd|by|replace)['\"]?\s*(?:=>|[=:,(])?\s*\(?\s*[a-z]?{_QUOTED}"),
    re.compile(rf"(?is)\bset\s+password\b[^=]{{0,200}}=\s*[a-z]?{_QUOTED}"),
    re.compile(r"(?is)\bnear\s+['\"$].*?(?=\s+at line \d|\s*\(SQLSTATE|$)"),
    re.compile(r"(?i)\b(?:(?:password|pwd)\s*[=:]|identified\s+by\b)\s*[^\s'\"$;,\[]+"),
    re.compile(r"://[^/\s@]*:[^\s]*@"),
)
"""What a database may repeat of a statement or an address in its errors."""
_HIDDEN: Final = "[redacted]"
OPERATOR_REMEDY: Final = "The operator's policy does not cover it: apply what airwarden vault-setup prints"
_STANDBY: Final = frozenset({472, 473})
"""Vault's own: a disaster-recovery secondary, and a performance standby."""
_LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.PRECONDITION_FAILED})
"""Refusals that a later try can mend; Vault answers 412 while a replica lags."""
_LOGIN_REFUSED: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN})
_NO_MOUNT: Final = ("no handler for route", "no secret engine mount at")
_MOVED: Final = "check-and-set parameter did not match"
_NOT_ACTIVE: Final = ("local node not active", "no active", "not active but active")


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer as it came. The body may hold a token, so it is not shown."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str = ""
    location: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, for messages, and what must never be in one."""

    what: str
    """Method and path, as in ``GET sys/policies/acl``."""
    address: str
    login: bool = False
    hidden: tuple[str, ...] = field(default=(), repr=False)
    """The token or JWT of this request."""
    remedy: str = OPERATOR_REMEDY
    """What to do when the token's rights do not cover the call."""
    advice: str = "Check the login's role, audience and account"
    """What to do when the login is refused."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was understood. ``absent``: Vault said that there is no such thing."""

    body: Mapping[str, JSONValue] = field(default_factory=dict, repr=False)
    absent: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def data(self) -> Mapping[str, JSONValue]:
        """The answer's ``data``, empty when there is none."""
        found = self.body.get("data")
        return found if isinstance(found, Mapping) else {}


class DeadToken(Unauthorized):
    """The operator's token is no longer known to Vault: expired or revoked. A new login may help."""


def interpret(raw: RawAnswer, asked: Asked) -> Answer:
    """Return what Vault answered, or raise the error that it is."""
    if raw.status == HTTPStatus.NO_CONTENT:
        return Answer()
    parsed = _parse(raw.body)
    if HTTPStatus.OK <= raw.status < HTTPStatus.MULTIPLE_CHOICES:
        if parsed is None:
            raise StoreFailed(f"{_said(asked, raw)} with a text that is not Vault's JSON: is it a Vault?")
        return Answer(parsed, warnings=tuple(clean(each, asked.hidden) for each in _texts(parsed.get("warnings"))))
    words = None if parsed is None or "errors" not in parsed else _texts(parsed["errors"])
    if raw.status == HTTPStatus.NOT_FOUND and words == ():
        return Answer(absent=True)
    if raw.status == HTTPStatus.NOT_FOUND and parsed is not None and _is_gone_version(parsed):
        return Answer(parsed, absent=True)
    raise _error(raw, asked, words)


def clean(text: str, hidden: Sequence[str] = ()) -> str:
    """Return a text fit to be shown: one line, at most 300 characters, no token, no password."""
    for secret in hidden:
        if secret:
            text = text.replace(secret, _HIDDEN)
    text = _TOKENS.sub(_HIDDEN, text[:_LONGEST_HEARD])
    # One space at most between words: the patterns below would look at many in cubic time.
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    for each in _DATABASES:  # before the cut, which would part a password from its end
        text = each.sub(_HIDDEN, text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _error(raw: RawAnswer, asked: Asked, words: tuple[str, ...] | None) -> AirwardenError:
    """Return the error for an answer that is no success and no plain absence."""
    said = _said(asked, raw)
    if HTTPStatus.MULTIPLE_CHOICES <= raw.status < HTTPStatus.BAD_REQUEST:
        return Unreachable(
            f"{said} and points to {_host(raw.location)}: the token is not sent there. Give the address of the active "
            "node, or of a balancer that knows it"
        )
    if raw.status == HTTPStatus.TOO_MANY_REQUESTS:  # some proxies send it without Vault's JSON
        return Throttled(f"{said}: too many requests; lower requests.perSecond", retry_after=_seconds(raw.retry_after))
    if raw.status == HTTPStatus.NOT_IMPLEMENTED:
        return Sealed(f"{said}: Vault is not initialised; initialise and unseal it")
    if raw.status in _STANDBY:
        return Sealed(f"{said}: it is a standby that serves no such request; give the address of the active node")
    if words is None:
        return StoreFailed(
            f"{said} with a text that is not Vault's JSON: is the address, with http or https, that of a Vault?"
        )
    told = clean("; ".join(words), asked.hidden)
    # What it is, Vault's own words say: hiding a short value may have left none of them whole.
    return _told_error(raw.status, asked, f"{said}: {told}" if told else said, "; ".join(words).lower())


def _told_error(status: int, asked: Asked, message: str, told: str) -> AirwardenError:
    """Return the error that Vault's own words and the status tell."""
    if asked.login and status in _LOGIN_REFUSED:
        return Unauthorized(f"{message}. {asked.advice}")
    if status == HTTPStatus.FORBIDDEN:
        if "invalid token" in told:
            return DeadToken(message)
        return Forbidden(f"{message}. {asked.remedy}")
    if any(each in told for each in _NO_MOUNT):
        return MountMissing(f"{message}. Enable the mount")
    if status == HTTPStatus.BAD_REQUEST and _MOVED in told:
        return VersionMoved(f"{message}. The secret got another version meanwhile, which is not overwritten")
    return _fault(status, message, told)


def _fault(status: int, message: str, told: str) -> AirwardenError:
    """Return the error for what is neither about rights nor about mounts."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE and "sealed" in told:
        return Sealed(f"{message}. Unseal it")
    broken = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if broken and any(each in told for each in _NOT_ACTIVE):
        return Sealed(f"{message}. It has no active node: look at Vault's cluster")
    return StoreFailed(message) if broken or status in _LATER else Rejected(message)


def _is_gone_version(parsed: Mapping[str, JSONValue]) -> bool:
    """Tell whether this is how Vault's key-value engine shows a version that was deleted or destroyed."""
    data = parsed.get("data")
    metadata = data.get("metadata", data) if isinstance(data, Mapping) else None  # a patch is answered without it
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("version"), int):
        return False
    return metadata.get("destroyed") is True or bool(metadata.get("deletion_time"))


def _said(asked: Asked, raw: RawAnswer) -> str:
    return f"Vault at {asked.address} answered {raw.status} to {asked.what}"


def _parse(body: bytes) -> Mapping[str, JSONValue] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _texts(value: JSONValue) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return ()
    return tuple(each for each in value if isinstance(each, str))


def _host(location: str) -> str:
    """Return host and port of a redirect, and nothing else of it: a path may hold anything."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "an address that cannot be read"
    if not host:
        return "another path of the same address"
    return re.sub(r"[^A-Za-z0-9.:-]", "", host)[:100] + (f":{port}" if port else "")


def _seconds(text: str) -> float | None:
    """Return the wait that a Retry-After asks for, at most five minutes; a date is left alone."""
    return min(float(text), _LONGEST_WAIT) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text.strip()) else None
