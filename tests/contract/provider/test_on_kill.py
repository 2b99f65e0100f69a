"""A task that is killed while it reads: on_kill, which Airflow calls in the handler of SIGTERM, may read as well.

Airflow is all real. The store is none: it keeps the first login waiting until what on_kill asks for was given.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contract.provider.airflow_task import AirflowEnvironment
from plane.small_server import Small, serving

pytestmark = pytest.mark.timeout(600)  # the first run on a machine installs Airflow

SOON = 60.0


@dataclass
class SlowVault:
    """It kills the task at its first login, and answers that one when a second one was used."""

    result: Path
    address: str = ""
    asked: list[str] = field(default_factory=list)
    used: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str) -> dict[str, object]:
        """Answer one request."""
        self.asked.append(path)
        if path.endswith("/login"):
            number = len([each for each in self.asked if each.endswith("/login")])
            if number == 1:
                os.kill(json.loads(self.result.read_text())["pid"], signal.SIGTERM)
                self.used.wait(SOON)
            return {"auth": {"client_token": f"t{number}", "lease_duration": 600}}
        if "/data/" in path:
            self.used.set()
        return {"data": {"data": {"conn_type": "http", "password": "the-password"}}}


@pytest.fixture
def slow_vault(tmp_path: Path) -> Iterator[SlowVault]:
    found = SlowVault(tmp_path / "seen.json")

    class Handler(Small):
        def respond(self) -> None:
            self.body()
            self.answer(200, json.dumps(found.answer(self.path)).encode())

    with serving(Handler) as port:
        found.address = f"http://127.0.0.1:{port}"
        yield found
        found.used.set()


def test_on_kill_reads_what_its_task_is_reading_and_the_task_goes_on(tmp_path: Path, slow_vault: SlowVault) -> None:
    airflow = AirflowEnvironment.prepare(tmp_path)
    (tmp_path / "token").write_text("a.b.c")
    login = {"method": "Kubernetes", "mount": "kubernetes", "role": "r", "tokenFile": str(tmp_path / "token")}
    body = {
        "version": 1,
        "binding": "team/billing",
        "stores": {"vault": {"type": "Vault", "addresses": [slow_vault.address], "login": login}},
        "secrets": [{"type": "Connection", "id": "warehouse", "store": "vault", "key": "a"}],
    }
    (tmp_path / "map.json").write_text(json.dumps(body))
    run = airflow.task(tmp_path, "is_killed", tmp_path / "map.json")
    logins = [each for each in slow_vault.asked if each.endswith("/login")]
    assert len(logins) >= 2, "the handler came while the first one was under way"
    assert (run.seen.get("on_kill"), run.seen.get("execute")) == ("the-password",) * 2, run.log
    assert len([each for each in slow_vault.asked if each.endswith("/revoke-self")]) == len(logins)
