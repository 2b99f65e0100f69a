"""Database users that Vault makes for a task: one a task, alive as long as the task, gone with it."""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from airflow_airwarden.audit import AUDIT
from airflow_airwarden.binding_map import SecretType
from airflow_airwarden.connections import connection_payload
from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.sessions import Found, Session
from contract.provider.bench import AUTH, ENGINE, ProviderBench, database_role
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.postgres_server import PostgresServer
from plane.vault_admin import write_policy
from plane.waiting import wait_for

SOON = 30.0
NAMES = (f"leased-{number}" for number in itertools.count())


def found(session: Session) -> Found:
    answer = session.look_up(SecretType.CONNECTION, "reporting")
    assert answer is not None
    return answer


def user(session: Session) -> dict[str, Any]:
    return dict(found(session).reading.values)


def test_a_task_has_one_database_user_which_is_gone_after_it(
    tasks: ProviderBench, database: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, AUDIT)
    name = next(NAMES)
    bound = tasks.bind(name, database_role(tasks.plane, name, "10m", "20m"))
    session = bound.session()
    first, second = found(session), found(session)
    parts = connection_payload(first.secret, first.reading.values).parts
    assert first.reading.values == second.reading.values
    assert database.accepts(str(parts["login"]), str(parts["password"]))
    assert (parts["conn_type"], parts["host"]) == ("postgres", "127.0.0.1")
    session.close()
    wait_for("the user is gone", lambda: parts["login"] not in database.users(), SOON)
    *accesses, end = [json.loads(each.getMessage()) for each in caplog.records if each.name == AUDIT]
    assert {each["lease"].rpartition("/")[0] for each in accesses} == {f"{ENGINE}/creds/{name}"}
    assert (end["leases"], end["outcome"]) == (1, "Revoked")


def test_a_user_works_past_its_first_life_and_is_replaced_after_its_longest(
    tasks: ProviderBench, database: PostgresServer
) -> None:
    name = next(NAMES)
    bound = tasks.bind(name, database_role(tasks.plane, name, "6s", "13s"))
    session = bound.session()
    mark = tasks.plane.vault.audit.mark()
    began = time.monotonic()
    made = user(session)
    wait_for("its first life is over", lambda: time.monotonic() > began + 7, SOON)
    assert user(session) == made
    assert database.accepts(str(made["username"]), str(made["password"]))
    assert "sys/leases/renew" in [each.path for each in bound.requests(mark)]
    replaced = wait_for("another user", lambda: each if (each := user(session)) != made else None, SOON)
    assert database.accepts(str(replaced["username"]), str(replaced["password"]))
    logins = [each for each in bound.requests(mark) if each.path.endswith("/login")]
    assert len(logins) == 1
    session.close()


def test_a_users_life_ends_with_the_token_it_was_made_under(tasks: ProviderBench, database: PostgresServer) -> None:
    name = next(NAMES)
    item = database_role(tasks.plane, name, "10m", "20m")
    bound = tasks.bind(name, item, token_ttl="3s", token_max_ttl="6s")
    session = bound.session()
    made = user(session)
    replaced = wait_for("another user", lambda: each if (each := user(session)) != made else None, SOON)
    assert database.accepts(str(replaced["username"]), str(replaced["password"]))
    session.close()


KILLED = """
import os, signal, sys
from airflow_airwarden.processes import THIS_PROCESS
from airflow_airwarden.settings import Settings
found = THIS_PROCESS.session(Settings(sys.argv[1])).look_up("Connection", "reporting")
print(found.reading.values["username"], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_user_of_a_process_that_is_killed_is_gone_after_its_life(
    tasks: ProviderBench, database: PostgresServer
) -> None:
    """Nobody gives it up, and nobody renews it: of the three lives, only the lease's own is short."""
    name = next(NAMES)
    bound = tasks.bind(name, database_role(tasks.plane, name, "4s", "20m"), token_ttl="10m", token_max_ttl="20m")
    mark = tasks.plane.vault.audit.mark()
    command = [sys.executable, "-c", KILLED, str(bound.map_path())]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "provider")}
    done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True, timeout=SOON)
    assert done.returncode == -signal.SIGKILL, done.stderr
    user_of_it = done.stdout.strip()
    assert user_of_it.startswith("v-")
    wait_for("the user is gone", lambda: user_of_it not in database.users(), SOON)
    assert [each.path for each in bound.requests(mark)] == [f"auth/{AUTH}/login", f"{ENGINE}/creds/{name}"]


def test_users_under_batch_tokens_are_given_up_one_by_one(tasks: ProviderBench, database: PostgresServer) -> None:
    name = next(NAMES)
    item = database_role(tasks.plane, name, "10m", "20m")
    bound = tasks.bind(name, item, token_type="batch", token_ttl="15m")
    session = bound.session()
    made = user(session)
    session.close()
    wait_for("the user is gone", lambda: made["username"] not in database.users(), SOON)


def test_a_static_role_is_read_again_after_its_rotation(tasks: ProviderBench, database: PostgresServer) -> None:
    name = next(NAMES)
    database.make_user(name.replace("-", "_"))
    role = {"db_name": "pg", "username": name.replace("-", "_"), "rotation_period": "5s"}
    tasks.plane.vault.request("POST", f"{ENGINE}/static-roles/{name}", role)
    item = {
        "type": "Connection",
        "id": "reporting",
        "store": "vault",
        "dynamic": {"engine": ENGINE, "role": name, "kind": "Static"},
    }
    bound = tasks.bind(name, item)
    session = bound.session(cacheTTLSeconds=3600)
    made = user(session)
    changed = wait_for(
        "the new password", lambda: each if (each := user(session))["password"] != made["password"] else None, SOON
    )
    assert changed["username"] == made["username"]
    session.close()


def test_a_call_that_changes_something_needs_the_kwarg(tasks: ProviderBench, plane: Plane) -> None:
    plane.vault.request("POST", "sys/mounts/provider-pki", {"type": "pki"})
    plane.vault.request("POST", "provider-pki/root/generate/internal", {"common_name": "test", "ttl": "1h"})
    role = {"allowed_domains": "example.com", "allow_subdomains": True, "max_ttl": "30m"}
    plane.vault.request("POST", "provider-pki/roles/web", role)
    bound = tasks.bind("certified")
    write_policy(plane, "certified", 'path "provider-pki/issue/web" { capabilities = ["update"] }')
    item = {
        "type": "Variable",
        "id": "certificate",
        "store": "vault",
        "dynamic": {
            "engine": "provider-pki",
            "role": "web",
            "kind": "Update",
            "call": "issue",
            "parameters": {"common_name": "a.example.com"},
        },
    }
    with pytest.raises(LookupRefused) as refusal:
        bound.session(secrets=[item]).look_up("Variable", "certificate")
    assert refusal.value.reason is Reason.UPDATE_NOT_ALLOWED
    session = bound.session(secrets=[item], settings={"allow_updates": True})
    made = session.look_up("Variable", "certificate")
    assert made is not None
    assert "BEGIN CERTIFICATE" in str(made.reading.values["certificate"])
    session.close()
