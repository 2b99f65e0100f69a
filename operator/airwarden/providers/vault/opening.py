"""From a backend object to a store that can be used: the one place where its fields are read.

Called by `airwarden.reconcile` when a backend appears or changes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from airwarden.api.backend import AirflowSecretBackend, VaultBackend
from airwarden.api.fenced import Fenced
from airwarden.api.fields import seconds
from airwarden.api.logins import KubernetesWorkloadLogin, Login
from airwarden.domain.errors import InvalidSettings
from airwarden.domain.fence import Fence
from airwarden.domain.owner import PREFIX
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.connection import Connection, Credentials, ProjectedToken, SecretIDFile, TokenFile
from airwarden.providers.vault.fenced.store import FencedStore
from airwarden.providers.vault.role_forms import role_form
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

    ``token_directory`` holds the files that logins name: one projected token per audience, the file named
    like it, secret-ids and tokens. ``ca_pem`` is the content of the backend's CA bundle. ``client`` decides
    whose login is used: the operator's, unless told otherwise. Raises InvalidSettings for settings that cannot
    be used.
    """
    vault = vault_settings(backend)
    connection = connection_of(backend, credentials_of(vault.login, token_directory, cluster), ca_pem)
    layout = Layout(
        cluster=cluster,
        backend=backend.metadata.name,
        kv_mount=vault.kv.mount,
        kv_version=vault.kv.version,
        auth_mount=vault.workload_login.mount,
        form=role_form(vault.workload_login),
        lets_people_in=vault.fenced is None and any(backend.spec.known_groups.values()),
    )
    if vault.fenced is None:
        return VaultStore(connection, layout, client=client(connection))
    return FencedStore(connection, layout, fence_of(backend, vault.fenced, cluster), client=client(connection))


def connection_of(backend: AirflowSecretBackend, credentials: Credentials, ca_pem: str | None) -> Connection:
    """Return how the backend's Vault is reached with one of its logins."""
    vault, requests = vault_settings(backend), backend.spec.requests
    return Connection(
        backend=backend.metadata.name,
        address=vault.address,
        namespace=vault.namespace,
        timeout=float(seconds(requests.timeout)) if requests.timeout else _TIMEOUT,
        max_concurrent=requests.max_concurrent or _MAX_CONCURRENT,
        per_second=requests.per_second or _PER_SECOND,
        ca_pem=ca_pem,
        server_name=vault.tls.server_name,
        credentials=credentials,
        task_addresses=vault.workload_addresses,
    )


def fence_of(backend: AirflowSecretBackend, fenced: Fenced, cluster: str) -> Fence:
    """Return the slots that the backend declares. Raises InvalidSettings for a role that the operator has itself."""
    vault = vault_settings(backend)
    refuse_own_names(fenced.role, cluster)
    login, mount = vault.login.kubernetes, fenced_tasks(vault).mount
    if login is not None and (login.mount, login.role.lower()) == (mount, fenced.role.lower()):
        raise InvalidSettings(
            f"fenced.role {fenced.role!r} is the operator's own role: tasks would log in with its rights. Name another"
        )
    counts = fenced.slots
    within = f"{vault.namespace} {mount}"
    place = f"{vault.address} {within}"
    return Fence(fenced.role, fenced.engine, counts.own, counts.shared, counts.dynamic, place, within)


def fenced_tasks(vault: VaultBackend) -> KubernetesWorkloadLogin:
    """Return where fenced tasks log in. Raises InvalidSettings for a method that tells Vault no namespace."""
    if vault.workload_login.kubernetes is None:
        raise InvalidSettings(
            f"mode Fenced needs workloadLogin.method Kubernetes, not {vault.workload_login.method}: make a new backend"
        )
    return vault.workload_login.kubernetes


def vault_settings(backend: AirflowSecretBackend) -> VaultBackend:
    """Return the backend's Vault settings. Raises InvalidSettings when it has none."""
    if backend.spec.vault is None:
        raise InvalidSettings(
            f"backend {backend.metadata.name} is of type {backend.spec.type}: this is there for type Vault only"
        )
    return backend.spec.vault


def credentials_of(login: Login, directory: Path, cluster: str) -> Credentials:
    """Return how the operator logs in. A file is one of its directory, since the models let no slash into a name."""
    if login.app_role is not None:
        return SecretIDFile(login.app_role.mount, login.app_role.role_id, directory / login.app_role.secret_id_file)
    if login.token_file is not None:
        return TokenFile(directory / login.token_file.name)
    method, found = ("jwt", login.jwt) if login.jwt is not None else ("kubernetes", login.kubernetes)
    if found is None:
        raise InvalidSettings(f"login has no settings for method {login.method}: give login.kubernetes")
    refuse_own_names(found.role, cluster)
    file = directory / found.audience
    return ProjectedToken(found.mount, found.role, found.audience, file, f"login.{method}.audience")


def refuse_own_names(name: str, cluster: str) -> None:
    """Raise InvalidSettings for a role of the operator that the operator itself could rewrite."""
    if name.lower().startswith(f"{PREFIX}.{cluster}."):
        raise InvalidSettings(
            f"the operator's own role {name!r} begins with {PREFIX}.{cluster}., where the operator may write: "
            "name it otherwise"
        )
