"""Compares what the operator's principal may do at a key vault with what `airwarden azure-setup` prints. Pure.

Called by `key_vault_checks` beside this module.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from airwarden.commands.doctor.cluster_checks import Said
from airwarden.commands.doctor.facts import Facts, KeyVaultFacts, Unknown
from airwarden.commands.doctor.findings import Check, Finding, Severity, Unchecked
from airwarden.domain.logins import shortened
from airwarden.providers.azure.seen import Definition, Given
from airwarden.providers.azure.setup import Granted, granted

_AGAIN: Final = "review it, remove the role assignment, and grant what airwarden azure-setup prints"


def operator(found: KeyVaultFacts, facts: Facts) -> Said:
    """Report every role of the operator that is wider than those that are printed for its backends."""
    where = f"store {found.place.vault_name}"
    unknown = [
        each
        for each in (found.operator, found.given, found.operator_given, found.definitions)
        if isinstance(each, Unknown)
    ]
    for needs in dict.fromkeys(each.needs for each in unknown):
        yield Unchecked(Check.OPERATOR, where, needs)
    if isinstance(found.operator, Unknown) or isinstance(found.definitions, Unknown):
        return
    printed = _printed(found, facts)
    for each in _of_operator(found):
        definition = found.definitions.get(each.row.role)
        if definition is None:
            yield Unchecked(
                Check.OPERATOR, where, f"what the operator's role {each.row.role} gives is not shown to you"
            )
        elif (judged := _judged(each, definition, printed)) is not None:
            severity, problem = judged
            at = each.row.scope or "/"
            yield Finding(Check.OPERATOR, severity, where, f"{problem}, given at {at}", _AGAIN)


def _of_operator(found: KeyVaultFacts) -> Iterable[Given]:
    at_vault = () if isinstance(found.given, Unknown) else found.given
    own = [each for each in at_vault if each.row.principal == found.operator]
    elsewhere = () if isinstance(found.operator_given, Unknown) else found.operator_given
    return dict.fromkeys((*own, *elsewhere))


def _printed(found: KeyVaultFacts, facts: Facts) -> tuple[Granted, ...]:
    """Return what is printed for all backends whose operator logs in with the same client id."""
    seen = [each for each in facts.stores.values() if isinstance(each, KeyVaultFacts) and each.client == found.client]
    return tuple(one for each in (found, *seen) for one in granted(each.place))


def _judged(each: Given, role: Definition, printed: Iterable[Granted]) -> tuple[Severity, str] | None:
    """Return what is wrong with a role of the operator; None where it gives no more than what is printed."""
    here = [one for one in printed if one.scope.lower().rstrip("/") == each.row.scope]
    if not role.actions or any(_is_within(each, role, one) for one in here):
        return None
    named = shortened([role.name or each.row.role])
    if role.reads:
        return Severity.DANGER, f"the operator itself may read secrets, by role {named}"
    spare = sorted(role.actions - {action.lower() for one in here for action in one.actions})
    conditions = [one.condition for one in here if one.condition]
    if role.grants and not any(_same_text(each.condition, one) for one in conditions):
        unlike = " without the printed condition" if conditions else ""
        return Severity.DANGER, f"the operator may hand out any role{unlike}, by role {named}"
    if Definition("", ({"actions": spare},)).grants:
        return Severity.DANGER, f"the operator may give itself access by role {named}: {shortened(spare)}"
    return Severity.WARNING, f"role {named} lets the operator do what it does not need: {shortened(spare)}"


def _is_within(each: Given, role: Definition, one: Granted) -> bool:
    if not role.actions <= {action.lower() for action in one.actions} or _has_data(role.permissions):
        return False
    return not role.grants or _same_text(each.condition, one.condition)


def _has_data(permissions: Iterable[Mapping[str, object]]) -> bool:
    return any(each.get("dataActions") for each in permissions)


def _same_text(one: str, other: str) -> bool:
    return "".join(one.split()) == "".join(other.split())
