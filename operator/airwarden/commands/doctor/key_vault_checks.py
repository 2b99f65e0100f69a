"""Checks of a key vault: who else may read it, what no binding owns, and how the vault itself is kept. Pure.

Called by `store_checks` beside this module.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from airwarden.commands.doctor.cluster_checks import Said
from airwarden.commands.doctor.facts import Facts, KeyVaultFacts, Unknown
from airwarden.commands.doctor.findings import Check, Finding, Severity, Unchecked
from airwarden.commands.doctor.key_vault_marks import Bound, Key, Whose, accounts_for, bindings_of, is_orphan, whose
from airwarden.commands.doctor.key_vault_operator import operator
from airwarden.domain.logins import shortened
from airwarden.domain.owner import Owner
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.marks import Mark, read_description, read_tags
from airwarden.providers.azure.seen import Definition, Given

MOST: Final = 20
"""How many others one vault's findings name before they say how many more there are."""
_TAKE_AWAY: Final = (
    "remove the role assignment where it is not needed: what it gives, no binding shows and nothing ends"
)
_ASSIGNMENT: Final = "role assignment"
_MANAGEMENT: Final = "/providers/microsoft.management/managementgroups/"


@dataclass(frozen=True, slots=True, order=True)
class _Other:
    """What one principal may do by one role, wherever it is given."""

    rank: int
    """Place of the severity, the worst first."""
    sentence: str
    said: str = ""
    """What is to be said of a mark."""


def key_vault(found: KeyVaultFacts, facts: Facts) -> Said:
    """Report everything about one vault."""
    bound = bindings_of(facts)
    yield from _state(found)
    yield from _logins(found, facts, bound)
    yield from _leftovers(found, facts, bound)
    yield from _audit(found)
    yield from operator(found, facts)


def _name(found: KeyVaultFacts) -> str:
    return f"backend {found.place.backend}"


def _vault(found: KeyVaultFacts) -> str:
    return f"store {found.place.vault_name}"


def _logins(found: KeyVaultFacts, facts: Facts, bound: Mapping[Key, Bound]) -> Said:
    name, given, definitions = _name(found), found.given, found.definitions
    if isinstance(given, Unknown) or isinstance(definitions, Unknown):
        for each in (given, definitions):
            if isinstance(each, Unknown):
                yield Unchecked(Check.LOGINS, name, each.needs)
        return
    if not isinstance(found.state, Unknown) and not found.state.rbac:
        needs = "the vault decides by access policies, which are not judged: see them with az keyvault show"
        yield Unchecked(Check.LOGINS, name, needs)
        return
    acting = [each for each in given if _place(each.row.scope, found.place)]
    if unknown := sorted({each.row.role for each in acting} - definitions.keys()):
        yield Unchecked(Check.LOGINS, name, f"what role(s) {shortened(unknown)} give is not shown to you")
    known = [(each, definitions[each.row.role]) for each in acting if each.row.role in definitions]
    yield from _beside([pair for pair in known if pair[0].row.principal != found.operator], found, facts, bound)


def _beside(
    given: Iterable[tuple[Given, Definition]], found: KeyVaultFacts, facts: Facts, bound: Mapping[Key, Bound]
) -> Said:
    """Report what is given to others, one finding for each principal and role."""
    identities = () if isinstance(found.identities, Unknown) else found.identities
    names = {each.principal: f" (identity {each.name})" for each in identities}
    others: dict[_Other, list[str]] = defaultdict(list)
    unsure: dict[str, int] = defaultdict(int)
    for each, definition in given:
        is_whose, said = whose(each.row, found, facts, bound)
        if is_whose is Whose.UNSURE:
            unsure[said] += 1
        elif is_whose in {Whose.FOREIGN, Whose.OTHER_CLUSTER} and (
            other := _judged(each, definition, found.place, is_whose, (names.get(each.row.principal, ""), said))
        ):
            others[other].append(_place(each.row.scope, found.place))
    for needs, count in unsure.items():
        yield Unchecked(Check.LOGINS, _name(found), f"whose {count} marked role assignment(s) are: {needs}")
    yield from _told(_name(found), others, found.place)


def _judged(each: Given, role: Definition, place: Place, is_whose: Whose, words: tuple[str, str]) -> _Other | None:
    """Return what a role assignment that is not ours lets its principal do; None where it is nothing that counts.

    ``words`` name the principal, where it is one of the identities, and tell of the mark.
    """
    name, said = words
    who = f"{each.row.principal_type or 'principal'} {each.row.principal}{name}"
    named = shortened([role.name or each.row.role])
    ranks = list(Severity)
    if role.reads:
        severity = Severity.WARNING if is_whose is Whose.OTHER_CLUSTER else Severity.DANGER
        return _Other(ranks.index(severity), f"{who} may read secrets by role {named}", said)
    if role.grants:
        below = each.row.scope.startswith(place.vault_id)
        condition = ", under a condition that was not judged" if each.condition else ""
        rank = ranks.index(Severity.WARNING if below else Severity.HINT)
        return _Other(rank, f"{who} may give themselves access by role {named}", condition + said)
    return None


def _told(name: str, others: Mapping[_Other, list[str]], place: Place) -> Said:
    ordered = sorted(others)
    for each in ordered[:MOST]:
        problem = f"{each.sentence}, given at {shortened(sorted(others[each]))}{each.said}"
        yield Finding(Check.LOGINS, list(Severity)[each.rank], name, problem, _TAKE_AWAY)
    if left := ordered[MOST:]:
        yield Finding(
            Check.LOGINS,
            list(Severity)[left[0].rank],
            name,
            f"{len(left)} more role(s) of principals let them read secrets, or give themselves access",
            f"see all with az role assignment list --include-inherited --scope {place.vault_id}",
        )


def _place(scope: str, place: Place) -> str:
    """Return where a role is given, in words; empty for a place from which it does not act on secrets."""
    vault = place.vault_id
    if scope == vault:
        return "the whole vault"
    if scope.startswith(f"{vault}/"):
        below = scope.removeprefix(f"{vault}/")
        return f"secret {below.removeprefix('secrets/')}" if below.startswith("secrets/") else ""
    if scope == "":
        return "the root of the tenant"
    if scope.startswith(_MANAGEMENT):
        return f"management group {scope.removeprefix(_MANAGEMENT)}"
    if not vault.startswith(f"{scope}/"):
        return ""
    parts = scope.split("/")
    return f"resource group {parts[4]}" if len(parts) > 4 else f"subscription {parts[-1]}"


def _leftovers(found: KeyVaultFacts, facts: Facts, bound: Mapping[Key, Bound]) -> Said:
    name = _name(found)
    left: dict[Owner, list[str]] = defaultdict(list)
    if isinstance(found.given, Unknown):
        yield Unchecked(Check.LEFTOVERS, name, found.given.needs)
    else:
        for each in found.given:
            mark = read_description(each.row.description)
            if mark is not None and is_orphan(each.row, found, facts, bound):
                left[mark.owner].append(_ASSIGNMENT)
    if isinstance(found.identities, Unknown):
        yield Unchecked(Check.LEFTOVERS, name, found.identities.needs)
    else:
        for identity in found.identities:
            mark = read_tags(dict(identity.tags))
            if mark is not None and _is_left(mark, found, facts, bound):
                left[mark.owner].append("identity")
    for owner in sorted(left):
        nobodys = owner.backend != found.place.backend
        yield Finding(
            Check.LEFTOVERS,
            Severity.WARNING,
            _vault(found),
            f"{_counted(left[owner])} of binding {owner} belong to no binding"
            + (f", and there is no backend {owner.backend}" if nobodys else ""),
            "airwarden sweep shows what it is, and removes it with --delete",
        )


def _is_left(mark: Mark, found: KeyVaultFacts, facts: Facts, bound: Mapping[Key, Bound]) -> bool:
    """Tell whether an identity was made for a binding of ours that is not there any more."""
    owner = mark.owner
    if (mark.uid, owner.cluster) != (found.uid, found.place.cluster):
        return False
    nobodys = not isinstance(facts.all_backends, Unknown) and owner.backend not in facts.all_backends
    return (owner.backend == found.place.backend or nobodys) and accounts_for(bound, owner, facts) is False


def _counted(kinds: Iterable[str]) -> str:
    """Return what is left of one owner: as many assignments, and the one identity, if it is there."""
    given = list(kinds)
    count = given.count(_ASSIGNMENT)
    said = ([f"{count} {_ASSIGNMENT}(s)"] if count else []) + (["the identity"] if len(given) > count else [])
    return " and ".join(said)


def _state(found: KeyVaultFacts) -> Said:
    name, place = _name(found), found.place
    if isinstance(found.state, Unknown):
        yield Unchecked(Check.BACKENDS, name, found.state.needs)
        return
    update = f"az keyvault update --name {place.vault_name}"
    told = (
        (
            not found.state.rbac,
            Severity.WARNING,
            "decides by access policies: no role assignment gives anything there",
            f"give all who use it the roles that they need, then {update} --enable-rbac-authorization true",
        ),
        (
            found.state.for_templates,
            Severity.WARNING,
            "hands secrets to deployments of templates, so whoever may deploy with it reads them without a role for it",
            f"{update} --enabled-for-template-deployment false",
        ),
        (
            not found.state.soft_delete,
            Severity.WARNING,
            "has no soft delete: what is deleted is gone at once",
            f"{update} --enable-soft-delete true",
        ),
        (
            not found.state.purge_protection,
            Severity.HINT,
            "has no purge protection: who may purge removes deleted secrets, or the vault, for good",
            f"{update} --enable-purge-protection true, which cannot be undone",
        ),
        (
            not found.state.restricted,
            Severity.HINT,
            "can be reached from every network, so a stolen token works from anywhere",
            f"let in the pods' network alone: az keyvault network-rule add, then {update} --default-action Deny",
        ),
    )
    for so, severity, problem, step in told:
        if so:
            yield Finding(Check.BACKENDS, severity, name, f"vault {place.vault_name} {problem}", step)


def _audit(found: KeyVaultFacts) -> Said:
    if isinstance(found.audit, Unknown):
        yield Unchecked(Check.AUDIT, _vault(found), found.audit.needs)
    elif not found.audit.as_declared:
        yield Finding(
            Check.AUDIT,
            Severity.WARNING,
            _vault(found),
            f"no diagnostic setting sends its audit log where backend {found.place.backend} asks for",
            "see SharedFailed of the backend, and the operator's right to diagnosticSettings there",
        )
    elif not found.audit.anywhere:
        yield Finding(
            Check.AUDIT,
            Severity.HINT,
            _vault(found),
            "no diagnostic setting keeps its audit log, so nobody can tell afterwards who read what",
            "give the backend azureKeyVault.diagnostics, or make a setting with category AuditEvent",
        )
