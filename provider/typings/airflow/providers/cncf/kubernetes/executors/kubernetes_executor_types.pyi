from collections.abc import Sequence
from typing import Any, NamedTuple

from kubernetes.client import models as k8s

class KubernetesJob(NamedTuple):
    key: Any
    command: Sequence[Any]
    kube_executor_config: k8s.V1Pod
    pod_template_file: str | None
    kube_image: str | None = None
