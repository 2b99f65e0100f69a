"""The readers, one module a store; which one reads a store of the map is decided here.

Called by `sessions.py` before the first use of a store, never at import: what a store needs is an extra of the
distribution, and an Airflow that never reads from that store must not need it.
"""

from __future__ import annotations

from airflow_airwarden.binding_map import KeyVaultStore, Store, VaultStore
from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.ports import Reader
from airflow_airwarden.settings import Settings


def open_reader(store: Store, settings: Settings) -> Reader:
    """Return a reader that has not asked the store anything yet; LookupRefused if there can be none."""
    if isinstance(store, VaultStore):
        return _vault(store, settings)
    if isinstance(store, KeyVaultStore):
        return _key_vault(store, settings)
    if not settings.development:
        raise LookupRefused(
            Reason.NOT_FOR_PRODUCTION,
            f"store {store.name} is a file or the environment, which isolates nobody from anything",
            "Use a real store, or set the backend's kwarg development on a developer's machine",
        )
    from airflow_airwarden.readers.development import open_development_reader  # noqa: PLC0415 - see the module

    return open_development_reader(store)


def _vault(store: VaultStore, settings: Settings) -> Reader:
    try:
        from airflow_airwarden.readers.vault import VaultReader  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise LookupRefused(
            Reason.STORE_NOT_INSTALLED,
            f"store {store.name} is a Vault, and the provider's extra for it is not in this image",
            "Install airflow-provider-airwarden[vault] in the image of the workers",
        ) from None
    return VaultReader(store, settings)


def _key_vault(store: KeyVaultStore, settings: Settings) -> Reader:
    try:
        from airflow_airwarden.readers.key_vault import KeyVaultReader  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("azure"):
            raise
        raise LookupRefused(
            Reason.STORE_NOT_INSTALLED,
            f"store {store.name} is an Azure Key Vault, and the provider's extra for it is not in this image",
            "Install airflow-provider-airwarden[azure] in the image of the workers",
        ) from None
    return KeyVaultReader(store, settings)
