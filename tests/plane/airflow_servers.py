"""A whole Airflow beside a plane: scheduler, API server, DAG processor and triggerer as real processes.

Used by the end-to-end tests. Its database is the tests' PostgreSQL, its tasks run in pods that the played kubelet runs.
Nothing of Airflow is replaced; what an administrator would set is set here, and a test adds its own settings.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml
from psycopg import sql

from plane.airflow import KEPT_VARIABLES, airflow_python
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.errors import PlaneError
from plane.json_client import Json, JsonClient
from plane.ports import free_ports
from plane.postgres_server import PostgresServer
from plane.process import ServerProcess
from plane.waiting import wait_for

SERVERS: Final = ("api-server", "scheduler", "dag-processor", "triggerer")
READY: Final = 300.0
"""Seconds within which all servers must work; together they take 20 s on two idle cores."""
COMMAND: Final = 120.0
ANSWER: Final = 120.0
"""Seconds within which Airflow's API server must answer, on a machine with ten times the work that it can do."""
PATIENCE: Final = {
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
    "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "600",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "300",
}
"""A busy machine is no failure."""
POD_USER: Final = 50000
CHART_VALUES: Final = REPOSITORY / "examples" / "airflow" / "values.yaml"
NO_SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {}
LOCAL_BUNDLE: Final = "airflow.dag_processing.bundles.local.LocalDagBundle"


@dataclass(frozen=True)
class Bundle:
    """A folder of DAGs, and the team whose they are."""

    name: str
    folder: Path
    team: str = ""


class AirflowServers:
    """One Airflow; a context manager.

    ``settings`` are variables of all servers, ``server_settings`` of single ones and ``worker_settings`` of the pods,
    as an administrator would set them; ``library`` is a folder from which the DAGs of all bundles import.
    """

    def __init__(
        self,
        plane: Plane,
        postgres: PostgresServer,
        bundles: Sequence[Bundle],
        settings: Mapping[str, str],
        worker_settings: Mapping[str, str],
        library: Path | None = None,
        server_settings: Mapping[str, Mapping[str, str]] = NO_SETTINGS,
    ) -> None:
        self._plane, self._postgres, self._bundles = plane, postgres, tuple(bundles)
        self._settings, self._worker_settings, self._library = dict(settings), dict(worker_settings), library
        self._server_settings = server_settings
        self._home = plane.data_dir / "airflow"
        self._database = f"airflow_{secrets.token_hex(4)}"
        (self._port,) = free_ports(1)
        self._shared = Path()
        self._processes: dict[str, ServerProcess] = {}
        self._rest = JsonClient(self.url, timeout=ANSWER)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the API server answers."""
        return f"http://127.0.0.1:{self._port}"

    def request(self, method: str, path: str, body: Any = None) -> Json:
        """Ask Airflow's REST API for ``/api/v2/<path>``. Raises PlaneHTTPError."""
        return self._rest.request(method, f"/api/v2/{path}", body)

    def log(self, server: str) -> str:
        """Return what a server said."""
        return self._processes[server].log.read_text(errors="replace")

    def lose_scheduler(self) -> None:
        """Kill the scheduler with all its children, as the loss of its node would, and start another one.

        The lost one's last sign of life is made an hour old, so that nobody has to wait until it counts as lost.
        """
        self._processes["scheduler"].kill()
        with self._postgres.connect(database=self._database) as connection:
            connection.execute(
                "UPDATE job SET latest_heartbeat = now() - interval '1 hour' WHERE job_type = 'SchedulerJob'"
            )
        self._processes["scheduler"].start()

    def stop(self) -> None:
        """End all servers; nothing happens the second time."""
        for process in self._processes.values():
            process.kill()
        self._rest.close()
        if self._shared != Path():
            shutil.rmtree(self._shared, ignore_errors=True)

    def _start(self) -> None:
        python = airflow_python()
        self._home.mkdir(mode=0o700)
        # Pods must see the provider, and the plane's own folder is hidden from them.
        self._shared = Path(tempfile.mkdtemp(prefix="airwarden-airflow-"))
        self._shared.chmod(0o755)
        self._install_provider()
        with self._postgres.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(self._database)))
        template = self._home / "pod-template.yaml"
        template.write_text(yaml.safe_dump(self._template(python)))
        environment = self._environment(template)
        self._command(python, environment, "db", "migrate")
        for team in sorted({each.team for each in self._bundles if each.team}):
            self._command(python, environment, "teams", "create", team)
        for name in SERVERS:
            own = {**environment, **self._server_settings.get(name, {})}
            self._processes[name] = process = self._server(name, python, own)
            process.start()
        self._wait_ready()

    def _server(self, name: str, python: Path, environment: Mapping[str, str]) -> ServerProcess:
        # In a process space of its own, so that no watcher of a killed scheduler outlives it.
        own = ["--user", "--map-root-user"] if os.geteuid() != 0 else []
        space = ["unshare", *own, "--mount", "--mount-proc", "--pid", "--fork", "--kill-child"]
        command = [*space, str(python), "-m", "airflow", name, "--pid", str(self._home / f"{name}.pid")]
        return ServerProcess(f"airflow-{name}", command, self._plane.data_dir, environment=environment)

    def _wait_ready(self) -> None:
        def healthy() -> bool:
            for name, process in self._processes.items():
                if process.pid is None:
                    raise PlaneError(f"Airflow's {name} ended\n{process.log_tail()}")
            if self._rest.status("GET", "/api/v2/monitor/health") != 200:
                return False
            told = self._rest.request("GET", "/api/v2/monitor/health")
            needed = ("metadatabase", "scheduler", "triggerer", "dag_processor")
            return all(told[each]["status"] == "healthy" for each in needed)

        wait_for("Airflow is healthy", healthy, READY, 0.2)
        token = self._rest.request("GET", "/auth/token", accept=[201])["access_token"]
        self._rest = JsonClient(self.url, headers={"Authorization": f"Bearer {token}"}, timeout=ANSWER)

    def _install_provider(self) -> None:
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(self._shared)]
        subprocess.run(build, cwd=REPOSITORY / "provider", check=True, capture_output=True, timeout=COMMAND)
        [wheel] = self._shared.glob("*.whl")
        zipfile.ZipFile(wheel).extractall(self._provider)

    @property
    def _python_path(self) -> str:
        return os.pathsep.join(str(each) for each in (self._provider, self._library) if each is not None)

    @property
    def _provider(self) -> Path:
        return self._shared / "installed"

    def _command(self, python: Path, environment: Mapping[str, str], *arguments: str) -> None:
        done = subprocess.run(
            [str(python), "-m", "airflow", *arguments],
            env={**_kept(), **environment},
            cwd=self._home,
            capture_output=True,
            check=False,
            text=True,
            timeout=COMMAND,
        )
        if done.returncode != 0:
            raise PlaneError(f"airflow {' '.join(arguments)} ended with {done.returncode}\n{done.stderr[-3000:]}")

    def _environment(self, template: Path) -> dict[str, str]:
        postgres = self._postgres
        kubernetes = {
            "IN_CLUSTER": "False",
            "POD_TEMPLATE_FILE": str(template),
            "WORKER_CONTAINER_REPOSITORY": "airflow",
            "WORKER_CONTAINER_TAG": "any",
            "WORKER_PODS_CREATION_BATCH_SIZE": "8",
        }
        return {
            "HOME": str(self._home),
            "AIRFLOW_HOME": str(self._home),
            "PYTHONPATH": self._python_path,
            **PATIENCE,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__MULTI_TEAM": str(any(each.team for each in self._bundles)),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": (
                f"postgresql+psycopg2://admin:{postgres.password}@{postgres.address}/{self._database}"
            ),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self._port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": self._bundle_list(with_teams=True),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            "AIRFLOW__TRIGGERER__DEFAULT_CAPACITY": "10",
            **{f"AIRFLOW__KUBERNETES_EXECUTOR__{name}": value for name, value in kubernetes.items()},
            **{
                f"AIRFLOW__{team.upper()}___KUBERNETES_EXECUTOR__{name}": value
                for team in sorted({each.team for each in self._bundles} - {""})
                for name, value in kubernetes.items()
            },
            **self._settings,
        }

    def _bundle_list(self, *, with_teams: bool) -> str:
        found = []
        for each in self._bundles:
            found.append({"name": each.name, "classpath": LOCAL_BUNDLE, "kwargs": {"path": str(each.folder)}})
            if with_teams and each.team:
                found[-1]["team_name"] = each.team
        return json.dumps(found)

    def _template(self, python: Path) -> Json:
        """Return the template of `examples/airflow` with this machine's values, and what the played kubelet needs."""
        variables = {
            "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": "/tmp",  # noqa: S108 - of the pod
            "USER": "airflow",
            "AIRFLOW_HOME": "/tmp/airflow",  # noqa: S108 - of the pod
            "PYTHONPATH": self._python_path,
            **PATIENCE,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": self._bundle_list(with_teams=False),
            **self._worker_settings,
        }
        template: Json = yaml.safe_load(yaml.safe_load(CHART_VALUES.read_text())["podTemplate"])
        (container,) = template["spec"]["containers"]
        unknown = {each["name"] for each in container["env"]} - set(variables)
        if unknown:
            raise PlaneError(f"nobody says what {', '.join(sorted(unknown))} of examples/airflow is on this machine")
        container["env"] = [{"name": name, "value": value} for name, value in variables.items()]
        return template


def _kept() -> dict[str, str]:
    return {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
