"""A plane with all that a platform team has: the operator, the admission policies, an environment, and its Airflow.

Used by the tests of the acts. Nothing that Airwarden renders is written by hand: maps, accounts, policies and roles are
the operator's, the scheduler's variables are those of its ConfigMap, and its rights those that `airwarden environment
rights` prints. The triggerer's map is: it has a binding without DAGs, for which none is rendered.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from airwarden.domain.environment.components import component_map_name
from e2e.airflow_world import DAGS
from integration.commands.running import admin
from integration.environments import Environment, environment_path
from integration.handles import Backend, Binding, name_in_store
from integration.objects import AUTH, KV, backend_object, backend_path, binding_path, rule
from integration.world import World
from plane.airflow_runs import DONE, AirflowRuns
from plane.airflow_servers import AirflowServers, Bundle
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.database_engine import DatabaseEngine
from plane.json_client import Json
from plane.operator import OperatorProcess, Options, install, set_up_vault, wait_for_policies
from plane.postgres_server import DATABASE, PostgresServer
from plane.vault_admin import prepare_store, write_secret

AIRFLOW: Final = "airflow"
TEAM: Final = "airflow-prod"
FULL: Final = "airflow-late"
"""A second worker namespace, in which the cluster is full for a while."""
UNBOUND: Final = "airflow-unbound"
STORE: Final = "vault"
ENGINE: Final = "database"
SCHEDULER: Final = f"system:serviceaccount:{AIRFLOW}:airflow-scheduler"
COMPONENTS: Final = {
    "scheduler": "airflow-scheduler",
    "api-server": "airflow-api-server",
    "dag-processor": "airflow-dag-processor",
    "triggerer": "airflow-triggerer",
}
BUNDLES: Final = (
    Bundle("billing-git", DAGS / "acts" / "billing"),
    Bundle("reporting-git", DAGS / "acts" / "reporting"),
)
FIRST_LIFE: Final = 15
LONGEST_LIFE: Final = 35
"""Seconds that a database user lives without renewal, and at most."""
SOON: Final = 180.0
DECOY: Final = "http://:decoy@elsewhere"
"""What a pod's own variables hold under the id of a bound connection."""


@dataclass
class Values:
    """The secret values by key in the store. Tests compare their digests."""

    plane: Plane
    now: dict[str, str] = field(default_factory=dict, repr=False)

    def write(self, key: str, **more: str) -> None:
        """Put a new connection under a key."""
        self.now[key] = secrets.token_hex(16)
        write_secret(self.plane, key, {"conn_type": "generic", "password": self.now[key], **more}, mount=KV)

    def digest(self, key: str) -> str:
        """Return the digest of what lies under a key now."""
        return hashlib.sha256(self.now[key].encode()).hexdigest()


class Stage:
    """The prepared cluster and Vault, with the operator at work."""

    def __init__(self, plane: Plane, operator: OperatorProcess, postgres: PostgresServer) -> None:
        self.plane, self.operator, self.postgres = plane, operator, postgres
        self.world = World(plane, operator)
        self.values = Values(plane)
        self.environment = Environment(self.world, AIRFLOW, "main")

    def prepare(self) -> None:
        """Have all objects applied and Ready, as the platform team and the DAG teams do."""
        for name in (AIRFLOW, TEAM, FULL):
            self.plane.create_namespace(name)
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "automountServiceAccountToken": False}
        self.plane.api.apply({**account, "metadata": {"name": UNBOUND, "namespace": TEAM}})
        for name in COMPONENTS.values():
            if name != COMPONENTS["triggerer"]:  # that of a binding, whose account is the operator's to make
                self.plane.api.create_service_account(AIRFLOW, name)
        self._fill_vault()
        self.world.create(backend_path(), backend(self.plane.vault_address))
        Backend(self.world, STORE).wait_ready(SOON)
        self.world.create(environment_path(AIRFLOW), environment())
        for each in bindings(self.postgres):
            self.world.create(binding_path(each["metadata"]["namespace"]), each)
        for each in bindings(self.postgres):
            self.binding(each["metadata"]["namespace"], each["metadata"]["name"]).wait_ready(SOON)
        self.environment.wait_mapped(f"{FULL}/late", f"{TEAM}/billing")
        self._give_rights()

    def binding(self, namespace: str, name: str) -> Binding:
        """Return a binding; its account has its name."""
        return Binding(self.world, namespace, name, name, STORE)

    def role(self, namespace: str, name: str) -> str:
        """Return the role and policy of a binding in Vault."""
        return name_in_store(namespace, name, STORE)

    def rendered(self, component: str) -> dict[str, str]:
        """Return what the operator renders for a component."""
        name = component_map_name("main", component)
        return dict(self.plane.api.admin.request("GET", f"/api/v1/namespaces/{AIRFLOW}/configmaps/{name}")["data"])

    def servers(self) -> AirflowServers:
        """Return Airflow, each server under its own account and with its own ConfigMap, as the chart has it."""
        own = {}
        for name, account in COMPONENTS.items():
            kubeconfig = str(self.plane.kubeconfig_for(AIRFLOW, account))
            own[name] = {**self.rendered(name), "AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE": kubeconfig}
        own["triggerer"] |= self._reader_of_triggers()
        # A cluster that is full is no failure: the pod is made when there is room.
        common = {
            "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": AIRFLOW,
            "AIRFLOW__KUBERNETES_EXECUTOR__TASK_PUBLISH_MAX_RETRIES": "-1",
        }
        workers = {"AIRFLOW_CONN_LEDGER": DECOY}
        return AirflowServers(self.plane, self.postgres, BUNDLES, common, workers, DAGS / "library", own)

    def _fill_vault(self) -> None:
        for name in ("warehouse", "ledger", "reports"):
            self.values.write(f"{TEAM}/connections/{name}", host="db.test")
        self.values.write(f"{FULL}/connections/ledger")
        self.values.write(f"{AIRFLOW}/connections/webhook")
        write_secret(self.plane, f"{TEAM}/variables/region", {"value": "north"}, mount=KV)
        engine = DatabaseEngine(self.plane.vault, self.postgres, ENGINE)
        engine.enable()
        engine.dynamic_role(f"{TEAM}.reporting", f"{FIRST_LIFE}s", f"{LONGEST_LIFE}s")

    def _give_rights(self) -> None:
        said = admin(self.plane, self.operator.folder).runs("environment", "rights", "airflow/main")
        assert said.status == 0, said.err
        self.plane.api.apply(*yaml.safe_load_all(said.out))

    def _reader_of_triggers(self) -> dict[str, str]:
        """Return the variables of a triggerer that reads as its own account; a binding without DAGs has no map."""
        folder = self.plane.data_dir / "triggerer"
        folder.mkdir(mode=0o700)
        token, written = folder / "token", folder / "binding.json"
        token.write_text(self.plane.service_account_token(AIRFLOW, COMPONENTS["triggerer"], "vault"))
        login = {"method": "Kubernetes", "mount": AUTH, "role": self.role(AIRFLOW, "triggers"), "tokenFile": str(token)}
        store = {"type": "Vault", "addresses": [self.plane.vault_address], "kv": {"mount": KV, "version": 2}}
        item = {"type": "Connection", "id": "webhook", "store": STORE, "key": f"{AIRFLOW}/connections/webhook"}
        body = {"version": 1, "binding": f"{AIRFLOW}/triggers", "stores": {STORE: {**store, "login": login}}}
        written.write_text(json.dumps({**body, "environment": "airflow/main", "secrets": [item]}))
        return {
            "AIRFLOW__WORKERS__SECRETS_BACKEND": "airflow_airwarden.backend.AirwardenBackend",
            "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS": json.dumps({"map_path": str(written)}),
        }


@contextmanager
def staged(plane: Plane, postgres: PostgresServer) -> Iterator[Stage]:
    """Install the operator with its look at task pods and all admission policies, and set the stage."""
    install(plane, "manifests/overlays/environment")
    policies = plane.kubectl("kustomize", str(REPOSITORY / "manifests" / "admission"))
    plane.api.apply(*(each for each in yaml.safe_load_all(policies) if each))
    wait_for_policies(plane)
    prepare_store(plane)
    set_up_vault(plane, backend(plane.vault_address))
    options = Options(extra=("--see-task-pods", "--environment-interval=1"), fresh=True)
    with OperatorProcess(plane, options) as operator:
        stage = Stage(plane, operator, postgres)
        stage.prepare()
        yield stage


def backend(address: str) -> Json:
    """Return the store, whose one rule gives each namespace its own tree and its own database users."""
    dynamic = [{"engine": ENGINE, "rolePrefixes": ["{namespace}."]}]
    own = rule(names=(AIRFLOW, TEAM, FULL), keyPrefixes=["{namespace}/"], dynamic=dynamic)
    return backend_object(STORE, address, allow=[own])


def environment() -> Json:
    """Return the environment: two bundles, the first of which two namespaces may claim."""
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowEnvironment",
        "metadata": {"name": "main", "namespace": AIRFLOW},
        "spec": {
            "workerNamespaces": [TEAM, FULL],
            "bundles": [
                {"name": "billing-git", "namespaces": [TEAM, FULL]},
                {"name": "reporting-git", "namespaces": [TEAM]},
            ],
            "components": {
                "scheduler": {"serviceAccountName": COMPONENTS["scheduler"]},
                "apiServer": {"serviceAccountName": COMPONENTS["api-server"]},
                "dagProcessor": {"serviceAccountName": COMPONENTS["dag-processor"]},
                "triggerer": {"serviceAccountName": COMPONENTS["triggerer"]},
            },
            "unbound": {"namespace": TEAM, "serviceAccountName": UNBOUND},
        },
    }


def bindings(postgres: PostgresServer) -> Sequence[Json]:
    """Return the DAG teams' bindings, and the one of the triggerer, which has no DAGs."""
    parts = {"connType": "postgres", "host": "127.0.0.1", "port": postgres.port, "schema": DATABASE}
    user = {"engine": ENGINE, "role": f"{TEAM}.reporting", "kind": "Dynamic"}
    reports_db = {"type": "Connection", "id": "reports_db", "backendRef": {"name": STORE}, "dynamic": user}
    return (
        _binding(
            TEAM,
            "billing",
            _claims("billing-git", "billing_*"),
            _static(TEAM, "warehouse"),
            _static(TEAM, "ledger"),
            {**_static(TEAM, "region", "variables"), "type": "Variable"},
        ),
        _binding(
            TEAM,
            "reporting",
            _claims("reporting-git", "weekly_*", "reporting_*"),
            _static(TEAM, "reports"),
            {**reports_db, "connection": parts},
        ),
        _binding(FULL, "late", _claims("billing-git", "late"), _static(FULL, "ledger")),
        _binding(AIRFLOW, "triggers", {}, _static(AIRFLOW, "webhook"), account=COMPONENTS["triggerer"]),
    )


def _claims(bundle: str, *ids: str) -> Json:
    return {"environmentRef": {"name": "main", "namespace": AIRFLOW}, "dags": [{"bundle": bundle, "ids": list(ids)}]}


def _static(namespace: str, name: str, folder: str = "connections") -> Json:
    return {"type": "Connection", "id": name, "backendRef": {"name": STORE}, "key": f"{namespace}/{folder}/{name}"}


def _binding(namespace: str, name: str, claims: Json, *items: Json, account: str = "") -> Json:
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBinding",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**claims, "serviceAccount": {"name": account or name}, "secrets": list(items)},
    }


@dataclass(frozen=True)
class Deployment(AirflowRuns):
    """The stage with its running Airflow."""

    stage: Stage

    @contextmanager
    def talking(self, dag_id: str) -> Iterator[Talk]:
        """Begin a run whose task talks with the test."""
        with socket.create_server(("127.0.0.1", 0)) as door:
            door.settimeout(DONE)
            run_id = self.run(dag_id, port=door.getsockname()[1])
            task, _ = door.accept()
            with task:
                task.settimeout(DONE)
                yield Talk(run_id, task)


@dataclass(frozen=True)
class Talk:
    """The test's side of a talk with a task."""

    run_id: str
    task: socket.socket

    def hear(self) -> Json:
        """Return what the task saw; it waits until it is told to go on."""
        text = b""
        while not text.endswith(b"\n"):
            more = self.task.recv(4096)
            assert more, "the task ended in the middle of its talk"
            text += more
        heard: Json = json.loads(text)
        return heard

    def go_on(self) -> None:
        """Let the task go on."""
        self.task.sendall(b"\n")


def access_lines(output: str) -> list[Mapping[str, Any]]:
    """Return the provider's audit lines out of what a pod said."""
    found: list[Mapping[str, Any]] = []
    for line in output.splitlines():
        try:
            event = json.loads(line).get("event", "")
            audit = json.loads(event) if isinstance(event, str) and event.startswith("{") else None
        except ValueError:
            continue
        if isinstance(audit, dict) and "binding" in audit:
            found.append(audit)
    return found
