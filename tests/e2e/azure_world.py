"""`examples/azure` on a real control plane, with the stand-in for Azure behind it, and tasks of real Airflow in pods.

Used by `test_azure.py` beside this module and by `make demo-azure`. What the operator makes is made by the operator;
what administrators do is done here, with what `airwarden azure-setup` grants and no more. A pod is the one that
Airwarden's executor makes of the operator's DAG map, and runs as the played kubelet runs pods.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import secrets
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml
from kubernetes.client import ApiClient
from kubernetes.client import models as k8s

from airflow_airwarden.dag_map import map_name, parse_dag_map
from airflow_airwarden.identities import Bound, Identity, Unbound
from airflow_airwarden.pod_identity import BACKEND, MAP_FOLDER, TOKEN_FOLDER, Stamp, Unprivileged, stamped
from airwarden.api.backend import AirflowSecretBackend
from airwarden.providers.azure.opening import place_of, settings
from airwarden.providers.azure.setup import granted
from contract.provider.airflow_task import AirflowEnvironment
from plane.airflow_servers import LOCAL_BUNDLE, POD_USER
from plane.binaries import REPOSITORY, TOOLS
from plane.control_plane import Plane
from plane.errors import PlaneError
from plane.json_client import Json
from plane.kubelet import Kubelet
from plane.kubernetes_server import ISSUER
from plane.operator import ACCOUNT, OperatorProcess
from plane.operator import NAMESPACE as OPERATOR
from plane.waiting import wait_for
from stand_ins.azure.roles import Role
from stand_ins.azure.stand_in import AzureStandIn
from stand_ins.azure.world import Identity as AzureIdentity

EXAMPLE: Final = REPOSITORY / "examples" / "azure"
DAGS: Final = Path(__file__).parent / "dags" / "azure"
AUDIENCE: Final = "api://AzureADTokenExchange"
VAULT: Final = "kv-airflow-prod"
NAMESPACE: Final = "airflow-prod"
ENVIRONMENT: Final = "main"
SECRETS: Final = {"billing": "airflow-warehouse", "reporting": "airflow-reports"}
DAG_OF: Final = {"billing": ("billing-git", "billing_daily"), "reporting": ("reporting-git", "weekly_report")}
SOON: Final = 60.0
TASK: Final = 180.0
"""Seconds within which a task's pod must be over: it imports the whole of Airflow."""
_RUN: Final = """\
mkdir -p "$AIRFLOW_HOME" && cd "$AIRFLOW_HOME"
echo "$TASK" | python "$RUNNER"; status=$?
cat logs/task.log
echo; echo "outcome $(cat "$TASK_RESULT")"
exit $status
"""
OVERLAY: Final = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - {base}
patches:
  - target: {{kind: AirflowSecretBackend, name: kv-airflow-prod}}
    patch: |-
      apiVersion: airwarden.dev/v1alpha1
      kind: AirflowSecretBackend
      metadata: {{name: kv-airflow-prod}}
      spec:
        azureKeyVault:
          tenantID: {tenant}
          vault: {{subscriptionID: {subscription}, url: "{vault}"}}
          identities: {{subscriptionID: {subscription}}}
          issuer: {issuer}
          login: {{clientID: {client}}}
          authority: {authority}
          resourceManager: {manager}
          caBundleRef: {{configMap: {{name: azure-stand-in}}}}
"""


@dataclass(frozen=True)
class TaskEnded:
    """What came of a task."""

    account: str
    read: bool
    as_expected: bool
    """Whether the value was the stored one; the task tells no more of it."""
    said: str
    """Host of the connection, or the words of the refusal."""
    output: str = field(repr=False)
    """All that the pod said."""

    @property
    def reason(self) -> str:
        """The provider's word for the refusal, and Entra's or the vault's code where there is one."""
        reason, _, rest = self.said.partition(": ")[2].partition(": ")
        code = rest.rpartition("(")[2].partition(")")[0]
        return f"{reason} ({code})" if code.startswith(("AADSTS", "Forbidden")) else reason


class AzureWorld:
    """The prepared plane and stand-in; a context manager that runs a node for the tasks."""

    def __init__(self, plane: Plane, azure: AzureStandIn, cluster: str) -> None:
        self.plane, self.azure, self._cluster = plane, azure, cluster
        self._kubelet = Kubelet(plane)
        # Pods must see the provider, and the plane's own folder is hidden from them.
        self._shared = Path(tempfile.mkdtemp(prefix="airwarden-azure-tasks-"))
        self._shared.chmod(0o755)
        self._airflow = AirflowEnvironment.prepare(self._shared)
        self._passwords: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        self._kubelet.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kubelet.__exit__(kind, error, trace)
        shutil.rmtree(self._shared, ignore_errors=True)
        if error is None and self._kubelet.faults:
            raise PlaneError(f"the played kubelet: {self._kubelet.faults}")

    # What administrators do.

    def prepare(self, folder: Path) -> None:
        """Make vault, secrets and identities in Azure, and the overlay that puts their ids into the example."""
        self.azure.add_subscription(self.azure.subscription, ("secrets", "airwarden-ids", "platform"))
        self.azure.add_vault(VAULT, group="secrets")
        for name, secret in SECRETS.items():
            self._passwords[name] = secrets.token_urlsafe(18)
            uri = f"postgres://{name}:{self._passwords[name]}@{name}.internal:5432/prod"
            self.azure.set_secret(VAULT, secret, uri)
        self.azure.trust_issuer(ISSUER, lambda: self.plane.api.admin.request("GET", "/openid/v1/jwks"))
        self.billing = self.azure.add_identity("id-billing", group="airwarden-ids")
        self._operator = self.azure.add_identity("airwarden", group="platform")
        self.azure.federate(self._operator, ISSUER, f"system:serviceaccount:{OPERATOR}:{ACCOUNT}")
        self._write_overlay(folder)

    def allow_operator(self, folder: Path) -> None:
        """Grant the operator what azure-setup prints for the backend, and give it its token and the authority."""
        backend = yaml.safe_load_all(self.plane.kubectl("kustomize", str(folder)))
        (body,) = [each for each in backend if each["kind"] == "AirflowSecretBackend"]
        model = AirflowSecretBackend.model_validate({key: body[key] for key in ("metadata", "spec")})
        for each in granted(place_of(model, settings(model), self._cluster)):
            role = self.azure.add_role(Role(str(uuid.uuid4()), each.name, each.actions, built_in=False))
            self.azure.grant(self._operator.principal_id, role.id, each.scope, condition=each.condition)
        pem = Path(self.azure.ca_pem).read_text()
        self._apply("v1", "ConfigMap", OPERATOR, "azure-stand-in", data={"ca.crt": pem})

    def give_token(self, operator: OperatorProcess) -> None:
        """Project the operator's token for Entra, as manifests/overlays/azure has it."""
        operator.tokens.mkdir(parents=True, exist_ok=True)
        token = operator.tokens / "azure"
        token.write_text(self.plane.service_account_token(OPERATOR, ACCOUNT, AUDIENCE, 3600))
        token.chmod(0o600)

    def _write_overlay(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = OVERLAY.format(
            base=os.path.relpath(EXAMPLE.resolve(), folder.resolve()),  # kustomize refuses absolute paths
            tenant=self.azure.tenant,
            subscription=self.azure.subscription,
            vault=self.azure.vault_url(VAULT),
            issuer=ISSUER,
            client=self._operator.client_id,
            authority=self.azure.authority,
            manager=self.azure.url,
        )
        (folder / "kustomization.yaml").write_text(text)

    # What is there.

    def wait_mapped(self) -> None:
        """Wait until both bindings are Ready and their DAGs run under their accounts."""
        for binding in SECRETS:
            self._wait_mapped(binding)

    def _wait_mapped(self, binding: str) -> None:
        status: Json = {}

        def ready() -> bool:
            nonlocal status
            body = json.loads(self.plane.kubectl("get", "asb", binding, "-n", NAMESPACE, "-o", "json"))
            status = body.get("status") or {}
            conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
            if conditions.get("Ready") != "True" or not status.get("identity"):
                return False
            found = self.identity_of(DAG_OF[binding])
            return isinstance(found, Bound) and bool(found.claim.mounts)

        try:
            wait_for(f"{binding} is ready and mapped", ready, SOON, 0.3)
        except PlaneError as error:
            raise PlaneError(f"{error}; its conditions are {status.get('conditions')}") from None

    def made_identities(self) -> list[AzureIdentity]:
        """Return the identities that the operator made."""
        with self.azure.world() as world:
            return [each for each in world.identities.values() if each.name.startswith("airwarden-")]

    def assigned(self) -> list[str]:
        """Return the secrets at which a role is assigned, by name."""
        scopes = (each.scope.lower() for each in self.azure.assignments())
        return sorted(each.rpartition("/")[2] for each in scopes if f"/vaults/{VAULT}/secrets/" in each)

    def map_of(self, binding: str) -> dict[str, str]:
        """Return the data of a binding's map, as the operator renders it."""
        found = self.plane.kubectl("get", "configmap", f"airwarden.{binding}.map", "-n", NAMESPACE, "-o", "json")
        return dict(json.loads(found)["data"])

    def identity_of(self, dag: tuple[str, str]) -> Identity:
        """Return whose pod a DAG's tasks have, as the executor reads it from the operator's DAG map."""
        bundle, dag_id = dag
        name = map_name(ENVIRONMENT, bundle)
        body = json.loads(self.plane.kubectl("get", "configmap", name, "-n", "airflow", "-o", "json"))
        found = parse_dag_map(body["data"]["map.json"], f"airflow/{ENVIRONMENT}", bundle)
        claim = found.find(dag_id)
        return Unbound("no binding names it", certain=True) if claim is None else Bound(claim, found.digest)

    # What tasks do.

    def run(self, binding: str) -> TaskEnded:
        """Run a task of a binding's DAG in the pod that the executor would make for it now."""
        bundle, dag_id = DAG_OF[binding]
        pod = self._pod(binding)
        stamp = Stamp(ENVIRONMENT, "", bundle, dag_id, self.identity_of((bundle, dag_id)), _UNBOUND)
        return self._ended(_plain(stamped(pod, stamp)), binding)

    def try_by_hand(self, account: str, data: Mapping[str, str], wants: str) -> TaskEnded:
        """Run the same task under an account with a map of one's own making, as somebody who may make pods could."""
        body = _plain(self._pod(wants))
        name = body["metadata"]["name"]
        self._apply("v1", "ConfigMap", NAMESPACE, name, data=dict(data))
        spec, container = body["spec"], body["spec"]["containers"][0]
        spec["serviceAccountName"] = account
        token = {"audience": AUDIENCE, "path": f"{VAULT}/token", "expirationSeconds": 600}
        spec["volumes"] = [
            {"name": "map", "configMap": {"name": name}},
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        ]
        container["volumeMounts"] = [
            {"name": "map", "mountPath": MAP_FOLDER, "readOnly": True},
            {"name": "token", "mountPath": TOKEN_FOLDER, "readOnly": True},
        ]
        body["metadata"]["namespace"] = NAMESPACE
        return self._ended(body, wants)

    def map_by_hand(self, client_id: str, secret: str) -> dict[str, str]:
        """Return a map as the operator would render it, for whatever identity and secret one knows of."""
        store = {
            "type": "AzureKeyVault",
            "vaultURL": self.azure.vault_url(VAULT),
            "authority": self.azure.authority,
            "tenantID": self.azure.tenant,
            "tls": {"caFile": f"{MAP_FOLDER}/ca.pem"},
            "login": {
                "method": "WorkloadIdentity",
                "clientID": client_id,
                "tokenFile": f"{TOKEN_FOLDER}/{VAULT}/token",
            },
        }
        body = {
            "version": 1,
            "binding": f"{NAMESPACE}/by-hand",
            "stores": {VAULT: store},
            "secrets": [{"type": "Connection", "id": "warehouse", "store": VAULT, "key": secret}],
        }
        return {"binding.json": json.dumps(body), "ca.pem": Path(self.azure.ca_pem).read_text()}

    def canaries(self) -> list[str]:
        """Return the passwords, which no output may show."""
        return list(self._passwords.values())

    def _pod(self, binding: str) -> k8s.V1Pod:
        """Return the pod before it has an identity: what a pod template and Airflow give."""
        _, dag_id = DAG_OF[binding]
        python = self._airflow.python
        bundles = [{"name": "tests", "classpath": LOCAL_BUNDLE, "kwargs": {"path": str(DAGS)}}]
        home = "/tmp/airflow"  # noqa: S108 - of the pod
        variables = {
            "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": "/tmp",  # noqa: S108 - of the pod
            "USER": "airflow",
            "AIRFLOW_HOME": home,
            "PYTHONPATH": str(self._airflow.installed),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": f"{home}/logs",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__WORKERS__SECRETS_BACKEND": BACKEND,
            "EXPECTED_SHA256": hashlib.sha256(self._passwords[binding].encode()).hexdigest(),
            "RUNNER": str(TOOLS / "airflow" / "run_task.py"),
            "TASK": json.dumps({"task": "reads", "dag": dag_id, "file": "reading.py"}),
            "TASK_RESULT": f"{home}/seen.json",
        }
        container = k8s.V1Container(
            name="base",
            image="any",
            command=["sh", "-c", _RUN],
            env=[k8s.V1EnvVar(name=name, value=value) for name, value in variables.items()],
        )
        spec = k8s.V1PodSpec(
            restart_policy="Never",
            security_context=k8s.V1PodSecurityContext(run_as_user=POD_USER, fs_group=0),
            containers=[container],
        )
        return k8s.V1Pod(metadata=k8s.V1ObjectMeta(name=f"{dag_id.replace('_', '-')}-{next(self._numbers)}"), spec=spec)

    def _ended(self, body: Json, binding: str) -> TaskEnded:
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        path = f"/api/v1/namespaces/{namespace}/pods"
        self.plane.api.admin.request("POST", path, {"apiVersion": "v1", "kind": "Pod", **body})

        def over() -> bool:
            found = self.plane.api.admin.request("GET", f"{path}/{name}")
            return found.get("status", {}).get("phase") in {"Succeeded", "Failed"}

        wait_for(f"pod {name} is over", over, TASK, 0.2)
        output = self._kubelet.output(namespace, name)
        told = [each.removeprefix("outcome ") for each in output.splitlines() if each.startswith("outcome {")]
        if not told:
            raise PlaneError(f"the task of {binding} told nothing:\n{output[-3000:]}")
        seen: dict[str, Any] = json.loads(told[-1])
        return TaskEnded(
            body["spec"]["serviceAccountName"],
            bool(seen["read"]),
            bool(seen.get("as_expected")),
            str(seen.get("host") or seen.get("said")),
            output,
        )

    def _apply(self, version: str, kind: str, namespace: str, name: str, **parts: Any) -> None:
        metadata = {"name": name, "namespace": namespace}
        self.plane.api.apply({"apiVersion": version, "kind": kind, "metadata": metadata, **parts})


def _plain(pod: k8s.V1Pod) -> Json:
    """Return a pod as it is sent."""
    found: Json = ApiClient().sanitize_for_serialization(pod)  # type: ignore[no-untyped-call]
    return found


_UNBOUND: Final = Unprivileged(NAMESPACE, "airflow-unbound")
