"""Times lookups of a secrets backend in processes of their own, as tasks are: forked from one that has Airflow loaded.

Run by Airflow's interpreter (`benchmarks/scenarios/tasks.py` starts it). The first line on stdin says which backend,
and what to look up; for each further line a process is forked that makes the backend, looks everything up, and ends.
What it took is one JSON object on stdout, which nothing else may use: Airflow logs there. Without lookups only the
import of the backend's module is timed, once.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any, TextIO


def _made(request: dict[str, Any]) -> Any:
    module = importlib.import_module(request["module"])
    return getattr(module, request["class"])(**request["kwargs"])


def _import_milliseconds(request: dict[str, Any]) -> float:
    """Return what the backend adds to a process that has read Airflow's configuration, which each does."""
    importlib.import_module("airflow.configuration")
    began = time.perf_counter()
    _made(request)
    return 1000 * (time.perf_counter() - began)


def _look_up(backend: Any, kind: str, wanted: str) -> tuple[float, bool]:
    look_up = backend.get_connection if kind == "Connection" else backend.get_variable
    began = time.perf_counter()
    found = look_up(wanted)
    return 1000 * (time.perf_counter() - began), found is not None


def _task(request: dict[str, Any], connection: Any) -> dict[str, Any]:
    backend = _made(request)
    backend._set_connection_class(connection)  # noqa: SLF001 - as Airflow does
    done = [_look_up(backend, kind, wanted) for kind, wanted in request["lookups"]]
    return {"milliseconds": [each for each, _ in done], "found": [each for _, each in done]}


def _say(answers: TextIO, answer: Any) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def main() -> None:
    """Answer. A forked process ends as Python's do, so that what a backend does at the end is done."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    request = json.loads(sys.stdin.readline())
    if not request["lookups"]:
        _say(answers, _import_milliseconds(request))
        return
    importlib.import_module("airflow.sdk.execution_time.supervisor")  # what a task's process is forked from
    importlib.import_module(request["module"])
    connection = importlib.import_module("airflow.sdk").Connection
    _say(answers, "ready")
    while sys.stdin.readline():
        if child := os.fork():
            os.waitpid(child, 0)
            continue
        _say(answers, _task(request, connection))
        return


if __name__ == "__main__":
    main()
