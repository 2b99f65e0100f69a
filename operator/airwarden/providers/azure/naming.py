"""The addresses of what one owner has in Azure, and the key grammar of a vault. Pure.

An assignment's GUID follows from a principal that does not exist before the first write, so its address is the owner's
short name and the secret. Called by `airwarden.providers.azure.store`.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from airwarden.api.azure import Scope
from airwarden.domain.keys import KeyGrammar
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.marks import ACCOUNT, Mark

IDENTITY: Final = "AzureManagedIdentity"
CREDENTIAL: Final = "AzureFederatedCredential"
ASSIGNMENT: Final = "AzureRoleAssignment"
WHOLE: Final = "*"
"""Stands for a secret where the role is assigned for the whole vault."""
_ASSIGNMENT_NAME: Final = re.compile(
    r"(?P<short>airwarden-[a-z2-7]{26})/(?P<secret>\*|[0-9a-z-]{1,127})(#(?P<whom>[0-9a-f]{8}))?"
)

_CREDENTIAL_NAME: Final = re.compile(
    r"(?P<short>airwarden-[a-z2-7]{26})/(?P<identity>[A-Za-z0-9_(][A-Za-z0-9_().-]{0,127})"
)

GRAMMAR: Final = KeyGrammar(
    separator="",
    pattern=re.compile(r"[0-9a-z-]{1,127}"),
    description="write the secret's name in lower-case letters, digits and dashes, at most 127 characters",
)
"""Names ignore case in Key Vault: one secret has one spelling here."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an assignment's address says."""

    short: str
    """The owner's short name."""
    secret: str
    whom: str
    """`ACCOUNT`, or eight digits that stand for a group."""


def existing(place: Place, owner: Owner) -> str | None:
    """Return the identity that others made for the owner's account; None where Airwarden makes one."""
    return place.existing.get((owner.namespace, owner.account))


def identity_name(place: Place, owner: Owner) -> str:
    """Return what the identity is called by which the owner's tasks log in."""
    return existing(place, owner) or owner.short_name_in_store


def identity_address(place: Place, owner: Owner) -> Address:
    """Return where the identity is that Airwarden makes for an owner."""
    return Address(place.backend, IDENTITY, owner.short_name_in_store)


def credential_address(place: Place, owner: Owner, identity: str) -> Address:
    """Return where the owner's federated credential is: the name of its identity is part of it."""
    return Address(place.backend, CREDENTIAL, f"{owner.short_name_in_store}/{identity}")


def read_credential(address: Address) -> tuple[str, str]:
    """Return the credential's own name and its identity's. Raises ValueError for anything else."""
    found = _CREDENTIAL_NAME.fullmatch(address.name) if address.kind == CREDENTIAL else None
    if found is None:
        raise ValueError(f"{address} is not the address of a federated credential")
    return found["short"], found["identity"]


def is_credential(address: Address) -> bool:
    """Tell whether an address could be that of some owner's credential."""
    return address.kind == CREDENTIAL and _CREDENTIAL_NAME.fullmatch(address.name) is not None


def assignment_address(place: Place, owner: Owner, key: str, whom: str = ACCOUNT) -> Address:
    """Return where the assignment for one secret is, or for the whole vault where the backend's scope is that."""
    secret = key if place.scope is Scope.SECRET else WHOLE
    suffix = "" if whom == ACCOUNT else f"#{whom}"
    return Address(place.backend, ASSIGNMENT, f"{owner.short_name_in_store}/{secret}{suffix}")


def marked_address(backend: str, place: Place, mark: Mark, scope: str) -> Address:
    """Return where a backend has the assignment that carries a mark, by its ARM scope: a secret's or the vault's."""
    secret = scope.removeprefix(place.vault_id).removeprefix("/secrets/") or WHOLE
    suffix = "" if mark.whom == ACCOUNT else f"#{mark.whom}"
    return Address(backend, ASSIGNMENT, f"{mark.owner.short_name_in_store}/{secret}{suffix}")


def whom_of(group: str) -> str:
    """Return the digits that stand for a group in an address and a mark, however its GUID is spelt."""
    return hashlib.sha256(group.lower().encode()).hexdigest()[:8]


def read_target(address: Address) -> Target | None:
    """Read an assignment's address; None for anything else."""
    found = _ASSIGNMENT_NAME.fullmatch(address.name) if address.kind == ASSIGNMENT else None
    return Target(found["short"], found["secret"], found["whom"] or ACCOUNT) if found is not None else None


def ending_of(target: Target) -> str:
    """Return how the address of each binding's assignment of the same secret to the same group ends."""
    return f"/{target.secret}#{target.whom}"


def thing_of(target: Target) -> str:
    """Return what an assignment is called when it is counted: a group's, which several bindings may have, is one."""
    return f"{target.short}/{target.secret}" if target.whom == ACCOUNT else ending_of(target)


def scope_of(place: Place, secret: str) -> str:
    """Return the ARM scope of a secret or of the whole vault."""
    return place.vault_id if secret == WHOLE else f"{place.vault_id}/secrets/{secret}"


def could_be_of(owner: Owner, address: Address) -> bool:
    """Tell whether an owner could have something at an address: it begins with its short name and is well formed."""
    short = owner.short_name_in_store
    if address.backend != owner.backend:
        return False
    if address.kind == IDENTITY:
        return address.name == short
    if address.kind == CREDENTIAL:
        found = _CREDENTIAL_NAME.fullmatch(address.name)
        return found is not None and found["short"] == short
    target = read_target(address)
    return target is not None and target.short == short


def in_removal_order(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Return each address once: assignments first, which ends the access of live tokens, then the way to new ones."""
    order = (ASSIGNMENT, CREDENTIAL, IDENTITY)
    return tuple(sorted(set(addresses), key=lambda each: (order.index(each.kind), each)))
