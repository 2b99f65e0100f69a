"""One AirflowEnvironment as the tests hold it, and the bindings that name it.

Made by the tests in `test_environments.py` and by those of the faults.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from airwarden.domain.environment.dag_map import map_name
from integration.handles import _condition
from integration.objects import API
from integration.world import SOON, World, eventually
from plane.json_client import Json

BUNDLE: Final = "billing-git"


def environment_path(namespace: str, name: str = "") -> str:
    """Return where an environment, or all of a namespace, are served."""
    return f"{API}/namespaces/{namespace}/airflowenvironments" + (f"/{name}" if name else "")


def config_map_path(namespace: str, name: str = "") -> str:
    """Return where a ConfigMap, or all of a namespace, are served."""
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")


def environment_object(namespace: str, name: str, *teams: str, **spec: Any) -> Json:
    """Return an environment whose one bundle the teams may claim."""
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowEnvironment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "workerNamespaces": list(teams),
            "bundles": [{"name": BUNDLE, "namespaces": list(teams)}],
            "components": {"scheduler": {"serviceAccountName": "airflow-scheduler"}},
            "unbound": {"namespace": teams[0], "serviceAccountName": "airflow-unbound"},
            **spec,
        },
    }


@dataclass(frozen=True)
class Environment:
    """One AirflowEnvironment."""

    world: World
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """Where it is served."""
        return environment_path(self.namespace, self.name)

    @property
    def map_path(self) -> str:
        """Where the map of its bundle is served."""
        return config_map_path(self.namespace, map_name(self.name, BUNDLE))

    def body(self) -> Json:
        """Return it as it is now."""
        found = self.world.get(self.path)
        assert found is not None, f"environment {self.namespace}/{self.name} is gone"
        return found

    def status(self) -> Json:
        """Return its status as it is now."""
        status: Json = self.body().get("status") or {}
        return status

    def edit(self, **spec: Any) -> None:
        """Change fields of the spec."""
        self.world.merge(self.path, {"spec": spec})

    def wait_ready(self, deadline: float = SOON) -> Json:
        """Wait until it is Ready at its own generation; return the status."""
        self.wait_condition("Ready", "True", deadline=deadline)
        return self.status()

    def wait_condition(self, kind: str, status: str, reason: str = "", deadline: float = SOON) -> Json:
        """Wait until a condition is so at its generation; return it."""
        return eventually(
            f"environment {self.namespace}/{self.name} has {kind}={status} {reason}",
            partial(_condition, self.body, kind, status, reason),
            deadline,
        )

    def mapped(self) -> dict[str, list[str]]:
        """Return DAG ids by binding, as the map of its bundle has them."""
        found = self.world.get(self.map_path)
        assert found is not None, "there is no map"
        return {each["binding"]: each["ids"] for each in json.loads(found["data"]["map.json"])["bindings"]}

    def wait_mapped(self, *bindings: str) -> None:
        """Wait until exactly these bindings are mapped, each as namespace/name."""
        eventually(f"mapped are {bindings}", lambda: sorted(self.mapped()) == sorted(bindings))

    def config_maps(self) -> dict[str, Json]:
        """Return the ConfigMaps of its namespace that are named as ours, by name."""
        found = self.world.plane.api.admin.request("GET", config_map_path(self.namespace))["items"]
        return {each["metadata"]["name"]: each for each in found if each["metadata"]["name"].startswith("airwarden.")}


def named_by(environment: Environment, *ids: str, bundle: str = BUNDLE) -> dict[str, Any]:
    """Return the part of a binding's spec by which it claims DAGs."""
    return {
        "environmentRef": {"name": environment.name, "namespace": environment.namespace},
        "dags": [{"bundle": bundle, "ids": list(ids)}],
    }
