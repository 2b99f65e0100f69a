"""What Airflow stumbles over once the backend has answered: a denial under a bound id, never the next source's answer.

Airflow goes on with what it was given inside its own search, and takes each error there for "ask the next source". All
is Airflow's own here, and the next source holds every id; the store is a file, since what lies there is the matter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from contract.provider.airflow_task import BACKEND, AirflowEnvironment

pytestmark = pytest.mark.timeout(600)  # the first run on a machine installs Airflow

DENIED = "denied: "
CANARY = "canary-4711"
LONG_NUMBER = "1" * 5000
DEEP = "[" * 3000 + "]" * 3000
UNWRITABLE: dict[str, dict[str, Any]] = {
    "password": {"conn_type": "http", "host": "h", "password": f"{CANARY}\ud800"},
    "extra": {"conn_type": "http", "host": "h", "extra": {"k": f"{CANARY}\ud800"}},
    "extra_name": {"conn_type": "http", "host": "h", "extra": {f"{CANARY}\ud800": "k"}},
    "extra_text": {"conn_type": "http", "host": "h", "extra": json.dumps({"k": f"{CANARY}\ud800"})},
    "extra_deep": {"conn_type": "http", "host": "h", "extra": f'{{"k": {"[" * 900}"{CANARY}"{"]" * 900}}}'},
    "uri": {"conn_uri": f"http://u:{CANARY}\ud800@h"},
    "uri_extra_deep": {"conn_uri": f"http://u:{CANARY}@h/?__extra__={DEEP}"},
    "uri_extra_number": {"conn_uri": f'http://u:{CANARY}@h/?__extra__={{"k": {LONG_NUMBER}}}'},
    "uri_extra_list": {"conn_uri": f"http://u:{CANARY}@h/?__extra__=[1]"},
    "uri_protocols": {"conn_uri": f"http://a://b://{CANARY}"},
}
WRITABLE: dict[str, dict[str, Any]] = {
    "plain": {"conn_type": "http", "host": "ours", "login": "ü", "password": f"ü{CANARY}"},
    "nested": {"conn_type": "http", "host": "ours", "extra": {"a": {"b": [{"c": "d"}, 5, None]}}},
    "uri_extra": {"conn_uri": 'http://ours/?__extra__={"a": {"b": "ü"}}'},
    "uri_query": {"conn_uri": "http://ours/?a=b&__extra__="},
}
ASK = """
import asyncio, json, sys
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied
def ask(how, wanted):
    try:
        found = asyncio.run(Connection.async_get(wanted)) if how == "async" else Connection.get(wanted)
    except AirflowSecretsBackendAccessDenied as denial:
        return "denied: " + str(denial)
    return found.host
"""
EACH = """
print(json.dumps({f"{how} {each}": ask(how, each) for each in sys.argv[1:] for how in ("sync", "async")}))
"""


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> AirflowEnvironment:
    return AirflowEnvironment.prepare(tmp_path_factory.mktemp("wheel"))


def asked(
    airflow: AirflowEnvironment,
    home: Path,
    payloads: Mapping[str, Mapping[str, Any]],
    code: str,
    variables: Mapping[str, str] | None = None,
    kind: str = "Connection",
) -> dict[str, str]:
    """Have Airflow ask for all that a binding holds; the next source has the same ids."""
    (home / "payloads.json").write_text(json.dumps(payloads))
    body = {
        "version": 1,
        "binding": "team/billing",
        "stores": {"file": {"type": "File", "path": str(home / "payloads.json")}},
        "secrets": [{"type": kind, "id": each, "store": "file", "key": each} for each in payloads],
    }
    (home / "map.json").write_text(json.dumps(body))
    kwargs = {"map_path": str(home / "map.json"), "development": True}
    elsewhere = {f"AIRFLOW_CONN_{each.upper()}": "http://next-source" for each in payloads}
    elsewhere |= {f"AIRFLOW_VAR_{each.upper()}": '"next-source"' for each in payloads}
    done = airflow.run(
        home,
        "-c",
        ASK + code,
        *payloads,
        variables={
            "AIRFLOW__WORKERS__SECRETS_BACKEND": BACKEND,
            "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS": json.dumps(kwargs),
            "_AIRFLOW_PROCESS_CONTEXT": "client",
            **elsewhere,
            **(variables or {}),
        },
    )
    assert done.returncode == 0, done.stderr
    assert CANARY not in done.stdout + done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_connection_that_airflow_cannot_write_down_is_denied(airflow: AirflowEnvironment, tmp_path: Path) -> None:
    seen = asked(airflow, tmp_path, UNWRITABLE, EACH)
    assert len(seen) == 2 * len(UNWRITABLE)
    assert [each for each, said in seen.items() if not said.startswith(DENIED)] == []
    assert "PayloadInvalid: field password at password of store file holds characters" in seen["sync password"]


def test_a_connection_that_airflow_can_write_down_is_given(airflow: AirflowEnvironment, tmp_path: Path) -> None:
    assert set(asked(airflow, tmp_path, WRITABLE, EACH).values()) == {"ours"}


UNFORESEEN = """
def broken(self, *_):
    raise ValueError("canary-4711")
Connection._build_uri = broken
"""


def test_what_nobody_foresaw_in_a_uri_is_a_denial(airflow: AirflowEnvironment, tmp_path: Path) -> None:
    seen = asked(airflow, tmp_path, {"plain": WRITABLE["plain"]}, UNFORESEEN + EACH)
    for said in seen.values():
        assert "PayloadInvalid: Airflow cannot write what lies at plain of store file as a URI (ValueError)" in said


ADAPTER = """
def adapted(text):
    raise ValueError("canary-4711")
"""
MASKED = """
from airflow.sdk._shared.secrets_masker import _secrets_masker
import adapter
_secrets_masker().secret_mask_adapter = adapter.adapted
"""


def test_a_masker_that_fails_ends_the_search(airflow: AirflowEnvironment, tmp_path: Path) -> None:
    (tmp_path / "adapter.py").write_text(ADAPTER)
    payloads = {"plain": WRITABLE["plain"], "uri": {"conn_uri": "http://u:password@h"}}
    seen = asked(airflow, tmp_path, payloads, MASKED + EACH)
    assert all(said.startswith(DENIED) for said in seen.values()), seen
    assert all("InternalError: ValueError in adapted" in said for said in seen.values())


THREADS = """
import threading
start = threading.Thread.start
def no_more(self):
    threading.Thread.start = start  # the loop's own end needs one
    raise RuntimeError("can't start new thread")
threading.Thread.start = no_more
print(json.dumps({"async": ask("async", "plain")}))
"""


def test_a_process_that_may_start_no_thread_is_denied(airflow: AirflowEnvironment, tmp_path: Path) -> None:
    seen = asked(airflow, tmp_path, {"plain": WRITABLE["plain"]}, THREADS)
    assert "InternalError: RuntimeError in no_more" in seen["async"]


FILES = """
import os, resource
import airflow.sdk.execution_time.cache
from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
ensure_secrets_backend_loaded()  # as each task has it before its own code runs
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    said = ask("sync", "plain")
for each in held:
    os.close(each)
print(json.dumps({"sync": said}))
"""


def test_a_process_that_may_open_no_file_is_denied(airflow: AirflowEnvironment, tmp_path: Path) -> None:
    seen = asked(airflow, tmp_path, {"plain": WRITABLE["plain"]}, FILES)
    assert "to binding unknown: " in seen["sync"]
    assert seen["sync"].startswith(DENIED)


VARIABLES = """
from airflow.sdk import Variable
def read(wanted, **how):
    try:
        return str(Variable.get(wanted, **how))
    except AirflowSecretsBackendAccessDenied as denial:
        return "denied: " + str(denial)
seen = {each: read(each, deserialize_json=True) for each in sys.argv[1:]}
print(json.dumps({**seen, "as text": read("text")}))
"""


def test_a_variable_that_is_no_json_is_denied_to_a_task_that_asks_for_json(
    airflow: AirflowEnvironment, tmp_path: Path
) -> None:
    payloads = {
        "good": {"value": '{"a": ["b"]}'},
        "text": {"value": "words of ours"},
        "deep": {"value": DEEP},
        "number": {"value": LONG_NUMBER},
    }
    seen = asked(airflow, tmp_path, payloads, VARIABLES, kind="Variable")
    assert (seen["good"], seen["as text"]) == ("{'a': ['b']}", "words of ours")
    for each in ("text", "deep", "number"):
        assert f"PayloadInvalid: the task asks for JSON, and what lies at {each} of store file is none" in seen[each]
