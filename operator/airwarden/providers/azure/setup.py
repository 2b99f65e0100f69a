"""What an Azure administrator grants the operator for one backend: two custom roles, and one that only looks.

The role at the vault may hand out the backend's role and no other: a condition on its assignment holds it to that.
Pure; printed by `airwarden azure-setup`.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.rights import at_identities, at_vault, looking


@dataclass(frozen=True, slots=True)
class Granted:
    """One custom role, and where the operator gets it."""

    name: str
    about: str
    actions: tuple[str, ...]
    assignable: str
    """Resource group or subscription in which the role can be assigned."""
    scope: str
    condition: str = ""
    optional: bool = False

    def definition(self) -> Mapping[str, object]:
        """Return the role as az takes it."""
        return {
            "Name": self.name,
            "IsCustom": True,
            "Description": self.about,
            "Actions": list(self.actions),
            "NotActions": [],
            "AssignableScopes": [self.assignable],
        }


def granted(place: Place) -> tuple[Granted, ...]:
    """Return everything that the operator needs for a backend, and last what it can do without."""
    suffix = f"{place.cluster} {place.backend}"
    vault_group = place.vault_id.partition("/providers/")[0]
    subscription = f"/subscriptions/{place.subscription}"
    identities = f"/subscriptions/{place.identity_subscription}/resourceGroups/{place.identity_group}"
    return (
        Granted(
            f"Airwarden vault {suffix}",
            "Hands out one role at one key vault, and reads none of its secrets",
            at_vault(place),
            vault_group,
            place.vault_id,
            condition(place.role),
        ),
        Granted(
            f"Airwarden identities {suffix}",
            "Keeps the identities of Airflow tasks, in a resource group for nothing else",
            at_identities(place),
            identities,
            identities,
        ),
        Granted(
            f"Airwarden quotas {suffix}",
            "Looks how many role assignments there are, and where a missing vault is",
            looking(),
            subscription,
            subscription,
            optional=True,
        ),
    )


def condition(role: str) -> str:
    """Return the condition that lets a role be handed out, and taken back, alone; to no person."""
    kind = "Microsoft.Authorization/roleAssignments"
    return (
        f"((!(ActionMatches{{'{kind}/write'}})) OR "
        f"(@Request[{kind}:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{role}}} AND "
        f"@Request[{kind}:PrincipalType] ForAnyOfAnyValues:StringEqualsIgnoreCase {{'ServicePrincipal', 'Group'}})) "
        "AND "
        f"((!(ActionMatches{{'{kind}/delete'}})) OR "
        f"(@Resource[{kind}:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{role}}}))"
    )


def script(place: Place) -> str:
    """Return the commands for az, to be read and then run by an administrator."""
    parts = [
        "# What the operator of Airwarden needs for this backend. Read it, set PRINCIPAL, and run it with az.",
        "# PRINCIPAL is the object id of the operator's service principal, not that of an app registration.",
        ': "${PRINCIPAL:?set it to the object id}"',
    ]
    for each in granted(place):
        if each.optional:
            parts.append("# Can be left out: then nothing is said of quotas, nor where a missing vault is.")
        parts.append(_commands(each))
    return "\n".join(parts) + "\n"


def _commands(each: Granted) -> str:
    definition = shlex.quote(json.dumps(each.definition(), indent=2))
    given = f' \\\n  --condition "{each.condition}" --condition-version 2.0' if each.condition else ""
    return (
        f"az role definition create --role-definition {definition}\n"
        f'az role assignment create --assignee-object-id "$PRINCIPAL" --assignee-principal-type ServicePrincipal \\\n'
        f'  --role "{each.name}" --scope {shlex.quote(each.scope)}{given}'
    )
