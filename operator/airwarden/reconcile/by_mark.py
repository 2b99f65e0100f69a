"""What a store tells by marks alone where it cannot be looked at as a whole: access ends all the same.

Called by `airwarden.reconcile.parts` and `airwarden.reconcile.sweep` after the whole look has failed, and before it
for what no record tells.
"""

from collections.abc import Iterable

from airwarden.domain.errors import AirwardenError, MountMissing
from airwarden.domain.holdings import Holding
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address, Observed
from airwarden.providers.ports import FindsByMark
from airwarden.reconcile.backends import Runtime


async def carrying(runtime: Runtime, owner: Owner, addresses: Iterable[Address], *, known: bool) -> tuple[Address, ...]:
    """Return the addresses, and with them each at which something carries the owner's mark, in the order of removal.

    A record can be lost, with the object that had it or from it: what a mark tells is then the owner's all the same.
    """
    store, asked = runtime.store, tuple(addresses)
    if not isinstance(store, FindsByMark):
        return asked
    found = set(await store.carrying(owner, known=known)).difference(asked)
    return runtime.store.addresses(owner, [*asked, *found]) if found else asked


async def look(runtime: Runtime, owner: Owner, addresses: Iterable[Address]) -> dict[Address, Observed]:
    """Return what stands by itself at the addresses and wherever else the owner's mark is, as far as marks tell.

    Nothing where they cannot be read either. What does not come with an answer is unknown. Raises MountMissing where
    what would hold it is gone: that is known, whatever the whole look met.
    """
    store = runtime.store
    if runtime.breaker.open or not isinstance(store, FindsByMark):
        return {}
    try:
        asked = await carrying(runtime, owner, addresses, known=True)
        found = await store.marked(owner, [each for each in asked if each.kind in store.alone])
    except MountMissing:
        raise
    except AirwardenError as error:
        runtime.note_failure(error)  # what the whole look met is what is told
        return {}
    runtime.note_answer()
    return dict(found)


async def holdings(runtime: Runtime, why: AirwardenError) -> frozenset[Holding]:
    """Return what every owner has that stands by itself.

    Raises ``why`` the whole could not be looked at, where marks alone tell nothing.
    """
    if runtime.breaker.open or not isinstance(runtime.store, FindsByMark):
        raise why
    return await runtime.store.marked_holdings()
