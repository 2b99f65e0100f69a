"""How the DAGs of the acts ask, and tell their test what they got: digests, no values. Run by Airflow."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

from airflow.sdk import BaseHook, get_current_context
from airflow.triggers.base import BaseTrigger, TriggerEvent

MAP = Path("/etc/airwarden/binding.json")
TOKEN = Path("/var/run/secrets/airwarden/vault/token")
SECRETS = Path("/var/run/secrets")


def digest(value: str | None) -> str:
    """Return what a test compares instead of a value."""
    return hashlib.sha256((value or "").encode()).hexdigest()


def asked(ask: Callable[[], str | None]) -> str:
    """Return the digest of what was got, or the words of the refusal."""
    try:
        return digest(ask())
    except Exception as refusal:  # noqa: BLE001 - whatever it is, the test reads it
        return f"{type(refusal).__name__}: {refusal}"


def wished(name: str) -> Any:
    """Return what the run's conf has under a name."""
    return get_current_context()["dag_run"].conf[name]


def mounted() -> list[str]:
    """Return the files by which a pod could know, or be, somebody."""
    return sorted(str(each) for folder in (MAP.parent, SECRETS) for each in folder.rglob("*") if each.is_file())


def workload_token() -> str:
    """Return the token with which the pod was sent to Airflow's API server: it stands in the pod's own arguments."""
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        words = each.read_bytes().split(b"\0")
        if b"--json-string" in words:
            return str(json.loads(words[words.index(b"--json-string") + 1])["token"])
    raise LookupError("no process has the workload in its arguments")


def subject(token: str) -> str:
    """Return whose a token is, as it says itself."""
    payload = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"])


class Talk:
    """A word with the test that began the run, at the port that the run's conf names."""

    def __enter__(self) -> Self:
        self._socket = socket.create_connection(("127.0.0.1", wished("port")))
        self._lines = self._socket.makefile("rw")
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def say(self, **seen: Any) -> None:
        """Tell what was seen, and wait for a word to go on."""
        self._lines.write(json.dumps(seen) + "\n")
        self._lines.flush()
        if not self._lines.readline():
            raise ConnectionError("the test is gone")


class Asks(BaseTrigger):
    """A trigger that looks connections up, which the triggerer runs."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "asking.Asks", {"names": self.names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        seen = {}
        for name in self.names:
            try:
                seen[name] = digest((await BaseHook.aget_connection(name)).password)
            except Exception as refusal:  # noqa: BLE001 - whatever it is, the test reads it
                seen[name] = f"{type(refusal).__name__}: {refusal}"
        yield TriggerEvent(seen)
