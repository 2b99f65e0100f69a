"""The JWT-auth role of one binding: what it should be, and what Vault's answer means.

Vault checks the task's token by the cluster's public keys and asks nobody, so a token holds until it
expires, also after its account is gone. Pure; called by `airwarden.providers.vault.role_forms`.
"""

from typing import Final

from airwarden.domain.resources import FieldValue, Grant
from airwarden.providers.vault.role import Shape, token_fields

KIND: Final = "VaultJWTRole"
SHAPE: Final = Shape(
    ordered=("bound_audiences", "allowed_redirect_uris", "oidc_scopes"),
    texts=("role_type", "user_claim", "bound_subject", "bound_claims_type", "groups_claim"),
    counts=("clock_skew_leeway", "expiration_leeway", "not_before_leeway", "max_age"),
    flags=("user_claim_json_pointer", "verbose_oidc_logging"),
    maps=("bound_claims", "claim_mappings"),
)


def subject(namespace: str, account: str) -> str:
    """Return the ``sub`` of a service account's token, or what it begins with when ``account`` is empty."""
    return f"system:serviceaccount:{namespace}:{account}"


def desired_fields(grant: Grant, audience: str) -> dict[str, FieldValue]:
    """Return every field of the role that lets the grant's account, and nothing else, log in.

    The leeways of 0 are Vault's own: a minute for clocks, and nothing for a token without an end, which no
    cluster issues. Fields of OIDC log-ins in a browser are sent empty, so that none is left from before.
    """
    return {
        "role_type": "jwt",
        "user_claim": "sub",
        "user_claim_json_pointer": False,
        "bound_audiences": (audience,),
        "bound_subject": subject(grant.owner.namespace, grant.account),
        "bound_claims": "",
        "bound_claims_type": "string",
        "claim_mappings": "",
        "groups_claim": "",
        "clock_skew_leeway": 0,
        "expiration_leeway": 0,
        "not_before_leeway": 0,
        "max_age": 0,
        "allowed_redirect_uris": (),
        "oidc_scopes": (),
        "verbose_oidc_logging": False,
        **token_fields(grant),
    }
