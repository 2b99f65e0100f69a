"""Builds maps, payload places and readers for the provider's unit tests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_airwarden.binding_map import Dynamic, DynamicKind, Key, Place, Secret, SecretType
from airflow_airwarden.errors import LookupRefused, Reason
from airflow_airwarden.ports import Ended, Reading, no_end

VAULT: dict[str, Any] = {
    "type": "Vault",
    "addresses": ["https://vault.example:8200"],
    "kv": {"mount": "airflow", "version": 2},
    "login": {"method": "Kubernetes", "mount": "kubernetes", "role": "billing", "tokenFile": "/var/run/token"},
}
WAREHOUSE: dict[str, Any] = {
    "type": "Connection",
    "id": "warehouse",
    "store": "vault",
    "key": "airflow-prod/connections/warehouse",
}


def map_body(**changes: Any) -> dict[str, Any]:
    """A whole map with one store and one connection."""
    return {
        "version": 1,
        "binding": "airflow-prod/billing",
        "environment": "airflow/main",
        "unboundIDs": "FallThrough",
        "cacheTTLSeconds": 60,
        "stores": {"vault": VAULT},
        "secrets": [WAREHOUSE],
        **changes,
    }


def write_map(folder: Path, **changes: Any) -> Path:
    """The same in a file, put in its place in one step as the kubelet does."""
    path = folder / "binding.json"
    new = folder / f"new-{time.monotonic_ns()}"
    new.write_text(json.dumps(map_body(**changes)))
    new.rename(path)
    return path


def static(kind: str = "Connection", *, secret_field: str = "", **more: Any) -> Secret:
    return Secret(SecretType(kind), "warehouse", "vault", Key("a/b"), secret_field, **more)


def dynamic(kind: str = "Connection", **more: Any) -> Secret:
    return Secret(SecretType(kind), "reporting", "vault", Dynamic("database", "r", DynamicKind.DYNAMIC), **more)


@dataclass
class PlainReader:
    """A reader whose store is a mapping, and which counts."""

    values: Mapping[str, Mapping[str, object]]
    reads: list[str] = field(default_factory=list)
    closed: int = 0
    lease: str = ""
    good_until: Callable[[], float] = no_end
    hold: threading.Event | None = None
    reached: threading.Event = field(default_factory=threading.Event)

    def read(self, place: Place, correlation: str, deadline: float) -> Reading:
        self.reads.append(str(place))
        self.reached.set()
        if self.hold is not None:
            assert self.hold.wait(30)
        if str(place) not in self.values:
            raise LookupRefused(Reason.SECRET_ABSENT, f"nothing at {place}", "Write it")
        return Reading(self.values[str(place)], "7", self.lease, "request-1", "here", self.good_until)

    def identity(self) -> Mapping[str, str]:
        return {"namespace": "airflow-prod", "serviceAccount": "billing", "pod": "billing-1"}

    def maintain(self) -> float:
        return no_end()

    def close(self) -> list[Ended]:
        self.closed += 1
        return [Ended("vault", 1, "Revoked")]

    def counts(self) -> Mapping[str, int]:
        return {"requests": 1}
