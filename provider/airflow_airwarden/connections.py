"""Turns what a store answered into what Airflow takes: a connection's parts, or one text.

Called by `backend.py`; pure. Whatever is wrong is said with the id and the field's name, never with a
value, since Airflow shows exceptions in task logs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_airwarden.binding_map import Dynamic, Secret
from airflow_airwarden.errors import LookupRefused, Reason

TEXTS = ("conn_type", "description", "host", "login", "password", "schema")
KNOWN = frozenset({*TEXTS, "port", "extra"})
CREDENTIALS = {"login": "username", "password": "password"}
"""Where an engine's credentials go, unless the map says otherwise."""
DEEPEST = 32
"""Levels within extra. Airflow goes through them by recursion, with whatever stack the task has left it."""
_WHOLE_EXTRA = "__extra__"
"""The part of a URI's query that Airflow takes for the whole of extra."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A connection, either as a URI or in parts."""

    uri: str = field(default="", repr=False)
    parts: Mapping[str, str | int] = field(default_factory=dict, repr=False)


def connection_payload(secret: Secret, values: Mapping[str, object]) -> Payload:
    """Return the connection that a store's fields describe; LookupRefused names the field that is wrong."""
    if secret.secret_field:
        return _from_text(secret, secret.secret_field, _text(secret, secret.secret_field, values))
    if isinstance(secret.place, Dynamic):
        named = {**CREDENTIALS, **dict(secret.connection_fields)}
        taken = {part: values[name] for part, name in named.items() if name in values}
        missing = [name for part, name in secret.connection_fields if name not in values]
        if missing or not taken:
            _wrong(secret, (missing or [CREDENTIALS["login"]])[0], "is not among what the store made")
        return Payload(parts=_parts(secret, {**dict(secret.connection), **taken}))
    if "conn_uri" in values:
        return _from_text(secret, "conn_uri", _text(secret, "conn_uri", values))
    renamed = {name: part for part, name in secret.connection_fields}
    fields = {renamed.get(name, name): value for name, value in values.items()}
    return Payload(parts=_parts(secret, {**dict(secret.connection), **fields}))


def text_payload(secret: Secret, values: Mapping[str, object]) -> str:
    """Return a variable's or an option's text: one field of it, or all that an engine made as JSON."""
    if secret.secret_field or "value" in values or not isinstance(secret.place, Dynamic):
        return _text(secret, secret.secret_field or "value", values)
    return json.dumps(dict(values), sort_keys=True)


def json_texts(text: str) -> list[str] | None:
    """Return all texts within a JSON value; None for what is no JSON, or nested deeper than Airflow may follow."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return None if _too_deep(found) else _texts(found)


def masked(payload: Payload | str, values: Mapping[str, object]) -> list[str]:
    """Return what must not appear in a log: each secret part, and the whole where it is one text."""
    if isinstance(payload, str):
        return [payload]
    if payload.uri:
        password = _password(payload.uri)
        return [payload.uri, *([password] if password else []), *_texts(values.get("extra"))]
    return [str(payload.parts[name]) for name in ("password",) if name in payload.parts] + _extra(payload.parts)


def _extra(parts: Mapping[str, str | int]) -> list[str]:
    text = str(parts.get("extra", ""))
    return [text, *_texts(_json_object(text))] if text else []


def _texts(value: object) -> list[str]:
    """Return all texts within a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return []


def _password(uri: str) -> str:
    return unquote(urlsplit(uri).password or "")


def _from_text(secret: Secret, name: str, text: str) -> Payload:
    text = text.strip()
    if not text.startswith("{"):
        return Payload(uri=_checked_uri(secret, name, text))
    parts = _json_object(text)
    if parts is None:
        _wrong(secret, name, "is no whole JSON object")
    return Payload(parts=_parts(secret, {**dict(secret.connection), **parts}))


def _checked_uri(secret: Secret, name: str, text: str) -> str:
    found = _split(text)
    if found is None:
        _wrong(secret, name, "is no URI: host or port cannot be read")
    if not found[0] or "://" not in text:
        _wrong(secret, name, "is neither a URI such as postgres://… nor a JSON object")
    if found[1] == 0:
        _wrong(secret, name, "has port 0")
    if not _writable(text):
        _wrong(secret, name, "holds characters that cannot be written as UTF-8")
    extra = dict(parse_qsl(urlsplit(text).query, keep_blank_values=True)).get(_WHOLE_EXTRA)
    if extra:
        _checked_extra(secret, extra, f"{name}, {_WHOLE_EXTRA}")
    return text


def _split(text: str) -> tuple[str, int | None] | None:
    """Return scheme and port. The parser's errors hold what it was given, so they go no further than here."""
    try:
        found = urlsplit(text)
        port = found.port
    except ValueError:
        return None
    return found.scheme, port


def _json_object(text: str) -> Mapping[str, object] | None:
    """Return a JSON object. The parser's errors hold what it was given, so they go no further than here."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _parts(secret: Secret, fields: Mapping[str, object]) -> Mapping[str, str | int]:
    unknown = sorted(set(fields) - KNOWN)
    if unknown:
        _wrong(secret, unknown[0], f"is no part of a connection; these are: {', '.join(sorted(KNOWN))}")
    parts: dict[str, str | int] = {}
    for name in TEXTS:
        value = fields.get(name)
        if isinstance(value, str) and _writable(value):
            parts[name] = value
        elif isinstance(value, str):
            _wrong(secret, name, "holds characters that cannot be written as UTF-8")
        elif value is not None:
            _wrong(secret, name, "is no text")
    port = fields.get("port")
    if port is not None and port != "":
        parts["port"] = _port(secret, port)
    extra = fields.get("extra")
    if isinstance(extra, dict):
        _check_writable(secret, extra, "extra")
        parts["extra"] = json.dumps(extra)
    elif isinstance(extra, str) and extra:
        parts["extra"] = _checked_extra(secret, extra, "extra")
    elif extra is not None and extra != "":
        _wrong(secret, "extra", "is neither a JSON object nor its text")
    return parts


def _port(secret: Secret, given: object) -> int:
    text = str(given) if isinstance(given, (int, str)) and not isinstance(given, bool) else ""
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        _wrong(secret, "port", "is no port number from 1 to 65535")
    return int(text)


def _checked_extra(secret: Secret, text: str, name: str) -> str:
    found = _json_object(text)
    if found is None:
        _wrong(secret, name, "is neither a JSON object nor its text")
    _check_writable(secret, found, name)
    return text


def _check_writable(secret: Secret, extra: Mapping[str, object], name: str) -> None:
    if not _writable(extra):
        _wrong(secret, name, f"is nested beyond {DEEPEST} levels, or cannot be written as UTF-8")


def _writable(value: object) -> bool:
    """Tell whether Airflow can write a value into a URI and mask it, which it does before a task gets it."""
    if _too_deep(value):
        return False
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:  # of the encoding, or of a number with thousands of digits
        return False
    return True


def _too_deep(value: object) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for each in level for inner in _within(each)]
    return bool(level)


def _within(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _text(secret: Secret, name: str, values: Mapping[str, object]) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value:
        _wrong(secret, name, "is missing" if value is None else "is empty or no text")
    return value


def _wrong(secret: Secret, name: str, what: str) -> NoReturn:
    shown = "".join(each if each.isprintable() else "?" for each in name[:64])
    raise LookupRefused(
        Reason.PAYLOAD_INVALID,
        f"field {shown} at {secret.place} of store {secret.store} {what}",
        f"Correct what the store holds for {secret.type} {secret.id}",
    )
