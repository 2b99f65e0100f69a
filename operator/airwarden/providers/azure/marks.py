"""Whose a thing in Azure is, by what it says itself: the description of a role assignment, the tags of an identity.

A federated credential has room for neither: it is ours by its name, which no other owner has. Pure.
"""

import re
from dataclasses import dataclass
from typing import Final

from airwarden.domain.owner import Owner

OWNER_TAG: Final = "airwarden.dev-owner"
UID_TAG: Final = "airwarden.dev-cluster-uid"
ACCOUNT: Final = "account"
_DESCRIPTION: Final = re.compile(
    r"(?P<owner>airwarden\.dev/owner .+) uid=(?P<uid>[0-9A-Za-z-]{1,64}) for=(?P<whom>[a-z0-9]{1,16})"
)
_TAG: Final = re.compile(r"([^/]+)/([^/]+)/([^/]+)/([^/]+)")


@dataclass(frozen=True, slots=True)
class Mark:
    """An ownership mark that was read."""

    owner: Owner
    uid: str
    """uid of the cluster that wrote it."""
    whom: str = ACCOUNT
    """For whom in the binding: its account, or one of its groups."""


def description(owner: Owner, uid: str, whom: str = ACCOUNT) -> str:
    """Return what is written into a role assignment's description."""
    return f"{owner.mark} uid={uid} for={whom}"


def read_description(text: str | None) -> Mark | None:
    """Return the mark of a role assignment; None where it is none of Airwarden's."""
    found = _DESCRIPTION.fullmatch(text or "")
    owner = Owner.from_mark(found["owner"]) if found is not None else None
    return Mark(owner, found["uid"], found["whom"]) if found is not None and owner is not None else None


def tags(owner: Owner, uid: str) -> dict[str, str]:
    """Return the tags of an identity that is made for an owner."""
    return {OWNER_TAG: f"{owner.cluster}/{owner.namespace}/{owner.binding}/{owner.backend}", UID_TAG: uid}


def read_tags(found: dict[str, str]) -> Mark | None:
    """Return the mark of an identity; None where it is none of Airwarden's."""
    parts = _TAG.fullmatch(found.get(OWNER_TAG, ""))
    if parts is None:
        return None
    try:
        return Mark(Owner(*parts.groups()), found.get(UID_TAG, ""))
    except ValueError:
        return None
