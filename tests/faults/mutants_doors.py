"""Breakages of what is printed for Airflow, of logins by AppRole, and of ids that nobody should ask for.

Part of `tests/faults/mutants.py`.
"""

from __future__ import annotations

from pathlib import Path

from faults.mutant import Mutant

COMMANDS, PROVIDER = Path("operator/airwarden/commands"), Path("provider/airflow_airwarden")
ROLES, SESSIONS = "tests/unit/commands/test_roles.py", "tests/unit/provider/test_sessions.py"
APP_ROLE, IN_AIRFLOW = "tests/contract/provider/test_approle.py", "tests/contract/provider/test_in_airflow.py"

DOORS: tuple[Mutant, ...] = (
    Mutant(
        "a group breaks out of its quotes",
        "roles.py",
        "{group!a}: {_list(found)},",
        "'{group}': {_list(found)},",
        (ROLES,),
        source=COMMANDS,
    ),
    Mutant(
        "an environment's name breaks out of its comment",
        "roles.py",
        "AirflowEnvironment {whose!a}, printed",
        "AirflowEnvironment {whose}, printed",
        (ROLES,),
        source=COMMANDS,
    ),
    Mutant(
        "an empty mapping takes every role away",
        "roles.py",
        "    if not grants:",
        "    if False:",
        (ROLES,),
        source=COMMANDS,
    ),
    Mutant(
        "an empty secret-id is sent",
        "readers/task_token.py",
        "    if not found:\n        raise LookupRefused(Reason.TOKEN_FILE_MISSING",
        "    if False:\n        raise LookupRefused(Reason.TOKEN_FILE_MISSING",
        (APP_ROLE,),
        source=PROVIDER,
    ),
    Mutant(
        "an id that is no text opens the next source",
        "backend.py",
        "{str(wanted)[:250]!r}",
        "{wanted[:250]!r}",
        (IN_AIRFLOW,),
        source=PROVIDER,
    ),
    Mutant(
        "each read goes through all that is kept",
        "sessions.py",
        "if now >= self._forget_at:",
        "if now >= 0:",
        (SESSIONS,),
        source=PROVIDER,
    ),
    Mutant(
        "what no longer works is kept for good",
        "sessions.py",
        "if now >= self._forget_at:",
        "if False:",
        (SESSIONS,),
        source=PROVIDER,
    ),
)
