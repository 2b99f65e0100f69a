"""Writes what is said of environments: their status, and an Event when they change.

A status that the API server refuses (CRDs of another version than the operator's) holds nothing up: what it speaks of
was done already. It is told of once, until one is taken again. Used by `airwarden.reconcile.environments`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from airwarden.api.environment import AirflowEnvironment, EnvironmentStatus
from airwarden.api.fields import moment_text
from airwarden.api.metadata import Metadata
from airwarden.domain.errors import AirwardenError, ObjectRejected
from airwarden.providers.kubernetes.events import Event, EventPoster
from airwarden.providers.kubernetes.objects import ObjectWriter, environment_path
from airwarden.reconcile.environment_views import EnvironmentEntry, EnvironmentViews
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.queue import Key

log = structlog.get_logger("airwarden.environments")


@dataclass(frozen=True, slots=True)
class EnvironmentStatuses:
    """Statuses and Events of all environments."""

    views: EnvironmentViews
    writer: ObjectWriter
    events: EventPoster
    metrics: Metrics
    clock: Callable[[], datetime]
    _refused: dict[Key, str] = field(default_factory=dict)
    """By environment, whose last status was refused, the uid of which that was told."""

    def forget(self, key: Key) -> None:
        """Drop what is known of an environment that is gone."""
        self._refused.pop(key, None)

    async def write(self, metadata: Metadata, status: EnvironmentStatus) -> EnvironmentEntry | None:
        """Write a status; return the environment as it then is, None where the API server takes no such status."""
        key = (metadata.namespace, metadata.name)
        try:
            body = await self.writer.write_status(environment_path(*key), metadata.uid, status)
        except ObjectRejected as error:
            self.metrics.status_refused("AirflowEnvironment")
            if self._refused.get(key) != metadata.uid:
                self._refused[key] = metadata.uid
                log.warning("status not written", namespace=key[0], environment=key[1], error=error.message)
                await self._post(metadata, error.reason.word, error.message, good=False)
            return None
        self._refused.pop(key, None)
        return self.views.learn(body)

    async def tell(self, environment: AirflowEnvironment, status: EnvironmentStatus) -> tuple[object, ...]:
        """Write the status if it says something new; return the state that this leaves."""
        metadata = environment.metadata
        if status != environment.status:
            last = await self.write(metadata, status)
            if last is not None:
                await self._tell_transition(environment, status)
                return last.state
        entry = self.views.known.get((metadata.namespace, metadata.name))
        return entry.state if entry is not None else ()

    async def _tell_transition(self, environment: AirflowEnvironment, status: EnvironmentStatus) -> None:
        before = (environment.status or EnvironmentStatus()).condition("Ready")
        after = status.condition("Ready")
        if after is not None and (before is None or (before.status, before.reason) != (after.status, after.reason)):
            metadata = environment.metadata
            said = {"reason": after.reason, "detail": after.message}
            log.info("transition", namespace=metadata.namespace, environment=metadata.name, **said)
            await self._post(metadata, after.reason, after.message, good=after.status == "True")

    async def _post(self, metadata: Metadata, reason: str, message: str, *, good: bool) -> None:
        event = Event("AirflowEnvironment", metadata, "Normal" if good else "Warning", reason, message)
        try:
            await self.events.post(event, moment_text(self.clock()))
        except AirwardenError as error:
            log.warning("event lost", namespace=metadata.namespace, environment=metadata.name, error=error.message)
