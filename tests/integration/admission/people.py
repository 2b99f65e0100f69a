"""People with rights of their own, and what the API server says to them. Used by the tests of the account policies."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from integration.objects import binding_path
from plane.control_plane import Plane
from plane.errors import PlaneHTTPError
from plane.json_client import Json, JsonClient

MERGE = {"Content-Type": "application/merge-patch+json"}
_DENIED = "denied request: "
# What both of the cluster's roles allow that authors are bound to, admin and edit.
_ANY_ROLE: Json = {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["patch"]}


@dataclass
class Cluster:
    """A cluster in which admission alone answers."""

    plane: Plane
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def fresh(self, stem: str) -> str:
        """Return a name that no other test has."""
        return f"{stem}-{next(self._numbers)}"

    @property
    def admin(self) -> JsonClient:
        """The client of the cluster's admin."""
        return self.plane.api.admin

    def refusal(self, method: str, path: str, body: Mapping[str, Any], client: JsonClient | None = None) -> str:
        """Ask without making anything; return admission's words, empty when it admits. Other failures are raised."""
        query = "" if "?" in path else "?dryRun=All"
        headers = MERGE if method == "PATCH" else {}
        try:
            (client or self.admin).request(method, f"{path}{query}", body, headers=headers)
        except PlaneHTTPError as error:
            said = str(json.loads(error.text)["message"])
            if error.status != 403 or _DENIED not in said:
                raise
            return said.partition(_DENIED)[2]
        return ""

    def asking(self, body: Mapping[str, Any], client: JsonClient | None = None) -> str:
        """Ask for a new binding."""
        return self.refusal("POST", binding_path(body["metadata"]["namespace"]), body, client)

    def author(self, namespace: str, *rules: Json, role: str = "") -> JsonClient:
        """Return a client of a new account in a namespace, with these rules there or bound to a role of the cluster."""
        name = self.fresh("author")
        rbac = "rbac.authorization.k8s.io"
        self.plane.api.create_service_account(namespace, name)
        made: Json = {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": name, "namespace": namespace}}
        kind, bound = ("ClusterRole", role) if role else ("Role", name)
        if not role:
            self.plane.api.apply({**made, "rules": list(rules)})
        self.plane.api.apply(
            {
                **made,
                "kind": "RoleBinding",
                "roleRef": {"apiGroup": rbac, "kind": kind, "name": bound},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            }
        )
        client = self.plane.api.client(token=self.plane.service_account_token(namespace, name))
        self.plane.api.wait_for_rights(client, namespace, *(rules or [_ANY_ROLE]))
        return client


def secret(key: str, backend: str, name: str = "warehouse") -> Json:
    """Return one entry of a binding's secrets."""
    return {"type": "Connection", "id": name, "backendRef": {"name": backend}, "key": key}


def binding(namespace: str, *secrets: Json, mode: str = "Managed", name: str = "asked", **spec: Any) -> Json:
    """Return a binding."""
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBinding",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"serviceAccount": {"name": "worker", "mode": mode}, "secrets": list(secrets), **spec},
    }
