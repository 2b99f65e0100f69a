"""Watches all bindings through the API, as a user's tool would, and notes when each was Ready.

Started by `stage`. Times are those at which the event came in; they are on `time.monotonic`'s clock.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp

from benchmarks.cluster import Cluster
from benchmarks.errors import BenchmarkError
from benchmarks.objects import BINDINGS, Json

Key = tuple[str, str]
_POLL: Final = 0.02
_OPENING: Final = 30.0
_LONGEST_LINE: Final = 2**20


class Watcher:
    """What was seen of every binding since `start`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._task: asyncio.Task[None] | None = None
        self._open = asyncio.Event()
        self._ready: dict[Key, int] = {}
        self._first_ready: dict[Key, dict[int, float]] = {}
        self.present: Counter[str] = Counter()
        self.ready: Counter[str] = Counter()
        self.gone: dict[Key, float] = {}
        self.flaps: list[Key] = []
        """Bindings that were Ready and then were not, at one and the same generation."""
        self.refused: Counter[str] = Counter()
        self._refused: set[Key] = set()
        self._known: set[Key] = set()
        self.kept: dict[str, list[Json]] = {}
        """Names of bindings of which every state is kept, with these states."""

    async def start(self) -> None:
        """Begin, with an empty cluster."""
        self._task = asyncio.create_task(self._watch(), name="watch of the benchmark")
        await self.wait("the watch of the benchmark is open", self._open.is_set, _OPENING)

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def ready_at(self, namespace: str, name: str, generation: int = 1) -> float | None:
        """Return when the binding was first seen Ready at that generation; None when never, or when it is gone."""
        return self._first_ready.get((namespace, name), {}).get(generation)

    async def wait(self, what: str, check: Callable[[], bool], deadline: float) -> None:
        """Wait until ``check`` holds. Raises BenchmarkError, with what was seen so far, after so many seconds."""
        end = time.monotonic() + deadline
        while not check():
            if self._task is not None and self._task.done():
                self._task.result()
                raise BenchmarkError("the watch ended early")
            if time.monotonic() > end:
                seen = f"present {dict(self.present)}, Ready {dict(self.ready)}, refused {dict(self.refused)}"
                raise BenchmarkError(f"not within {deadline:.0f} s: {what}; seen: {seen}")
            await asyncio.sleep(_POLL)

    async def _watch(self) -> None:
        version = "0"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        while True:
            url = self._cluster.url(f"{BINDINGS}?watch=1&resourceVersion={version}&allowWatchBookmarks=true")
            async with self._cluster.session.get(url, timeout=timeout, read_bufsize=_LONGEST_LINE) as stream:
                if stream.status == 429:  # a kind that was just installed is not served at once
                    await asyncio.sleep(0.2)
                    continue
                if stream.status != 200:
                    raise BenchmarkError(f"the API server answered {stream.status} to the watch of the benchmark")
                self._open.set()
                async for line in stream.content:
                    version = self._take(json.loads(line))

    def _take(self, event: Mapping[str, Any]) -> str:
        body = event["object"]
        if event["type"] == "ERROR":
            raise BenchmarkError(f"the watch of the benchmark broke: {body.get('message')}")
        if event["type"] != "BOOKMARK":
            self._see(event["type"], body, time.monotonic())
        return str(body["metadata"]["resourceVersion"])

    def _see(self, kind: str, body: Json, now: float) -> None:
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if key[1] in self.kept:
            self.kept[key[1]].append(body)
        if kind == "DELETED":
            self._forget(key, now)
            return
        if key not in self._known:
            self._known.add(key)
            self.present[key[0]] += 1
        generation = metadata["generation"]
        shown = _ready_condition(body)
        if shown == "True":
            self._first_ready.setdefault(key, {}).setdefault(generation, now)
            if key not in self._ready:
                self.ready[key[0]] += 1
            self._ready[key] = generation
        elif self._ready.get(key) == generation:
            self._unready(key)
            self.flaps.append(key)
        if shown == "False" and key not in self._refused:
            self._refused.add(key)
            self.refused[key[0]] += 1

    def _unready(self, key: Key) -> None:
        if self._ready.pop(key, None) is not None:
            self.ready[key[0]] -= 1

    def _forget(self, key: Key, now: float) -> None:
        self._unready(key)
        self._first_ready.pop(key, None)
        self._known.discard(key)
        self._refused.discard(key)
        self.present[key[0]] -= 1
        self.gone[key] = now


def _ready_condition(body: Json) -> str:
    """Return the Ready condition's status, if it speaks of the binding's own generation."""
    status = body.get("status") or {}
    if status.get("observedGeneration") != body["metadata"]["generation"]:
        return ""
    conditions = status.get("conditions") or ()
    return next((str(each["status"]) for each in conditions if each["type"] == "Ready"), "")
