"""What was found in an Airflow: one connection or variable with its value, or why it cannot be taken.

Made by the readers beside this module, judged by `grouping`. Pure. A value is in no message and no representation.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlsplit

from airwarden.api.binding import SecretType

HIDDEN: Final = "***"
"""What Airflow's API and commands show in place of a value, or of a part of one."""
TO_BE_FILLED: Final = "TO-BE-FILLED"
"""What stands in place of such a value until somebody puts the true one there."""
TEXTS: Final = ("conn_type", "host", "login", "password", "schema", "description")
PARTS: Final = frozenset({*TEXTS, "port", "extra"})
_SAME: Final = frozenset({"conn_id", "connection_id"})

Json = Any


class Unfit(ValueError):
    """A value that cannot be taken; the text says why, and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Item:
    """One connection or variable."""

    type: SecretType
    id: str
    origin: str
    """Where it was found, as a person calls it."""
    payload: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the store shall hold. Texts alone: Vault's audit log shows numbers in clear."""
    wrong: str = ""
    """Why it cannot be taken."""
    note: str = ""
    case_unknown: bool = False
    """A variable's name is in capitals, whatever the id is."""

    @property
    def to_be_filled(self) -> tuple[str, ...]:
        """Name the fields whose values the source hides."""
        return tuple(sorted(name for name, text in self.payload.items() if TO_BE_FILLED in text))


def item(kind: SecretType, wanted: str, origin: str, value: Json, **more: Any) -> Item:
    """Return an item of a value as Airflow exports it; one that is unfit says why."""
    take = connection if kind is SecretType.CONNECTION else variable
    try:
        return Item(kind, wanted, origin, take(value), **more)
    except Unfit as unfit:
        return Item(kind, wanted, origin, wrong=str(unfit), **more)


def connection(value: Json) -> dict[str, str]:
    """Return what the store holds of a connection: its URI, or its parts. Raises Unfit."""
    if isinstance(value, str):
        text = value.strip()
        return _parts(_object(text)) if text.startswith("{") else {"conn_uri": _uri(text)}
    return _parts(value)


def variable(value: Json) -> dict[str, str]:
    """Return what the store holds of a variable; what is no text is one as Airflow itself makes it. Raises Unfit."""
    if isinstance(value, dict) and "value" in value and set(value) <= {"value", "description"}:
        value = value["value"]
    text = value if isinstance(value, str) else json.dumps(value, indent=2)
    if not text:
        raise Unfit("its value is empty, and the provider's reader takes no empty one")
    return {"value": _shown(text)}


def same_value(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Tell whether two payloads mean the same: one source writes JSON with other spaces than another."""
    return one.keys() == other.keys() and all(_meaning(one[name]) == _meaning(other[name]) for name in one)


def _meaning(text: str) -> str:
    found = _loaded(text)
    return json.dumps(found, sort_keys=True) if isinstance(found, (dict, list)) else text


def _parts(value: Json) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Unfit("it is neither a URI nor an object with a connection's parts")
    given = {name: each for name, each in value.items() if each is not None and each != "" and name not in _SAME}
    if "extra_dejson" in given:  # of files that people write for Airflow
        given.setdefault("extra", given.pop("extra_dejson"))
    unknown = sorted(set(given) - PARTS)
    if unknown:
        raise Unfit(f"{printable(unknown[0])} is no part of a connection; these are: {', '.join(sorted(PARTS))}")
    if not given:
        raise Unfit("none of its parts has a value")
    take: dict[str, Callable[[Json], str]] = {"port": _port, "extra": _extra}
    return {name: take[name](each) if name in take else _text(name, each) for name, each in given.items()}


def _text(name: str, value: Json) -> str:
    if not isinstance(value, str):
        raise Unfit(f"{name} is no text: put it between quotes")
    return TO_BE_FILLED if HIDDEN in value else value


def _port(value: Json) -> str:
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise Unfit("port is no number from 1 to 65535")
    return text


def _extra(value: Json) -> str:
    if isinstance(value, str):
        if value != HIDDEN and not isinstance(_loaded(value), dict):
            raise Unfit("extra is neither an object nor the JSON text of one")
        return _shown(value)
    if not isinstance(value, dict):
        raise Unfit("extra is neither an object nor the JSON text of one")
    return _shown(json.dumps(value))


def _uri(text: str) -> str:
    """Return a URI that Airflow's own code takes. The parser's errors hold what it was given: they go no further."""
    try:
        found = urlsplit(text)
        port = found.port
    except ValueError:
        found, port = urlsplit(""), 0
    if port == 0:
        raise Unfit("it is no URI: host or port cannot be read")
    if not found.scheme or "://" not in text:
        raise Unfit("it is neither a URI such as postgres://… nor a JSON object")
    return TO_BE_FILLED if HIDDEN in text or quote(HIDDEN) in text else text


def _object(text: str) -> Json:
    found = _loaded(text)
    if not isinstance(found, dict):
        raise Unfit("it is no whole JSON object")
    return found


def _loaded(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _shown(text: str) -> str:
    """Return the text, with what the source hides of it marked: of JSON each value, else the whole."""
    if HIDDEN not in text:
        return text
    found = _loaded(text)
    return json.dumps(_marked(found)) if isinstance(found, (dict, list)) else TO_BE_FILLED


def _marked(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _marked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_marked(each) for each in value]
    return TO_BE_FILLED if isinstance(value, str) and HIDDEN in value else value


def printable(text: object) -> str:
    """Return a name fit for a terminal, cut where it has no end."""
    return "".join(each if each.isprintable() else "?" for each in str(text)[:250])
