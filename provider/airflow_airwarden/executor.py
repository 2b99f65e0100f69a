"""Airflow's KubernetesExecutor with the identity chosen where a DAG's author cannot reach.

`[core] executor = airflow_airwarden.executor.AirwardenKubernetesExecutor`, alone, for a team, or beside others. It runs
in the scheduler, which alone knows a task's true DAG id and bundle. Everything an author says about the pod is taken
as a wish: resources are granted, the image if that is permitted, and nothing else.

The names of the Kubernetes provider that are used are private to it, so the range of its versions is pinned, and
`tests/contract/provider/test_executor.py` holds them to the real ones.
"""

from __future__ import annotations

from airflow_airwarden import airflow_version  # noqa: F401 - first: of what else is imported, older Airflow has not all

# isort: split

import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

from airflow.exceptions import AirflowConfigException
from airflow.executors.workloads import ExecuteCallback, ExecuteTask
from airflow.providers.cncf.kubernetes.exceptions import PodMutationHookException, PodReconciliationError
from airflow.providers.cncf.kubernetes.executors.kubernetes_executor import KubernetesExecutor
from airflow.providers.cncf.kubernetes.kube_client import _get_executor_kube_client
from airflow.providers.common.compat.sdk import conf
from kubernetes.client import ApiClient
from kubernetes.client import models as k8s

from airflow_airwarden.dag_map import map_name
from airflow_airwarden.executor_settings import (
    SECTION,
    ExecutorSettings,
    ExecutorSettingsInvalid,
    executor_settings,
)
from airflow_airwarden.identities import BindingGone, Bound, Identities, Unbound, still
from airflow_airwarden.map_view import MapView
from airflow_airwarden.map_watch import MapWatch
from airflow_airwarden.pod_identity import Stamp, queued_for, queued_override, stamped
from airflow_airwarden.pod_override import Allowed, allowed

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.executors.kubernetes_executor_types import KubernetesJob

PROVIDER = "apache-airflow-providers-cncf-kubernetes"
OLDEST, NEWER = (10, 25), (10, 26)
"""The range of the Kubernetes provider whose private names are known; pyproject.toml pins the same."""
FIRST_MAPS_SECONDS = 10.0
"""How long the scheduler's start waits for the first sight of the maps."""


class JobDiscarded(PodMutationHookException):
    """No pod is made for a job; the text says why. Of a kind that the Kubernetes provider catches for one job alone."""


class AirwardenKubernetesExecutor(KubernetesExecutor):
    """Runs each task in a pod under the account of the binding that names its DAG, or under a powerless one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settings: ExecutorSettings | None = None
        self._identities = Identities({}, frozenset())
        self._watches: list[MapWatch] = []
        self._coordinated = frozenset[str]()
        """Queues whose tasks a coordinator runs, in another language."""

    def start(self) -> None:
        """Start, with a thread for each bundle's DAG map. Raises AirflowConfigException, which ends the scheduler."""
        check_provider(metadata.version(PROVIDER))
        self._coordinated = _coordinated_queues()
        try:
            settings = executor_settings(self._option, self._namespaces())
        except ExecutorSettingsInvalid as invalid:
            raise AirflowConfigException(str(invalid)) from None
        super().start()
        scheduler = self.kube_scheduler
        scheduler._build_pod_request = partial(self._pod, scheduler._build_pod_request)  # noqa: SLF001
        self._settings = settings
        self._follow_maps(settings)

    def execute_async(
        self, key: Any, command: Any, queue: str | None = None, executor_config: Any | None = None
    ) -> None:
        """Queue a task's job under the powerless account; who it really runs as is looked up when its pod is made."""
        settings = self._started()
        try:
            workload = _task(command)
            wishes = self._wishes(workload, executor_config, settings)
            identity = self._identities.of(workload.bundle_info.name, workload.ti.dag_id)
            self._refuse_coordinators(identity, queue, workload.ti.queue)
        except JobDiscarded as refusal:
            self._discard(key, refusal)
            return
        binding = identity.claim.binding if isinstance(identity, Bound) else ""
        override = queued_override(wishes, settings.unbound, binding)
        super().execute_async(key=key, command=command, queue=queue, executor_config={"pod_override": override})

    def queue_workload(self, workload: Any, session: Any) -> None:
        """Refuse callbacks one by one: this kind of executor has no pods for them, and raising ends the scheduler."""
        if isinstance(workload, ExecuteCallback) and not self.supports_callbacks:
            self.fail(
                workload.key,
                "KubernetesExecutor runs no callbacks, so Airwarden gives them no identity. Use an AsyncCallback, "
                "which the triggerer runs, or a task",
            )
            return
        super().queue_workload(workload, session)

    def end(self) -> None:
        """Stop following the maps, and the rest."""
        for each in self._watches:
            each.stop()
        self._watches = []
        super().end()

    def _pod(self, build: Callable[[KubernetesJob], k8s.V1Pod], job: KubernetesJob) -> k8s.V1Pod:
        """Make a job's pod with the identity that its DAG has now. Raises JobDiscarded, which fails that task alone."""
        settings = self._started()
        try:
            workload = _task(job.command)
            bundle, dag_id = workload.bundle_info.name, workload.ti.dag_id
            identity = still(queued_for(job.kube_executor_config), self._identities.of(bundle, dag_id))
            self._refuse_coordinators(identity, workload.ti.queue)
            if isinstance(identity, Unbound):
                self.log.info("Task %s runs unbound: %s", job.key, identity.why)
            stamp = Stamp(settings.environment, settings.digest, bundle, dag_id, identity, settings.unbound)
            return stamped(build(job), stamp)
        except (PodMutationHookException, PodReconciliationError):
            raise
        except BindingGone as gone:
            raise JobDiscarded(f"Airwarden makes no pod: {gone}. Run the task again if it may run without") from None
        except Exception as error:
            # Anything else would end the scheduler's loop, over and over: one author's object is enough.
            self.log.exception("No pod can be made for %s", job.key)
            why = f"Airwarden can make no pod of this job: {type(error).__name__}. The scheduler's log has the rest"
            raise JobDiscarded(why) from error

    def _handle_pod_publish_error(self, task: KubernetesJob, e: Exception) -> bool:
        """Fail a discarded job with its reason, in the log and in the task's event."""
        if isinstance(e, JobDiscarded):
            self._discard(task.key, e)
            return False
        return bool(super()._handle_pod_publish_error(task, e))

    def _discard(self, key: Any, reason: JobDiscarded) -> None:
        self.log.error("No pod is made for %s: %s", key, reason)
        self.fail(key, str(reason))

    def _get_pod_namespace(self, ti: Any) -> str:
        """Return where a running task's pod is, for its log; the author's word for it is not taken."""
        namespaces = sorted(self._namespaces() or ())
        if len(namespaces) > 1:
            client = _get_executor_kube_client(team_name=self.team_name)
            selector = f"kubernetes_executor=True,dag_id={self._make_safe_label_value(ti.dag_id)}"
            selector += f",run_id={self._make_safe_label_value(ti.run_id)}"
            for each in namespaces:
                if client.list_namespaced_pod(namespace=each, label_selector=selector, limit=1).items:
                    return each
        return namespaces[0] if namespaces else str(self.kube_config.kube_namespace)

    def _wishes(self, workload: ExecuteTask, executor_config: Any, settings: ExecutorSettings) -> Allowed:
        """Return what of an author's executor_config is granted, and log what is not."""
        if not executor_config:
            return Allowed()
        if not isinstance(executor_config, Mapping):
            raise JobDiscarded("its executor_config is no dictionary")
        override = executor_config.get("pod_override")
        if override is not None and not isinstance(override, k8s.V1Pod):
            raise JobDiscarded("its pod_override is no kubernetes.client.models.V1Pod")
        ignored = [name for name in executor_config if name != "pod_override"]
        wishes = Allowed()
        if override is not None:
            try:
                body = ApiClient().sanitize_for_serialization(override)  # type: ignore[no-untyped-call]
            except Exception as error:  # an author's object may do anything here
                raise JobDiscarded(f"its pod_override cannot be read: {type(error).__name__}") from error
            wishes = allowed(body, image=settings.allow_image)
        left_out = [*ignored, *(f"pod_override.{each}" for each in wishes.left_out)]
        if left_out:
            where = f"{workload.ti.dag_id}.{workload.ti.task_id}"
            self.log.warning(
                "Of the executor_config of %s Airwarden leaves out %s", where, ", ".join(map(str, left_out))
            )
        return wishes

    def _refuse_coordinators(self, identity: Bound | Unbound, *queues: str | None) -> None:
        """Raise JobDiscarded for a bound task that a coordinator would run: those never ask the binding's stores."""
        found = next((each for each in queues if each in self._coordinated), None)
        if found is not None and isinstance(identity, Bound):
            raise JobDiscarded(
                f"a coordinator runs the tasks of queue {found!r}, in another language and a pod of its own kind. They "
                f"would look for the secrets of binding {identity.claim.binding} in Airflow's own sources: choose a "
                "queue that [sdk] queue_to_coordinator does not name, or take the DAG out of the binding"
            )

    def _follow_maps(self, settings: ExecutorSettings) -> None:
        views = {each: MapView(settings.reference, each) for each in settings.bundles}
        self._identities = Identities(views, self._namespaces() or frozenset())
        for bundle, view in views.items():
            client = _get_executor_kube_client(team_name=self.team_name)
            watch = MapWatch(client, settings.namespace, map_name(settings.environment, bundle), view)
            watch.start()
            self._watches.append(watch)
        until = time.monotonic() + FIRST_MAPS_SECONDS
        unread = [each for each in self._watches if not each.wait_read(max(0.0, until - time.monotonic()))]
        if unread:
            self.log.error(
                "Not all DAG maps could be read yet: their DAGs run under the unbound account until they are"
            )

    def _started(self) -> ExecutorSettings:
        if self._settings is None:
            raise AirflowConfigException("AirwardenKubernetesExecutor was not started")
        return self._settings

    def _option(self, name: str) -> str | None:
        """Return an option of our section: the team's own, or else everybody's."""
        own = self.conf.get(SECTION, name, fallback=None)
        return own if own is not None else conf.get(SECTION, name, fallback=None)

    def _namespaces(self) -> frozenset[str] | None:
        """Return where pods are watched: empty for everywhere, None when only in one namespace."""
        if not self.kube_config.multi_namespace_mode:
            return None
        return frozenset(self.kube_config.multi_namespace_mode_namespace_list or ())


def _coordinated_queues() -> frozenset[str]:
    """Return the queues that Airflow hands to coordinators. Raises AirflowConfigException where that cannot be read."""
    found = conf.getjson("sdk", "queue_to_coordinator", fallback={})
    if not isinstance(found, dict):
        raise AirflowConfigException("[sdk] queue_to_coordinator must be a JSON object: a coordinator for each queue")
    return frozenset(map(str, found))


def check_provider(version: str) -> None:
    """Raise AirflowConfigException for a Kubernetes provider whose inner names are not known."""
    numbers = tuple(int(each) for each in version.split(".")[:2])
    if not OLDEST <= numbers < NEWER:
        wanted = f"{'.'.join(map(str, OLDEST))} or newer and older than {'.'.join(map(str, NEWER))}"
        raise AirflowConfigException(
            f"AirwardenKubernetesExecutor needs {PROVIDER} {wanted}, and this is {version}: identities are put on "
            "pods in its inner parts. Install airflow-provider-airwarden[executor]"
        )


def _task(command: Any) -> ExecuteTask:
    if not isinstance(command, (list, tuple)) or len(command) != 1 or not isinstance(command[0], ExecuteTask):
        raise JobDiscarded("it is no task of Airflow 3, so nobody says whose DAG it is")
    return command[0]
