"""What is told of a binding beside its status: Events on transitions, and the counters that go with them.

Called by `airwarden.reconcile.bindings` at the end of a pass. An Event that is lost is no failure of the pass.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import structlog

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.conditions import Status
from airwarden.api.metadata import Metadata
from airwarden.api.reasons import Reason
from airwarden.domain import drift
from airwarden.domain.errors import AirwardenError
from airwarden.domain.fence import runs_low
from airwarden.domain.progress import Progress
from airwarden.domain.rotation import bound
from airwarden.providers.kubernetes.events import Event, EventPoster
from airwarden.reconcile.metrics import Metrics

log = structlog.get_logger("airwarden.bindings")
Parts = Mapping[str, Progress]


class Teller:
    """Tells what changed, once."""

    def __init__(self, events: EventPoster, metrics: Metrics, now: Callable[[], str]) -> None:
        self._events = events
        self._metrics = metrics
        self._now = now

    async def changes(self, binding: AirflowSecretBinding, status: Status, progress: Parts) -> None:
        """Tell what a pass did and found, where ``binding`` has the status before it and ``status`` is the new one."""
        metadata = binding.metadata
        drifted = sorted(
            str(address)
            for part in progress.values()
            if part.changes is not None
            for address in part.changes.drifted & {each.operation.address for each in part.done}
        )
        if drifted:
            self._metrics.drift_corrected(len(drifted))
            message = f"changed from outside and set right: {', '.join(drifted)}"
            await self.tell(metadata, "Warning", Reason.DRIFT_CORRECTED.word, message)
        await self.left(metadata, progress)
        before = binding.status.summary.slots if binding.status is not None else ""
        if runs_low(status.summary.slots) and not runs_low(before):
            await self.tell(metadata, "Warning", Reason.SLOTS_LOW.word, f"slots in use: {status.summary.slots}")
        if found := drift.news(binding.status, status):
            self._metrics.drift_reported(len(found))
            await self.tell(metadata, "Warning", Reason.DRIFTED.word, drift.said(found))
        await self._transition(binding, status)
        if (wrong := bound.news(binding.status, status)) is not None:
            await self.tell(metadata, "Warning", wrong.reason, wrong.message)

    async def left(self, metadata: Metadata, progress: Parts) -> None:
        """Name what a store keeps of something removed."""
        left = [done.left for _, part in sorted(progress.items()) for done in part.done if done.left]
        if left:
            await self.tell(metadata, "Normal", Reason.LEFT_BEHIND.word, "; ".join(left))

    async def tell(self, metadata: Metadata, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Post one Event."""
        log.info("transition", namespace=metadata.namespace, binding=metadata.name, reason=reason, detail=message)
        try:
            await self._events.post(Event("AirflowSecretBinding", metadata, kind, reason, message), self._now())
        except AirwardenError as error:
            log.warning("event lost", namespace=metadata.namespace, binding=metadata.name, error=error.message)

    async def _transition(self, binding: AirflowSecretBinding, status: Status) -> None:
        before = (binding.status or Status()).condition("Ready")
        after = status.condition("Ready")
        if after is None or (before is not None and (before.status, before.reason) == (after.status, after.reason)):
            return
        if after.reason == Reason.DRIFTED.word:
            return  # told with what was changed
        kind: Literal["Normal", "Warning"] = "Normal" if after.status == "True" else "Warning"
        await self.tell(binding.metadata, kind, after.reason, after.message)
