"""Counters and timers on Airflow's own metrics, StatsD or OpenTelemetry, whichever the deployment has.

Called by `sessions.py`. Ids are not among the tags: there may be thousands.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

from airflow_airwarden.asking import in_task

LOOKUPS = "airwarden.lookups"
LOOKUP_DURATION = "airwarden.lookup_duration"
REQUESTS = "airwarden.requests"
LOGINS = "airwarden.logins"


def lookup(kind: str, store: str, outcome: str, milliseconds: float) -> None:
    """Count one lookup and time it."""
    stats = _stats()
    if stats is not None:
        tags = {"type": kind, "store": store or "none", "outcome": outcome}
        stats.incr(LOOKUPS, tags=tags)
        stats.timing(LOOKUP_DURATION, milliseconds, tags=tags)


def requests(store: str, counts: Mapping[str, int]) -> None:
    """Count what was sent to a store."""
    stats = _stats()
    for name, key in ((REQUESTS, "requests"), (LOGINS, "logins")):
        if stats is not None and counts.get(key):
            stats.incr(name, counts[key], tags={"store": store})


def _stats() -> ModuleType | None:
    """Return Airflow's metrics of this process: a task's, or a server's once it has loaded them."""
    if in_task():
        return import_module("airflow.sdk.observability.stats")
    return sys.modules.get("airflow.observability.stats")
