"""Reads secrets from a JSON file or the environment, for a developer's machine and not for production.

There is no identity and no policy here: whatever the process can read, it can read. `readers/__init__.py` opens
these only where the platform team set the kwarg `development`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from airflow_airwarden.binding_map import EnvironmentStore, FileStore, Key, Place
from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.ports import Ended, Reader, Reading, no_end

_LOG = logging.getLogger(__name__)


def open_development_reader(store: FileStore | EnvironmentStore) -> Reader:
    """Return the reader of such a store, and say in the log what it is."""
    _LOG.warning("Store %s is for development only: it isolates nobody from anything", store.name)
    return DevelopmentReader(store)


class DevelopmentReader:
    """Reads payloads by key; the file is read at each lookup, so that an edit is seen."""

    def __init__(self, store: FileStore | EnvironmentStore) -> None:
        self._store = store

    def read(self, place: Place, correlation: str, deadline: float) -> Reading:  # noqa: ARG002 - the port's
        """Return the payload at a key; LookupRefused when there is none."""
        if not isinstance(place, Key):
            raise TypeError("the map's check lets only keys through")
        store = self._store
        found = _from_file(store, place.key) if isinstance(store, FileStore) else _from_environment(store, place.key)
        return Reading(found, good_until=no_end)

    def identity(self) -> Mapping[str, str]:
        """Nobody: there is no login."""
        return {}

    def maintain(self) -> float:
        """Nothing is renewed."""
        return no_end()

    def close(self) -> list[Ended]:
        """Nothing is given up."""
        return []

    def counts(self) -> Mapping[str, int]:
        """No requests are made."""
        return {}


def _from_file(store: FileStore, key: str) -> Mapping[str, object]:
    try:
        payloads = json.loads(Path(store.path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise LookupRefused(
            Reason.STORE_UNREACHABLE, f"{store.path} of store {store.name} is no readable JSON file", "Correct the file"
        ) from None
    found = payloads.get(key) if isinstance(payloads, dict) else None
    if not isinstance(found, dict):
        raise _absent(store, key)
    return found


def _from_environment(store: EnvironmentStore, key: str) -> Mapping[str, object]:
    text = os.environ.get(store.prefix + key)
    if text is None:
        raise _absent(store, key)
    return {"conn_uri": text, "value": text}


def _absent(store: FileStore | EnvironmentStore, key: str) -> LookupRefused:
    return LookupRefused(Reason.SECRET_ABSENT, f"store {store.name} holds no object at {key}", "Write it there")
