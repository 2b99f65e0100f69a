"""From a backend object to a store that can be used: the one place where its fields are read.

Called by `airwarden.reconcile` when a backend appears or changes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from airwarden.api.backend import AirflowSecretBackend, VaultBackend
from airwarden.api.fenced import Fenced
from airwarden.api.fields import seconds
from airwarden.domain.errors import InvalidSettings
from airwarden.domain.fence import Fence
from airwarden.domain.owner import PREFIX
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.connection import Connection
from airwarden.providers.vault.fenced.store import FencedStore
from airwarden.providers.vault.store import Layout, VaultStore

_TIMEOUT: Final = 5.0
_MAX_CONCURRENT: Final = 16
_PER_SECOND: Final = 500


def open_store(
    backend: AirflowSecretBackend,
    *,
    cluster: str,
    token_directory: Path,
    ca_pem: str | None,
    client: Callable[[Connection], VaultClient] = VaultClient,
) -> VaultStore | FencedStore:
    """Return the store that the backend describes. Nothing is sent yet.

    ``token_directory`` holds one projected token per audience, the file named like it. ``ca_pem`` is the
    content of the backend's CA bundle. ``client`` decides whose login is used: the operator's, unless told
    otherwise. Raises InvalidSettings for settings that cannot be used.
    """
    vault = vault_settings(backend)
    login = vault.login.kubernetes
    refuse_own_names(login.role, cluster)
    requests = backend.spec.requests
    connection = Connection(
        backend=backend.metadata.name,
        address=vault.address,
        namespace=vault.namespace,
        timeout=float(seconds(requests.timeout)) if requests.timeout else _TIMEOUT,
        max_concurrent=requests.max_concurrent or _MAX_CONCURRENT,
        per_second=requests.per_second or _PER_SECOND,
        ca_pem=ca_pem,
        server_name=vault.tls.server_name,
        login_mount=login.mount,
        login_role=login.role,
        audience=login.audience,
        token_file=token_directory / login.audience,
    )
    layout = Layout(
        cluster=cluster,
        backend=backend.metadata.name,
        kv_mount=vault.kv.mount,
        kv_version=vault.kv.version,
        auth_mount=vault.workload_login.kubernetes.mount,
        audience=vault.workload_login.kubernetes.audience,
    )
    if vault.fenced is None:
        return VaultStore(connection, layout, client=client(connection))
    return FencedStore(connection, layout, fence_of(backend, vault.fenced, cluster), client=client(connection))


def fence_of(backend: AirflowSecretBackend, fenced: Fenced, cluster: str) -> Fence:
    """Return the slots that the backend declares. Raises InvalidSettings for a role that the operator has itself."""
    vault = vault_settings(backend)
    refuse_own_names(fenced.role, cluster)
    login = vault.login.kubernetes
    mount = vault.workload_login.kubernetes.mount
    if (login.mount, login.role.lower()) == (mount, fenced.role.lower()):
        raise InvalidSettings(
            f"fenced.role {fenced.role!r} is the operator's own role: tasks would log in with its rights. Name another"
        )
    counts = fenced.slots
    place = f"{vault.address} {vault.namespace} {mount}"
    return Fence(fenced.role, fenced.engine, counts.own, counts.shared, counts.dynamic, place)


def vault_settings(backend: AirflowSecretBackend) -> VaultBackend:
    """Return the backend's Vault settings. Raises InvalidSettings when it has none."""
    if backend.spec.vault is None:
        raise InvalidSettings(f"backend {backend.metadata.name} has no vault settings: give spec.vault")
    return backend.spec.vault


def refuse_own_names(name: str, cluster: str) -> None:
    """Raise InvalidSettings for a role of the operator that the operator itself could rewrite."""
    if name.lower().startswith(f"{PREFIX}.{cluster}."):
        raise InvalidSettings(
            f"the operator's own role {name!r} begins with {PREFIX}.{cluster}., where the operator may write: "
            "name it otherwise"
        )
