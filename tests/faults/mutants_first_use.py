"""Breakages of what somebody meets who uses Airwarden with an Airflow for the first time.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from faults.mutant import Mutant

PROVIDER: Final = Path("provider/airflow_airwarden")
PACKAGE: Final = "tests/unit/provider/test_package.py"
TASK_ACCESS: Final = "tests/unit/vault/test_task_access.py"
RETRIES: Final = "tests/unit/provider/test_retries.py"
RENDERING: Final = "tests/unit/domain/environment/test_rendering.py"

FIRST_USE: tuple[Mutant, ...] = (
    Mutant(
        "the API server looks for logs in its own namespace",
        "domain/environment/components.py",
        'more = {"scheduler": _of_executor, "api-server": _namespaces}.get(component)',
        'more = {"scheduler": _of_executor}.get(component)',
        (RENDERING,),
    ),
    Mutant(
        "an older Airflow is not told of by the plugin",
        "plugin.py",
        "from airflow_airwarden import airflow_version  # noqa: F401 - first",
        "airflow_version = None  # noqa: F401 - first",
        (PACKAGE,),
        source=PROVIDER,
    ),
    Mutant(
        "an older Airflow is not told of by the executor",
        "executor.py",
        "from airflow_airwarden import airflow_version  # noqa: F401 - first",
        "airflow_version = None  # noqa: F401 - first",
        (PACKAGE,),
        source=PROVIDER,
    ),
    Mutant(
        "tasks are told of one address alone",
        "providers/vault/task_access.py",
        "list(connection.task_addresses or (connection.address,))",
        "[connection.address]",
        (TASK_ACCESS,),
    ),
    Mutant(
        "tasks that fail together come back together",
        "readers/vault.py",
        "wait = max(pause * random.uniform(0.5, 1.5), failure.retry_after)",
        "wait = max(pause, failure.retry_after)",
        (RETRIES,),
        source=PROVIDER,
    ),
    Mutant(
        "a connection may take as long as an answer",
        "readers/vault_http.py",
        "timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)",
        "timeout=httpx.Timeout(READ_SECONDS)",
        (RETRIES,),
        source=PROVIDER,
    ),
)
