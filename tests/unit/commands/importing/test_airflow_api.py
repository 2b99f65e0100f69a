"""Airflow's REST API: all pages are read, what it hides is marked, and the token goes nowhere else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from airwarden.commands.importing.airflow_api import read, token
from airwarden.domain.errors import AirwardenError, InvalidSettings, StoreFailed, Unauthorized, Unreachable

TOKEN = "eyJ.token.of-airflow"


@dataclass
class Airflow:
    """A server that answers as Airflow's API does, page by page; what it says can be replaced."""

    url: str = ""
    objects: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"connections": [], "variables": []})
    status: int = 200
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def page(self, path: str) -> bytes:
        asked = urlsplit(path)
        kind = asked.path.rpartition("/")[2]
        query = parse_qs(asked.query)
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        found = self.objects[kind]
        return json.dumps({kind: found[offset : offset + limit], "total_entries": len(found)}).encode()


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    found = Airflow()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found.content or (found.page(self.path) if found.status == 200 else b""))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    found.url = f"http://127.0.0.1:{running.server_port}/airflow"
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    yield found
    running.shutdown()
    running.server_close()


def connection(wanted: str, **parts: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("description", "host", "login", "schema", "port", "password", "extra", "team_name"))
    return {"connection_id": wanted, "conn_type": "http", **empty, **parts}


def test_all_pages_of_both_kinds_are_read(airflow: Airflow) -> None:
    airflow.objects["connections"] = [connection(f"c{number}", host="h") for number in range(250)]
    airflow.objects["variables"] = [{"key": f"v{number}", "value": "1", "team_name": None} for number in range(101)]
    found = read(f"{airflow.url}/", TOKEN)
    assert len({(each.type, each.id) for each in found}) == 351
    assert [path.partition("?")[0] for path, _ in airflow.seen] == [
        *["/airflow/api/v2/connections"] * 3,
        *["/airflow/api/v2/variables"] * 2,
    ]
    assert {headers["authorization"] for _, headers in airflow.seen} == {f"Bearer {TOKEN}"}


def test_what_the_api_hides_is_marked(airflow: Airflow) -> None:
    airflow.objects["connections"] = [connection("w", host="db", password="***", extra='{"token": "***"}')]
    airflow.objects["variables"] = [{"key": "api_key", "value": "***", "team_name": "a"}]
    warehouse, key = read(airflow.url, TOKEN)
    assert warehouse.to_be_filled == ("extra", "password")
    assert key.to_be_filled == ("value",)
    assert "for team a alone" in key.note


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, Unauthorized, "does not let the token read that (status 401)"),
        (403, Unauthorized, "as somebody who may list connections"),
        (404, StoreFailed, "what stands before /api/v2 of an Airflow 3"),
        (500, StoreFailed, "status 500"),
    ],
)
def test_a_refusal_is_told_without_the_token(
    airflow: Airflow, status: int, error: type[AirwardenError], said: str
) -> None:
    airflow.status, airflow.content = status, TOKEN.encode()
    with pytest.raises(error) as refused:
        read(airflow.url, TOKEN)
    assert said in refused.value.message
    assert TOKEN not in refused.value.message


def test_a_redirect_takes_the_token_nowhere(airflow: Airflow) -> None:
    airflow.status, airflow.headers = 302, {"Location": f"{airflow.url}/elsewhere"}
    with pytest.raises(StoreFailed, match="status 302"):
        read(airflow.url, TOKEN)
    assert len(airflow.seen) == 1


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"connections": 5, "total_entries": 1}', b"{}"])
def test_what_is_no_airflow_is_said(airflow: Airflow, content: bytes) -> None:
    airflow.content = content
    with pytest.raises(StoreFailed, match="no list of connections: is it Airflow 3"):
        read(airflow.url, TOKEN)


def test_a_list_that_does_not_get_on_ends(airflow: Airflow) -> None:
    airflow.content = b'{"connections": [], "variables": [], "total_entries": 5}'
    assert read(airflow.url, TOKEN) == []


def test_no_answer_is_said_and_nothing_ambient_is_used(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    airflow.objects["variables"] = [{"key": "v", "value": "1"}]
    assert len(read(airflow.url, TOKEN)) == 1
    with pytest.raises(Unreachable, match="cannot be reached"):
        read("http://127.0.0.1:1", TOKEN)
    with pytest.raises(Unreachable, match="correct --airflow-url, or --airflow-ca"):
        read("https://127.0.0.1:1", TOKEN, Path("/nowhere.pem"))


@pytest.mark.parametrize(
    "url",
    ["airflow.example", "ftp://a", "https://u:p@a", "https://a?x=1", "https://a#x", "https://", "http://[", "h://a:x"],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings, match="--airflow-url must be"):
        read(url, TOKEN)


def test_the_token_comes_from_a_file_or_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert token(file, {"AIRFLOW_TOKEN": "other"}) == TOKEN
    assert token(None, {"AIRFLOW_TOKEN": TOKEN}) == TOKEN
    for given, environment in ((None, {}), (None, {"AIRFLOW_TOKEN": f"{TOKEN}\nX-Other: 1"})):
        with pytest.raises(InvalidSettings, match="AIRFLOW_TOKEN holds no token of Airflow") as refused:
            token(given, environment)
        assert TOKEN not in refused.value.message
    with pytest.raises(InvalidSettings, match="correct --airflow-token-file"):
        token(tmp_path / "absent", {})
