"""Finds what went while no watch was there to tell: the only events that a new list cannot bring.

A watch that broke is taken up where it ended; one whose place the API server has forgotten (410 after a
restart or a compaction) begins anew with a list, and a list does not hold what was deleted meanwhile. An
account, namespace or binding that went unseen would be held for real for ever. Started by
`airwarden.operator_process`; the handlers say when something came by a list.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from airwarden.domain.errors import AirwardenError
from airwarden.providers.kubernetes.api import Absent
from airwarden.reconcile.engine import Engine
from airwarden.reconcile.environment_engine import EnvironmentEngine
from airwarden.reconcile.rotation_engine import RotationEngine

log = structlog.get_logger("airwarden.gaps")
Body = dict[str, Any]


class Reader(Protocol):
    """Lists what the operator holds in memory."""

    def backends(self) -> AsyncIterator[Body]:
        """Yield all backends."""

    def namespaces(self) -> AsyncIterator[Body]:
        """Yield all namespaces."""

    def accounts(self) -> AsyncIterator[Body]:
        """Yield the accounts that some binding made."""

    def bindings(self) -> AsyncIterator[Body]:
        """Yield the metadata of all bindings."""

    def rotations(self) -> AsyncIterator[Body]:
        """Yield all rotations."""

    def environments(self) -> AsyncIterator[Body]:
        """Yield all environments."""

    async def has_binding(self, namespace: str, name: str) -> bool:
        """Tell whether there is such a binding, read by itself."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When to look back, in seconds."""

    first: float = 30.0
    """After the start: by then the watches surely run."""
    gathering: float = 5.0
    """After something came by a list: lists of several kinds come together."""
    longest: float = 600.0
    """At the latest: the list of a kind of which nothing is left tells nothing."""


class LookBack:
    """Compares what is in memory with what is there, after each gap in a watch."""

    def __init__(
        self,
        engine: Engine,
        rotations: RotationEngine,
        environments: EnvironmentEngine,
        reader: Reader,
        pace: Pace | None = None,
    ) -> None:
        self._engine = engine
        self._rotations = rotations
        self._environments = environments
        self._reader = reader
        self._pace = pace or Pace()
        self._listed = asyncio.Event()

    def listed(self) -> None:
        """Note that something came by a list: a watch began, or began anew."""
        self._listed.set()

    async def run(self) -> None:
        """Look back for ever."""
        await asyncio.sleep(self._pace.first)
        while True:
            # Cleared before the look, not after it: what is listed meanwhile asks for one more.
            self._listed.clear()
            if not await self._looked():
                self._listed.set()
            with contextlib.suppress(TimeoutError):
                spread = random.uniform(0.9, 1.1)  # noqa: S311 - spread, not a secret
                await asyncio.wait_for(self._listed.wait(), self._pace.longest * spread)
            await asyncio.sleep(self._pace.gathering)

    async def _looked(self) -> bool:
        """Look once; False when the API server did not answer, so that nothing is known."""
        try:
            await self.look()
        except AirwardenError as error:
            log.warning("could not look back", reason=error.reason.word, error=error.message)
        except Absent:
            log.warning("could not look back", error="the API server does not serve our kinds")
        else:
            return True
        return False

    async def look(self) -> None:
        """Let everything that is known and no longer there be gone, once all lists are complete."""
        # What is known is taken down before it is asked for: what comes meanwhile is in neither.
        backends = self._engine.known_backends()
        namespaces = self._engine.known_namespaces()
        accounts = self._engine.known_accounts()
        bindings = self._engine.known_bindings()
        async for body in self._reader.backends():
            backends.discard(body["metadata"]["name"])
        async for body in self._reader.namespaces():
            namespaces.discard(body["metadata"]["name"])
        async for body in self._reader.accounts():
            accounts.discard((body["metadata"]["namespace"], body["metadata"]["name"]))
        async for body in self._reader.bindings():
            bindings.pop((body["metadata"]["namespace"], body["metadata"]["name"]), None)
        # Access goes with a binding, so that one is asked for by name as well: a list may lack what is there.
        gone = [key for key in bindings if not await self._reader.has_binding(*key)]
        for name in backends:
            self._engine.see_backend("DELETED", {"metadata": {"name": name}})
        for name in namespaces:
            self._engine.see_namespace("DELETED", {"metadata": {"name": name}})
        for namespace, name in accounts:
            self._engine.see_account("DELETED", {"metadata": {"namespace": namespace, "name": name}})
            self._environments.see_account(namespace, name)
        for namespace, name in gone:
            metadata = {"namespace": namespace, "name": name, "uid": bindings[namespace, name]}
            log.warning("binding went unseen", namespace=namespace, binding=name)
            self._engine.see_binding("DELETED", {"metadata": metadata})
        await self._look_at_rotations()
        await self._look_at_environments()

    async def _look_at_rotations(self) -> None:
        known = self._rotations.known_rotations()
        async for body in self._reader.rotations():
            known.pop((body["metadata"]["namespace"], body["metadata"]["name"]), None)
        for (namespace, name), uid in known.items():
            log.warning("rotation went unseen", namespace=namespace, rotation=name)
            self._rotations.see_rotation("DELETED", {"metadata": {"namespace": namespace, "name": name, "uid": uid}})

    async def _look_at_environments(self) -> None:
        known = self._environments.known_environments()
        async for body in self._reader.environments():
            known.pop((body["metadata"]["namespace"], body["metadata"]["name"]), None)
        for (namespace, name), uid in known.items():
            log.warning("environment went unseen", namespace=namespace, environment=name)
            metadata = {"namespace": namespace, "name": name, "uid": uid}
            self._environments.see_environment("DELETED", {"metadata": metadata})
