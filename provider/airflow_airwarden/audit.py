"""One JSON line for each access: who asked for what, where it lies, and what came of it; never the value.

Called by `sessions.py`. The lines go to the logger `airwarden.audit`, which Airflow
sends where it sends its task logs. They are the task's own word; the store's audit log is the proof, and `requestID`
finds the same access there.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping

AUDIT = "airwarden.audit"


def write(what: str, binding: str, environment: str, facts: Mapping[str, object]) -> None:
    """Write one line. Empty facts are left out."""
    line = {
        "event": what,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "binding": binding,
        "environment": environment,
        "process": os.getpid(),
        **facts,
    }
    said = {key: value for key, value in line.items() if value not in ("", {})}
    logging.getLogger(AUDIT).info("%s", json.dumps(said))
