"""Runs the clients of Azure that are no part of this project's environment: the Go SDK's, and Airflow's own.

They are told of no address but Azure's own. HTTPS_PROXY leads them to the stand-in, and the certificate
authority and the login come from the environment, as the webhook of Azure Workload Identity leaves them to a pod.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from plane.airflow import KEPT_VARIABLES, airflow_python
from plane.binaries import TOOLS, cache_folder, module_key, say_on_stderr
from plane.errors import PlaneError
from stand_ins.azure.messages import Json
from stand_ins.azure.stand_in import AzureStandIn

MODULE = "azure-witness"
AIRFLOW_READER = TOOLS / "airflow" / "read_key_vault.py"
BUILD_DEADLINE = 600.0
RUN_DEADLINE = 120.0


def pod_environment(azure: AzureStandIn, client_id: str, token_file: Path) -> dict[str, str]:
    """Return what a pod with workload identity has in its environment, and the way to the stand-in."""
    return {
        "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/",
        "AZURE_TENANT_ID": azure.tenant,
        "AZURE_CLIENT_ID": client_id,
        "AZURE_FEDERATED_TOKEN_FILE": str(token_file),
        "HTTPS_PROXY": azure.proxy_url,
        "REQUESTS_CA_BUNDLE": str(azure.ca_pem),
    }


def go_witness(environment: Mapping[str, str], task: Json) -> Json:
    """Have the Go client do what `tools/azure-witness` describes, and return what it saw."""
    done = subprocess.run(
        [str(_go_program())],
        input=json.dumps(task),
        capture_output=True,
        check=False,
        env={**_kept(), **environment},
        text=True,
        timeout=RUN_DEADLINE,
    )
    if done.returncode != 0:
        raise PlaneError(f"the Go client of Azure ended with status {done.returncode}:\n{done.stderr.strip()[-2000:]}")
    outcome: Json = json.loads(done.stdout)
    return outcome


class AirflowReader:
    """A process of Airflow that looks connections up with its AzureKeyVaultBackend, one after the other."""

    def __init__(self, environment: Mapping[str, str], home: Path) -> None:
        airflow = {"HOME": str(home), "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        self._said = home / "stderr"
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [str(airflow_python()), str(AIRFLOW_READER)],
                env={**_kept(), **environment, **airflow},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def read(self, vault_url: str, prefix: str, name: str, expected: str) -> Json:
        """Look one connection up; `expected` is its password, of which only the digest leaves this process."""
        digest = hashlib.sha256(expected.encode()).hexdigest()
        task = {"vault_url": vault_url, "prefix": prefix, "id": name, "expected_sha256": digest}
        deadline = threading.Timer(RUN_DEADLINE, self._process.kill)
        deadline.start()
        try:
            return self._ask(task)
        finally:
            deadline.cancel()

    def _ask(self, task: Json) -> Json:
        if self._process.stdin is None or self._process.stdout is None:
            raise PlaneError("Airflow's reader has no pipes")
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("outcome "):
                outcome: Json = json.loads(line.removeprefix("outcome "))
                return outcome
        raise PlaneError(f"Airflow's reader ended:\n{self._said.read_text().strip()[-2000:]}")


def _kept() -> dict[str, str]:
    return {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}


def _go_program() -> Path:
    """Return the Go client, built first if need be: about 15 seconds, once for each version of its source."""
    program = cache_folder(os.environ) / module_key(TOOLS, MODULE) / MODULE
    if program.is_file():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    with program.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.is_file():
            say_on_stderr("azure: building the Go client of Azure from tools/azure-witness, once")
            fresh = program.with_suffix(".new")
            settings = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly -buildvcs=false"}
            build = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(fresh), "."]
            done = subprocess.run(
                build,
                capture_output=True,
                check=False,
                cwd=TOOLS / MODULE,
                env=settings,
                text=True,
                timeout=BUILD_DEADLINE,
            )
            if done.returncode != 0:
                raise PlaneError(f"the Go client of Azure was not built:\n{done.stderr.strip()[-2000:]}")
            fresh.rename(program)
    return program
