"""Follows the DAG map of one bundle at the API server, by its name, in a thread of the scheduler's process.

Started by `executor.py`, one per bundle. It lists and watches with a field selector of the one name, so that a Role
with `resourceNames` is all it needs, and it costs four requests a minute, however many tasks run.

Only a list proves that the map is fresh. A watch, and its end, may come from the memory of a server that is cut off.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Iterator
from typing import Any, Final

from kubernetes.client import CoreV1Api
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from airflow_airwarden.dag_map import DATA_KEY, MapUnusable
from airflow_airwarden.map_view import MapView

WATCH_SECONDS: Final = 30
"""How long one watch lasts, until the map is listed anew: half of the minute for which a list counts."""
_CONNECT_SECONDS, _READ_SECONDS = 5.0, WATCH_SECONDS + 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_log = logging.getLogger(__name__)


class WatchEnded(Exception):
    """The watch cannot begin where the list ended; the map must be listed again."""


class MapWatch:
    """One ConfigMap, followed until ``stop``."""

    def __init__(self, config_maps: CoreV1Api, namespace: str, name: str, view: MapView) -> None:
        self._config_maps, self._namespace, self._name, self._view = config_maps, namespace, name, view
        self._stopped, self._read = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"airwarden {name}", daemon=True)
        self._said = ""

    def start(self) -> None:
        """Begin; nothing is known yet when this returns."""
        self._thread.start()

    def wait_read(self, seconds: float) -> bool:
        """Wait until the API server has answered once; tell whether it has."""
        return self._read.wait(seconds)

    def stop(self) -> None:
        """End the thread with its present request, at most some 30 s later; it is a daemon."""
        self._stopped.set()

    def _follow(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                version, listed = self._list()
                pause = _FIRST_PAUSE
                self._watch(version, listed)
                if self._view.now() - listed < _FIRST_PAUSE:
                    self._stopped.wait(_FIRST_PAUSE)
            except WatchEnded:
                self._stopped.wait(_FIRST_PAUSE)
            except (ApiException, HTTPError, OSError, ValueError, KeyError, TypeError) as error:
                self._view.lost(_words(error))
                self._say()
                self._stopped.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - only so that not all ask at once
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _list(self) -> tuple[str, float]:
        """Take the map as the whole cluster agrees on it; return the version to watch from, and when that was asked."""
        at = self._view.now()
        body = json.loads(self._request().data)
        found = [each for each in body["items"] if each["metadata"]["name"] == self._name]
        self._view.saw(_text(found[0]) if found else None, at)
        self._say()
        self._read.set()
        return str(body["metadata"]["resourceVersion"]), at

    def _watch(self, version: str, listed: float) -> None:
        """Take changes until the API server ends the watch. They make the map no fresher than the list before them."""
        answer = self._request(watch=True, resource_version=version, timeout_seconds=WATCH_SECONDS)
        try:
            for line in _lines(answer):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise WatchEnded  # most often 410: the version is too old
                self._view.saw(None if event["type"] == "DELETED" else _text(event["object"]), listed)
                self._say()
        finally:
            answer.release_conn()

    def _request(self, **options: Any) -> Any:
        return self._config_maps.list_namespaced_config_map(
            self._namespace,
            field_selector=f"metadata.name={self._name}",
            _preload_content=False,
            _request_timeout=(_CONNECT_SECONDS, _READ_SECONDS),
            **options,
        )

    def _say(self) -> None:
        """Log each change between usable and not, once."""
        try:
            self._view.current()
            words = ""
        except MapUnusable as unusable:
            words = str(unusable)
        if words and not self._said:
            _log.error("Airwarden: %s. Its DAGs run under the environment's unbound account until it can be", words)
        if self._said and not words:
            _log.info("Airwarden: the DAG map %s/%s can be used again", self._namespace, self._name)
        self._said = words


def _text(config_map: dict[str, Any]) -> str:
    return str((config_map.get("data") or {}).get(DATA_KEY, ""))


def _lines(answer: Any) -> Iterator[bytes]:
    """Return the whole lines of an answer as they come."""
    rest = b""
    for piece in answer.stream(amt=None, decode_content=False):
        *lines, rest = (rest + piece).split(b"\n")
        yield from (each for each in lines if each.strip())


def _words(error: Exception) -> str:
    """Name what went wrong in a few words, none of them a header's."""
    if isinstance(error, ApiException):
        return f"the API server answers {error.status} {error.reason}"
    return f"the API server cannot be asked: {type(error).__name__}"
