"""From a backend object to a store that can be used: the one place where its Azure fields are read.

Called by `airwarden.providers.opening` when a backend appears or changes.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from airwarden.api.azure import AzureKeyVault
from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.fields import seconds
from airwarden.domain.errors import InvalidSettings
from airwarden.providers.azure.arm import LimitSink
from airwarden.providers.azure.connection import Connection, Place
from airwarden.providers.azure.store import AzureStore

_TIMEOUT: Final = 15.0
_MAX_CONCURRENT: Final = 8
_PER_SECOND: Final = 10
"""What Azure refills a second of a subscription's writes; it refills more reads."""
_DRIFT: Final = 600.0
_LIST_AGE: Final = 60.0


def open_store(
    backend: AirflowSecretBackend,
    *,
    cluster: str,
    token_directory: Path,
    ca_pem: str | None,
    told: LimitSink,
    clock: Callable[[], float] = time.monotonic,
) -> AzureStore:
    """Return the store that the backend describes. Nothing is sent yet.

    ``token_directory`` holds the files that logins name. Raises InvalidSettings for settings that cannot be used.
    """
    azure = settings(backend)
    connection = connection_of(backend, azure, token_directory, ca_pem)
    return AzureStore(connection, place_of(backend, azure, cluster), told, clock)


def settings(backend: AirflowSecretBackend) -> AzureKeyVault:
    """Return the backend's Azure settings. Raises InvalidSettings when it has none."""
    if backend.spec.azure_key_vault is None:
        raise InvalidSettings(
            f"backend {backend.metadata.name} has no settings of a key vault: give spec.azureKeyVault"
        )
    return backend.spec.azure_key_vault


def connection_of(
    backend: AirflowSecretBackend, azure: AzureKeyVault, token_directory: Path, ca_pem: str | None
) -> Connection:
    """Return how the backend's tenant is reached. A file is one of its directory: no slash gets into a name."""
    requests = backend.spec.requests
    return Connection(
        backend=backend.metadata.name,
        tenant=azure.tenant_id,
        authority=azure.authority,
        resource_manager=azure.resource_manager,
        method=azure.login.method,
        client_id=azure.login.client_id,
        file=token_directory / azure.login.file if azure.login.file else None,
        timeout=float(seconds(requests.timeout)) if requests.timeout else _TIMEOUT,
        max_concurrent=requests.max_concurrent or _MAX_CONCURRENT,
        per_second=requests.per_second or _PER_SECOND,
        ca_pem=ca_pem,
    )


def place_of(backend: AirflowSecretBackend, azure: AzureKeyVault, cluster: str) -> Place:
    """Return where the backend's things are."""
    interval = float(seconds(backend.spec.drift.interval)) if backend.spec.drift.interval else _DRIFT
    identities = azure.identities
    return Place(
        cluster=cluster,
        backend=backend.metadata.name,
        vault_id=azure.vault_id,
        subscription=azure.vault.subscription_id,
        vault_name=azure.vault.name,
        vault_url=azure.vault_url,
        role=azure.role_id,
        scope=azure.scope,
        identity_subscription=identities.subscription_id,
        identity_group=identities.resource_group,
        location=identities.location or "",
        existing={(each.namespace, each.service_account): each.name.lower() for each in identities.existing},
        issuer=azure.issuer,
        per_namespace=azure.assignments_per_namespace,
        diagnostics=azure.diagnostics,
        list_age=min(_LIST_AGE, interval / 2),
        drift_age=interval,
    )
