"""Who a thing belongs to, and the names that follow from it (design section 5).

Used by the planner, by each store's provider for its marks, and by the sweep.
"""

import base64
import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import Final, Self

CLUSTER: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
PREFIX: Final = "airwarden"
_MARK = re.compile(r"airwarden\.dev/owner cluster=(\S+) namespace=(\S+) binding=(\S+) backend=(\S+)")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """One binding of one cluster; with ``backend``, what it has in one store.

    Neither a cluster, a namespace nor a backend may hold a dot, so `name_in_store` is the name of one owner
    only, also where two backends lie in one store. Raises ValueError for a part that Kubernetes would not accept.
    """

    cluster: str
    namespace: str
    binding: str
    backend: str = ""
    account: str = field(default="", compare=False)
    """The binding's service account, where it is known: no part of the identity, but of names in some stores."""

    def __post_init__(self) -> None:
        if CLUSTER.fullmatch(self.cluster) is None:
            raise ValueError(
                f"cluster name {self.cluster!r} must match {CLUSTER.pattern}: no dots, at most 32 characters"
            )
        if _LABEL.fullmatch(self.namespace) is None:
            raise ValueError(f"{self.namespace!r} is not the name of a namespace")
        if _SUBDOMAIN.fullmatch(self.binding) is None:
            raise ValueError(f"{self.binding!r} is not the name of a binding")
        if self.backend and _LABEL.fullmatch(self.backend) is None:
            raise ValueError(f"{self.backend!r} is not the name of a backend")

    def at(self, backend: str) -> Self:
        """Return the same binding as the owner of what it has in one backend."""
        return replace(self, backend=backend)

    @property
    def name_in_store(self) -> str:
        """The name of everything that this binding has in a backend, ``airwarden.c1.team.billing.vault``."""
        if not self.backend:
            raise ValueError(f"{self} has no name in a store without a backend")
        return f"{PREFIX}.{self.cluster}.{self.namespace}.{self.binding}.{self.backend}"

    @property
    def short_name_in_store(self) -> str:
        """The same for stores whose names are short or take no dot: ``airwarden-`` and 26 characters of a hash."""
        digest = hashlib.sha256(self.mark.encode()).digest()
        return f"{PREFIX}-{base64.b32encode(digest).decode().lower()[:26]}"

    @property
    def account_in_store(self) -> str:
        """The name of the binding's account in a store, ``team/billing``."""
        if _SUBDOMAIN.fullmatch(self.account) is None:
            raise ValueError(f"{self} has no account that could stand in a store: {self.account!r}")
        return f"{self.namespace}/{self.account}"

    @property
    def mark(self) -> str:
        """The ownership mark, for a comment, description or tag of a store."""
        if not self.backend:
            raise ValueError(f"{self} has no mark in a store without a backend")
        return (
            f"airwarden.dev/owner cluster={self.cluster} namespace={self.namespace} "
            f"binding={self.binding} backend={self.backend}"
        )

    @classmethod
    def from_mark(cls, text: str) -> Self | None:
        """Read a mark back; None for anything else, also for a mark with more or less in it."""
        found = _MARK.fullmatch(text)
        if found is None:
            return None
        try:
            return cls(*found.groups())
        except ValueError:
            return None

    @classmethod
    def from_name(cls, cluster: str, name: str) -> Self | None:
        """Return the one owner in this cluster with that name in a store; None for the name of nobody."""
        parts = name.split(".")
        if len(parts) < 5 or parts[:2] != [PREFIX, cluster]:
            return None
        try:
            return cls(cluster, parts[2], ".".join(parts[3:-1]), parts[-1])
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.binding}"
