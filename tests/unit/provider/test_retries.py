"""How a Vault that does not answer is asked again: after pauses that grow and that no two tasks share."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from airflow_airwarden.binding_map import Key, Login, VaultStore
from airflow_airwarden.errors import LookupRefused, Reason, Unavailable
from airflow_airwarden.readers.vault import FIRST_PAUSE, ROUNDS, VaultReader
from airflow_airwarden.readers.vault_http import VaultConnection
from airflow_airwarden.settings import Settings


def store(folder: Path) -> VaultStore:
    (folder / "token").write_text("a.b.c")
    return VaultStore("vault", ("http://vault.example",), Login("kubernetes", "r", str(folder / "token")))


def pauses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return how long a lookup waits between its rounds, without waiting."""
    waited: list[float] = []

    def send(*_: object, **__: object) -> None:
        raise Unavailable(Reason.STORE_UNREACHABLE, "nobody answers")

    monkeypatch.setattr(VaultConnection, "send", send)
    monkeypatch.setattr(time, "sleep", waited.append)
    with pytest.raises(LookupRefused, match="nobody answers; 4 rounds"):
        VaultReader(store(folder), Settings()).read(Key("a"), "", time.monotonic() + 60)
    return waited


def test_pauses_grow_and_differ_from_task_to_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (pauses(tmp_path, monkeypatch) for _ in range(2))
    for waited in (first, second):
        assert len(waited) == ROUNDS - 1
        for number, each in enumerate(waited):
            middle = FIRST_PAUSE * 2**number
            assert middle / 2 <= each <= middle * 1.5
    assert first != second, "tasks that fail together must not come back together"


def test_two_seconds_are_for_the_connection_and_five_for_each_piece(tmp_path: Path) -> None:
    connection = VaultConnection(store(tmp_path), "http://vault.example")
    assert connection._at_hand.client.timeout == httpx.Timeout(5.0, connect=2.0)
