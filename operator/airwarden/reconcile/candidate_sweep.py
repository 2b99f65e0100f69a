"""Removes candidates that no rotation is for any more: values that no Job will bring a target to.

Nothing is undone when a rotation is deleted or given another strategy, so what waits for it in the store stays until
here, and so does what waits for one of the same name that was for another key or field. One for the process,
started by `airwarden.operator_process`; where no rule permits rotations by Job, nothing is asked.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

import structlog

from airwarden.api.backend import Operation
from airwarden.api.rotation import Strategy
from airwarden.domain.errors import AirwardenError
from airwarden.domain.rotation.handover import Staged
from airwarden.providers.kubernetes.api import Absent, Conflict, Json
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
        rotation: Callable[[str, str], Awaitable[Json | None]],
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._backends = backends
        self._rotators = rotators
        self._rotation = rotation
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
            if is_wanted(each, await self._rotation(each.namespace, each.name)):
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
        except Conflict as error:
            log.warning("candidates not swept", backend=runtime.name, error=str(error))
        except AirwardenError as error:
            log.warning("candidates not swept", backend=runtime.name, reason=error.reason.word, error=error.message)


def ripe(staged: Iterable[Staged], now: datetime) -> tuple[Staged, ...]:
    """Return the candidates that no run can be about any more, if their rotations are gone."""
    return tuple(each for each in staged if now - each.made > OLD_ENOUGH)


def is_wanted(staged: Staged, rotation: Json | None) -> bool:
    """Tell whether a rotation may still bring its target to the candidate; one that a run is under way for may."""
    if rotation is None:
        return False
    spec = rotation.get("spec") or {}
    if ((rotation.get("status") or {}).get("run") or {}).get("job"):
        return True
    subject = f"{spec.get('key')}#{spec.get('field')}"
    return spec.get("strategy") == Strategy.JOB and staged.subject in ("", subject)


def rotates_by_job(runtime: Runtime) -> bool:
    """Tell whether anything of the backend may be rotated by Job: only then is there a right to look."""
    spec = runtime.backend.spec
    return spec.rotation is not None and any(Operation.ROTATE_JOB in each.operations for each in spec.allow)
