"""What the integration tests act on: the cluster and Vault as a user and an administrator hold them.

Made by the fixtures beside this module. Everything is asked of the real servers; the operator is only
ever seen through what it leaves there and in their audit logs.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar

from integration.objects import AUTH, GROUP, KV, backend_object
from plane.audit import ApiRequest, VaultRequest
from plane.control_plane import Plane
from plane.errors import PlaneError, PlaneHTTPError
from plane.json_client import Json
from plane.operator import ACCOUNT, CLUSTER, NAMESPACE, OperatorProcess, set_up_vault
from plane.vault_admin import login, read_secret, write_secret
from plane.waiting import wait_for

T = TypeVar("T")
OPERATOR_USER: Final = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
OPERATOR_LOGIN: Final = f"kubernetes-{NAMESPACE}-{ACCOUNT}"
SOON: Final = 60.0
"""Seconds until something counts as not happening."""
_UPKEEP: Final = (
    "auth/token/",
    "sys/health",
    "sys/capabilities-self",
    "sys/mounts/",
    f"auth/{AUTH}/login",
    f"auth/{AUTH}/role/airwarden.{CLUSTER}.cluster-id",
    f"sys/policies/acl/airwarden.{CLUSTER}.cluster-id",
)
_MERGE: Final = {"Content-Type": "application/merge-patch+json"}


def eventually(what: str, check: Callable[[], T | None], deadline: float = SOON) -> T:
    """Return the first truthy answer of ``check``, which may also fail by assertions; the last one is shown."""
    failures: list[AssertionError] = []

    def tried() -> T | None:
        try:
            return check()
        except AssertionError as error:
            failures.append(error)
            return None

    try:
        return wait_for(what, tried, deadline)
    except PlaneError as error:
        if failures:
            raise AssertionError(f"{error}; at last: {failures[-1]}") from None
        raise


@dataclass
class World:
    """One plane with the operator on it. ``vault`` is the plane's, or another with the same set-up."""

    plane: Plane
    operator: OperatorProcess
    namespaces: list[str] = field(default_factory=list)
    _numbers: ClassVar[Iterator[int]] = itertools.count(1)
    """One count for all worlds of a process: two of them may share a plane."""

    def fresh(self, stem: str) -> str:
        """Return a name that no other test has."""
        return f"{stem}-{next(self._numbers)}"

    # The cluster.

    def get(self, path: str) -> Json | None:
        """Read an object as admin; None when it is not there."""
        try:
            return self.plane.api.admin.request("GET", path)
        except PlaneHTTPError as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, body: Mapping[str, Any]) -> Json:
        """Create an object as admin."""
        return self.plane.api.admin.request("POST", path, dict(body))

    def merge(self, path: str, body: Mapping[str, Any]) -> Json:
        """Change an object as admin by a merge patch."""
        return self.plane.api.admin.request("PATCH", path, dict(body), headers=_MERGE)

    def delete(self, path: str) -> None:
        """Delete an object as admin, if it is there."""
        self.plane.api.admin.request("DELETE", path, accept=[404])

    def wait_gone(self, path: str, deadline: float = SOON) -> None:
        """Wait until there is no such object."""
        eventually(f"{path} is gone", lambda: self.get(path) is None, deadline)

    def make_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace, and run the Vault set-up again, as an admin does for each namespace that comes."""
        self.plane.create_namespace(name, dict(labels or {}))
        if name not in self.namespaces:
            self.namespaces.append(name)
        self.permit_namespaces()
        return name

    def permit_namespaces(self) -> None:
        """Let the operator bind accounts of the namespaces so far."""
        set_up_vault(self.plane, backend_object("setup", self.plane.vault_address), namespaces=self.namespaces)

    def version(self, collection: str) -> str:
        """Return the resource version of a collection now."""
        return str(self.plane.api.admin.request("GET", collection)["metadata"]["resourceVersion"])

    def states_since(self, version: str, collection: str) -> list[Json]:
        """Return every state of a collection's objects since a resource version, as a watcher saw them."""
        query = f"watch=1&resourceVersion={version}&timeoutSeconds=3"
        said = self.plane.kubectl("get", "--raw", f"{collection}?{query}")
        return [json.loads(line)["object"] for line in said.splitlines()]

    def events(self, namespace: str, name: str) -> list[tuple[str, str, str]]:
        """Return type, reason and message of an object's Events, the oldest first."""
        found = self.plane.api.admin.request("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
        found.sort(key=lambda each: int(each["metadata"]["resourceVersion"]))
        return [
            (each["type"], each["reason"], each["message"]) for each in found if each["involvedObject"]["name"] == name
        ]

    # Vault.

    def policy(self, name: str) -> str | None:
        """Return the text of a policy; None when there is none."""
        found = self._vault_read(f"sys/policies/acl/{name}")
        return None if found is None else str(found["policy"])

    def role(self, name: str) -> Json | None:
        """Return a role of the Kubernetes login; None when there is none."""
        return self._vault_read(f"auth/{AUTH}/role/{name}")

    def write_policy(self, name: str, text: str) -> None:
        """Write a policy by hand."""
        self.plane.vault.request("PUT", f"sys/policies/acl/{name}", {"policy": text})

    def delete_policy(self, name: str) -> None:
        """Delete a policy by hand."""
        self.plane.vault.request("DELETE", f"sys/policies/acl/{name}")

    def write_role(self, name: str, **fields: Any) -> None:
        """Write some fields of a role by hand."""
        self.plane.vault.request("POST", f"auth/{AUTH}/role/{name}", fields)

    def delete_role(self, name: str) -> None:
        """Delete a role by hand."""
        self.plane.vault.request("DELETE", f"auth/{AUTH}/role/{name}")

    def write_secret(self, key: str) -> dict[str, str]:
        """Put a value under a key; return it."""
        values = {"conn_uri": f"postgres://{key}"}
        write_secret(self.plane, key, values, mount=KV)
        return values

    def login(self, namespace: str, account: str, role: str, audience: str = "vault") -> str:
        """Log in as a task under an account does; return the Vault token."""
        jwt = self.plane.service_account_token(namespace, account, audience, 600)
        return login(self.plane, role, jwt, AUTH)

    def read(self, token: str, key: str) -> dict[str, str]:
        """Read a secret as a task does. PlaneHTTPError on refusal."""
        return read_secret(self.plane, key, token=token, mount=KV)

    def may_read(self, token: str, key: str) -> bool:
        """Tell whether a token reads a key; any other failure than a refusal is raised."""
        try:
            self.read(token, key)
        except PlaneHTTPError as error:
            if error.status == 403:
                return False
            raise
        return True

    def _vault_read(self, path: str) -> Json | None:
        try:
            found = self.plane.vault.request("GET", path)
        except PlaneHTTPError as error:
            if error.status == 404:
                return None
            raise
        data: Json = found["data"]
        return data

    # What the operator did.

    def marks(self) -> Marks:
        """Return a position in both audit logs."""
        return Marks(self, self.plane.api.audit.mark(), self.plane.vault.audit.mark())


@dataclass(frozen=True)
class Marks:
    """A position in the audit logs, and what the operator asked of the servers since."""

    world: World
    api: int
    vault: int

    def api_requests(self) -> list[ApiRequest]:
        """Return what the operator asked of the API server."""
        return [each for each in self.world.plane.api.audit.entries(self.api) if each.user == OPERATOR_USER]

    def patches(self, name: str) -> list[str]:
        """Return the operator's writes to one of our objects, by what they wrote: metadata or status."""
        return [
            each.subresource or "metadata"
            for each in self.api_requests()
            if each.group == GROUP and each.name == name and each.verb in ("patch", "update", "create")
        ]

    def vault_requests(self) -> list[VaultRequest]:
        """Return what the operator asked of Vault, without login, renewal and the backend's own checks."""
        entries = self.world.plane.vault.audit.entries(self.vault)
        mine = [each for each in entries if each.display_name == OPERATOR_LOGIN]
        return [each for each in mine if not each.path.startswith(_UPKEEP)]

    def vault_operations(self, name: str = "") -> Counter[str]:
        """Return how often the operator did what in Vault; with a name, only what names it."""
        return Counter(each.operation for each in self.vault_requests() if each.path.endswith(name))

    def logins(self) -> int:
        """Return how often the operator logged in to Vault."""
        return sum(
            each.path == f"auth/{AUTH}/login" and each.display_name == OPERATOR_LOGIN
            for each in self.world.plane.vault.audit.entries(self.vault)
        )

    def drift_checks(self, name: str) -> int:
        """Return how often both objects of a binding were read in Vault."""
        return self.vault_operations(name)["read"] // 2
