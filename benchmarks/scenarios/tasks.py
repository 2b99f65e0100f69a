"""What tasks cost that read through Airwarden's backend, beside those that read through Airflow's own VaultBackend.

Both read the same secrets of the same Vault in turn, task by task, under service accounts of their own.
"""

import asyncio
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.errors import BenchmarkError
from benchmarks.maths import percentile
from benchmarks.result import Measured
from benchmarks.stage import Stage
from plane.airflow import KEPT_VARIABLES, airflow_python
from plane.binaries import REPOSITORY, TOOLS
from plane.control_plane import Plane
from plane.vault_admin import prepare_store, write_kubernetes_role, write_policy, write_secret

NAMESPACE: Final = "bench-tasks"
KV: Final = "bench-tasks"
OURS: Final = "airwarden"
THEIRS: Final = "vaultbackend"
LOOKUPS: Final = (
    ("Connection", "warehouse"),
    ("Connection", "warehouse"),
    ("Connection", "elsewhere"),
    ("Variable", "recipient"),
    ("Variable", "absent"),
)
"""Bound, the same again, not bound, bound, not bound."""
FOUND: Final = [True, True, False, True, False]
_UNBOUND: Final = ("elsewhere", "absent")
_BOUND: Final = tuple(dict.fromkeys(each for each in LOOKUPS if each[1] not in _UNBOUND))
_IMPORTS: Final = 5
_FOLDERS: Final = {"Connection": f"{NAMESPACE}/connections", "Variable": f"{NAMESPACE}/variables"}
_SCRIPT: Final = TOOLS / "airflow" / "time_lookups.py"
_DEADLINE: Final = 300.0
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tasks:
    """Runs so many tasks with each backend."""

    count: int

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return "tasks"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"{self.count:,} tasks with {len(LOOKUPS)} lookups, beside Airflow's own VaultBackend"

    async def run(self, stage: Stage) -> Measured:
        """Run the tasks, and count in Vault's audit log what they asked."""
        found = await asyncio.to_thread(side_by_side, stage.plane, self.count)
        ours = found[OURS]
        figures = {
            "task_logins": ours["logins"] / self.count,
            "task_requests_unbound": ours["requests_unbound"] / self.count,
            "task_requests_per_id": ours["reads"] / self.count / len(_BOUND),
            "task_lookup_ms_p50": ours["lookup_ms_p50"],
            "task_lookup_ms_p99": ours["lookup_ms_p99"],
            "task_import_ms": ours["import_ms"],
        }
        return Measured(figures, {"tasks": self.count, "lookups": len(LOOKUPS), **found})


def side_by_side(plane: Plane, count: int, imports: int = _IMPORTS) -> dict[str, Json]:
    """Return what each backend took for so many tasks and imports. BenchmarkError when one sees what it should not."""
    with tempfile.TemporaryDirectory(prefix="airwarden-bench-") as home:
        orders = _prepared(plane, Path(home))
        added = {name: _imported(order, Path(home), imports) for name, order in orders.items()}
        mark = plane.vault.audit.mark()
        times = _taken(orders, count, Path(home))
    return {
        name: {
            **_asked(plane, mark, name),
            "lookup_ms_p50": percentile([each for task in times[name] for each in task], 0.5),
            "lookup_ms_p99": percentile([each for task in times[name] for each in task], 0.99),
            "first_ms_p50": percentile([task[0] for task in times[name]], 0.5),
            "import_ms": statistics.median(added[name]),
        }
        for name in orders
    }


def _taken(orders: Mapping[str, Json], count: int, home: Path) -> dict[str, list[list[float]]]:
    """Run tasks of each backend in turn; return the milliseconds of each one's lookups."""
    times: dict[str, list[list[float]]] = {name: [] for name in orders}
    with ExitStack() as stack:
        parents = {name: stack.enter_context(_parent(order, home)) for name, order in orders.items()}
        for _ in range(count):
            for name, (to, answers) in parents.items():
                to.write("\n")
                to.flush()
                task = json.loads(answers.readline() or "{}")
                if task.get("found") != FOUND:
                    raise BenchmarkError(f"a task with {name} found {task.get('found')}, and should have {FOUND}")
                times[name].append(task["milliseconds"])
    return times


@contextmanager
def _parent(order: Json, home: Path) -> Iterator[tuple[IO[str], IO[str]]]:
    """Start what tasks are forked from; end it, and with it the last task, before anything is counted."""
    command = [str(airflow_python()), str(_SCRIPT)]
    log = (home / "log").open("a")
    pipe = subprocess.PIPE
    with (
        log,
        subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=log, cwd=home, env=_variables(home), text=True
        ) as process,
    ):
        if process.stdin is None or process.stdout is None:
            raise BenchmarkError("Airflow's interpreter has no pipes")
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        if process.stdout.readline() != '"ready"\n':
            raise BenchmarkError(f"Airflow's interpreter broke off: {(home / 'log').read_text()[-600:]}")
        yield process.stdin, process.stdout
        process.stdin.close()
        process.wait(_DEADLINE)


def _imported(order: Json, home: Path, times: int) -> list[float]:
    """Return the milliseconds that the backend adds to a process of Airflow, several times."""

    def once() -> float:
        done = subprocess.run(
            [str(airflow_python()), str(_SCRIPT)],
            input=json.dumps({**order, "lookups": []}) + "\n",
            capture_output=True,
            check=False,
            cwd=home,
            env=_variables(home),
            text=True,
            timeout=_DEADLINE,
        )
        if done.returncode != 0:
            raise BenchmarkError(f"Airflow's interpreter broke off: {done.stderr.strip()[-600:]}")
        return float(done.stdout.splitlines()[-1])

    once()  # the first one compiles
    return [once() for _ in range(times)]


def _asked(plane: Plane, mark: int, name: str) -> Json:
    """Return how often a backend's tasks asked Vault, by its own audit log."""
    entries = plane.vault.audit.entries(mark)
    logins = [each for each in entries if each.path == f"auth/{_mount(name)}/login"]
    rest = [each for each in entries if each.metadata.get("role") == name and each not in logins]
    reads = [each for each in rest if each.path.startswith(f"{KV}/")]
    return {
        "requests": len(logins) + len(rest),
        "logins": len(logins),
        "reads": len(reads),
        "requests_unbound": sum(each.path.endswith(_UNBOUND) for each in reads),
    }


def _prepared(plane: Plane, home: Path) -> dict[str, Json]:
    """Write secrets, policies and roles; return what each backend is made with.

    VaultBackend's role reads the whole tree, as its users have it: with exact paths each id that is not bound would
    also cost it another login.
    """
    plane.create_namespace(NAMESPACE)
    for name in (OURS, THEIRS):
        prepare_store(plane, kv_mount=KV, auth_mount=_mount(name))
        plane.api.create_service_account(NAMESPACE, name)
        write_kubernetes_role(
            plane, name, namespace=NAMESPACE, account=name, policy=f"bench-{name}", auth_mount=_mount(name)
        )
        (home / name).write_text(plane.service_account_token(NAMESPACE, name, "vault", 3600))
    keys = {kind: f"{_FOLDERS[kind]}/{wanted}" for kind, wanted in _BOUND}
    write_secret(plane, keys["Connection"], {"conn_type": "postgres", "host": "db", "password": "bench"}, mount=KV)
    write_secret(plane, keys["Variable"], {"value": "bench"}, mount=KV)
    exact = "\n".join(f'path "{KV}/data/{key}" {{ capabilities = ["read"] }}' for key in keys.values())
    write_policy(plane, f"bench-{OURS}", exact)
    write_policy(plane, f"bench-{THEIRS}", f'path "{KV}/data/{NAMESPACE}/*" {{ capabilities = ["read"] }}')
    secrets = [{"type": kind, "id": key.rpartition("/")[2], "store": "vault", "key": key} for kind, key in keys.items()]
    (home / "binding.json").write_text(json.dumps(_map(plane, home, secrets)))
    return {
        OURS: _order("airflow_airwarden.backend", "AirwardenBackend", {"map_path": str(home / "binding.json")}),
        THEIRS: _order("airflow.providers.hashicorp.secrets.vault", "VaultBackend", _kwargs(plane, home)),
    }


def _map(plane: Plane, home: Path, secrets: list[dict[str, str]]) -> Json:
    store = {
        "type": "Vault",
        "addresses": [plane.vault_address],
        "kv": {"mount": KV, "version": 2},
        "login": {"method": "Kubernetes", "mount": _mount(OURS), "role": OURS, "tokenFile": str(home / OURS)},
    }
    return {"version": 1, "binding": f"{NAMESPACE}/{OURS}", "stores": {"vault": store}, "secrets": secrets}


def _kwargs(plane: Plane, home: Path) -> Json:
    return {
        "url": plane.vault_address,
        "auth_type": "kubernetes",
        "auth_mount_point": _mount(THEIRS),
        "kubernetes_role": THEIRS,
        "kubernetes_jwt_path": str(home / THEIRS),
        "mount_point": KV,
        "kv_engine_version": 2,
        "connections_path": _FOLDERS["Connection"],
        "variables_path": _FOLDERS["Variable"],
        "config_path": None,
    }


def _order(module: str, name: str, kwargs: Json) -> Json:
    return {"module": module, "class": name, "kwargs": kwargs, "lookups": LOOKUPS}


def _mount(name: str) -> str:
    return f"bench-{name}"


def _variables(home: Path) -> dict[str, str]:
    """Return an environment with nothing of the user's."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    own = {"HOME": str(home), "AIRFLOW_HOME": str(home), "PYTHONPATH": str(REPOSITORY / "provider")}
    return {**kept, **own, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
