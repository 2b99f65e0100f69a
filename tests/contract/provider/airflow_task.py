"""Runs tasks, commands and snippets in Airflow's own environment, with the provider installed from its wheel.

Used by the contract tests beside this module. Nothing of Airflow is replaced but its API server, which is the one
that Airflow has for dry runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_airwarden.audit import AUDIT
from plane.airflow import KEPT_VARIABLES, airflow_python
from plane.binaries import TOOLS

REPOSITORY = TOOLS.parent
DAGS = Path(__file__).parent / "dags"
BACKEND = "airflow_airwarden.backend.AirwardenBackend"
DEADLINE = 120.0


@dataclass(frozen=True)
class TaskRun:
    """What came of a task."""

    status: int
    seen: Mapping[str, Any]
    """What the task itself saw."""
    log: str
    """All that went to logs and to the terminal."""

    @property
    def audit(self) -> list[dict[str, Any]]:
        """The audit lines in the task's log."""
        records = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [json.loads(each["event"]) for each in records if each.get("logger") == AUDIT]


@dataclass(frozen=True)
class AirflowEnvironment:
    """Airflow's interpreter, and the folder with the provider in it."""

    python: Path
    installed: Path

    @classmethod
    def prepare(cls, folder: Path) -> AirflowEnvironment:
        """Build the wheel and lay its content out as an installer does."""
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(build, cwd=REPOSITORY / "provider", check=True, capture_output=True, timeout=DEADLINE)
        [wheel] = folder.glob("*.whl")
        zipfile.ZipFile(wheel).extractall(folder / "installed")
        return cls(airflow_python(), folder / "installed")

    def run(
        self, home: Path, *command: str, stdin: str = "", variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Airflow's interpreter with nothing of the user's."""
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        environment |= {
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",  # else an end that is missed by a hair is seen 5 s later
            "PYTHONPATH": str(self.installed),
            **(variables or {}),
        }
        return subprocess.run(
            [str(self.python), *command],
            input=stdin,
            capture_output=True,
            check=False,
            cwd=home,
            env=environment,
            text=True,
            timeout=DEADLINE,
        )

    def task(self, home: Path, task: str, map_path: Path, variables: Mapping[str, str] | None = None) -> TaskRun:
        """Run a task of the DAG beside this module in a process of its own, as a worker does."""
        bundle = {
            "name": "tests",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(DAGS)},
        }
        result = home / "seen.json"
        done = self.run(
            home,
            str(TOOLS / "airflow" / "run_task.py"),
            stdin=json.dumps({"task": task}),
            variables={
                "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
                "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
                "AIRFLOW__WORKERS__SECRETS_BACKEND": BACKEND,
                "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS": json.dumps({"map_path": str(map_path)}),
                "TASK_RESULT": str(result),
                **(variables or {}),
            },
        )
        log = home / "logs" / "task.log"
        text = (log.read_text() if log.exists() else "") + done.stdout + done.stderr
        seen = json.loads(result.read_text()) if result.exists() else {}
        return TaskRun(done.returncode, seen, text)
