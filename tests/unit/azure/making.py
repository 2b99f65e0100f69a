"""A key vault's place for the tests of what is pure, here and in the doctor's."""

from __future__ import annotations

from typing import Final

from airwarden.api.azure import Scope
from airwarden.providers.azure.connection import Place

SUBSCRIPTION: Final = "/subscriptions/s"
VAULT: Final = f"{SUBSCRIPTION}/resourcegroups/secrets/providers/microsoft.keyvault/vaults/kv"
PLACE: Final = Place(
    cluster="c1",
    backend="kv",
    vault_id=VAULT,
    subscription="s",
    vault_name="kv",
    vault_url="https://kv.vault.azure.net",
    role="user",
    scope=Scope.SECRET,
    identity_subscription="s",
    identity_group="ids",
    location="westeurope",
    existing={},
    issuer="https://issuer",
    per_namespace=400,
    diagnostics=None,
    list_age=60.0,
    drift_age=600.0,
)
