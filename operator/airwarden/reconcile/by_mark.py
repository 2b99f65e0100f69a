"""What a store tells by marks alone where it cannot be looked at as a whole: access ends all the same.

Called by `airwarden.reconcile.parts` and `airwarden.reconcile.sweep` after the whole look has failed.
"""

from collections.abc import Iterable

from airwarden.domain.errors import AirwardenError
from airwarden.domain.holdings import Holding
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address, Observed
from airwarden.providers.ports import FindsByMark
from airwarden.reconcile.backends import Runtime


async def look(runtime: Runtime, owner: Owner, addresses: Iterable[Address]) -> dict[Address, Observed]:
    """Return what stands by itself at the addresses, as far as marks tell; nothing where they cannot be read either.

    What does not come with an answer is unknown.
    """
    store = runtime.store
    asked = tuple(each for each in addresses if each.kind in store.alone)
    if not asked or runtime.breaker.open or not isinstance(store, FindsByMark):
        return {}
    try:
        found = await store.marked(owner, asked)
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
