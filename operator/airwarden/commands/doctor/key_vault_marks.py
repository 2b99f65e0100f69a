"""Whose a role assignment is, by its mark, the bindings' records and the principal that it is for. Pure.

Whoever may assign a role can write any mark into its description: so a mark counts only with a record that names the
very place, and for the very identity or group. Called by `key_vault_checks` beside this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from airwarden.commands.doctor.facts import Facts, KeyVaultFacts, StoreFacts, Unknown
from airwarden.domain import record as records
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address
from airwarden.providers.azure import naming
from airwarden.providers.azure.marks import ACCOUNT, Mark, read_description
from airwarden.providers.azure.rows import Row

Key = tuple[str, str]


class Whose(Enum):
    """What a role assignment is to this cluster."""

    OURS = auto()
    ORPHANED = auto()
    """Marked by us, and no binding accounts for it."""
    FOREIGN = auto()
    OTHER_CLUSTER = auto()
    """Marked by another cluster, which alone can tell."""
    UNSURE = auto()
    """Marked by us, and what would show that it is ours could not be looked at."""
    NOT_ASKED = auto()
    """Of a namespace or a backend that is not looked at here, or of a binding that was there a moment ago."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What is known of one binding."""

    account: str
    backends: frozenset[str]
    """Those that it names or has something recorded in."""
    recorded: frozenset[Address]


def bindings_of(facts: Facts) -> Mapping[Key, Bound]:
    """Return what each binding that can be read has on record."""
    found = {}
    for each in facts.bindings.items:
        key = (each.metadata.namespace, each.metadata.name)
        account = each.spec.service_account.name
        recorded = records.derived(records.recorded(each.status), Owner(facts.cluster, *key), account)
        named = {one.backend_ref.name for one in each.spec.secrets} | {one.backend for one in recorded}
        found[key] = Bound(account, frozenset(named), frozenset(recorded))
    return found


def accounts_for(bound: Mapping[Key, Bound], owner: Owner, facts: Facts) -> bool | None:
    """Tell whether a binding uses what this owner has; None where that is not known or was not asked."""
    key = (owner.namespace, owner.binding)
    if facts.namespace and owner.namespace != facts.namespace:
        return None
    if (known := bound.get(key)) is not None:
        return owner.backend in known.backends
    return None if key in facts.bound else False


def whose(row: Row, found: KeyVaultFacts, facts: Facts, bound: Mapping[Key, Bound]) -> tuple[Whose, str]:
    """Return whose an assignment is, and for one that is not ours what is to be said of its mark."""
    mark = read_description(row.description)
    if mark is None:
        return Whose.FOREIGN, ""
    if (mark.uid, mark.owner.cluster) != (found.uid, found.place.cluster):
        cluster = f"cluster {mark.owner.cluster} with uid {mark.uid}"
        return Whose.OTHER_CLUSTER, f", under the mark of binding {mark.owner} of {cluster}"
    if mark.owner.backend != found.place.backend and (elsewhere := _of_another_backend(mark, found, facts)):
        return elsewhere
    address = _address(row, mark, found)
    if address is None:
        return Whose.FOREIGN, f", under the mark of binding {mark.owner}, whose backend gives no such role there"
    accounted = accounts_for(bound, mark.owner, facts)
    if not accounted:
        return _unaccounted(mark.owner, facts, accounted)
    return _recorded(row, mark, bound[mark.owner.namespace, mark.owner.binding], address, found)


def _unaccounted(owner: Owner, facts: Facts, accounted: bool | None) -> tuple[Whose, str]:
    if accounted is False:
        return Whose.ORPHANED, ""
    unreadable = str(owner) in facts.bindings.unreadable
    return (Whose.UNSURE, f"binding {owner} cannot be read") if unreadable else (Whose.NOT_ASKED, "")


def is_orphan(row: Row, found: KeyVaultFacts, facts: Facts, bound: Mapping[Key, Bound]) -> bool:
    """Tell whether an assignment is what the backend gives, under our mark, and no binding accounts for it."""
    return whose(row, found, facts, bound)[0] is Whose.ORPHANED


def _recorded(row: Row, mark: Mark, known: Bound, address: Address, found: KeyVaultFacts) -> tuple[Whose, str]:
    """Return whose an assignment is that a binding may have."""
    said = f", under the mark of binding {mark.owner}"
    if address not in known.recorded:
        return Whose.FOREIGN, f"{said}, which has no such thing on its record"
    if mark.whom != ACCOUNT:
        is_group = naming.whom_of(row.principal) == mark.whom
        return (Whose.OURS, "") if is_group else (Whose.FOREIGN, f"{said}, for a group that it does not name")
    if isinstance(found.identities, Unknown):
        return Whose.UNSURE, found.identities.needs
    name = found.place.existing.get((mark.owner.namespace, known.account), mark.owner.short_name_in_store)
    if any((each.name, each.principal) == (name, row.principal) for each in found.identities):
        return Whose.OURS, ""
    return Whose.FOREIGN, f"{said}, for something else than its identity"


def _of_another_backend(mark: Mark, found: KeyVaultFacts, facts: Facts) -> tuple[Whose, str] | None:
    """Return what an assignment marked for another backend is here; None where that backend is no more."""
    backend = mark.owner.backend
    if not isinstance(facts.all_backends, Unknown) and backend not in facts.all_backends:
        return None
    theirs = facts.stores.get(backend)
    if isinstance(theirs, KeyVaultFacts) and theirs.place.vault_id == found.place.vault_id:
        return Whose.NOT_ASKED, ""  # it is judged there
    if isinstance(theirs, KeyVaultFacts | StoreFacts):
        said = f", under the mark of binding {mark.owner} by backend {backend}, which is for another store"
        return Whose.FOREIGN, said
    return Whose.UNSURE, f"backend {backend}, whose mark some of them carry, was not looked at"


def _address(row: Row, mark: Mark, found: KeyVaultFacts) -> Address | None:
    """Return where a binding would have the assignment; None where its backend gives no such thing."""
    below = row.scope.removeprefix(found.place.vault_id)
    if row.scope != found.place.vault_id and not below.startswith("/secrets/"):
        return None
    if mark.owner.backend == found.place.backend and row.role != found.place.role:
        return None
    return naming.marked_address(mark.owner.backend, found.place, mark, row.scope)
