"""A Kubernetes API that shows what a test put into it, and people who run the commands against it and the stand-in.

It knows neither rights nor writes: what the real one does is the business of `tests/integration`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from airwarden.api import crd
from airwarden.domain.resources import Address, Grant, StaticSecret
from contract.azure.bench import UID, Bench
from integration.commands.running import Person
from plane import small_server
from stand_ins.azure.stand_in import AzureStandIn

Json = dict[str, Any]
BACKENDS, BINDINGS = "airflowsecretbackends", "airflowsecretbindings"
_CLUSTER_WIDE = {"namespaces", BACKENDS, "clusterrolebindings", "customresourcedefinitions"}
_KNOWN = _CLUSTER_WIDE | {
    BINDINGS,
    "airflowsecretrotations",
    "airflowenvironments",
    "serviceaccounts",
    "secrets",
    "configmaps",
    "rolebindings",
}


@dataclass
class Cluster:
    """What the API shows, by the plural of its kind, and what it refuses to show."""

    objects: dict[str, list[Json]] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)

    def add(self, plural: str, body: Json) -> None:
        """Show one object more."""
        self.objects.setdefault(plural, []).append(body)

    def answer(self, path: str) -> tuple[int, Json]:
        """Return status and body for a GET."""
        parts = path.strip("/").split("/")
        place = next((at for at in (len(parts) - 1, len(parts) - 2) if parts[at] in _KNOWN), -1)
        if place < 0:
            return 404, {}
        plural = parts[place]
        if plural in self.forbidden or path in self.forbidden:
            return 403, {}
        found = self.objects.get(plural, [])
        if place > 1 and parts[place - 2] == "namespaces":
            found = [each for each in found if each["metadata"].get("namespace") == parts[place - 1]]
        if place == len(parts) - 1:
            return 200, {"items": found, "metadata": {}}
        named = [each for each in found if each["metadata"]["name"] == parts[-1]]
        return (200, named[0]) if named else (404, {})


@contextmanager
def serving(cluster: Cluster) -> Iterator[str]:
    """Serve it and return its address."""

    class Handler(small_server.Small):
        def respond(self) -> None:
            status, body = cluster.answer(self.path.partition("?")[0])
            self.answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    with small_server.serving(Handler) as port:
        yield f"http://127.0.0.1:{port}"


def filled(bench: Bench) -> Cluster:
    """Return a cluster with the bench's backend, its certificates, and the namespace of its bindings."""
    made = Cluster()
    made.add("namespaces", {"metadata": {"name": "kube-system", "uid": UID}})
    made.add("namespaces", {"metadata": {"name": "team"}})
    made.add("configmaps", {"metadata": {"name": "ca", "namespace": "airwarden"}, "data": {"ca.crt": bench.ca}})
    made.add(BACKENDS, shown_backend(bench))
    for text in crd.crd_files().values():
        made.add("customresourcedefinitions", yaml.safe_load(text))
    return made


def shown_backend(bench: Bench, **changes: Any) -> Json:
    """Return the backend as people read it, Ready and with the stand-in's certificates."""
    reference = {"configMap": {"name": "ca"}}
    ready = {"type": "Ready", "status": "True", "reason": "Ready"}
    return {**bench.body(caBundleRef=reference, **changes), "status": {"conditions": [ready]}}


def bound(wanted: Grant, recorded: Mapping[Address, str]) -> Json:
    """Return the binding of a grant, with a record of what was written for it."""
    owner = wanted.owner
    keys = sorted(each.key for each in wanted.readable if isinstance(each, StaticSecret))
    return {
        "metadata": {"name": owner.binding, "namespace": owner.namespace, "uid": "u-1", "generation": 1},
        "spec": {
            "serviceAccount": {"name": wanted.account},
            "secrets": [
                {"type": "Connection", "id": each, "backendRef": {"name": wanted.backend}, "key": each} for each in keys
            ],
        },
        "status": {
            "observedGeneration": 1,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}],
            "targets": [
                {
                    "backend": each.backend,
                    "kind": each.kind,
                    "name": each.name,
                    "state": "Present",
                    "origin": "Created",
                    "digest": digest,
                }
                for each, digest in recorded.items()
            ],
        },
    }


def somebody(home: Path, address: str, variables: Mapping[str, str]) -> Person:
    """Return a person with a kubeconfig for that address and these variables."""
    config = {
        "clusters": [{"name": "here", "cluster": {"server": address}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "users": [{"name": "me", "user": {"token": "mine"}}],
        "current-context": "here",
    }
    path = home / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return Person(path, home, variables={"AIRWARDEN_CLUSTER": "c1", **variables})


def azure_login(azure: AzureStandIn, *roles: str, scope: str = "") -> dict[str, str]:
    """Return the variables of somebody who has these roles, in the subscription unless told where."""
    made = azure.add_application("somebody")
    for role in roles:
        azure.grant(made.principal_id, role, scope)
    return {
        "AZURE_TENANT_ID": azure.tenant,
        "AZURE_CLIENT_ID": made.app_id,
        "AZURE_CLIENT_SECRET": azure.add_client_secret(made),
    }
