"""`airwarden import`, from a real Airflow into a real Vault: what Airflow held, the provider reads from there again."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.testing import CliRunner, Result

from airwarden.cli import app
from contract.provider.airflow_task import REPOSITORY, AirflowEnvironment
from contract.provider.bench import KV, KV1, NAMESPACE, ProviderBench
from plane.control_plane import Plane
from plane.ports import free_ports
from plane.process import ServerProcess
from plane.vault_admin import read_secret, write_policy, write_secret
from plane.waiting import wait_for

pytestmark = pytest.mark.timeout(600)  # the first run on a machine installs Airflow

FORMATS = ("json", "yaml", "env", "json.env")
START = 120.0
FILL = """
import json, sys
from airflow.cli.cli_parser import get_parser
def cli(*words):
    args = get_parser().parse_args(words)
    args.func(args)
cli("db", "migrate")
from airflow.models import Connection, Variable
from airflow.utils.session import create_session
held = json.load(sys.stdin)
with create_session() as session:
    session.add_all([Connection(conn_id=name, **parts) for name, parts in held["connections"].items()])
for name, value in held["variables"].items():
    Variable.set(name, value, serialize_json=not isinstance(value, str))
Variable.set("described", "v", "with a description")
for suffix, more in (("json", ()), ("yaml", ()), ("env", ()), ("json.env", ("--serialization-format", "json"))):
    cli("connections", "export", f"connections.{suffix}", "--file-format", suffix.rpartition(".")[2], *more)
cli("variables", "export", "variables.json")
"""
COMPARE = """
import sys
from airflow.models import Connection, Variable
from airflow.utils.session import create_session
from airflow_airwarden.backend import AirwardenBackend
parts = ("conn_type", "host", "login", "password", "port", "schema", "extra_dejson")
with create_session() as session:
    for path in sys.argv[1:]:
        made = AirwardenBackend(map_path=path)
        made._set_connection_class(Connection)
        for held in session.query(Connection).all():
            read = made.get_connection(held.conn_id)
            wrong = [name for name in parts if (getattr(read, name) or None) != (getattr(held, name) or None)]
            print("read:", path, held.conn_id, "differs in", wrong) if wrong else print("read:", path, held.conn_id)
        for held in session.query(Variable).all():
            same = made.get_variable(held.key) == held.get_val()
            print("read:", path, held.key, *(() if same else ("differs",)))
"""


def hard(canary: str) -> str:
    """A value with whatever shells, URIs, JSON and YAML have a use for."""
    return f"@{canary} 'q\" $HOME `id` \\ %40 #x:/?&=é\n- {{}}"


@dataclass(frozen=True)
class Held:
    """An Airflow with connections and variables, and what its commands exported."""

    airflow: AirflowEnvironment
    home: Path
    canaries: tuple[str, ...] = field(repr=False)
    connections: dict[str, dict[str, Any]] = field(repr=False)
    variables: dict[str, Any] = field(repr=False)

    @property
    def ids(self) -> set[str]:
        return {*self.connections, *self.variables, "described"}

    def silent(self, text: str) -> bool:
        """Tell whether no value is in a text."""
        return not any(each in text for each in self.canaries)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    """Fill the metastore of an Airflow, and export it in all formats that Airflow has."""
    airflow = AirflowEnvironment.prepare(tmp_path_factory.mktemp("wheel"))
    home = tmp_path_factory.mktemp("airflow")
    password, extra, text, nested = (f"canary{secrets.token_hex(8)}" for _ in range(4))
    connections: dict[str, dict[str, Any]] = {
        "warehouse": {
            "conn_type": "postgres",
            "host": "db.example",
            "login": "svc@example",
            "password": hard(password),
            "port": 5432,
            "schema": "app/x",
            "extra": json.dumps({"sslmode": "require", "token": extra, "nested": {"a": [1, True, None]}}),
        },
        "Http-only.1": {"conn_type": "http", "host": "https://api.example/v1?x=1"},
        "bare": {"conn_type": "aws"},
        "google": {"conn_type": "google_cloud_platform", "extra": json.dumps({"keyfile_dict": extra})},
    }
    variables = {"recipient": hard(text), "settings": {"key": nested, "n": [1, 2]}, "number": "007", "five": "5"}
    given = json.dumps({"connections": connections, "variables": variables})
    done = airflow.run(home, "-c", FILL, stdin=given)
    assert done.returncode == 0, done.stderr
    return Held(airflow, home, (password, extra, text, nested), connections, variables)


def run_import(*arguments: str) -> Result:
    where = ("-n", NAMESPACE, "--backend", "vault", "--binding", "imported")
    return CliRunner().invoke(app, ["import", *where, *arguments])


def exported(held: Held, suffix: str = "json") -> tuple[str, ...]:
    files = (held.home / f"connections.{suffix}", held.home / "variables.json")
    return ("--connections", str(files[0]), "--variables", str(files[1]))


Put = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def put(tasks: ProviderBench, tmp_path: Path) -> Put:
    """Return a function that runs the script as somebody who may create below one prefix, and nothing else."""
    plane = tasks.plane

    def run(folder: Path, *shell: str, token: str = "") -> subprocess.CompletedProcess[str]:
        vault = str(plane.binaries.vault.parent)
        environment = {
            "PATH": f"{vault}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "VAULT_ADDR": plane.vault_address,
            "VAULT_TOKEN": token or writer(plane),
        }
        command = ["sh", *shell, str(folder / "put-values.sh")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)

    return run


def writer(plane: Plane) -> str:
    """Make a token that may write new secrets, and read none but of version 1, which has no check-and-set."""
    rules = f"""
        path "{KV}/data/+/import/*" {{ capabilities = ["create", "update"] }}
        path "{KV1}/+/import/*" {{ capabilities = ["create", "update", "read"] }}
    """
    write_policy(plane, "import-writer", rules)
    made = plane.vault.request("POST", "auth/token/create", {"policies": ["import-writer"], "ttl": "10m"})
    return str(made["auth"]["client_token"])


def map_of(tasks: ProviderBench, folder: Path, name: str) -> Path:
    """Write what the operator makes of the imported binding; return its map."""
    [file] = (folder / "bindings").glob("*.yaml")
    items = [
        {"type": each["type"], "id": each["id"], "store": "vault", "key": each["key"]}
        for each in yaml.safe_load(file.read_text())["spec"]["secrets"]
    ]
    return tasks.bind(name, *items).map_path()


def test_what_airflow_held_the_provider_reads_from_vault(
    held: Held, tasks: ProviderBench, tmp_path: Path, put: Put
) -> None:
    maps = []
    for suffix in FORMATS:
        folder, prefix = tmp_path / suffix, f"{NAMESPACE}/import/{suffix}/"
        said = run_import(*exported(held, suffix), "--key-prefix", prefix, "--kv-mount", KV, "--write", str(folder))
        assert said.exit_code == 0, said.output
        done = put(folder, "-x")
        assert done.returncode == 0, done.stderr
        assert held.silent(said.output + done.stdout + done.stderr), "the shell's own trace shows each argument"
        assert list((folder / "values").glob("*.json")) == [], "no value is left behind"
        maps.append(str(map_of(tasks, folder, f"imported-{suffix.replace('.', '-')}")))
    compared = held.airflow.run(held.home, "-c", COMPARE, *maps)
    assert compared.returncode == 0, compared.stderr[-2000:]
    assert held.silent(compared.stdout + compared.stderr)
    found = [line for line in compared.stdout.splitlines() if line.startswith("read: ")]
    assert sorted(found) == sorted(f"read: {path} {each}" for path in maps for each in held.ids)


def test_version_1_of_the_engine_takes_them_as_well_and_overwrites_nothing(
    held: Held, tasks: ProviderBench, tmp_path: Path, put: Put
) -> None:
    plane, folder, prefix = tasks.plane, tmp_path / "out", f"{NAMESPACE}/import/one/"
    write_secret(plane, f"{prefix}variables/five", {"value": "mine"}, mount=KV1, version=1)
    flags = ("--key-prefix", prefix, "--kv-mount", KV1, "--kv-version", "1", "--write", str(folder))
    assert run_import(*exported(held), *flags).exit_code == 0
    done = put(folder, "-x")
    assert f"left: {prefix}variables/five: something is there already" in done.stderr
    assert (done.returncode, held.silent(done.stdout + done.stderr)) == (1, True)
    there = {each: read_secret(plane, f"{prefix}variables/{each}", mount=KV1, version=1) for each in held.variables}
    assert there["five"] == {"value": "mine"}
    assert there["recipient"] == {"value": held.variables["recipient"]}
    warehouse = read_secret(plane, f"{prefix}connections/warehouse", mount=KV1, version=1)
    assert warehouse["password"] == held.connections["warehouse"]["password"]


def test_what_is_there_already_stays_and_the_script_can_be_run_again(
    held: Held, tasks: ProviderBench, tmp_path: Path, put: Put
) -> None:
    plane, folder, prefix = tasks.plane, tmp_path / "out", f"{NAMESPACE}/import/again/"
    write_secret(plane, f"{prefix}variables/number", {"value": "mine"}, mount=KV)
    run_import(*exported(held), "--key-prefix", prefix, "--kv-mount", KV, "--write", str(folder))
    nobody = plane.vault.request("POST", "auth/token/create", {"policies": ["default"]})["auth"]["client_token"]
    denied = put(folder, token=nobody)
    assert (denied.returncode, len(list((folder / "values").glob("*.json")))) == (1, len(held.ids))
    assert "Code: 403" in denied.stderr
    first = put(folder)
    assert (first.returncode, first.stderr.count("left: ")) == (1, 1)
    assert f"left: {prefix}variables/number: something is there already" in first.stderr
    assert read_secret(plane, f"{prefix}variables/number", mount=KV) == {"value": "mine"}
    assert [each.name for each in (folder / "values").glob("*.json")] == ["Variable.number.json"]
    (folder / "values" / "Variable.number.json").unlink()
    again = put(folder)
    assert (again.returncode, again.stdout.count("written before")) == (0, len(held.ids))


@pytest.fixture(scope="module")
def api(held: Held) -> Iterator[str]:
    """Run Airflow's own API server on the filled metastore; everybody who asks is let in."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    variables = {
        "AIRFLOW_HOME": held.home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__MAXIMUM_PAGE_LIMIT": "3",
    }
    server = [str(held.airflow.python), "-m", "airflow", "api-server", "--port", str(port), "--workers", "1"]
    process = ServerProcess("airflow-api", ["env", *(f"{k}={v}" for k, v in variables.items()), *server], held.home)

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/api/v2/version", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    process.start()
    try:
        wait_for("Airflow's API answers", ready, START)
        yield url
    finally:
        process.stop()


def test_what_the_api_hides_is_said_and_not_written_until_somebody_fills_it_in(
    held: Held, api: str, tasks: ProviderBench, tmp_path: Path, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_TOKEN", httpx.get(f"{api}/auth/token", timeout=30).json()["access_token"])
    folder, prefix = tmp_path / "out", f"{NAMESPACE}/import/api/"
    flags = ("--key-prefix", prefix, "--kv-mount", KV, "--write", str(folder))
    said = run_import("--airflow-url", api, *flags, "-o", "json")
    assert said.exit_code == 1
    rows = {row["id"]: row for row in json.loads(said.stdout)}
    assert set(rows) == held.ids, "all pages were read"
    filled = {name for name, row in rows.items() if row["state"] == "to be filled"}
    assert {"warehouse", "google"} <= filled
    assert "password hidden by http://127.0.0.1" in rows["warehouse"]["note"]
    done = put(folder)
    assert done.returncode == 1
    assert f"left: {prefix}connections/warehouse: put the true value in place of TO-BE-FILLED" in done.stderr
    assert f"written: {prefix}connections/bare" in done.stdout
    assert {each.name.split(".", 1)[1].removesuffix(".json") for each in (folder / "values").glob("*.json")} == filled
    with_export = run_import("--airflow-url", api, *exported(held))
    assert with_export.exit_code == 0, "what the API hides, an export has"


def test_the_bindings_are_such_that_the_api_server_takes(held: Held, tasks: ProviderBench, tmp_path: Path) -> None:
    plane, folder = tasks.plane, tmp_path / "out"
    (tmp_path / "map.yaml").write_text(
        "bindings:\n"
        "  warehouse: {ids: [Connection/warehouse, recipient], serviceAccount: tasks,"
        " dags: [{bundle: billing-git, ids: ['billing_*']}]}\n"
        "  others: {ids: ['Connection/*', 'Variable/*'], dags: [{bundle: other-git, ids: ['*']}]}\n"
    )
    plane.kubectl("apply", "--server-side", "-k", str(REPOSITORY / "crds"))
    plane.kubectl("wait", "--for=condition=Established", "crd/airflowsecretbindings.airwarden.dev", "--timeout=30s")
    flags = ("--map", str(tmp_path / "map.yaml"), "--airflow-environment", "airflow/main", "--write", str(folder))
    arguments = ["import", "-n", NAMESPACE, "--backend", "vault", *exported(held), *flags]
    assert CliRunner().invoke(app, arguments).exit_code == 0

    def taken() -> str:
        return plane.kubectl("apply", "--dry-run=server", "-o", "name", "-f", str(folder / "bindings"))

    names = {line.partition("/")[2] for line in wait_for("the kind is served", taken, 30).split()}
    assert names == {"warehouse", "others"}
