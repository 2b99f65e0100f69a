"""Which store is meant, and whose cluster a name is: what must hold before anything is written.

Two clusters under one name would remove each other's access, and a backend whose address leads to another store
would lose access without a word. Pure; asked by each store's provider before it uses a login, and with each check.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from airwarden.api import GROUP
from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.errors import ClusterIDConflict, StoreChanged, StoreFailed

ACCEPT_STORE: Final = f"{GROUP}/accept-store"
"""Annotation on a backend: the id of the store that it may use from now on."""
_UID: Final = re.compile(r"[0-9a-zA-Z-]{1,64}")


@dataclass(frozen=True, slots=True)
class Expected:
    """Which store is meant, and which cluster asks."""

    store_ids: frozenset[str]
    """Ids of the stores that may be used; none: whichever answers first."""
    cluster_uid: str
    """uid of the namespace kube-system: a cluster keeps it for life."""
    claims: bool = True
    """Whether the cluster's name is taken where nobody has it yet."""

    @classmethod
    def of(cls, backend: AirflowSecretBackend, cluster_uid: str, *, claims: bool = True) -> Self:
        """Return what is expected of a backend: the store on its record, or the one that was accepted by annotation."""
        if _UID.fullmatch(cluster_uid) is None:
            raise ValueError(f"{cluster_uid!r} is not the uid of a cluster")
        recorded = backend.status.store.id if backend.status is not None else ""
        accepted = backend.metadata.annotations.get(ACCEPT_STORE, "") if recorded else ""
        return cls(frozenset({recorded, accepted} - {""}), cluster_uid, claims)


def refuse_other_store(expected: Expected, found: str, where: str) -> None:
    """Raise StoreChanged for a store that is not the one meant, StoreFailed for one that does not say which it is."""
    if not expected.store_ids or found in expected.store_ids:
        return
    if not found:
        raise StoreFailed(
            f"{where} does not say which store it is, so that it was not used: look at what answers there"
        )
    known = " or ".join(sorted(expected.store_ids))
    raise StoreChanged(
        f"{where} is another store than before: its id is {found}, and {known} was expected. Nothing is written to it "
        f"and nothing is forgotten. Set the address right, or annotate the backend with {ACCEPT_STORE}={found}: all "
        "access is then made anew there, and what the old store holds is yours to remove"
    )


def refuse_other_cluster(expected: Expected, cluster: str, holder: str, marker: str) -> None:
    """Raise ClusterIDConflict unless the marker in the store names this cluster. ``holder`` is the uid in it."""
    if holder == expected.cluster_uid:
        return
    held = f"by the cluster with uid {holder}" if holder else "by a marker that names no cluster"
    raise ClusterIDConflict(
        f"the name {cluster} is taken in this store {held}, and this cluster's is {expected.cluster_uid}. Nothing is "
        "written to the store and nothing removed. Give one of the two another name (AIRWARDEN_CLUSTER); or, if the "
        f"other cluster is gone and this one takes its place, have the store's administrator delete {marker}"
    )
