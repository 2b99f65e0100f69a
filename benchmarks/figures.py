"""The figures of `latest.json`: what each means, which way is better, and the budget it is held against.

Read by the tables, the page and the tests. A new figure starts here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Better(StrEnum):
    """Which way is better."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True)
class Figure:
    """One key of `latest.json`."""

    key: str
    unit: str
    better: Better
    meaning: str
    budget: float | None = None
    note: str = ""
    """What the budget leaves unsaid."""
    timed: bool = False
    """Depends on what else the machine does; the others are exact counts or sizes."""

    def within(self, value: float | None) -> bool | None:
        """Tell whether a value keeps to the budget; None when either is missing."""
        if value is None or self.budget is None:
            return None
        return value >= self.budget if self.better is Better.HIGHER else value <= self.budget


FIGURES: Final = (
    Figure(
        "bindings_per_second",
        "1/s",
        Better.HIGHER,
        "1,000 new bindings, from the first creation to the last Ready",
        150,
        timed=True,
    ),
    Figure("ready_seconds_p50", "s", Better.LOWER, "creation to Ready, half of the 1,000 within", timed=True),
    Figure("ready_seconds_p99", "s", Better.LOWER, "creation to Ready, 99 % of the 1,000 within", timed=True),
    Figure(
        "operator_cpu_ms_per_binding",
        "ms",
        Better.LOWER,
        "processor time of the operator for one of 1,000 new",
        8,
        timed=True,
    ),
    Figure(
        "vault_requests_per_new_binding",
        "requests",
        Better.LOWER,
        "everything the operator asked of Vault, shared among 1,000 new bindings",
        2.002,
        "2 + 2/N in bulk; the login and the backend's own checks are counted too",
    ),
    Figure("vault_reads_per_drift_check", "requests", Better.LOWER, "reads and lists in Vault for one drift check", 2),
    Figure("vault_writes_per_drift_check", "requests", Better.LOWER, "writes to Vault for one drift check", 0),
    Figure("patches_new", "PATCHes", Better.LOWER, "on a new binding: finalizer, Pending, status", 3),
    Figure("patches_edit", "PATCHes", Better.LOWER, "on an edited binding", 1),
    Figure("patches_steady", "PATCHes", Better.LOWER, "on a binding, for one drift check", 0),
    Figure("patches_restart", "PATCHes", Better.LOWER, "on a binding, when the operator starts again", 0),
    Figure("patches_outage", "PATCHes", Better.LOWER, "on a binding edited while Vault is down, until it is back", 1),
    Figure(
        "floor_ratio",
        "times",
        Better.LOWER,
        "how much faster a script without any logic sends the same requests",
        2,
        timed=True,
    ),
    Figure("rss_mb_1000", "MB", Better.LOWER, "resident memory with 1,000 bindings, just after they were made", 150),
    Figure("rss_mb_10000", "MB", Better.LOWER, "resident memory with 10,000 bindings, just after they were made", 400),
    Figure(
        "edit_seconds_among_5000",
        "s",
        Better.LOWER,
        "one edit to Ready while 5,000 others are due for a drift check; the slowest of five",
        1,
        timed=True,
    ),
    Figure(
        "restart_seconds_5000",
        "s",
        Better.LOWER,
        "start of the process to the last of 5,000 bindings checked",
        timed=True,
    ),
    Figure(
        "delete_per_second",
        "1/s",
        Better.HIGHER,
        "bindings deleted, from the first DELETE to the last one gone",
        timed=True,
    ),
    Figure(
        "ending_seconds",
        "s",
        Better.LOWER,
        "how long access outlives its end, the slowest of 100 bindings in four ways: a rule, an edit, notAfter, "
        "deletion",
        5,
        timed=True,
    ),
    Figure("task_logins", "requests", Better.LOWER, "logins to Vault of a task's process", 1),
    Figure("task_requests_unbound", "requests", Better.LOWER, "requests of a task for ids that are not bound", 0),
    Figure(
        "task_requests_per_id",
        "requests",
        Better.LOWER,
        "requests of a task for one bound id, however often it asks",
        1,
    ),
    Figure("task_lookup_ms_p50", "ms", Better.LOWER, "a lookup in a task, half of them within", timed=True),
    Figure("task_lookup_ms_p99", "ms", Better.LOWER, "a lookup in a task, 99 % of them within", timed=True),
    Figure(
        "task_import_ms", "ms", Better.LOWER, "what the backend adds to the start of each Airflow process", timed=True
    ),
)
KEYS: Final = tuple(each.key for each in FIGURES)
