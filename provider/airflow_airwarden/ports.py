"""The reader interface through which every store comes: one reader per store of the map and process.

`sessions.py` calls it; `readers` holds the implementations. A new store is one module there, one dataclass in
`binding_map.py` and its lines in `map_file.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from airflow_airwarden.binding_map import Place


def no_end() -> float:
    """Return the end of what has none."""
    return float("inf")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a store answered."""

    values: Mapping[str, object] = field(repr=False)
    version: str = ""
    lease: str = ""
    """Id of the lease; empty: the values have none."""
    request_id: str = ""
    """The store's own, so that its audit log and ours can be laid side by side."""
    address: str = ""
    good_until: Callable[[], float] = no_end
    """When the values stop to work, on the monotonic clock. A renewed lease moves it."""
    rehearsed: set[type] = field(default_factory=set, compare=False, repr=False)
    """As what these values went through all that Airflow does with them: its class for connections, dict for JSON."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a login when the process ended."""

    store: str
    leases: int
    outcome: str


class Reader(Protocol):
    """Reads one store under the task's own identity. Every method may be called from several threads at once."""

    def read(self, place: Place, correlation: str, deadline: float) -> Reading:
        """Read a place, with retries until the deadline (monotonic); LookupRefused says why not.

        ``correlation`` is a hint for the store's audit log: who asks.
        """

    def identity(self) -> Mapping[str, str]:
        """Return what is known of the pod whose identity is used: namespace, pod, serviceAccount."""

    def maintain(self) -> float:
        """Renew what is due; return when to come again, on the monotonic clock, or infinity."""

    def close(self) -> list[Ended]:
        """Give up logins and leases, with one short try each. Nothing is raised."""

    def counts(self) -> Mapping[str, int]:
        """Return how many requests and logins there were since the last call."""
