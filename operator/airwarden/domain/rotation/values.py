"""New values: made, and put into what holds them. Pure but for the system's source of randomness.

No value is ever part of a message or an exception. Called by the rotating side of a store's provider.
"""

import secrets
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from airwarden.api.rotation import Characters

DEFAULT_LENGTH: Final = 32
_ALPHABETS: Final = {
    Characters.LOWER: "abcdefghijklmnopqrstuvwxyz",
    Characters.UPPER: "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    Characters.DIGIT: "0123456789",
    # No quote, backslash, space, percent, dollar or at-sign: these change meaning in shells, URIs and templates.
    Characters.SYMBOL: "!#()*+,-./:;<=>?[]^_{|}~",
}
DEFAULT_CLASSES: Final = (Characters.LOWER, Characters.UPPER, Characters.DIGIT)


class NoPassword(ValueError):
    """The text is no connection URI with a user whose password could be replaced. Says nothing of the text."""


def generate(length: int | None, classes: Sequence[Characters]) -> str:
    """Return a new random value with at least one character of each class.

    Values without one are drawn again, so that all that hold to the rule are equally likely.
    """
    chosen = tuple(classes) or DEFAULT_CLASSES
    alphabet = "".join(_ALPHABETS[each] for each in dict.fromkeys(chosen))
    while True:
        value = "".join(secrets.choice(alphabet) for _ in range(length or DEFAULT_LENGTH))
        if all(set(value) & set(_ALPHABETS[each]) for each in chosen):
            return value


def with_password(uri: str, password: str) -> str:
    """Return a connection URI with another password and nothing else changed.

    Raises NoPassword for a text that is no such URI.
    """
    return with_credentials(uri, None, password)


def with_credentials(uri: str, user: str | None, password: str) -> str:
    """Return a connection URI with another password, and another user unless None; nothing else is changed.

    Raises NoPassword for a text that is no such URI.
    """
    credentials, place, network = _cut(uri)
    name = credentials.partition(":")[0] if user is None else quote(user, safe="")
    before, slashes, after = uri.partition("//")
    # Cut out of the text itself: putting a URI together again drops what is empty in it.
    return f"{before}{slashes}{name}:{quote(password, safe='')}@{place}{after.removeprefix(network)}"


def credentials_of(uri: str) -> tuple[str, str]:
    """Return the user and the password of a connection URI. Raises NoPassword for a text that is no such URI."""
    name, _, password = _cut(uri)[0].partition(":")
    return unquote(name), unquote(password)


def _cut(uri: str) -> tuple[str, str, str]:
    """Return what stands before the place in a URI, the place, and both as they stand there."""
    try:
        parts = urlsplit(uri)
        user, host = parts.username, parts.hostname
    except ValueError:
        parts, user, host = None, None, None
    if parts is None or not parts.scheme or not user or host is None or not uri.isprintable():
        raise NoPassword("the field holds no connection URI with a user: URIPassword needs one")
    credentials, _, place = parts.netloc.rpartition("@")
    return credentials, place, parts.netloc
