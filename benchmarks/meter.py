"""Counts what the operator asks of both servers and what it costs, between two points in time.

Called by the scenarios through `Stage.meter`. Requests are those in the servers' audit logs under the
operator's own identity; processor time is the kernel's.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from benchmarks import accounting
from plane.audit import ApiRequest, VaultRequest
from plane.control_plane import Plane
from plane.operator import ACCOUNT, NAMESPACE

OPERATOR_USER: Final = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
OPERATOR_LOGIN: Final = f"kubernetes-{NAMESPACE}-{ACCOUNT}"
_GRANTS: Final = ("sys/policies/acl", "auth/kubernetes/role")
_READS: Final = frozenset({"read", "list"})


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used between two points in time."""

    seconds: float
    cpu_seconds: float
    servers: Mapping[str, float]
    """Processor seconds of each server of the plane."""
    api: tuple[ApiRequest, ...]
    vault: tuple[VaultRequest, ...]

    def patches(self, namespace: str = "", names: frozenset[str] | None = None) -> int:
        """Return how many writes to bindings there were, those that failed included."""
        return sum(
            each.resource == "airflowsecretbindings"
            and each.verb in ("patch", "update")
            and (not namespace or each.namespace == namespace)
            and (names is None or each.name in names)
            for each in self.api
        )

    def backend_patches(self) -> int:
        """Return how many writes to backends there were."""
        return sum(each.resource == "airflowsecretbackends" and each.verb in ("patch", "update") for each in self.api)

    def vault_reads(self) -> int:
        """Return how many policies and roles were read or listed."""
        return sum(each.operation in _READS for each in self._grants())

    def vault_writes(self) -> int:
        """Return how many policies and roles were written or deleted."""
        return sum(each.operation not in _READS for each in self._grants())

    def kinds(self) -> dict[str, int]:
        """Return how often the operator asked for what."""
        found = Counter(f"api {each.verb} {each.resource}/{each.subresource}".rstrip("/") for each in self.api)
        found.update(f"vault {each.operation} {'/'.join(each.path.split('/')[:3])}" for each in self.vault)
        return dict(sorted(found.items()))

    def _grants(self) -> list[VaultRequest]:
        # The marker of the cluster's name is read by the backend's own check, whatever the bindings do.
        return [each for each in self.vault if each.path.startswith(_GRANTS) and not each.path.endswith(".cluster-id")]


class Meter:
    """Counts from its making on."""

    def __init__(self, plane: Plane, pid: int | None) -> None:
        self._plane = plane
        self._pid = pid
        self._began = time.monotonic()
        self._cpu = accounting.cpu_seconds(pid) if pid is not None else 0.0
        self._servers = server_seconds(plane)
        self._api, self._vault = plane.api.audit.mark(), plane.vault.audit.mark()

    def read(self, pid: int | None = None) -> Usage:
        """Return what was used so far. ``pid`` is that of an operator that was started meanwhile."""
        seconds = time.monotonic() - self._began
        now = accounting.cpu_seconds(pid or self._pid or 0)
        return Usage(
            seconds,
            now if pid is not None and pid != self._pid else now - self._cpu,
            {name: used - self._servers.get(name, 0.0) for name, used in server_seconds(self._plane).items()},
            tuple(each for each in self._plane.api.audit.entries(self._api) if each.user == OPERATOR_USER),
            tuple(each for each in self._plane.vault.audit.entries(self._vault) if each.display_name == OPERATOR_LOGIN),
        )


def server_seconds(plane: Plane) -> dict[str, float]:
    """Return the processor time of each server that runs, by name."""
    api, vault = plane.api, plane.vault
    processes = (api.apiserver, api.etcd, api.controllers, vault.process)
    return {each.name: accounting.cpu_seconds(each.pid) for each in processes if each.pid is not None}
