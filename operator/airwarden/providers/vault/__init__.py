"""HashiCorp Vault, mode Roles: one ACL policy and one Kubernetes-auth role per binding.

`open_store` is what `airwarden.reconcile` calls for a backend of type Vault; `airwarden.cli` prints
what `setup` renders.
"""

from airwarden.providers.vault.connection import Connection
from airwarden.providers.vault.opening import open_store
from airwarden.providers.vault.store import VaultStore

__all__ = ["Connection", "VaultStore", "open_store"]
