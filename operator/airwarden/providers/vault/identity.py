"""Who answers and whose name it is, asked of a Vault: its cluster_id, and the marker of our cluster's name.

The marker is a policy with a comment and no path, so it gives no rights to anybody. Its name has one part after the
cluster's, so no binding derives it. Vault knows no conditional write: of two clusters that write their marker at once
the later one stays, and the other finds that out when it reads again. Called by `airwarden.providers.vault.client`
before it uses a login, and by `airwarden.providers.vault.checking`.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from airwarden.domain.errors import StoreFailed
from airwarden.domain.identity import Expected, refuse_other_cluster, refuse_other_store
from airwarden.domain.owner import PREFIX
from airwarden.providers.vault.answers import Answer
from airwarden.providers.vault.transport import Call

_MARKER: Final = re.compile(r"# airwarden\.dev/cluster cluster=(\S+) uid=(\S+)\n.*", re.DOTALL)
_NOTE: Final = "# Says which cluster has this name here. It gives no rights. Written by Airwarden; do not delete it."
Ask = Callable[[Call], Awaitable[Answer]]


class Identity:
    """What one Vault must answer before it is used."""

    def __init__(self, cluster: str, expected: Expected, address: str, *, marked: bool = True) -> None:
        """``marked`` False leaves the marker out: an operator that writes no policy cannot write it either."""
        self._marked = marked
        self._cluster = cluster
        self._expected = expected
        self._address = address

    @property
    def marker(self) -> str:
        """Path of the marker."""
        return f"sys/policies/acl/{marker_name(self._cluster)}"

    def refuse_other_store(self, store_id: str) -> None:
        """Raise StoreChanged for another Vault than the one meant. Where none was meant, it is this one from now on."""
        refuse_other_store(self._expected, store_id, f"Vault at {self._address}")
        if store_id and not self._expected.store_ids:
            self._expected = Expected(frozenset({store_id}), self._expected.cluster_uid, self._expected.claims)

    async def refuse_other_cluster(self, ask: Ask) -> None:
        """Read the marker, and write it where there is none. Raises ClusterIDConflict when it is another cluster's."""
        if not self._marked:
            return
        holder = await self._holder(ask)
        if holder is None:
            if not self._expected.claims:
                return
            text = f"# airwarden.dev/cluster cluster={self._cluster} uid={self._expected.cluster_uid}\n{_NOTE}\n"
            await ask(Call("POST", self.marker, {"policy": text}))
            holder = await self._holder(ask)
        refuse_other_cluster(self._expected, self._cluster, holder or "", f"the policy {marker_name(self._cluster)}")

    async def owns_cluster_name(self, ask: Ask) -> bool:
        """Tell whether the marker is there and ours, also where it is not asked for otherwise; it is never written."""
        holder = await self._holder(ask)
        if holder is not None:
            name = f"the policy {marker_name(self._cluster)}"
            refuse_other_cluster(self._expected, self._cluster, holder, name)
        return holder is not None

    async def _holder(self, ask: Ask) -> str | None:
        """Return the uid in the marker; empty when it names none of our cluster's name, None without a marker."""
        answer = await ask(Call("GET", self.marker))
        if answer.absent:
            return None
        text = answer.data.get("policy")
        if not isinstance(text, str):
            raise StoreFailed(f"Vault answered the read of {self.marker} without a policy: is it a Vault?")
        found = _MARKER.fullmatch(text)
        return found[2] if found is not None and found[1] == self._cluster else ""


def marker_name(cluster: str) -> str:
    """Return the name of the policy that says whose cluster the name is."""
    return f"{PREFIX}.{cluster}.cluster-id"
