"""Asks a fenced Vault whether the admin's role and policy stand as printed, and whether we may fill slots.

A slot that no policy reads would be acknowledged all the same, so nothing is written before this was seen
once. Called by `airwarden.providers.vault.fenced.store`.
"""

from collections.abc import Sequence
from typing import Final

from airwarden.domain.errors import InvalidSettings
from airwarden.domain.fence import Fence
from airwarden.domain.owner import PREFIX
from airwarden.providers.ports import SWEEP_FORMER
from airwarden.providers.vault.checking import Optional
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.fenced import aliases, slots
from airwarden.providers.vault.role_forms import RoleForm
from airwarden.providers.vault.transport import Call

CAPABILITIES: Final = ("Static", "Dynamic")
SWEEP: Final = "Sweep"
_AGAIN: Final = "apply what airwarden vault-setup prints"


def policy_name(cluster: str, role: str) -> str:
    """Return the name of the admin's policy; Vault lower-cases names. It is outside of our own prefix."""
    return f"{PREFIX}-fence.{cluster}.{role.lower()}"


def needed_rights(auth_mount: str, fence: Fence, cluster: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return every path that the operator calls, with what it must be allowed there."""
    return (
        (aliases.WRITE, ("create", "update")),
        (aliases.LOOKUP, ("update",)),
        (f"auth/{auth_mount}/role/{fence.role}", ("read",)),
        (f"sys/policies/acl/{policy_name(cluster, fence.role)}", ("read",)),
        ("sys/capabilities-self", ("update",)),
        ("auth/token/renew-self", ("update",)),
        ("auth/token/revoke-self", ("update",)),
    )


def former_rights(auth_mount: str, form: RoleForm, cluster: str) -> tuple[Optional, ...]:
    """Return what it takes to find and remove what mode Roles left."""
    return (
        ("sys/policies/acl", ("list",), SWEEP_FORMER),
        (f"auth/{auth_mount}/role", ("list",), SWEEP_FORMER),
        (f"sys/policies/acl/{PREFIX}.{cluster}.*", ("read", "delete"), SWEEP_FORMER),
        (f"auth/{auth_mount}/role/{form.names(cluster)}", ("read", "delete"), SWEEP_FORMER),
    )


async def prove_fence(client: VaultClient, auth_mount: str, role: str, name: str, wanted: str) -> None:
    """Read the admin's role and policy. Raises InvalidSettings, saying what differs from the printed set-up.

    ``wanted`` is the policy's text. What the admin added to it is theirs; what is missing would be a slot
    that reads nothing.
    """
    where = f"role {role} of auth/{auth_mount}"
    found = await client.request(Call("GET", f"auth/{auth_mount}/role/{role}"))
    if found.absent:
        raise InvalidSettings(f"{where} is not there, so no task could log in: {_AGAIN}")
    if found.data.get("alias_name_source") != "serviceaccount_name":
        raise InvalidSettings(f"{where} does not have alias_name_source=serviceaccount_name: {_AGAIN}")
    policies = found.data.get("token_policies")
    if isinstance(policies, str) or not isinstance(policies, Sequence) or name not in policies:
        raise InvalidSettings(f"{where} does not carry policy {name}: {_AGAIN}")
    written = await client.request(Call("GET", f"sys/policies/acl/{name}"))
    text = written.data.get("policy")
    lacking = slots.missing_paths(text if isinstance(text, str) else "", wanted)
    if lacking:
        raise InvalidSettings(
            f"policy {name} lacks {len(lacking)} path(s) that the slots need, first {lacking[0]}: {_AGAIN}"
        )
