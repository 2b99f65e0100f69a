"""Hears of Jobs of rotations that ended, and of templates that appeared, in the rotation namespace alone.

kopf watches all kinds in the same namespaces; this right is for one namespace alone, so the watch is our own. What it
misses, a Job's deadline finds. Started by `airwarden.operator_process`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import structlog

from airwarden.api.templates import ROTATION, ROTATION_NAMESPACE
from airwarden.domain.errors import AirwardenError
from airwarden.providers.kubernetes.api import Absent, Conflict
from airwarden.providers.kubernetes.jobs import Jobs, has_ended
from airwarden.reconcile.rotation_engine import RotationEngine

log = structlog.get_logger("airwarden.job_watch")
_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
Body = dict[str, Any]


class JobWatch:
    """Wakes rotations."""

    def __init__(self, jobs: Jobs, engine: RotationEngine) -> None:
        self._jobs = jobs
        self._engine = engine

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow("jobs", self._jobs.ended, self._job))
            group.create_task(self._follow("templates", self._jobs.templates, self._template))

    async def _follow(
        self, what: str, changes: Callable[[], AsyncIterator[tuple[str, Body]]], see: Callable[[str, Body], None]
    ) -> None:
        pause = _PAUSE
        while True:
            try:
                async for kind, body in changes():
                    see(kind, body)
                    pause = _PAUSE
            except (AirwardenError, Absent, Conflict) as error:
                log.warning("cannot watch the rotation namespace", what=what, error=str(error), again_in=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _job(self, kind: str, body: Body) -> None:
        if kind != "DELETED" and not has_ended(body):
            return
        labels = (body.get("metadata") or {}).get("labels") or {}
        self._engine.job_ended((labels.get(ROTATION_NAMESPACE, ""), labels.get(ROTATION, "")))

    def _template(self, kind: str, body: Body) -> None:
        del kind
        self._engine.see_template(str((body.get("metadata") or {}).get("name", "")))
