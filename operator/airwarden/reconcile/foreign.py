"""Looks, where the store's admin grants it, for logins beside ours that let managed accounts in.

One look an hour and backend, after a check that found the right; without the right nothing is asked and nothing
is said. Part of `airwarden.reconcile.probe`, which puts the outcome into the backend's status.
"""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Final

from airwarden.api.reasons import Reason
from airwarden.domain.conditions import Said
from airwarden.domain.errors import AirwardenError
from airwarden.domain.logins import MAX_SHOWN, Account, ForeignLogins, admitting
from airwarden.providers.ports import FOREIGN_ROLE_SCAN, Health, ScansLogins, Store

CONDITION: Final = "ForeignRoles"
INTERVAL: Final = 3600.0
"""Seconds between two looks at one store: each costs one request a role."""
RETRY: Final = 300.0
"""Seconds after a look that failed."""


class ForeignScan:
    """The looks at one store's logins."""

    def __init__(self) -> None:
        self.outcome: Said | None = None
        """None before the first look, and while the right is not there."""
        self._next = 0.0

    async def look(self, store: Store, health: Health, accounts: Iterable[Account]) -> None:
        """Look if it is granted and due. ``accounts`` are the managed ones."""
        if FOREIGN_ROLE_SCAN not in health.capabilities or not isinstance(store, ScansLogins):
            self.outcome, self._next = None, 0.0
            return
        now = asyncio.get_running_loop().time()
        if now < self._next:
            return
        try:
            found = await store.foreign_logins()
        except AirwardenError as error:
            message = f"the roles beside ours could not be read: {error.message}"
            self.outcome = Said("Unknown", Reason.UNKNOWN, message)
            self._next = now + RETRY
            return
        # Thousands of patterns may meet thousands of accounts: not on the loop that everybody shares.
        self.outcome = await asyncio.to_thread(partial(judged, found, tuple(accounts)))
        self._next = now + INTERVAL


def judged(found: ForeignLogins, accounts: Iterable[Account]) -> Said:
    """Return what a look says. Without a hit it is Unknown unless every login was looked at."""
    hits = admitting(found.logins, accounts)
    unread = f"; {found.unread} more role(s) were not looked at" if found.unread else ""
    if hits:
        more = f"; and {len(hits) - MAX_SHOWN} more role(s)" if len(hits) > MAX_SHOWN else ""
        said = "; ".join(hit.sentence for hit in hits[:MAX_SHOWN])
        return Said("True", Reason.FOREIGN_ROLES, f"{said}{more}{unread}: take the accounts out of them")
    if unread:
        return Said("Unknown", Reason.UNKNOWN, f"no role beside ours was found to name a managed account{unread}")
    return Said("False", Reason.NO_FOREIGN_ROLES, "no role beside ours names a managed account")
