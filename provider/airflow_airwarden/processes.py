"""What one process shares: one Session for each set of kwargs, however many backends Airflow makes.

Airflow makes a backend while it imports its configuration, another for its tasks, and one more for each option with
`_secret`; they must not log in each for itself. A task's process is forked from its supervisor's: what the parent
holds is neither used nor revoked by the child, which begins anew.
"""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_airwarden.sessions import Session
    from airflow_airwarden.settings import Settings


class Process:
    """The sessions of this process."""

    def __init__(self) -> None:
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget everything, the lock too: another thread of the parent may have held it."""
        self._lock = threading.RLock()  # a signal's handler may look up in the midst of its thread's own lookup
        self._sessions: dict[Settings, Session] = {}

    def session(self, settings: Settings) -> Session:
        """Return the process's session for these kwargs; the first one is given up when the process ends."""
        with self._lock:
            found = self._sessions.get(settings)
            if found is None:
                from airflow_airwarden.sessions import Session  # noqa: PLC0415 - most processes never look up

                if not self._sessions:
                    atexit.register(self.end)
                found = self._sessions.setdefault(settings, Session(settings))
            return found

    def end(self) -> None:
        """Give up all logins and leases; the second time, nothing."""
        with self._lock:
            sessions, self._sessions = list(self._sessions.values()), {}
        for each in sessions:
            each.close()


THIS_PROCESS = Process()
"""The one thing here that is global: "once a process" is what it is for."""
os.register_at_fork(after_in_child=THIS_PROCESS.start_afresh)
