"""How to reach one Vault and log in to it.

Used by `airwarden.providers.vault.client`; made by `airwarden.providers.vault.opening`.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProjectedToken:
    """A login with the operator's projected service-account token: Vault's Kubernetes and JWT methods."""

    mount: str
    role: str
    audience: str
    file: Path
    setting: str
    """The backend's field that names the audience, for messages."""


@dataclass(frozen=True, slots=True)
class SecretIDFile:
    """A login with a role id and a secret-id from a file."""

    mount: str
    role_id: str
    file: Path


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token that somebody else made and keeps: it is used, and neither renewed nor revoked."""

    file: Path


Credentials = ProjectedToken | SecretIDFile | TokenFile


@dataclass(frozen=True, slots=True)
class Connection:
    """One Vault, as the backend describes it. Nothing here is secret."""

    backend: str
    """Name of the backend, for messages."""
    address: str
    namespace: str
    timeout: float
    """Seconds to wait for a connection, and then for an answer."""
    max_concurrent: int
    per_second: int
    ca_pem: str | None
    """Certificates to trust; None means those of the operating system."""
    server_name: str
    credentials: Credentials
    """How the operator logs in."""
    task_addresses: tuple[str, ...] = ()
    """Where tasks reach it, in order; empty: where the operator does."""
