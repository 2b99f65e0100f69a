"""Removes service accounts that a binding made and left: the cluster's part of the sweep.

An account goes after everything in the stores: a role there names it by name, so a name that is free could be taken
by somebody else. One for the process, started by `airwarden.operator_process`. When an orphan was first seen is
kept in memory: a restart only makes it live longer.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from airwarden.domain.errors import AirwardenError
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Action, Claim, Operation
from airwarden.domain.sweep import Key, held_back, read_time, show_time
from airwarden.providers.kubernetes.accounts import BINDING, CLUSTER_LABEL, MANAGED_BY, Account, Accounts
from airwarden.providers.kubernetes.live import LiveBinding, LiveObjects
from airwarden.reconcile.sweep import SweepTools

log = structlog.get_logger("airwarden.sweep")

_LONGEST_FIRST: Final = 600.0
"""Seconds after the start within which the first look is: the stores are swept before."""


def made_by_us(account: Account, cluster: str) -> bool:
    """Tell whether a binding of this cluster made the account: by all of its labels, and by our own write of it."""
    labels = account.labels
    return labels.get(CLUSTER_LABEL) == cluster and labels.get(MANAGED_BY) == "airwarden" and account.written_by_us


def orphaned(accounts: list[Account], bindings: Mapping[Key, LiveBinding], cluster: str) -> tuple[list[Account], int]:
    """Return the accounts of ours that no binding names or has on its record, and how many there are of ours."""
    ours = [each for each in accounts if made_by_us(each, cluster)]
    return [each for each in ours if not _owned(each, bindings.get(key_of(each)))], len(ours)


def key_of(account: Account) -> Key:
    """Return the binding that the account's label names."""
    return (account.namespace, account.labels.get(BINDING, ""))


def _owned(account: Account, binding: LiveBinding | None) -> bool:
    return binding is not None and account.name in binding.accounts


async def delete_account(account: Account, cluster: str, live: LiveObjects, accounts: Accounts) -> str:
    """Delete one account if it is still the same and still without a binding; return why not, empty when deleted."""
    namespace, binding = key_of(account)
    if _owned(account, await live.binding(namespace, binding)):
        return "a binding owns it again"
    owner = Owner(cluster, namespace, binding)
    found = await accounts.read(owner, account.name)
    if found is None:
        return ""
    if found.uid != account.uid or not made_by_us(found, cluster) or found.claim(owner) is not Claim.OURS:
        return "it is another account by now"
    observed = found.observed(owner)
    await accounts.apply(owner, Operation(Action.DELETE, observed.address, None, observed))
    return ""


@dataclass(slots=True)
class AccountSweep:
    """Sweeps the cluster's accounts again and again."""

    cluster: str
    tools: SweepTools
    accounts: Accounts
    first_seen: dict[str, str] = field(default_factory=dict)
    """By uid, RFC 3339."""

    async def run(self) -> None:
        """Sweep until cancelled."""
        pause = min(self.tools.interval * 2, _LONGEST_FIRST)
        while True:
            await asyncio.sleep(pause * random.uniform(0.9, 1.1))  # noqa: S311 - spread, not a secret
            pause = self.tools.interval
            try:
                await self.sweep()
            except AirwardenError as error:
                log.warning("sweep of accounts failed", reason=error.reason.word, error=error.message)

    async def sweep(self) -> None:
        """Look once, and delete what may go. Raises when the API server does not give its whole lists."""
        accounts = await self.tools.live.accounts()
        bindings = await self.tools.live.bindings()
        orphans, ours = orphaned(accounts, bindings, self.cluster)
        now = self.tools.clock()
        self.first_seen = {each.uid: self.first_seen.get(each.uid, show_time(now)) for each in orphans}
        if held := held_back(len(orphans), ours, bindings=len(bindings)):
            log.warning("accounts are not swept: run airwarden sweep --delete if that is right", why=held)
            return
        for each in orphans:
            ripe = (now - read_time(self.first_seen[each.uid])).total_seconds() >= self.tools.grace
            if ripe and self._stores_are_clear(key_of(each)):
                await self._delete(each)

    def _stores_are_clear(self, key: Key) -> bool:
        """Tell whether every store was swept since the start, and none has anything left of the binding."""
        swept = [self.tools.board.get(name) for name in self.tools.backends.names()]
        named = "/".join(key)
        return all(
            found is not None
            and found.status == "True"
            and found.count == len(found.orphans)
            and all(orphan.name != named and not orphan.name.startswith(f"{named}/") for orphan in found.orphans)
            for found in swept
        )

    async def _delete(self, account: Account) -> None:
        async with self.tools.locks.take(key_of(account)):
            note = await delete_account(account, self.cluster, self.tools.live, self.accounts)
        if note:
            log.warning("account not swept", namespace=account.namespace, account=account.name, why=note)
        else:
            self.tools.metrics.swept()
            log.info("swept", namespace=account.namespace, account=account.name)
