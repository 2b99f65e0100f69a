from collections.abc import Callable
from logging import Logger
from typing import Any

from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_types import KubernetesJob
from airflow.providers.common.compat.sdk import Configuration
from kubernetes.client import models as k8s

class KubeConfig:
    kube_namespace: str
    multi_namespace_mode: bool
    multi_namespace_mode_namespace_list: list[str] | None

class AirflowKubernetesScheduler:
    _build_pod_request: Callable[[KubernetesJob], k8s.V1Pod]

class KubernetesExecutor:
    supports_callbacks: bool
    conf: Configuration
    kube_config: KubeConfig
    kube_scheduler: AirflowKubernetesScheduler
    log: Logger
    team_name: str | None
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def start(self) -> None: ...
    def end(self) -> None: ...
    def fail(self, key: Any, info: Any = None) -> None: ...
    def execute_async(
        self, key: Any, command: Any, queue: str | None = None, executor_config: Any | None = None
    ) -> None: ...
    def queue_workload(self, workload: Any, session: Any) -> None: ...
    def _handle_pod_publish_error(self, task: KubernetesJob, e: Exception) -> bool: ...
    def _get_pod_namespace(self, ti: Any) -> str: ...
    def _make_safe_label_value(self, input_value: str) -> str: ...
