"""Looks up connections with Airflow's own AzureKeyVaultBackend, as a task would, and says what came of each.

Run by Airflow's interpreter, never by the project's own (the contract tests of the stand-in for Azure start it):
a JSON request a line on stdin, its outcome as one JSON object on stdout, in a line that begins with `outcome `.
Each is looked up by a backend of its own, which logs in anew. The password itself is never printed: only whether its
SHA-256 is the one that the caller expects. Who the task is stands in the environment, as the webhook of Azure
Workload Identity leaves it there.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from typing import Any


def _look_up(request: dict[str, Any]) -> dict[str, Any]:
    module = importlib.import_module("airflow.providers.microsoft.azure.secrets.key_vault")
    backend = module.AzureKeyVaultBackend(vault_url=request["vault_url"], connections_prefix=request["prefix"])
    connection = backend.get_connection(request["id"])
    if connection is None:
        return {"found": False, "code": "NotFound"}
    digest = hashlib.sha256((connection.password or "").encode()).hexdigest()
    return {"found": True, "host": connection.host, "value_as_expected": digest == request["expected_sha256"]}


def main() -> None:
    """Answer requests until there are no more."""
    exceptions = importlib.import_module("azure.core.exceptions")
    for line in sys.stdin:
        try:
            outcome = _look_up(json.loads(line))
        except exceptions.AzureError as error:
            inner = getattr(getattr(error, "error", None), "innererror", None) or {}
            outcome = {"found": False, "code": inner.get("code", type(error).__name__), "message": str(error)}
        sys.stdout.write(f"\noutcome {json.dumps(outcome)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
