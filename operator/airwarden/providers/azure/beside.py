"""What gives access beside what Airwarden gives: another way into an identity that it made, or more than it assigned.

All of it comes from lists that were read for other ends, so looking costs no request. It is told and left: it is not
ours to remove. Called by `airwarden.providers.azure.store` and the checks beside it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from airwarden.api.reasons import Reason
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address
from airwarden.providers.azure import naming
from airwarden.providers.azure.assignments import Assignments
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.identities import Credential, Identities, Known
from airwarden.providers.azure.marks import ACCOUNT, Mark, read_description, read_tags
from airwarden.providers.azure.rows import Row
from airwarden.providers.ports import Note

_NAMED: Final = 3
_LONGEST: Final = 120


class Beside:
    """What is known of one backend: what its bindings asked for, and what Azure showed last."""

    def __init__(self, place: Place, identities: Identities, assignments: Assignments) -> None:
        self._place = place
        self._identities = identities
        self._assignments = assignments
        self._asked: dict[str, frozenset[Address]] = {}
        """What an owner wants or has on its record, by the owner's short name."""

    def asked(self, owner: Owner, addresses: Iterable[Address]) -> None:
        """Take in all that an owner wants or has on its record; a look at a part of it tells nothing."""
        found = frozenset(addresses)
        if any(each.kind == naming.CREDENTIAL for each in found):
            self._asked[owner.short_name_in_store] = found

    def note(self, uid: str) -> Note | None:
        """Return what to say of it for the cluster ``uid``; None when there is nothing."""
        made, rows = owners_of(self._identities.seen(), self._place, uid), self._assignments.seen()
        marks = {mark.owner.short_name_in_store for each in rows if (mark := read_description(each.description))}
        living = marks | {each.short_name_in_store for _, each in made.values()}
        self._asked = {short: each for short, each in self._asked.items() if short in living}
        found = sorted(
            (*other_credentials(made, self._identities.held), *more_assigned(made, rows, self._asked, self._place, uid))
        )
        if not found:
            return None
        more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        message = f"{'; '.join(found[:_NAMED])}{more}. Airwarden made none of that and leaves it: remove it by hand"
        return Note("AccessBeside", Reason.ACCESS_BESIDE, message)


Made = Mapping[str, tuple[Known, Owner]]
"""Identities that Airwarden made, and for whom, by their principal."""


def owners_of(identities: Iterable[Known], place: Place, uid: str) -> Made:
    """Return the identities that were made for bindings of this backend in the cluster ``uid``."""
    marks = ((each, read_tags(each.tags)) for each in identities)
    return {
        each.principal: (each, mark.owner) for each, mark in marks if mark is not None and _is_ours(mark, place, uid)
    }


def other_credentials(made: Made, held: Mapping[str, Iterable[Credential]]) -> Iterable[str]:
    """Return the credentials of identities that were made, but for the one of the binding's account."""
    for identity, owner in made.values():
        for each in held.get(identity.name.lower(), ()):
            if each.name != owner.short_name_in_store:
                yield (
                    f"credential {_cut(each.name)} lets {_cut(each.subject)} of {_cut(each.issuer)} log in as the "
                    f"identity {identity.name} of binding {owner}"
                )


def more_assigned(
    made: Made, rows: Iterable[Row], asked: Mapping[str, frozenset[Address]], place: Place, uid: str
) -> Iterable[str]:
    """Return what is assigned to an identity that was made, or under a mark of ours, and nobody asked for.

    What carries the mark of an owner that was not looked at yet counts as asked for.
    """
    for row in rows:
        mark = read_description(row.description)
        mark = mark if mark is not None and _is_ours(mark, place, uid) else None
        known = made.get(row.principal)
        owner = known[1] if known is not None else mark.owner if mark is not None else None
        if owner is None:
            continue
        wanted = asked.get(owner.short_name_in_store)
        theirs = mark is not None and mark.owner == owner
        address = _address(place, owner, row, mark.whom if mark is not None and theirs else ACCOUNT)
        if row.role != place.role or not (address in wanted if wanted is not None else theirs):
            whom = (
                f"the identity of binding {owner}" if known is not None else f"{row.principal}, as for binding {owner}"
            )
            yield f"role assignment {row.name} gives role {row.role} at {_where(place, row)} to {whom}"


def _address(place: Place, owner: Owner, row: Row, whom: str) -> Address | None:
    secret = row.scope.removeprefix(place.vault_id)
    if row.scope != place.vault_id and not secret.startswith("/secrets/"):
        return None  # above the vault, or beside its secrets
    name = f"{owner.short_name_in_store}/{secret.removeprefix('/secrets/') or naming.WHOLE}"
    return Address(place.backend, naming.ASSIGNMENT, name if whom == ACCOUNT else f"{name}#{whom}")


def _where(place: Place, row: Row) -> str:
    if row.scope == place.vault_id:
        return "the whole vault"
    below = row.scope.removeprefix(f"{place.vault_id}/secrets/")
    return _cut(row.scope if below == row.scope else f"secret {below}")


def _is_ours(mark: Mark, place: Place, uid: str) -> bool:
    return mark.uid == uid and (mark.owner.cluster, mark.owner.backend) == (place.cluster, place.backend)


def _cut(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
