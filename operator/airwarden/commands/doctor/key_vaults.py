"""Collects what stands in a key vault beside the bindings, with the caller's own login. Asks for no secret.

Loaded by `airwarden.commands.doctor.stores` when there is such a backend: Azure's clients take a second to load. What
the caller may not read becomes `Unknown` with the right that it needs.
"""

from functools import partial
from typing import Final

from airwarden.api.backend import AirflowSecretBackend
from airwarden.commands.doctor.asking import known
from airwarden.commands.doctor.facts import KeyVaultFacts, Unknown
from airwarden.providers.azure.looking import Look
from airwarden.providers.azure.opening import settings
from airwarden.providers.azure.seen import Named
from airwarden.providers.azure.store import AzureStore
from airwarden.providers.azure.vault import VaultMissing
from airwarden.providers.ports import Store

_AUTHORIZATION: Final = "Microsoft.Authorization"
_known = partial(known, given_by="your roles", ends=(VaultMissing,))


async def look(store: Store, backend: AirflowSecretBackend, uid: str) -> KeyVaultFacts:
    """Ask for everything, one after the other. Raises VaultMissing for a vault that is not there."""
    if not isinstance(store, AzureStore):
        raise TypeError(f"the store of backend {backend.metadata.name} is no key vault")
    place, look = store.place, Look(store.arm, store.place)
    client = settings(backend).login.client_id.lower()
    vault, group = place.vault_id, place.identities_scope
    state = await _known(look.vault, f"Microsoft.KeyVault/vaults/read at {vault}")
    identities = await _known(look.identities, f"Microsoft.ManagedIdentity/userAssignedIdentities/read at {group}")
    operator = await _operator(look, client, identities)
    return KeyVaultFacts(
        place=place,
        uid=uid,
        client=client,
        state=state,
        given=await _known(look.given, f"{_AUTHORIZATION}/roleAssignments/read at {vault}"),
        definitions=await _known(look.definitions, f"{_AUTHORIZATION}/roleDefinitions/read at {vault} and at {group}"),
        identities=identities,
        audit=await _known(look.audit, f"Microsoft.Insights/diagnosticSettings/read at {vault}"),
        operator=operator,
        operator_given=operator
        if isinstance(operator, Unknown)
        else await _known(lambda: look.given_to(operator), f"{_AUTHORIZATION}/roleAssignments/read at {group}"),
    )


async def _operator(look: Look, client: str, identities: tuple[Named, ...] | Unknown) -> str | Unknown:
    """Return the operator's principal: by the identities where it is one of them, else as the directory knows it."""
    here = [] if isinstance(identities, Unknown) else [each.principal for each in identities if each.client == client]
    if here:
        return here[0]
    return await _known(
        lambda: look.principal_of(client), f"Application.Read.All of Microsoft Graph, to find client {client}"
    )
