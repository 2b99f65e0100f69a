"""Renews logins and leases beside a task that works on, so that what it read goes on working.

A Session has one. Its thread begins with the first store that is asked, sleeps until something is due, and does
not keep the process from ending.
"""

from __future__ import annotations

import logging
import threading
import time

from airflow_airwarden.ports import Reader

_LOG = logging.getLogger(__name__)
_LONGEST_SLEEP = 3600.0
AGAIN = 10.0
"""Seconds after which a store is looked after again whose renewals went wrong in a way that nobody foresaw."""


class Keeper:
    """One thread for all readers of a process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers: list[Reader] = []
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._news = False

    def tend(self, reader: Reader) -> None:
        """Look after a reader from now on, or again at once since it has something new."""
        with self._changed:
            if reader not in self._readers:
                self._readers.append(reader)
            self._news = True
            self._changed.notify()
            if self._thread is None and not self._stopped:
                thread = threading.Thread(target=self._run, name="airwarden-keeper", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the pod may have no more threads; the read itself went well
                    _LOG.warning("No thread can be started: nothing is renewed before a later lookup can start one")
                else:
                    self._thread = thread

    def stop(self) -> None:
        """Renew nothing any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._news = False
                readers = list(self._readers)
            due = min((_maintained(each) for each in readers), default=time.monotonic() + _LONGEST_SLEEP)
            with self._changed:
                seconds = min(max(due - time.monotonic(), 0.0), _LONGEST_SLEEP)
                self._changed.wait_for(lambda: self._stopped or self._news, seconds)
                if self._stopped:
                    return


def _maintained(reader: Reader) -> float:
    """Renew what is due at one store; whatever goes wrong there, the others' renewals go on, and its own come again."""
    try:
        return reader.maintain()
    except Exception as error:  # noqa: BLE001 - the thread's end would be the end of all renewals
        _LOG.warning("Renewals failed (%s): they are tried again in %g seconds", type(error).__name__, AGAIN)
        return time.monotonic() + AGAIN
