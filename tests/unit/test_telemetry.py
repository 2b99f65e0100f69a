"""What leaves the process as text: one line a record, and nothing in it that looks like a token or password."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from airwarden.settings import LogFormat, LogLevel
from airwarden.telemetry import redact, set_up_logging


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Put logging back as it was after each test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict}
    yield
    for name in logging.root.manager.loggerDict:
        logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def tokens() -> dict[str, str]:
    """Return fresh values in the forms of what must never be shown."""
    word = secrets.token_urlsafe(24).replace("-", "x").replace("_", "y")
    return {
        "service": f"hvs.{word}",
        "batch": f"hvb.{word}",
        "recovery": f"hvr.{word}",
        "old": f"s.{word[:24]}",
        "jwt": f"eyJhbGciOi{word}.{word}.{word}",
        "bearer": f"Bearer {word}",
        "url": f"https://user:{word}@vault.example/",
        "header": f"X-Vault-Token: {word}",
    }


@pytest.mark.parametrize("kind", sorted(tokens()))
def test_each_form_of_a_secret_is_taken_out_and_the_rest_stays(kind: str) -> None:
    value = tokens()[kind]
    shown = redact(f"before {value} after")
    assert value not in shown
    assert max(value.replace("@", " ").replace(":", " ").replace("/", " ").split(), key=len) not in shown
    assert shown.startswith("before ")
    assert shown.endswith("after")
    assert "[redacted]" in shown


@pytest.mark.parametrize(
    "text", ["airwarden.c1.team.billing", "team/db", "vault.example:8200", "s.short", "https://a/b@c"]
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text


def logged(form: LogFormat, capsys: pytest.CaptureFixture[str], secret: str) -> str:
    """Return what is printed when a secret gets into every part of a record."""
    set_up_logging(LogLevel.DEBUG, form)
    log = structlog.get_logger("airwarden.test")

    class Holder:
        def __repr__(self) -> str:
            return f"Holder({secret})"

    said = f"event {secret}"
    log.info(said, plain=secret, nested={"a": [secret, {"b": secret}]}, held=Holder(), number=3)
    log.warning("error", error=ValueError(secret), pair=(secret, 1))
    logging.getLogger("library").warning("with %s", secret)
    logging.getLogger("library").debug("mapping %s", {"token": secret})
    try:
        int(secret)
    except ValueError:
        log.exception("failed")
        logging.getLogger("library").exception("failed")
    return capsys.readouterr().err


@pytest.mark.parametrize("form", LogFormat)
@pytest.mark.parametrize("kind", ["service", "jwt"])
def test_no_part_of_a_log_record_carries_a_token(
    form: LogFormat, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tokens()[kind]
    shown = logged(form, capsys, secret)
    assert "event [redacted]" in shown
    assert shown.count("[redacted]") >= 8
    assert secret not in shown


def test_json_lines_are_one_object_each(capsys: pytest.CaptureFixture[str]) -> None:
    shown = logged(LogFormat.JSON, capsys, tokens()["service"])
    lines: list[dict[str, Any]] = [json.loads(line) for line in shown.splitlines()]
    assert len(lines) >= 6
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    assert lines[0]["number"] == 3


def test_libraries_that_print_requests_stay_quiet_at_debug_level(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(LogLevel.DEBUG, LogFormat.JSON)
    for name in (
        "urllib3.connectionpool",
        "hvac",
        "kubernetes.client.rest",
        "aiohttp.client",
        "kopf.objects",
        "asyncio",
    ):
        logging.getLogger(name).debug("a request with its headers")
        logging.getLogger(name).info("an object with its annotations")
    assert capsys.readouterr().err == ""
