"""What owners of our cluster have, by the marks of assignments and identities. Pure.

Called by `airwarden.providers.azure.store`, for the sweep.
"""

from collections.abc import Iterable

from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address
from airwarden.providers.azure import naming
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.identities import Known
from airwarden.providers.azure.marks import Mark, read_description, read_tags
from airwarden.providers.azure.rows import Row


def derived(place: Place, rows: Iterable[Row]) -> list[Row]:
    """Return the rows that Airwarden wrote: of the backend's role, under the name that nobody else derives.

    Whoever may assign a role can copy a mark: that is access beside ours, which is told and left.
    """
    return [each for each in rows if each.role == place.role and each.is_named_by_us]


def assigned(place: Place, uid: str, rows: Iterable[Row]) -> dict[Owner, set[Address]]:
    """Return the assignments of each owner of the cluster ``uid``."""
    found: dict[Owner, set[Address]] = {}
    for row in rows:
        mark = read_description(row.description)
        if mark is None or not _is_ours(place, uid, mark):
            continue
        found.setdefault(mark.owner, set()).add(naming.marked_address(place.backend, place, mark, row.scope))
    return found


def made(place: Place, uid: str, identities: Iterable[Known]) -> dict[Owner, set[Address]]:
    """Return the identity that was made for each owner of the cluster ``uid``."""
    marks = [mark for each in identities if (mark := read_tags(each.tags)) is not None]
    return {each.owner: {naming.identity_address(place, each.owner)} for each in marks if _is_ours(place, uid, each)}


def _is_ours(place: Place, uid: str, mark: Mark) -> bool:
    return mark.uid == uid and mark.owner.cluster == place.cluster
