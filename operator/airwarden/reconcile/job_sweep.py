"""Takes away Jobs, with their Secrets, that no run waits for: left by a crash, or by a rotation that was deleted.

A run that is on record sees its Job's end, and takes the Secret away. What is on record nowhere is found here, by the
labels that Airwarden gives its Jobs. One for the process, started by `airwarden.operator_process` where there is a
rotation namespace.
"""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from pydantic import ValidationError

from airwarden.api.fields import moment
from airwarden.api.rotation import AirflowSecretRotation, RunState
from airwarden.api.templates import ROTATION, ROTATION_NAMESPACE, RUN
from airwarden.domain.errors import AirwardenError
from airwarden.domain.rotation import jobs
from airwarden.domain.rotation.jobs import JobEnd
from airwarden.providers.kubernetes.api import Absent, Conflict, Json
from airwarden.providers.kubernetes.job_body import KEPT_SECONDS, JobOrder, is_of_run
from airwarden.providers.kubernetes.jobs import Jobs, outcome_of

log = structlog.get_logger("airwarden.job_sweep")
OLD_ENOUGH: Final = timedelta(minutes=10)
"""From when on a Job is looked at: a run that is making one has let it run long before."""
_FIRST: Final = 60.0
_INTERVAL: Final = 600.0
_OURS: Final = re.compile("airwarden-[0-9a-f]{20}")


class JobSweep:
    """Sweeps the rotation namespace again and again."""

    def __init__(
        self, made: Jobs, rotation: Callable[[str, str], Awaitable[Json | None]], clock: Callable[[], datetime]
    ) -> None:
        self._jobs = made
        self._rotation = rotation
        self._clock = clock

    async def run(self) -> None:
        """Sweep until cancelled."""
        pause = _FIRST
        while True:
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311 - spread, not a secret
            pause = _INTERVAL
            try:
                await self.sweep()
            except (AirwardenError, Absent, Conflict) as error:
                log.warning("jobs not swept", error=str(error))

    async def sweep(self) -> tuple[str, ...]:
        """Look once, and take away what may go; return the Jobs' names. Raises when the cluster does not answer."""
        gone: list[str] = []
        async for body in self._jobs.all():
            order = _order(body)
            if order is None or not self._is_old(body):
                continue
            found = outcome_of(body)
            ended = found.end not in (JobEnd.HELD, JobEnd.RUNNING)
            # One that runs changes its target now: it is seen to its end, which its own deadline brings.
            if found.end is JobEnd.RUNNING or (ended and _is_seen_to(body)) or await self._is_awaited(order, found.end):
                continue
            await self._jobs.discard(order)
            if ended:
                await self._jobs.keep(order.name, found.uid)
            log.info("job swept", job=order.name, namespace=order.namespace, rotation=order.rotation, run=order.run)
            gone.append(order.name)
        return tuple(gone)

    def _is_old(self, body: Json) -> bool:
        made = (body.get("metadata") or {}).get("creationTimestamp")
        return isinstance(made, str) and self._clock() - moment(made) > OLD_ENOUGH

    async def _is_awaited(self, order: JobOrder, end: JobEnd) -> bool:
        """Tell whether a run on record waits for the Job. Asked of the API server itself, after the Job was seen."""
        found = await self._rotation(order.namespace, order.rotation)
        if found is None:
            return False
        try:
            rotation = AirflowSecretRotation.model_validate(found)
        except ValidationError:
            return True  # nothing is done for it until it is mended
        run: RunState | None = rotation.status.run if rotation.status is not None else None
        if run is None or run.id != order.run or jobs.job_name(rotation, run) != order.name:
            return False
        # One that is held although none is on record as running is made anew when the run goes on.
        return end is not JobEnd.HELD or bool(jobs.state(run).deadline)


def _order(body: Json) -> JobOrder | None:
    """Return what a Job was made for, by its name and labels; None for what is not of Airwarden."""
    metadata = body.get("metadata") or {}
    name, labels = str(metadata.get("name", "")), metadata.get("labels") or {}
    told = [str(labels.get(each, "")) for each in (ROTATION_NAMESPACE, ROTATION, RUN)]
    if not _OURS.fullmatch(name) or not all(told):
        return None
    order = JobOrder(name, told[0], told[1], "", told[2], 0, "")
    return order if is_of_run(body, order) else None


def _is_seen_to(body: Json) -> bool:
    """Tell whether the Job was swept already, and waits for its hour to pass."""
    return (body.get("spec") or {}).get("ttlSecondsAfterFinished") == KEPT_SECONDS
