"""Reads connections and variables of a running Airflow through its REST API.

Called by `command`. The API hides passwords and whatever else it takes for sensitive; `items` marks those. Nothing
ambient is used: no proxy variables, no .netrc, which would put another login in place of the token; redirects are not
followed, so that the token goes to no other host.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from airwarden.api.binding import SecretType
from airwarden.commands.importing.items import Item, item, printable
from airwarden.domain.errors import InvalidSettings, StoreFailed, Unauthorized, Unreachable

TOKEN_VARIABLE: Final = "AIRFLOW_TOKEN"  # noqa: S105 - the name of a variable
_TIMEOUT: Final = 30.0
_PAGE: Final = 100
_MOST_PAGES: Final = 1000
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_PARTS: Final = ("conn_type", "description", "host", "login", "schema", "port", "password", "extra")


def token(file: Path | None, environment: Mapping[str, str]) -> str:
    """Return the token for Airflow's API, from a file or AIRFLOW_TOKEN. Raises InvalidSettings without one."""
    found, where = environment.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
    if file is not None:
        where = str(file)
        try:
            found = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            raise InvalidSettings(f"{file} cannot be read: correct --airflow-token-file") from None
    found = found.strip()
    if _TOKEN.fullmatch(found) is None:
        raise InvalidSettings(
            f"{where} holds no token of Airflow: ask POST <url>/auth/token for one, and give it in {TOKEN_VARIABLE} "
            "or in a file with --airflow-token-file"
        )
    return found


def read(url: str, bearer: str, ca: Path | None = None) -> list[Item]:
    """Return all connections and variables that the token may see. Raises AirwardenError."""
    base = _base(url)
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {bearer}"
        session.verify = True if ca is None else str(ca)
        connections = [_connection(each, base) for each in _all(session, base, "connections")]
        return connections + [_variable(each, base) for each in _all(session, base, "variables")]


def _base(url: str) -> str:
    try:
        found = urlsplit(url)
        usable = found.scheme in {"http", "https"} and bool(found.hostname) and found.port != 0
    except ValueError:
        usable, found = False, urlsplit("")
    if not usable or found.username is not None or found.password is not None or found.query or found.fragment:
        raise InvalidSettings(
            "--airflow-url must be http:// or https://, a host and perhaps port and path, and no more"
        )
    return url.rstrip("/")


def _all(session: requests.Session, base: str, kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield all objects of a kind, page by page."""
    seen = 0
    for _ in range(_MOST_PAGES):
        body = _page(session, base, f"{base}/api/v2/{kind}?limit={_PAGE}&offset={seen}&order_by={_ORDER[kind]}")
        listed, total = body.get(kind), body.get("total_entries")
        if not isinstance(listed, list) or not isinstance(total, int):
            raise StoreFailed(f"{base} answered with something that is no list of {kind}: is it Airflow 3?")
        yield from (each for each in listed if isinstance(each, dict))
        seen += len(listed)
        if seen >= total or not listed:
            return
    raise StoreFailed(f"{base} lists {kind} without an end")


_ORDER: Final = {"connections": "conn_id", "variables": "key"}


def _page(session: requests.Session, base: str, url: str) -> Mapping[str, Any]:
    try:
        answer = session.get(url, timeout=_TIMEOUT, allow_redirects=False)
    except (requests.RequestException, OSError) as error:  # OSError: a CA file that is not there
        raise Unreachable(
            f"Airflow at {base} cannot be reached ({type(error).__name__}): correct --airflow-url, or --airflow-ca"
        ) from None
    if answer.status_code in {401, 403}:
        raise Unauthorized(
            f"Airflow at {base} does not let the token read that (status {answer.status_code}): ask POST "
            f"{base}/auth/token for a new one, as somebody who may list connections and variables"
        )
    if answer.status_code != 200:
        raise StoreFailed(
            f"Airflow at {base} answered with status {answer.status_code}: --airflow-url must be what stands before "
            "/api/v2 of an Airflow 3"
        )
    try:
        body = answer.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {}


def _connection(body: Mapping[str, Any], base: str) -> Item:
    value = {name: body.get(name) for name in _PARTS}
    return item(SecretType.CONNECTION, str(body.get("connection_id", "")), base, value, note=_team(body))


def _variable(body: Mapping[str, Any], base: str) -> Item:
    value = body.get("value")
    return item(SecretType.VARIABLE, str(body.get("key", "")), base, "" if value is None else value, note=_team(body))


def _team(body: Mapping[str, Any]) -> str:
    team = body.get("team_name")
    return f"Airflow has it for team {printable(team)} alone; the binding gives it to its DAGs" if team else ""
