"""The AppRole of one binding: what it should be, and what Vault's answer means.

It is tied to no account: whoever holds a secret-id of it may log in. Airwarden's operator makes none and
may make none; `airwarden secret-id` makes one with its caller's own rights. Pure; called by
`airwarden.providers.vault.role_forms`.
"""

from typing import Final

from airwarden.domain.resources import FieldValue, Grant
from airwarden.providers.vault.role import Shape, token_fields

KIND: Final = "VaultAppRole"
CAVEAT: Final = (
    "workloads log in here by AppRole: whoever holds a secret-id has the binding's access, under whatever account "
    "and from wherever it is"
)
SHAPE: Final = Shape(
    seconds=("secret_id_ttl",),
    counts=("secret_id_num_uses",),
    flags=("bind_secret_id",),
    unordered=("secret_id_bound_cidrs",),
)


def desired_fields(grant: Grant, secret_id_ttl: int, secret_id_uses: int) -> dict[str, FieldValue]:
    """Return every field of the role: a secret-id is needed, and holds for so many seconds and log-ins (0: any)."""
    return {
        "bind_secret_id": True,
        "secret_id_ttl": secret_id_ttl,
        "secret_id_num_uses": secret_id_uses,
        "secret_id_bound_cidrs": (),
        **token_fields(grant),
    }
