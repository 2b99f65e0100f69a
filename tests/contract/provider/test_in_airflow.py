"""The provider in Airflow itself: tasks under Airflow's own supervisor read a real Vault under a real account."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_airwarden.map_file import parse_map
from contract.provider.airflow_task import BACKEND, AirflowEnvironment
from contract.provider.bench import AUTH, KV, NAMESPACE, Bound, ProviderBench
from plane.ports import free_ports
from plane.vault_admin import write_secret
from plane.waiting import wait_for
from unit.provider.making import FAULTS, WHOLE, change, map_body

pytestmark = pytest.mark.timeout(600)  # the first run on a machine installs Airflow

SOON = 30.0
OTHER_SOURCES = {"AIRFLOW_CONN_WAREHOUSE": "http://other-source", "AIRFLOW_VAR_RECIPIENT": "other-source"}
ELSEWHERE = {"AIRFLOW_CONN_ELSEWHERE": "http://env-host"}


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> AirflowEnvironment:
    return AirflowEnvironment.prepare(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def bound(tasks: ProviderBench) -> Bound:
    """A binding of a connection, a variable and an option; the last two are one secret."""
    items = [
        {"type": "Connection", "id": "warehouse", "store": "vault", "key": f"{NAMESPACE}/task/warehouse"},
        {"type": "Variable", "id": "recipient", "store": "vault", "key": f"{NAMESPACE}/task/recipient"},
        {"type": "Config", "id": "jwt-secret", "store": "vault", "key": f"{NAMESPACE}/task/recipient"},
    ]
    made = tasks.bind("task", *items)
    fields = {"conn_type": "postgres", "host": "db", "port": "5432", "password": made.canary}
    write_secret(tasks.plane, items[0]["key"], fields, mount=KV)
    write_secret(tasks.plane, items[1]["key"], {"value": letter(made)}, mount=KV)
    return made


def letter(bound: Bound) -> str:
    """The variable's value: Airflow itself masks the connection's password, and this one only because it is told to."""
    return bound.canary.replace("canary", "letter")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def test_a_task_reads_in_every_way_with_one_login_and_one_request_an_id(
    airflow: AirflowEnvironment, bound: Bound, home: Path
) -> None:
    mark = bound.plane.vault.audit.mark()
    run = airflow.task(home, "reads", bound.map_path(), {**ELSEWHERE, "READ_AT_PARSE": "yes"})
    assert run.status == 0, run.log
    seen = {name: run.seen[name] for name in ("templated", "variable", "same_variable", "in_threads", "chosen")}
    canary = bound.canary
    assert seen == {
        "templated": canary,
        "variable": letter(bound),
        "same_variable": letter(bound),
        "in_threads": [canary],
        "chosen": canary,
    }
    assert (run.seen["host"], run.seen["port"], run.seen["unbound"]) == ("db", 5432, "env-host")
    wait_for("the token is given up", lambda: len(bound.requests(mark)) >= 4, SOON)
    assert [each.path for each in bound.requests(mark)] == [
        f"auth/{AUTH}/login",
        f"{KV}/data/{NAMESPACE}/task/warehouse",
        f"{KV}/data/{NAMESPACE}/task/recipient",
        "auth/token/revoke-self",
    ]
    assert canary not in run.log
    assert letter(bound) not in run.log
    assert "printed: *** ***" in run.log
    assert _hints(bound, mark) == ["bound/reads//", "bound/reads/a-run/2"], "as far as the task knew then"
    _audited(run.audit, run.seen["pid"], [each.request_id for each in bound.requests(mark)][1:3])


def _hints(bound: Bound, mark: int) -> list[str]:
    """Who asked for the secrets, in the words of the task, in Vault's audit log."""
    events = [each for each in bound.plane.vault.audit._events(mark) if each["type"] == "response"]
    headers = [each["request"].get("headers", {}) for each in events if each["request"]["path"].startswith(KV)]
    assert {each["user-agent"][0] for each in headers} == {"airflow-provider-airwarden/0.1.0"}
    return [each["x-correlation-id"][0] for each in headers]


def _audited(lines: list[dict[str, Any]], process: int, request_ids: list[str]) -> None:
    """Each access has its line, which says who, and finds the store's own."""
    at_parse, *accesses, end = lines
    assert (at_parse["dag"], at_parse["task"], "run" in at_parse) == ("bound", "reads", False)
    for line in accesses:
        assert (line["dag"], line["task"], line["run"], line["try"]) == ("bound", "reads", "a-run", 2)
    assert {line["process"] for line in lines} == {process}, "the supervisor reads nothing"
    pod = {"namespace": NAMESPACE, "serviceAccount": "task"}
    assert all(line["pod"] == pod for line in lines)
    assert {line["id"] for line in (at_parse, *accesses)} == {"warehouse", "recipient"}
    first = {line["id"]: line["requestID"] for line in (at_parse, *accesses) if not line["cached"]}
    assert list(first.values()) == request_ids
    assert (end["event"], end["outcome"]) == ("end", "Revoked")


def test_an_async_task_reads_with_one_login_and_its_log_is_masked(
    airflow: AirflowEnvironment, bound: Bound, home: Path
) -> None:
    mark = bound.plane.vault.audit.mark()
    run = airflow.task(home, "waits", bound.map_path())
    assert (run.status, run.seen["password"]) == (0, bound.canary)
    wait_for("the token is given up", lambda: len(bound.requests(mark)) >= 3, SOON)
    assert len(bound.requests(mark)) == 3
    assert bound.canary not in run.log


def test_a_value_in_an_exception_is_masked(airflow: AirflowEnvironment, bound: Bound, home: Path) -> None:
    run = airflow.task(home, "fails", bound.map_path())
    assert "failed with ***" in run.log
    assert bound.canary not in run.log


def test_a_store_that_is_down_ends_the_search_with_binding_and_reason(
    airflow: AirflowEnvironment, bound: Bound, home: Path
) -> None:
    address = f"http://127.0.0.1:{free_ports(1)[0]}"
    run = airflow.task(home, "asks_for_denied", bound.map_path(address), OTHER_SOURCES)
    for wanted, kind in (("warehouse", "Connection"), ("recipient", "Variable")):
        assert run.seen[wanted].startswith(
            f"AirflowSecretsBackendAccessDenied: Airwarden gives no {kind} '{wanted}' to binding {NAMESPACE}/task: "
            f"StoreUnreachable: Vault at {address} cannot be reached"
        )
    assert [line["outcome"] for line in run.audit] == ["StoreUnreachable"] * 2


def test_a_map_that_is_missing_ends_the_search(airflow: AirflowEnvironment, home: Path) -> None:
    run = airflow.task(home, "asks_for_denied", home / "absent.json", OTHER_SOURCES)
    assert "to binding unknown: MapMissing: the binding's map" in run.seen["warehouse"]
    assert "MapMissing" in run.seen["recipient"]


def test_ids_that_are_not_bound_are_refused_where_the_environment_says_so(
    airflow: AirflowEnvironment, bound: Bound, home: Path
) -> None:
    mark = bound.plane.vault.audit.mark()
    run = airflow.task(home, "asks_for_denied", bound.map_path(secrets=[], unboundIDs="Refuse"), OTHER_SOURCES)
    assert "NotBound: Connection 'warehouse' is not in the binding's map" in run.seen["warehouse"]
    assert "NotBound" in run.seen["recipient"]
    assert bound.requests(mark) == []


def test_a_malformed_connection_ends_the_search_without_its_value(
    airflow: AirflowEnvironment, bound: Bound, tasks: ProviderBench, home: Path
) -> None:
    key = f"{NAMESPACE}/task/recipient"  # a field named value is no part of a connection
    items = [{**bound.secrets[0], "key": key}, bound.secrets[1]]
    run = airflow.task(home, "asks_for_denied", bound.map_path(secrets=items), OTHER_SOURCES)
    assert f"PayloadInvalid: field value at {key} of store vault is no part of a connection" in run.seen["warehouse"]
    assert letter(bound) not in run.log + str(run.seen["warehouse"])


def test_airflow_lists_the_provider(airflow: AirflowEnvironment, home: Path) -> None:
    done = airflow.run(home, "-m", "airflow", "providers", "list", "--output", "json")
    listed = {each["package_name"]: each["version"] for each in json.loads(done.stdout[done.stdout.index("[") :])}
    assert listed["airflow-provider-airwarden"] == "0.1.0"


def test_a_wrong_kwarg_is_named_where_airflow_dies_of_it(airflow: AirflowEnvironment, home: Path) -> None:
    wrong = {"AIRFLOW__SECRETS__BACKEND": BACKEND, "AIRFLOW__SECRETS__BACKEND_KWARGS": '{"url": "https://vault"}'}
    done = airflow.run(home, "-m", "airflow", "version", variables=wrong)
    assert done.returncode != 0
    assert "AirwardenBackend's kwargs are wrong: url is not known. Known are map_path" in done.stderr


def test_an_option_comes_from_the_store_while_airflow_reads_its_configuration(
    airflow: AirflowEnvironment, bound: Bound, home: Path
) -> None:
    asked = ("-m", "airflow", "config", "get-value", "api_auth", "jwt_secret")
    variables = {
        "AIRFLOW__SECRETS__BACKEND": BACKEND,
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"map_path": str(bound.map_path())}),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET": "unbound",  # read in the middle of Airflow's own import
        "AIRFLOW__API_AUTH__JWT_SECRET_SECRET": "jwt-secret",
    }
    done = airflow.run(home, *asked, variables=variables)
    assert letter(bound) in done.stdout.splitlines(), done.stderr
    refused = {**variables, "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"map_path": "/nowhere.json"})}
    done = airflow.run(home, *asked, variables=refused)
    assert done.returncode != 0
    assert "MapMissing: the binding's map /nowhere.json cannot be read" in done.stderr


IMPORTS = """
import sys, airflow.configuration
before = set(sys.modules)
import airflow_airwarden.backend
airflow_airwarden.backend.AirwardenBackend()
print(sorted(set(sys.modules) - before))
"""


def test_the_backend_imports_next_to_nothing_before_the_first_lookup(airflow: AirflowEnvironment, home: Path) -> None:
    done = airflow.run(home, "-c", IMPORTS)
    added = done.stdout.splitlines()[-1]
    ours = ("airflow_version", "backend", "processes", "settings")
    assert added == str([f"airflow_airwarden.{each}" for each in ours])


FORK = """
import os, sys
from airflow_airwarden.processes import THIS_PROCESS
from airflow_airwarden.settings import Settings
settings = Settings(sys.argv[1])
read = lambda: THIS_PROCESS.session(settings).look_up("Connection", "warehouse").reading.values["password"]
mine = read()
child = os.fork()
if child == 0:
    same = read() == mine
    THIS_PROCESS.end()
    os._exit(0 if same else 1)
assert os.waitpid(child, 0)[1] == 0
os.rename(sys.argv[2], sys.argv[1])
print(read() == mine)
"""


def test_a_forked_process_logs_in_for_itself_and_leaves_its_parents_login_alone(
    airflow: AirflowEnvironment, bound: Bound, home: Path
) -> None:
    path = bound.map_path(cacheTTLSeconds=0)
    copy = home / "copy.json"
    copy.write_bytes(path.read_bytes())
    mark = bound.plane.vault.audit.mark()
    done = airflow.run(home, "-c", FORK, str(path), str(copy))
    assert done.stdout.splitlines() == ["True"], done.stderr
    wait_for("both tokens are given up", lambda: len(bound.requests(mark)) >= 7, SOON)
    seen = [each.path for each in bound.requests(mark)]
    login, read, revoke = f"auth/{AUTH}/login", f"{KV}/data/{NAMESPACE}/task/warehouse", "auth/token/revoke-self"
    assert seen == [login, read, login, read, revoke, read, revoke]


LISTENER = """
import sys
from airflow.sdk.listener import get_listener_manager
from airflow_airwarden.processes import THIS_PROCESS
from airflow_airwarden.settings import Settings
THIS_PROCESS.session(Settings(sys.argv[1])).look_up("Connection", "warehouse")
get_listener_manager().hook.before_stopping(component=object())
print("sessions left:", len(THIS_PROCESS._sessions))
"""


def test_airflow_says_when_a_task_is_over_and_the_login_is_given_up_then(
    airflow: AirflowEnvironment, bound: Bound, home: Path
) -> None:
    done = airflow.run(home, "-c", LISTENER, str(bound.map_path()))
    assert "sessions left: 0" in done.stdout.splitlines(), done.stderr


METRICS = """
import collections, json, sys
import airflow.sdk.execution_time.task_runner
from airflow.sdk.observability import stats
seen = []
class Recorder:
    def incr(self, stat, count=1, rate=1, *, tags=None): seen.append((stat, count, tags))
    def timing(self, stat, dt, *, tags=None): seen.append((stat, "ms", tags))
stats.initialize(factory=Recorder, export_legacy_names=False)
from airflow_airwarden.processes import THIS_PROCESS
from airflow_airwarden.settings import Settings
session = THIS_PROCESS.session(Settings(sys.argv[1]))
for wanted in ("warehouse", "warehouse", "other"):
    session.look_up("Connection", wanted)
print(json.dumps(seen))
"""


def test_lookups_are_counted_and_timed_on_airflows_metrics(
    airflow: AirflowEnvironment, bound: Bound, home: Path
) -> None:
    done = airflow.run(home, "-c", METRICS, str(bound.map_path()))
    seen = [
        tuple(each) for each in json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[[")))
    ]
    read = {"type": "Connection", "store": "vault", "outcome": "Read"}
    unbound = {"type": "Connection", "store": "none", "outcome": "NotBound"}
    assert seen == [
        ("airwarden.requests", 1, {"store": "vault"}),
        ("airwarden.logins", 1, {"store": "vault"}),
        ("airwarden.lookups", 1, read),
        ("airwarden.lookup_duration", "ms", read),
        ("airwarden.lookups", 1, read),
        ("airwarden.lookup_duration", "ms", read),
        ("airwarden.lookups", 1, unbound),
        ("airwarden.lookup_duration", "ms", unbound),
    ]


@contextmanager
def collector() -> Iterator[tuple[int, list[bytes]]]:
    """A collector of OpenTelemetry as far as a client can tell; yields its port and what was sent to it."""
    sent: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield running.server_port, sent
    finally:
        running.shutdown()
        running.server_close()


def test_a_tasks_metrics_reach_the_collector_that_airflow_names(
    airflow: AirflowEnvironment, bound: Bound, home: Path
) -> None:
    with collector() as (port, sent):
        named = {"ON": "True", "HOST": "127.0.0.1", "PORT": str(port), "SSL_ACTIVE": "False"}
        variables = {f"AIRFLOW__METRICS__OTEL_{name}": value for name, value in named.items()}
        run = airflow.task(home, "reads", bound.map_path(), {**ELSEWHERE, **variables})
        assert run.status == 0, run.log
    told = b"".join(sent)
    for name in ("lookups", "lookup_duration", "requests", "logins"):
        assert f"airflow.airwarden.{name}".encode() in told
    assert b"NotBound" in told
    assert b"warehouse" not in told, "ids are no tags: there may be thousands"
    assert bound.canary.encode() not in told


NAMES = """
import inspect
from airflow import __version__
from airflow.listeners import hookimpl
from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied
from airflow.sdk.log import amask_secret, mask_secret
from airflow.sdk.plugins_manager import AirflowPlugin
from airflow.secrets import BaseSecretsBackend as Base
assert issubclass(AirflowSecretsBackendAccessDenied, PermissionError)
assert list(inspect.signature(Base.get_connection).parameters) == ["self", "conn_id", "team_name"]
assert list(inspect.signature(Base.get_variable).parameters) == ["self", "key", "team_name"]
assert list(inspect.signature(Base.get_config).parameters) == ["self", "key"]
assert list(inspect.signature(Base._deserialize_connection_value).parameters) == ["conn_class", "conn_id", "value"]
assert callable(Base._get_connection_class) and hasattr(AirflowPlugin, "listeners")
from airflow_airwarden.backend import AirwardenBackend
made = AirwardenBackend()
assert isinstance(made, Base)
assert repr(made) == "AirwardenBackend(map_path='/etc/airwarden/binding.json')"
print("as typed")
"""


def test_the_names_of_airflow_that_mypy_is_told_of_are_real(airflow: AirflowEnvironment, home: Path) -> None:
    done = airflow.run(home, "-c", NAMES)
    assert "as typed" in done.stdout.splitlines(), done.stderr


def test_a_team_name_changes_nothing(airflow: AirflowEnvironment, bound: Bound, home: Path) -> None:
    code = """
import sys
from airflow.sdk import Connection
from airflow_airwarden.backend import AirwardenBackend
made = AirwardenBackend(map_path=sys.argv[1])
made._set_connection_class(Connection)
assert made.get_variable("recipient", team_name="team") == made.get_variable("recipient")
assert made.get_connection("warehouse", team_name="team").password == made.get_connection("warehouse").password
assert made.get_conn_value("warehouse").startswith("postgres://:canary")
assert made.get_conn_value("other") is None
print("the same")
"""
    done = airflow.run(home, "-c", code, str(bound.map_path()))
    assert "the same" in done.stdout.splitlines(), done.stderr


HOSTILE_IDS = """
import asyncio, sys
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowSecretsBackendAccessDenied
from airflow_airwarden.backend import AirwardenBackend
open_, closed = (AirwardenBackend(map_path=path) for path in sys.argv[1:])
for each in (open_, closed):
    each._set_connection_class(Connection)
denied = 0
for wanted in ("a/b", "..", "../warehouse", "it's \\"\\n", "", "x" * 10_000, None, 5, ["warehouse"]):
    asked = [lambda backend, how=how: getattr(backend, how)(wanted) for how in ("get_variable", "get_config")]
    asked += [lambda backend: backend.get_connection(wanted), lambda backend: backend.get_conn_value(wanted)]
    asked += [lambda backend: asyncio.run(backend.aget_connection(wanted))]
    for ask in asked:
        assert ask(open_) is None
        try:
            ask(closed)
        except AirflowSecretsBackendAccessDenied as refusal:
            assert "NotBound" in str(refusal) and str(refusal).isprintable(), str(refusal)
            denied += 1
print("denied:", denied)
"""


def test_hostile_ids_fail_closed_and_ask_no_store(airflow: AirflowEnvironment, bound: Bound, home: Path) -> None:
    mark = bound.plane.vault.audit.mark()
    for name, unbound in (("open", "FallThrough"), ("closed", "Refuse")):
        (home / name).write_bytes(bound.map_path(unboundIDs=unbound).read_bytes())
    done = airflow.run(home, "-c", HOSTILE_IDS, str(home / "open"), str(home / "closed"))
    assert "denied: 45" in done.stdout.splitlines(), done.stderr
    assert bound.requests(mark) == []


SCHEMA = """
import json, sys
from importlib.resources import files
from jsonschema import Draft202012Validator
schema = json.loads(files("airflow_airwarden").joinpath("binding_map.schema.json").read_text())
Draft202012Validator.check_schema(schema)
print(json.dumps([Draft202012Validator(schema).is_valid(body) for body in json.load(sys.stdin)]))
"""


BEYOND_THE_SCHEMA = (
    "secrets[1]: its type and id",
    "secrets[0].store: no store",
    "secrets[0].key: a key vault",
    "refused[0]: its type and id",
)
"""What no schema can say, but the provider does."""


def test_the_published_schema_and_the_provider_take_the_same_maps(airflow: AirflowEnvironment, home: Path) -> None:
    broken = []
    for path, value, _ in FAULTS:
        broken.append(json.loads(json.dumps(map_body())))
        change(path, value)(broken[-1])
    for body in WHOLE:
        parse_map(json.dumps(body).encode(), "map")
    done = airflow.run(home, "-c", SCHEMA, stdin=json.dumps([*WHOLE, *broken]))
    assert done.returncode == 0, done.stderr
    valid = json.loads(done.stdout)
    assert valid[: len(WHOLE)] == [True] * len(WHOLE)
    still_valid = [said for (_, _, said), each in zip(FAULTS, valid[len(WHOLE) :], strict=True) if each]
    assert sorted(still_valid) == sorted(said for _, _, said in FAULTS if said.startswith(BEYOND_THE_SCHEMA))
