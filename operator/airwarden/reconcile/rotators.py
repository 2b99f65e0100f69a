"""The rotating side of each store, opened when a rotation first needs it: a login of its own.

Kept apart from the stores of `airwarden.reconcile.backends`, so that the login that writes policies is never the one
that writes values. Called by `airwarden.reconcile.rotations`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.errors import AirwardenError
from airwarden.domain.identity import ACCEPT_STORE
from airwarden.providers.ports import Rotator

log = structlog.get_logger("airwarden.rotators")
Opener = Callable[[AirflowSecretBackend], Awaitable[Rotator]]


@dataclass(frozen=True, slots=True)
class _Opened:
    backend: AirflowSecretBackend
    rotator: Rotator


class Rotators:
    """One rotating side for each backend that rotations use."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._opened: dict[str, _Opened] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._retired: set[asyncio.Task[None]] = set()

    async def open(self, backend: AirflowSecretBackend) -> Rotator:
        """Return the backend's rotating side as it is declared now; opened once, nothing is sent for it.

        Raises AirwardenError, RotationNotEnabled for a backend without a login for rotations.
        """
        name = backend.metadata.name
        async with self._opening.setdefault(name, asyncio.Lock()):
            known = self._opened.get(name)
            if known is not None and _meaning(known.backend) == _meaning(backend):
                return known.rotator
            self._retire(name)
            rotator = await self._opener(backend)
            self._opened[name] = _Opened(backend, rotator)
            return rotator

    async def refresh(self, name: str) -> None:
        """Open it anew if that would now give another one: what the backend names may hold something else."""
        known = self._opened.get(name)
        if known is None:
            return
        try:
            again = await self._opener(known.backend)
        except AirwardenError as error:
            log.warning("cannot be opened anew", backend=name, reason=error.reason.word, error=error.message)
            return
        if self._opened.get(name) is known and again.settings != known.rotator.settings:
            self._retire(name)
        await again.close()

    def forget(self, name: str) -> None:
        """Close the rotating side of a backend that is gone."""
        self._retire(name)
        lock = self._opening.get(name)
        if lock is not None and not lock.locked():
            del self._opening[name]

    async def close(self) -> None:
        """Close all: each login is revoked."""
        for name in list(self._opened):
            self._retire(name)
        await asyncio.gather(*self._retired)

    def _retire(self, name: str) -> None:
        known = self._opened.pop(name, None)
        if known is None:
            return
        task = asyncio.get_running_loop().create_task(known.rotator.close(), name=f"closing rotations of {name}")
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)


def _meaning(backend: AirflowSecretBackend) -> object:
    spec, metadata = backend.spec, backend.metadata
    return (metadata.uid, spec.vault, spec.requests, spec.rotation, metadata.annotations.get(ACCEPT_STORE, ""))
