"""A key vault, asked by the person who runs a command, with their own login to Azure.

Loaded by `airwarden.commands.caller` when the first such backend is looked at: Azure's clients take a second to load.
"""

from collections.abc import Iterable, Mapping

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.errors import AirwardenError, ClusterForbidden, InvalidSettings
from airwarden.domain.identity import Expected
from airwarden.domain.owner import Owner
from airwarden.providers.azure import naming
from airwarden.providers.azure.borrowed import BorrowedStore, open_borrowed
from airwarden.providers.opening import Opening, cluster_uid
from airwarden.providers.ports import Store


def of_nobody(store: Store, bindings: Iterable[tuple[str, str]], backends: Iterable[str]) -> tuple[str, ...]:
    """Return the credentials on identities of others whose names neither a binding nor a mark accounts for.

    They carry no mark, so they are shown and never removed. Asked after `Store.holdings`.
    """
    if not isinstance(store, BorrowedStore):
        return ()
    everywhere = tuple(backends)
    named = {
        Owner(store.place.cluster, namespace, name, backend).short_name_in_store
        for namespace, name in bindings
        for backend in everywhere
    }
    loose = {each.name: naming.read_credential(each)[0] for each in store.on_existing}
    return tuple(sorted(name for name, short in loose.items() if short not in named))


async def borrowed_store(
    backend: AirflowSecretBackend, opening: Opening, environment: Mapping[str, str]
) -> BorrowedStore:
    """Return the backend's store, for which the caller is logged in by then.

    Raises what `BorrowedLogin.get_token` does, and InvalidSettings where the cluster's uid may not be seen, without
    which no mark can be told from another cluster's.
    """
    try:
        uid = await cluster_uid(opening.api)
    except ClusterForbidden:
        raise InvalidSettings(
            "the marks in a key vault name the uid of namespace kube-system, which needs the right to get that"
        ) from None
    store = open_borrowed(
        backend, cluster=opening.cluster, environment=environment, ca_pem=await opening.ca_bundle(backend)
    )
    try:
        await store.arm.log_in()
    except AirwardenError:
        await store.close()
        raise
    store.expect(Expected.of(backend, uid, claims=False))
    return store
