"""Keeps what all bindings of a backend share in its store: made with the first of them, removed with the last.

Called by `airwarden.reconcile.probe` after each check that found the store well, and before a backend may go.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from airwarden.api.reasons import Reason
from airwarden.domain.errors import AirwardenError
from airwarden.providers.ports import KeepsShared, Note, Store

log = structlog.get_logger("airwarden.backends")
FAILED: Final = "SharedFailed"
"""Type of the condition that says why it is not as it should be."""


class SharedThings:
    """What is known of one backend's."""

    def __init__(self) -> None:
        self.note: Note | None = None
        """Why it is not as it should be; None when it is, or there is none."""

    async def keep(self, store: Store, users: int, live_users: Callable[[], Awaitable[bool]]) -> bool:
        """Have the store keep it; True unless that failed. Only a live list says that nobody uses the backend."""
        if not isinstance(store, KeepsShared):
            return True
        try:
            await store.keep_shared(used=bool(users) or await live_users())
        except AirwardenError as error:
            log.warning("what bindings share is not kept", reason=error.reason.word, error=error.message)
            self.note = Note(FAILED, Reason.DIAGNOSTICS_FAILED, error.message)
            return False
        self.note = None
        return True
