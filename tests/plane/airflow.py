"""Airflow itself, really installed, for whoever wants to see a secret read by its code and not by ours.

Called by the demo and the end-to-end tests. Airflow's pins are no business of the operator's environment,
so it lives in one of its own under the user's cache directory, made once from `tools/airflow/requirements.lock`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plane.binaries import TOOLS, Say, cache_folder, say_on_stderr
from plane.errors import PlaneError

LOCK = TOOLS / "airflow" / "requirements.lock"
AZURE_LOCK = TOOLS / "airflow" / "azure.lock"
"""Installed without dependencies: `azure.in` says why."""
READER = TOOLS / "airflow" / "read_secret.py"
SAY_EVERY = 15.0
READ_DEADLINE = 120.0  # a first import compiles half of Airflow on a busy machine
KEPT_VARIABLES = ("PATH", "TMPDIR", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True)
class Lookup:
    """What a task asks for, and as whom."""

    role: str
    """Vault role that it logs in with."""
    jwt: str
    """Token of its service account."""
    folder: str
    """Airflow's connections_path or variables_path: the key without its last segment."""
    id: str
    type: str = "Connection"  # Connection | Variable
    expected: str = ""
    """The secret value; it does not leave this process, its digest does."""


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    found: bool
    value_as_expected: bool = False
    host: str = ""
    login: str = ""
    airflow_says: str = ""
    """Airflow's own words for a refusal; they hide the cause."""
    cause: str = ""
    """Vault's words, from the exception that Airflow's was raised from."""
    request: str = ""
    """The request that Vault refused, as method and path: the login, or the read."""


def airflow_folder() -> Path:
    """Return where the environment is, made or not: another lock, Python or platform is another folder."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    locks = LOCK.read_bytes() + AZURE_LOCK.read_bytes()
    digest = hashlib.sha256(f"{sys.platform}/{platform.machine()}/{version}\n".encode() + locks)
    return cache_folder(os.environ).parent / f"airflow-{digest.hexdigest()[:16]}"


def airflow_installed() -> bool:
    """Tell whether the environment is there already."""
    return (airflow_folder() / ".complete").is_file()


def airflow_python(say: Say = say_on_stderr) -> Path:
    """Return the interpreter of Airflow's environment, made first if need be."""
    folder = airflow_folder()
    python = folder / "bin" / "python"
    if airflow_installed():
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder.with_name(f"{folder.name}.lock"), say):
        if not airflow_installed():
            say(f"plane: installing Airflow into {folder}: a minute or two, 450 MB, once")
            shutil.rmtree(folder, ignore_errors=True)
            _uv(say, "venv", f"--python={sys.executable}", str(folder))
            into = ("pip", "install", "--require-hashes", "--compile-bytecode", f"--python={python}")
            _uv(say, *into, f"-r={LOCK}")
            _uv(say, *into, "--no-deps", f"-r={AZURE_LOCK}")
            (folder / ".complete").touch()
    return python


def read_secret(address: str, lookup: Lookup, *, kv_mount: str = "airflow", auth_mount: str = "kubernetes") -> Outcome:
    """Have Airflow's VaultBackend look a secret up, in a process of its own as a task has one."""
    with tempfile.TemporaryDirectory(prefix="airwarden-task-") as home:
        jwt_path = Path(home) / "token"
        jwt_path.touch(mode=0o600)
        jwt_path.write_text(lookup.jwt)
        request = {
            "url": address,
            "kv_mount": kv_mount,
            "auth_mount": auth_mount,
            "role": lookup.role,
            "jwt_path": str(jwt_path),
            "folder": lookup.folder,
            "type": lookup.type,
            "id": lookup.id,
            "expected_sha256": hashlib.sha256(lookup.expected.encode()).hexdigest(),
        }
        return Outcome(**_run_reader(request, home))


def _run_reader(request: dict[str, Any], home: str) -> dict[str, Any]:
    """Run the reader with nothing of the user's: no VAULT_TOKEN, no airflow.cfg, no home to write to."""
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    environment |= {"HOME": home, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = subprocess.run(
        [str(airflow_python()), str(READER)],
        input=json.dumps(request),
        capture_output=True,
        check=False,
        cwd=home,
        env=environment,
        text=True,
        timeout=READ_DEADLINE,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        raise PlaneError(f"Airflow's reader ended with status {done.returncode}:\n{done.stderr.strip()[-2000:]}")
    outcome: dict[str, Any] = json.loads(lines[-1])
    return {name: value for name, value in outcome.items() if value is not None}


def _uv(say: Say, *arguments: str) -> None:
    """Run uv, quiet but for its errors, and say every 15 s that it still runs."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.is_file():
        raise PlaneError(f"there is no {uv}: make .venv anew with any make target, and use its interpreter")
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    environment.setdefault("UV_SYSTEM_CERTS", "true")  # as pip and Go do: a company's own authority is known there
    if "PIP_INDEX_URL" in environment:  # what is set for pip holds for uv too, unless uv has its own
        environment.setdefault("UV_DEFAULT_INDEX", environment["PIP_INDEX_URL"])
    began = time.monotonic()
    with subprocess.Popen([str(uv), "--quiet", *arguments], env=environment, stdin=subprocess.DEVNULL) as process:
        while not _ended(process):
            say(f"plane: installing Airflow: {time.monotonic() - began:.0f} s")
    if process.returncode != 0:
        raise PlaneError(
            "Airflow could not be installed (see above). Check the network and the package index that pip uses, "
            "then run the same command again; what was fetched is kept"
        )


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(SAY_EVERY)
    except subprocess.TimeoutExpired:
        return False
    return True


@contextmanager
def _lock(path: Path, say: Say) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("plane: another run is installing Airflow; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
