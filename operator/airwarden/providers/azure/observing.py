"""From the rows of a vault to what is observed at one owner's addresses: whose is it, and what does it give? Pure.

Called by `airwarden.providers.azure.store`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from airwarden.domain.identity import Expected, refuse_other_cluster
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address, Claim, FieldValue, Observed
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.identities import Credential, Known, of_another, two_accounts
from airwarden.providers.azure.marks import ACCOUNT, OWNER_TAG, description, read_description, read_tags, tags
from airwarden.providers.azure.naming import Target, read_target, scope_of, whom_of
from airwarden.providers.azure.rows import Row

ACCOUNT_TYPE: Final = "ServicePrincipal"
GROUP_TYPE: Final = "Group"


@dataclass(frozen=True, slots=True)
class Principal:
    """For whom an assignment is: an identity by its name, or a group by its object id."""

    shown: str
    """What stands in the fields: a name that is known before the identity is made."""
    id: str
    """Object id; empty while there is none."""


def identity_fields(owner: Owner, uid: str) -> dict[str, FieldValue]:
    """Return an identity as it should be: its tags that are ours."""
    return dict(tags(owner, uid))


def observed_identity(address: Address, owner: Owner, known: Known | None, expected: Expected) -> Observed:
    """Return what an identity is. Raises ClusterIDConflict for one of a cluster of our name."""
    if known is None:
        return Observed(address, None)
    mark = read_tags(known.tags)
    if mark is not None and mark.owner == owner:
        refuse_other_cluster(expected, owner.cluster, mark.uid, f"identity {known.name}")
    wanted = identity_fields(owner, expected.cluster_uid)
    fields: dict[str, FieldValue] = {name: known.tags.get(name, "") for name in wanted}
    if mark is not None:
        claim = Claim.OURS if mark.owner == owner else Claim.FOREIGN
    else:
        claim = Claim.UNMARKED if not known.tags.get(OWNER_TAG) else Claim.FOREIGN
    return Observed(address, fields, claim, known.id)


def credential_fields(credential: Credential) -> dict[str, FieldValue]:
    """Return a federated credential's fields."""
    return {"issuer": credential.issuer, "subject": credential.subject, "audiences": credential.audiences}


def observed_credential(
    address: Address, name: str, wanted: Credential | None, found: tuple[Credential, ...]
) -> Observed:
    """Return what an identity's credentials have under the owner's name, which nobody else derives."""
    named = next((each for each in found if each.name == name), None)
    if named is not None:
        return Observed(address, credential_fields(named), Claim.OURS)
    if wanted is None:
        return Observed(address, None)
    same = next((each for each in found if (each.issuer, each.subject) == (wanted.issuer, wanted.subject)), None)
    if same is not None:
        why = (
            f"credential {same.name} of the same identity is for this account already, and Azure permits no second: "
            "remove it, and Airwarden makes its own"
        )
        return Observed(address, credential_fields(same), Claim.FOREIGN, held_by=why)
    other = of_another(wanted, found)
    if other is None:
        return Observed(address, None)
    return Observed(address, credential_fields(other), Claim.FOREIGN, held_by=two_accounts(other))


def assignment_fields(place: Place, principal: str, kind: str, mark: str) -> dict[str, FieldValue]:
    """Return a role assignment as it should be; ``principal`` is what `Principal.shown` says."""
    return {"principal": principal, "principalType": kind, "role": place.role, "description": mark, "stale": ()}


def group_of(place: Place, target: Target, rows: Iterable[Row]) -> str:
    """Return the group whose digits a target has, as far as something is assigned to it there; else nothing."""
    here = rows_at(place, target, rows)
    return next((each.principal for each in here if whom_of(each.principal) == target.whom), "")


def may_have_lost_its_mark(place: Place, address: Address, rows: Iterable[Row]) -> bool:
    """Tell whether a row without a mark may be an account's at the address: only its principal says that."""
    target = read_target(address)
    if target is None or target.whom != ACCOUNT:
        return False
    here = rows_at(place, target, rows)
    return any(each.is_named_by_us and read_description(each.description) is None for each in here)


def rows_at(place: Place, target: Target, rows: Iterable[Row]) -> list[Row]:
    """Return the rows of the backend's role at the very scope of a target.

    The operator may take back no other role: one that carries our mark would fail each pass.
    """
    scope = scope_of(place, target.secret)
    return [each for each in rows if each.scope == scope and each.role == place.role]


def marked_for(target: Target, rows: Iterable[Row], backend: str, uid: str) -> list[Row]:
    """Return the rows that carry the mark of the target's owner in the cluster ``uid``, for the same account or group.

    Whoever may assign a role at a secret can write any text there, also our owner's name with another cluster's uid.
    """
    found = []
    for row in rows:
        mark = read_description(row.description)
        if mark is None or mark.whom != target.whom or mark.owner.backend != backend or mark.uid != uid:
            continue
        if mark.owner.short_name_in_store == target.short:
            found.append(row)
    return found


def observed_assignment(
    address: Address,
    owner: Owner,
    target: Target,
    principal: Principal,
    rows: Iterable[Row],
    around: tuple[Place, Expected],
) -> Observed:
    """Return what is assigned at an address. Another's mark makes it foreign, whatever name is in it."""
    place, expected = around
    here = rows_at(place, target, rows)
    mine = marked_for(target, here, place.backend, expected.cluster_uid)
    wanted = (principal.id, place.role)
    main = next((each for each in here if principal.id and (each.principal, each.role) == wanted), None)
    stale = tuple(sorted(each.name for each in mine if main is None or each.name != main.name))
    if main is None:
        if not mine:
            return Observed(address, None)
        # Ours, and for a principal or a role that it is no longer for: an identity that was made anew, for one.
        fields = _fields(mine[0], mine[0].principal, stale)
        return Observed(address, fields, Claim.OURS, mine[0].id)
    fields = _fields(main, principal.shown, stale)
    mark = read_description(main.description)
    if mark is not None and main in mine:
        return Observed(address, fields, Claim.OURS, main.id)
    own = description(owner, expected.cluster_uid, target.whom)
    if is_lent(main, target, place, expected.cluster_uid):
        return Observed(address, {**fields, "description": own}, Claim.OURS, main.id, shared=True)
    if mark is None and main.is_named_by_us:
        marked = {**fields, "description": own}
        return Observed(address, fields, Claim.UNMARKED, main.id, as_marked=marked)
    return Observed(address, fields, Claim.FOREIGN, main.id, held_by=_foreign(main, expected.cluster_uid))


def is_lent(row: Row, target: Target, place: Place, uid: str) -> bool:
    """Tell whether a group's assignment was made for another binding of the same backend, by the cluster ``uid``.

    There can be no second, and for the group it is the same: it counts as given.
    """
    mark = read_description(row.description)
    if mark is None or target.whom == ACCOUNT or mark.owner.short_name_in_store == target.short:
        return False
    found = (mark.owner.cluster, mark.owner.backend, mark.uid, mark.whom)
    return found == (place.cluster, place.backend, uid, target.whom)


def refuse_twin(owner: Owner, identity: Known, rows: Iterable[Row], around: tuple[Place, Expected]) -> None:
    """Raise ClusterIDConflict where a cluster of our name uses a shared identity for the same owner, and ours does not.

    An identity that Airwarden made says by its tag whose it is; a shared one says nothing. One mark of our own shows
    that we were here: what another wrote beside it is foreign, and keeps nothing of ours from being removed.
    """
    place, expected = around
    marks = [
        (row, mark)
        for row in rows
        if row.principal == identity.principal
        and (mark := read_description(row.description)) is not None
        and (mark.owner, mark.owner.backend) == (owner, place.backend)
    ]
    if any(mark.uid == expected.cluster_uid for _, mark in marks):
        return
    for row, mark in marks:
        refuse_other_cluster(expected, owner.cluster, mark.uid, f"role assignment {row.name}")


def _fields(row: Row, principal: str, stale: tuple[str, ...]) -> dict[str, FieldValue]:
    return {
        "principal": principal,
        "principalType": row.principal_type,
        "role": row.role,
        "description": row.description,
        "stale": stale,
    }


def _foreign(row: Row, uid: str) -> str:
    mark = read_description(row.description)
    if mark is not None and mark.uid == uid:
        return (
            f"role assignment {row.name} gives the same, and binding {mark.owner} has it by backend "
            f"{mark.owner.backend}: Azure permits no second, so let both bindings name one backend"
        )
    if mark is not None:
        whose = f"it belongs to binding {mark.owner} of cluster {mark.owner.cluster} with uid {mark.uid}"
    else:
        whose = "it was not made by Airwarden"
    return f"role assignment {row.name} gives the same, and {whose}: remove it, and Airwarden makes its own"


def readable_keys(observed: Mapping[Address, Observed], targets: Mapping[Address, Target]) -> frozenset[str]:
    """Return the secrets that the observed assignments open to the account."""
    return frozenset(
        target.secret for address, target in targets.items() if target.whom == ACCOUNT and not observed[address].absent
    )
