"""Two small tools for one event loop: many askers with one answer, and an even pace of requests.

Used by the stores: for logins and the pace of requests (`vault.client`,
`azure.arm`), and for lists that many bindings share (`vault.listing`,
`azure.shared_list`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from airwarden.domain.errors import AirwardenError

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs a piece of work once for all who ask while it is under way. Failures are shared, not kept."""

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._task: asyncio.Task[T | AirwardenError] | None = None

    async def join(self) -> T:
        """Return the outcome of the work under way, starting it if need be.

        An asker that is cancelled does not cancel the work of the others.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        outcome = await asyncio.shield(self._task)
        if isinstance(outcome, AirwardenError):
            # A new one for each asker: one exception raised in many tasks would pile up tracebacks.
            raise type(outcome)(outcome.message, retry_after=outcome.retry_after)
        return outcome

    async def settle(self) -> None:
        """Wait until nothing is under way; its outcome does not matter."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _run(self) -> T | AirwardenError:
        try:
            return await self._work()
        except AirwardenError as error:
            return error
        finally:
            self._task = None


class Pace:
    """Spaces requests evenly, first come, first served, with a small burst after a rest."""

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._interval = 1.0 / per_second
        self._burst = max(1.0, per_second / 10) * self._interval
        self._next = clock()

    async def wait(self) -> None:
        """Return when the next request may go out."""
        now = self._clock()
        self._next = max(self._next, now - self._burst) + self._interval
        # The first of a burst goes at once; each later one waits for its own place in line.
        delay = self._next - self._interval - now
        if delay > 0:
            await asyncio.sleep(delay)
