"""From a backend to its rotating side: the one place where its login for rotations is read.

Called by `airwarden.providers.opening` when a rotation first needs it.
"""

from collections.abc import Callable
from pathlib import Path

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.logins import Login
from airwarden.domain.errors import RotationNotEnabled
from airwarden.domain.identity import Expected
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.connection import Connection
from airwarden.providers.vault.identity import Identity
from airwarden.providers.vault.opening import connection_of, credentials_of, vault_settings
from airwarden.providers.vault.rotation.rotator import Place, VaultRotator


def open_rotator(
    backend: AirflowSecretBackend,
    expected: Expected,
    *,
    cluster: str,
    token_directory: Path,
    ca_pem: str | None,
    client: Callable[[Connection], VaultClient] = VaultClient,
) -> VaultRotator:
    """Return the rotating side of the backend's Vault. Nothing is sent yet.

    ``expected`` says which Vault is meant and which cluster asks; it must not claim the cluster's name, since this
    login may write no policy. Raises RotationNotEnabled for a backend without a login for rotations, InvalidSettings
    for settings that cannot be used.
    """
    login, vault = refuse_without_rotation(backend), vault_settings(backend)
    connection = connection_of(backend, credentials_of(login, token_directory, cluster), ca_pem)
    opened = client(connection)
    # In mode Fenced nothing in Vault says whose the cluster's name is.
    opened.identity = Identity(cluster, expected, vault.address, marked=vault.mode == "Roles")
    return VaultRotator(opened, Place(backend.metadata.name, vault.kv.mount, vault.kv.version))


def refuse_without_rotation(backend: AirflowSecretBackend) -> Login:
    """Return the login for rotations. Raises RotationNotEnabled for a backend without one."""
    if backend.spec.rotation is None:
        raise RotationNotEnabled(
            f"backend {backend.metadata.name} has no login for rotations: have its owners set spec.rotation, and run "
            "what airwarden vault-setup then prints"
        )
    return backend.spec.rotation.login
