"""What an environment's accounts need in Kubernetes, as Roles and RoleBindings for the platform team to apply. Pure.

The operator writes no RBAC objects. Printed by `airwarden environment rights`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from airwarden.api.environment import AirflowEnvironment, Executor
from airwarden.domain.environment.dag_map import map_name

TASK_PODS: Final = "airwarden-task-pods"
"""The ClusterRole of manifests/environment by which the operator sees task pods."""
_GROUP: Final = "rbac.authorization.k8s.io"
_PODS: Final = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "watch", "patch", "delete"]},
)
_LOGS: Final = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
)
Manifest = dict[str, Any]
Rules = Sequence[Mapping[str, Sequence[str]]]
Account = tuple[str, str]


def rights(environment: AirflowEnvironment, operator: Account) -> Iterator[Manifest]:
    """Yield what the scheduler needs, the API server for the logs of running tasks, and the operator to see pods.

    ``operator`` is namespace and name of its account. With another executor than Kubernetes nothing is needed.
    """
    if environment.spec.executor is not Executor.KUBERNETES:
        return
    namespace, name = environment.metadata.namespace, environment.metadata.name
    parts = environment.spec.components
    scheduler = (namespace, parts.scheduler.service_account_name)
    maps = sorted(map_name(name, each.name) for each in environment.spec.bundles)
    reads = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": maps, "verbs": ["list", "watch"]}
    yield from _granted(namespace, f"airwarden.{name}.dag-maps", [reads], scheduler)
    for worker in sorted(environment.spec.worker_namespaces):
        yield from _granted(worker, f"airwarden.{name}.scheduler", _PODS, scheduler)
        if parts.api_server is not None:
            reader = (namespace, parts.api_server.service_account_name)
            yield from _granted(worker, f"airwarden.{name}.api-server", _LOGS, reader)
        yield _binding(worker, TASK_PODS, {"kind": "ClusterRole", "name": TASK_PODS}, operator)


def _granted(namespace: str, name: str, rules: Rules, account: Account) -> Iterator[Manifest]:
    yield {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace},
        "rules": [{key: list(texts) for key, texts in each.items()} for each in rules],
    }
    yield _binding(namespace, name, {"kind": "Role", "name": name}, account)


def _binding(namespace: str, name: str, role: Mapping[str, str], account: Account) -> Manifest:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": _GROUP, **role},
        "subjects": [{"kind": "ServiceAccount", "name": account[1], "namespace": account[0]}],
    }
