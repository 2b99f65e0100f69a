"""Reads the audit logs of the API server and Vault into plain records, so that tests can count requests.

Called by tests and benchmarks through `plane.api.audit` and `plane.vault.audit`.
`mark()` before an action and `entries(mark)` after it give that action's requests.
Both servers write a request's record before or just as the client gets its
answer; a test that counts to an exact number waits for it with `waiting.wait_for`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class VaultRequest:
    """One request that Vault answered."""

    operation: str  # read, create, update, patch, delete, list
    path: str
    display_name: str  # kubernetes-<namespace>-<account>, root, token, …; empty before a login
    metadata: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    request_id: str = ""
    policies: tuple[str, ...] = ()
    remote_address: str = ""
    answered: str = ""
    """When, as Vault writes it: 2026-01-31T12:00:00.123456789Z."""


@dataclass(frozen=True)
class ApiRequest:
    """One request that the API server answered."""

    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    uri: str = ""
    user_agent: str = ""
    audit_id: str = ""
    impersonated: str = ""


class _AuditLog:
    """A log of one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> int:
        """Return a position: entries from here on are new."""
        return self.path.stat().st_size if self.path.exists() else 0

    def _events(self, since: int) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as log:
            log.seek(since)
            for line in log:
                if line.endswith(b"\n"):  # else it is still being written
                    yield json.loads(line)


class VaultAudit(_AuditLog):
    """Vault's audit log."""

    def entries(self, since: int = 0) -> list[VaultRequest]:
        """Return the answered requests since a mark, in order."""
        return [_vault_request(event) for event in self._events(since) if event.get("type") == "response"]


class ApiAudit(_AuditLog):
    """The API server's audit log."""

    def entries(self, since: int = 0) -> list[ApiRequest]:
        """Return the requests since a mark, in order; a write that has no answer yet has the code 0.

        A watch counts once, open or closed.
        """
        seen: dict[str, ApiRequest] = {}
        for event in self._events(since):
            seen[event["auditID"]] = _api_request(event)
        return list(seen.values())

    def created_pods(self, since: int = 0) -> list[tuple[str, dict[str, Any]]]:
        """Return each pod that was made since a mark, in order: by whom, and the pod as the API server took it."""
        return [
            (event["user"]["username"], event["responseObject"])
            for event in self._events(since)
            if _api_request(event).resource == "pods"
            and event["verb"] == "create"
            and not _api_request(event).subresource
            and event.get("responseObject", {}).get("kind") == "Pod"
        ]


def _vault_request(event: dict[str, Any]) -> VaultRequest:
    request, auth = event.get("request", {}), event.get("auth", {})
    return VaultRequest(
        operation=request.get("operation", ""),
        path=request.get("path", ""),
        display_name=auth.get("display_name", ""),
        metadata=auth.get("metadata") or {},
        error=event.get("error", ""),
        request_id=request.get("id", ""),
        policies=tuple(auth.get("policies") or ()),
        remote_address=request.get("remote_address", ""),
        answered=event.get("time", ""),
    )


def _api_request(event: dict[str, Any]) -> ApiRequest:
    reference = event.get("objectRef", {})
    return ApiRequest(
        user=event.get("user", {}).get("username", ""),
        verb=event.get("verb", ""),
        group=reference.get("apiGroup", ""),
        resource=reference.get("resource", ""),
        subresource=reference.get("subresource", ""),
        namespace=reference.get("namespace", ""),
        name=reference.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        uri=event.get("requestURI", ""),
        user_agent=event.get("userAgent", ""),
        audit_id=event["auditID"],
        impersonated=event.get("impersonatedUser", {}).get("username", ""),
    )
