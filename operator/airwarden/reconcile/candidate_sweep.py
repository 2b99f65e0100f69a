"""Removes candidates of rotations that are gone: values that no Job will bring a target to any more.

Nothing is undone when a rotation is deleted, so what waits for it in the store stays until here. One for the process,
started by `airwarden.operator_process`; where no rule permits rotations by Job, nothing is asked.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

import structlog

from airwarden.api.backend import Operation
from airwarden.domain.errors import AirwardenError
from airwarden.domain.rotation.handover import Staged
from airwarden.providers.kubernetes.api import Absent
from airwarden.reconcile.backends import Backends, Runtime
from airwarden.reconcile.queue import Key
from airwarden.reconcile.rotators import Rotators

log = structlog.get_logger("airwarden.candidate_sweep")
OLD_ENOUGH: Final = timedelta(hours=24)
"""Longer than any run can take: five Jobs of an hour each, their pauses, and two that try the values."""
_FIRST: Final = 60.0
_INTERVAL: Final = 3600.0


class CandidateSweep:
    """Sweeps the staged area of each store again and again."""

    def __init__(
        self,
        cluster: str,
        backends: Backends,
        rotators: Rotators,
        exists: Callable[[str, str], Awaitable[bool]],
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._backends = backends
        self._rotators = rotators
        self._exists = exists
        self._clock = clock

    async def run(self) -> None:
        """Sweep until cancelled."""
        pause = _FIRST
        while True:
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311 - spread, not a secret
            pause = _INTERVAL
            for name in self._backends.names():
                runtime = self._backends.runtime(name)
                if runtime is not None and rotates_by_job(runtime):
                    await self._try(runtime)

    async def sweep(self, runtime: Runtime) -> tuple[Key, ...]:
        """Look once, and remove what may go; return whose it was. Raises when store or cluster do not answer."""
        runtime.breaker.guard()
        candidates = (await self._rotators.open(runtime.backend)).candidates
        gone: list[Key] = []
        for each in ripe(await candidates.staged(self._cluster), self._clock()):
            # Asked of the API server itself: what is not in memory may only not have been seen.
            if await self._exists(each.namespace, each.name):
                continue
            await candidates.clear(f"{self._cluster}/{each.namespace}/{each.name}")
            log.info("candidate swept", backend=runtime.name, namespace=each.namespace, rotation=each.name)
            gone.append((each.namespace, each.name))
        return tuple(gone)

    async def _try(self, runtime: Runtime) -> None:
        try:
            await self.sweep(runtime)
        except Absent:
            log.warning("candidates not swept", backend=runtime.name, error="the API server does not serve our kinds")
        except AirwardenError as error:
            log.warning("candidates not swept", backend=runtime.name, reason=error.reason.word, error=error.message)


def ripe(staged: Iterable[Staged], now: datetime) -> tuple[Staged, ...]:
    """Return the candidates that no run can be about any more, if their rotations are gone."""
    return tuple(each for each in staged if now - each.made > OLD_ENOUGH)


def rotates_by_job(runtime: Runtime) -> bool:
    """Tell whether anything of the backend may be rotated by Job: only then is there a right to look."""
    spec = runtime.backend.spec
    return spec.rotation is not None and any(Operation.ROTATE_JOB in each.operations for each in spec.allow)
