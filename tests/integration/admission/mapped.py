"""An Airflow whose tasks run under the accounts of bindings, as far as admission sees it: objects, marks and people.

Used by the tests of the policies for pods, tokens and maps. No operator runs: what it would write into the status of a
binding is written here, with its rights.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from integration.admission.people import MERGE, Cluster, binding, secret
from integration.objects import account_path, binding_path
from plane.errors import PlaneHTTPError
from plane.json_client import JsonClient
from plane.operator import ACCOUNT, NAMESPACE
from plane.waiting import wait_for

Json = dict[str, Any]
MARK: Final = "airwarden.dev/"
ENVIRONMENT: Final = "main"
AIRFLOW: Final = "airflow"
SCHEDULER: Final = "airflow-scheduler"
CREATOR: Final = f"system:serviceaccount:{AIRFLOW}:{SCHEDULER}"
BUNDLE: Final = "billing-git"
SOON: Final = 30.0
"""Seconds within which a change of a binding surely reached the policies."""
_PODS: Final[Json] = {
    "apiGroups": [""],
    "resources": ["pods", "pods/ephemeralcontainers", "pods/exec", "configmaps", "serviceaccounts/token"],
    "verbs": ["create", "get", "list", "watch", "patch", "update", "delete"],
}
_DENIED: Final = "denied request: "


def pod_path(namespace: str, name: str = "") -> str:
    """Return where pods of a namespace, or one of them, are served."""
    return f"/api/v1/namespaces/{namespace}/pods" + (f"/{name}" if name else "")


def identity(claims: Mapping[str, Sequence[str]], creator: str = CREATOR, environment: str = ENVIRONMENT) -> Json:
    """Return what the operator says of a binding whose DAGs are in force."""
    dags = [{"bundle": bundle, "ids": list(ids)} for bundle, ids in claims.items()]
    return {"environment": f"{AIRFLOW}/{environment}", "podCreator": creator, "dags": dags}


def plain_pod(account: str, name: str = "anything") -> Json:
    """Return a pod of an account, without any mark."""
    container = {"name": "base", "image": "airflow:3.3", "args": ["true"]}
    return {
        "metadata": {"name": name, "labels": {}, "annotations": {}},
        "spec": {"serviceAccountName": account, "containers": [container]},
    }


def bound_pod(name: str, dag: str = "billing_daily", bundle: str = BUNDLE, environment: str = ENVIRONMENT) -> Json:
    """Return a pod as the executor makes it for the binding of that name, whose account has the same name."""
    pod = plain_pod(name, f"airwarden-{name}-daily-x1")
    labels = {"identity": "Bound", "environment": environment, "binding": name}
    notes = {"bundle": bundle, "dag-id": dag, "map-digest": "0" * 32, "environment-digest": "", "worker-holds": ""}
    pod["metadata"]["labels"] = {MARK + key: value for key, value in labels.items()}
    pod["metadata"]["annotations"] = {MARK + key: value for key, value in notes.items()}
    token = {"serviceAccountToken": {"path": "vault/token", "audience": "vault", "expirationSeconds": 600}}
    pod["spec"]["volumes"] = [{"name": "airwarden-tokens", "projected": {"sources": [token]}}]
    return pod


def changed(body: Json, *path: str, to: Any) -> Json:
    """Return a copy with another value at a place, or without it where that is None."""
    made = copy.deepcopy(body)
    at = made
    for each in path[:-1]:
        at = at[each]
    if to is None:
        at.pop(path[-1])
    else:
        at[path[-1]] = to
    return made


@dataclass(frozen=True)
class Airflow:
    """One worker namespace, and who does what in it."""

    cluster: Cluster
    namespace: str
    scheduler: JsonClient
    """The environment's scheduler."""
    editor: JsonClient
    """Somebody with the role `edit` of the namespace."""
    operator: JsonClient
    """Airwarden's operator."""

    @property
    def masters(self) -> JsonClient:
        """A member of system:masters."""
        return self.cluster.admin

    @property
    def node(self) -> JsonClient:
        """A node."""
        return node(self.cluster, "fake-1")

    def declare(self, stem: str, namespace: str = "", **spec: Any) -> str:
        """Make an account and a binding for it, both of a new name, which is returned."""
        name, where = self.cluster.fresh(stem), namespace or self.namespace
        self.cluster.plane.api.create_service_account(where, name)
        body = binding(where, secret("shared/a", "comes-later"), name=name, **spec)
        body["spec"]["serviceAccount"]["name"] = name
        self.cluster.admin.request("POST", binding_path(where), body)
        return name

    def map(self, name: str, said: Json | None, namespace: str = "") -> None:
        """Write `status.identity` as the operator does."""
        path = binding_path(namespace or self.namespace, name) + "/status"
        self.operator.request("PATCH", path, {"status": {"identity": said}}, headers=MERGE)

    def bind(self, stem: str = "billing", ids: Sequence[str] = ("billing_*",), **more: Any) -> str:
        """Make a binding whose DAGs are in force, and wait until the policies know it."""
        reference = {"name": ENVIRONMENT, "namespace": AIRFLOW}
        claims = [{"bundle": BUNDLE, "ids": list(ids)}]
        name = self.declare(stem, environmentRef=reference, dags=claims, **more)
        self.map(name, identity({BUNDLE: ids}))
        dag = f"{ids[0].rstrip('*')}1" if ids[0].endswith("*") else ids[0]
        self.wait(name, lambda: self.refusal(bound_pod(name, dag), self.scheduler) == "")
        return name

    def wait(self, name: str, judged: Any) -> None:
        """Wait until the policies judge so: a change of a binding reaches them by a watch."""
        wait_for(f"the policies know what binding {name} is now", judged, SOON)

    def refusal(self, pod: Json, client: JsonClient, namespace: str = "") -> str:
        """Return why a pod would be refused to somebody, empty when it would be made."""
        return self.cluster.refusal("POST", pod_path(namespace or self.namespace), pod, client)

    def run(self, name: str, client: JsonClient | None = None, **marks: Any) -> Json:
        """Make a pod of a binding as the scheduler; return it."""
        pod = bound_pod(name, **marks)
        pod["metadata"]["name"] = self.cluster.fresh(f"airwarden-{name}")
        return (client or self.scheduler).request("POST", pod_path(self.namespace), pod)

    def run_plain(self, account: str) -> Json:
        """Make a pod without marks."""
        return self.masters.request("POST", pod_path(self.namespace), plain_pod(account, self.cluster.fresh("plain")))


def node(cluster: Cluster, name: str) -> JsonClient:
    """Return the client of a node."""
    return cluster.plane.api.client(cluster.plane.api.client_certificate(f"system:node:{name}", ["system:nodes"]))


def forbidden(client: JsonClient, method: str, path: str, body: Json | None = None) -> str:
    """Ask, and return the words with which that is forbidden, whoever forbids it; empty when it is not."""
    try:
        client.request(method, path, body)
    except PlaneHTTPError as error:
        if error.status != 403:
            return ""
        said = str(json.loads(error.text)["message"])
        return said.partition(_DENIED)[2] or said
    return ""


def airflow(cluster: Cluster) -> Airflow:
    """Make the namespaces, the scheduler and the others."""
    plane = cluster.plane
    plane.create_namespace(AIRFLOW)
    plane.create_namespace("tasks")
    for account in (SCHEDULER, "another-scheduler"):
        plane.api.create_service_account(AIRFLOW, account)
    plane.api.create_service_account("tasks", "unbound")
    rbac = "rbac.authorization.k8s.io"
    made: Json = {"apiVersion": f"{rbac}/v1", "metadata": {"name": "airflow-pods"}}
    plane.api.apply(
        {**made, "kind": "ClusterRole", "rules": [_PODS]},
        {
            **made,
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "airflow-pods"},
            "subjects": [
                {"kind": "ServiceAccount", "name": name, "namespace": AIRFLOW}
                for name in (SCHEDULER, "another-scheduler")
            ],
        },
    )
    scheduler = plane.api.client(token=plane.service_account_token(AIRFLOW, SCHEDULER))
    plane.api.wait_for_rights(scheduler, "tasks", _PODS)
    return Airflow(
        cluster,
        "tasks",
        scheduler=scheduler,
        editor=cluster.author("tasks", role="edit"),
        operator=plane.api.client(token=plane.service_account_token(NAMESPACE, ACCOUNT)),
    )


def token_path(namespace: str, account: str) -> str:
    """Return where tokens of an account are asked for."""
    return f"{account_path(namespace, account)}/token"
