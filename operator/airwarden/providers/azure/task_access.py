"""How tasks read a key vault, for the map of their binding. Pure; called by `airwarden.providers.azure.store`."""

from typing import Final

from airwarden.api.reasons import Reason
from airwarden.domain.task_access import TaskAccess, TokenMount, ca_file, token_file, token_path
from airwarden.providers.azure.connection import Connection, Place
from airwarden.providers.azure.identities import AUDIENCE, Known

_USE: Final = "azure.workload.identity/use"


def task_access(connection: Connection, place: Place, name: str, identity: Known | None) -> TaskAccess:
    """Return the entry of a store in which tasks log in as an identity, once Entra has said how it is called."""
    backend = connection.backend
    if identity is None:
        return TaskAccess({}, impossible=(Reason.PENDING, f"identity {name} of backend {backend} is not made yet"))
    entry: dict[str, object] = {
        "type": "AzureKeyVault",
        "vaultURL": place.vault_url,
        "authority": connection.authority,
        "tenantID": connection.tenant,
        "login": {"method": "WorkloadIdentity", "clientID": identity.client, "tokenFile": token_file(backend)},
    }
    if connection.ca_pem:
        entry["tls"] = {"caFile": ca_file(backend)}
    return TaskAccess(entry, connection.ca_pem or "", TokenMount(AUDIENCE, token_path(backend)), {_USE: "true"})
