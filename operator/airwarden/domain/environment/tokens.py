"""By which tokens the tasks of a binding log in to its stores. Pure.

Called by `airwarden.reconcile.environments` for the DAG map. The binding's map names the same files.
"""

from typing import Final

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.logins import AppRoleWorkloadLogin
from airwarden.domain.environment.dag_map import TokenMount

TOKENS: Final = "/var/run/secrets/airwarden"
"""Folder of a pod under which its tokens lie."""


def token_path(backend: str) -> str:
    """Return where the token for a backend's store lies, below the folder of all tokens."""
    return f"{backend}/token"


def token_file(backend: str) -> str:
    """Return the same as a path in the pod."""
    return f"{TOKENS}/{token_path(backend)}"


def token_mount(backend: AirflowSecretBackend) -> TokenMount | None:
    """Return the token by which tasks log in to a backend's store; None where they log in by something else."""
    if backend.spec.vault is None:
        return None
    login = backend.spec.vault.workload_login.settings
    if isinstance(login, AppRoleWorkloadLogin):
        return None
    return TokenMount(login.audience, token_path(backend.metadata.name))
