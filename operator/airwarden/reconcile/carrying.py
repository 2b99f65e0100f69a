"""Keeps on a binding's account what its stores ask for: annotations by which their own clients log in.

They are known only when the stores have been written, so this comes after them. Called by
`airwarden.reconcile.bindings`.
"""

from collections.abc import Mapping

from airwarden.api.binding import AccountMode
from airwarden.domain.desired import Plan
from airwarden.domain.errors import AirwardenError
from airwarden.domain.progress import CLUSTER, Fault, Progress
from airwarden.providers.kubernetes.accounts import Accounts
from airwarden.reconcile.backends import Backends
from airwarden.reconcile.cache import Cache


def annotations_of(plan: Plan, backends: Backends) -> dict[str, str]:
    """Return what the stores of a plan ask for; where two ask for one name, the first by name has it. No request."""
    wanted: dict[str, str] = {}
    for name in sorted(plan.grants):
        if (found := backends.runtime(name)) is not None:
            wanted = {**found.store.annotations(plan.owner.at(name)), **wanted}
    return wanted


async def carry(
    plan: Plan, progress: Mapping[str, Progress], backends: Backends, cache: Cache, accounts: Accounts
) -> Progress:
    """Write what the account must carry and does not; return the cluster's part with the fault, if that failed.

    Only where every part is complete: what a store did not tell yet is not taken for nothing.
    """
    part = progress[CLUSTER]
    known = cache.accounts.get((plan.owner.namespace, plan.account))
    if plan.account_mode is AccountMode.EXTERNAL or known is None:
        return part
    if not all(each.complete for each in progress.values()):
        return part
    wanted = annotations_of(plan, backends)
    if wanted == dict(known.carried):
        return part
    try:
        cache.learn_account(await accounts.carry(known, wanted))
    except AirwardenError as error:
        return Progress(
            CLUSTER, part.changes, part.digests, part.done, part.failed, Fault.of(error, doing="annotating the account")
        )
    return part
