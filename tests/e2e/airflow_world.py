"""A plane with Vault, bindings and a whole Airflow whose executor gives pods their bindings' accounts.

Used by the end-to-end tests of identity. What the operator will render (maps, accounts, roles) is written here, in its
form; the scheduler has the rights that docs/executor.md prints, and no more.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from airflow_airwarden.dag_map import map_name
from airwarden.domain.owner import Owner
from airwarden.domain.resources import StaticSecret
from airwarden.providers.vault.policy import render, rules_for
from plane.airflow_servers import AirflowServers, Bundle
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.json_client import Json
from plane.postgres_server import PostgresServer
from plane.vault_admin import prepare_store, write_kubernetes_role, write_policy, write_secret
from plane.waiting import wait_for

DAGS: Final = Path(__file__).parent / "dags"
ENVIRONMENT: Final = "airflow/main"
UNBOUND: Final = "airflow-unbound"
NAMESPACES: Final = ("airflow-prod", "airflow-red")
BUNDLES: Final = (
    Bundle("billing-git", DAGS / "billing"),
    Bundle("red-git", DAGS / "red", "red"),
    Bundle("blue-git", DAGS / "blue", "blue"),
)
EXECUTOR: Final = "airflow_airwarden.executor.AirwardenKubernetesExecutor"
EXECUTORS: Final = f"{EXECUTOR};red={EXECUTOR};blue=LocalExecutor,second:{EXECUTOR}"
"""The default one, a team's own, and the second one of another team, all in one scheduler."""
SOON: Final = 180.0


@dataclass(frozen=True)
class Binding:
    """What the operator makes of one binding: account, role, policy, map."""

    bundle: str
    ids: tuple[str, ...]
    name: str
    """Of the binding, its account and its role."""
    namespace: str = "airflow-prod"

    def claim(self) -> Json:
        """Return its part of the bundle's DAG map."""
        binding = f"{self.namespace}/{self.name}"
        return {"binding": binding, "account": self.name, "ids": list(self.ids), "mounts": ["vault"], "labels": {}}


class AirflowWorld:
    """The prepared plane; ``servers`` makes its Airflow."""

    def __init__(self, plane: Plane, bindings: Sequence[Binding]) -> None:
        self.plane, self.bindings = plane, tuple(bindings)

    def prepare(self) -> None:
        """Write all that is there before Airflow starts."""
        prepare_store(self.plane)
        for namespace in ("airflow", *NAMESPACES):
            self.plane.create_namespace(namespace)
        self.plane.api.create_service_account("airflow", "airflow-scheduler")
        self.plane.api.create_service_account("airflow-prod", UNBOUND)
        self._permit_scheduler()
        for each in self.bindings:
            self._bind(each)
        for bundle in BUNDLES:
            self.write_dag_map(bundle.name)

    def write_dag_map(self, bundle: str, without: Sequence[str] = ()) -> None:
        """Write a bundle's DAG map, as the operator does; ``without`` names bindings that are gone."""
        body = {
            "version": 1,
            "environment": ENVIRONMENT,
            "bundle": bundle,
            "mounts": {"vault": {"audience": "vault", "path": "vault/token", "expirationSeconds": 600}},
            "bindings": [each.claim() for each in self.bindings if each.bundle == bundle and each.name not in without],
            "withheld": [],
        }
        self._config_map("airflow", map_name("main", bundle), {"map.json": json.dumps(body, separators=(",", ":"))})

    def servers(self, postgres: PostgresServer) -> AirflowServers:
        """Return Airflow with the settings that the operator renders and an administrator adds."""
        common = {
            "CONFIG_FILE": str(self.plane.kubeconfig_for("airflow", "airflow-scheduler")),
            "NAMESPACE": "airflow-prod",
            "MULTI_NAMESPACE_MODE": "True",
            "MULTI_NAMESPACE_MODE_NAMESPACE_LIST": ",".join(NAMESPACES),
        }
        settings = {
            "AIRFLOW__CORE__EXECUTOR": EXECUTORS,
            "AIRFLOW__AIRWARDEN__ENVIRONMENT": ENVIRONMENT,
            "AIRFLOW__AIRWARDEN__BUNDLES": ",".join(each.name for each in BUNDLES),
            "AIRFLOW__AIRWARDEN__UNBOUND_NAMESPACE": "airflow-prod",
            "AIRFLOW__AIRWARDEN__UNBOUND_SERVICE_ACCOUNT": UNBOUND,
            "AIRFLOW__AIRWARDEN__DIGEST": "e" * 32,
        }
        for prefix in ("AIRFLOW__", "AIRFLOW__RED___", "AIRFLOW__BLUE___"):
            settings |= {f"{prefix}KUBERNETES_EXECUTOR__{name}": value for name, value in common.items()}
        workers = {"AIRFLOW__CORE__EXECUTOR": f"LocalExecutor,second:{EXECUTOR}"}  # a worker knows the names DAGs use
        return AirflowServers(self.plane, postgres, BUNDLES, settings, workers, DAGS / "library")

    def _permit_scheduler(self) -> None:
        """Apply the rights of the page, in each namespace of pods."""
        page = (REPOSITORY / "docs" / "executor.md").read_text()
        (found,) = [each for each in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "kind: Role\n" in each]
        objects: list[dict[str, Any]] = list(yaml.safe_load_all(found))
        names = [map_name("main", each.name) for each in BUNDLES]
        for each in objects:
            if each["metadata"]["name"] == "airwarden-dag-maps" and each["kind"] == "Role":
                each["rules"][0]["resourceNames"] = names
        pods = [each for each in objects if each["metadata"]["namespace"] == "airflow-prod"]
        again = [{**each, "metadata": {**each["metadata"], "namespace": "airflow-red"}} for each in pods]
        self.plane.api.apply(*objects, *again)

    def _bind(self, binding: Binding) -> None:
        plane, key = self.plane, f"{binding.namespace}/identity/{binding.name}"
        plane.api.create_service_account(binding.namespace, binding.name)
        owner = Owner("c1", binding.namespace, binding.name, "vault")
        write_policy(plane, binding.name, render(owner, rules_for([StaticSecret(key)], mount="airflow", version=2)))
        write_kubernetes_role(
            plane, binding.name, namespace=binding.namespace, account=binding.name, policy=binding.name
        )
        dag_id = binding.ids[0].rstrip("*")
        values = {"conn_type": "generic", "host": "db", "password": f"{dag_id}/{secrets.token_hex(12)}"}
        write_secret(plane, key, values)
        token_file = "/var/run/secrets/airwarden/vault/token"
        login = {"method": "Kubernetes", "mount": "kubernetes", "role": binding.name, "tokenFile": token_file}
        body = {
            "version": 1,
            "binding": f"{binding.namespace}/{binding.name}",
            "environment": ENVIRONMENT,
            "stores": {
                "vault": {
                    "type": "Vault",
                    "addresses": [plane.vault_address],
                    "kv": {"mount": "airflow", "version": 2},
                    "login": login,
                }
            },
            "secrets": [{"type": "Connection", "id": "warehouse", "store": "vault", "key": key}],
        }
        self._config_map(binding.namespace, f"airwarden.{binding.name}.map", {"binding.json": json.dumps(body)})

    def _config_map(self, namespace: str, name: str, data: Json) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace},
            "data": data,
        }
        self.plane.api.apply(body)


def finished(servers: AirflowServers, dag_id: str, deadline: float) -> list[Json]:
    """Wait until a DAG has runs and all are over; return them."""

    def over() -> list[Json] | None:
        runs: list[Json] = servers.request("GET", f"dags/{dag_id}/dagRuns")["dag_runs"]
        ended = [each for each in runs if each["state"] in {"success", "failed"}]
        return runs if runs and len(ended) == len(runs) else None

    return wait_for(f"the runs of {dag_id} are over", over, deadline, 0.3)
