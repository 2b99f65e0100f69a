"""What must be known before the first binding is judged.

A binding whose backend or namespace is not known yet would be refused or held, and its status would flap at
each restart. kopf has indexes for that, but they cost time that grows with the square of the objects
(docs/decisions/0003). Called by `airwarden.operator_process`.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

import structlog

from airwarden.domain.errors import AirwardenError
from airwarden.reconcile.engine import Engine
from airwarden.reconcile.environment_engine import EnvironmentEngine
from airwarden.reconcile.rotation_engine import RotationEngine

log = structlog.get_logger("airwarden.priming")

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
Body = dict[str, Any]


class Reader(Protocol):
    """Lists the collections that bindings depend on."""

    def backends(self) -> AsyncIterator[Body]:
        """Yield all backends."""

    def namespaces(self) -> AsyncIterator[Body]:
        """Yield all namespaces."""

    def accounts(self) -> AsyncIterator[Body]:
        """Yield the accounts that some binding may use."""

    def rotations(self) -> AsyncIterator[Body]:
        """Yield all rotations."""

    def environments(self) -> AsyncIterator[Body]:
        """Yield all environments."""

    def whole_bindings(self) -> AsyncIterator[Body]:
        """Yield all bindings."""


async def prime(engine: Engine, rotations: RotationEngine, environments: EnvironmentEngine, reader: Reader) -> None:
    """Make the surroundings known, however long the API server takes to answer.

    Where there are environments, all bindings are part of them: a map that lacks some would take their tasks' accounts
    away, and a binding's claims are judged by those of the others. Where groups of people may be let in, a binding that
    goes must know who else lets them in.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            await _learn(engine, rotations, environments, reader)
        except AirwardenError as error:
            log.warning("cannot list the cluster yet", reason=error.reason.word, error=error.message, again_in=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        else:
            engine.go_live()
            return


async def _learn(engine: Engine, rotations: RotationEngine, environments: EnvironmentEngine, reader: Reader) -> None:
    async for body in reader.backends():
        engine.know_backend(body)
    async for body in reader.namespaces():
        engine.know_namespace(body)
    async for body in reader.accounts():
        engine.know_account(body)
    async for body in reader.rotations():
        rotations.know_rotation(body)
    async for body in reader.environments():
        environments.know_environment(body)
    if environments.known_environments() or engine.lets_people_in:
        async for body in reader.whole_bindings():
            engine.know_binding(body)
