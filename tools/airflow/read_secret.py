"""Looks up one secret with Airflow's own VaultBackend, as a task under a bound account would, and says what came of it.

Run by Airflow's interpreter, never by the project's own (`tests/plane/airflow.py` starts it): a JSON
request on stdin, the outcome as one JSON object on the last line of stdout. The value itself is never
printed: only whether its SHA-256 is the one that the caller expects.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from typing import Any
from urllib.parse import urlsplit


def _backend(request: dict[str, Any]) -> Any:
    module = importlib.import_module("airflow.providers.hashicorp.secrets.vault")
    return module.VaultBackend(
        url=request["url"],
        auth_type="kubernetes",
        auth_mount_point=request["auth_mount"],
        kubernetes_role=request["role"],
        kubernetes_jwt_path=request["jwt_path"],
        mount_point=request["kv_mount"],
        kv_engine_version=2,
        connections_path=request["folder"] if request["type"] == "Connection" else None,
        variables_path=request["folder"] if request["type"] == "Variable" else None,
        config_path=None,
    )


def _found(value: str | None, expected: str, **shown: str | None) -> dict[str, Any]:
    digest = hashlib.sha256((value or "").encode()).hexdigest()
    return {"found": True, "value_as_expected": digest == expected, **shown}


def _look_up(request: dict[str, Any]) -> dict[str, Any]:
    backend = _backend(request)
    if request["type"] == "Variable":
        value = backend.get_variable(request["id"])
        return {"found": False, "cause": "not found"} if value is None else _found(value, request["expected_sha256"])
    connection = backend.get_connection(request["id"])
    if connection is None:
        return {"found": False, "cause": "not found"}
    return _found(connection.password, request["expected_sha256"], host=connection.host, login=connection.login)


def _refusal(error: BaseException) -> dict[str, Any]:
    """Return what Airflow says and, from the exception under its own, what Vault said to which request."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    said = "; ".join(getattr(cause, "errors", None) or [str(cause)])
    words = " ".join(said.split()).removeprefix("1 error occurred: * ")
    method, url = getattr(cause, "method", None) or "", getattr(cause, "url", None) or ""
    return {
        "found": False,
        "airflow_says": str(error).removesuffix(", on None None"),
        "cause": words,
        "request": f"{method.upper()} {urlsplit(url).path}".strip(),
    }


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    hvac = importlib.import_module("hvac.exceptions")
    requests = importlib.import_module("requests.exceptions")
    try:
        outcome = _look_up(request)
    except (hvac.VaultError, requests.RequestException) as error:
        outcome = _refusal(error)
    sys.stdout.write("\n" + json.dumps(outcome) + "\n")


if __name__ == "__main__":
    main()
