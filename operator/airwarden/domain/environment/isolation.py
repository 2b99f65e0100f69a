"""Which isolation may be claimed for an environment, and why no more: IdentityEnforced and Isolated. Pure.

Called by `airwarden.domain.environment.report`.
"""

from typing import Final

from airwarden.api.conditions import Condition
from airwarden.api.environment import AirflowEnvironment, Executor
from airwarden.api.reasons import Reason
from airwarden.domain.conditions import Said
from airwarden.domain.environment.components import component_map_name
from airwarden.domain.environment.sight import Sight

_NAMED: Final = 8
_LASTING: Final = {
    each.word: each
    for each in (Reason.ISOLATED, Reason.WORKERS_HOLD_DATABASE_CREDENTIALS, Reason.WORKER_ENVIRONMENT_HIDDEN)
}
"""What the last task pods showed, which holds while there are none."""


def identity_enforced(environment: AirflowEnvironment, before: Condition | None, sight: Sight) -> Said:
    """Tell whether each task runs under the account that the DAG map says.

    Once marked pods were seen it stays so while the policy is there, also when no task runs.
    """
    if environment.spec.executor is not Executor.KUBERNETES:
        return _shares_identity(environment)
    if sight.hidden:
        return Said("Unknown", Reason.TASK_PODS_NOT_VISIBLE, sight.hidden)
    takes = f"take the ConfigMap {component_map_name(environment.metadata.name, 'scheduler')} by envFrom, restart it"
    if not sight.guarded:
        return Said(
            "False",
            Reason.POLICY_MISSING,
            "the admission policy for bound pods is not there, not bound or does not deny, so the marks on pods prove "
            "nothing: apply manifests/admission",
        )
    if sight.unmarked:
        return Said(
            "False",
            Reason.UNMARKED_TASK_PODS,
            f"pod {sight.unmarked} was made by another KubernetesExecutor than Airwarden's: have its scheduler {takes}",
        )
    if sight.marked or (before is not None and before.status == "True"):
        told = "task pods carry the executor's marks, and admission refuses those to others"
        return Said("True", Reason.IDENTITY_ENFORCED, told)
    return Said(
        "False",
        Reason.NO_MARKED_PODS,
        f"no task pod with the executor's marks was seen yet: have the scheduler {takes}, and run a task",
    )


def isolated(environment: AirflowEnvironment, before: Condition | None, sight: Sight) -> Said:
    """Tell whether a way around the bindings is known: credentials of Airflow itself, or shared processes."""
    if environment.spec.executor is not Executor.KUBERNETES:
        return _shares_identity(environment)
    shown = _shown_by_pods(sight) or _shown_before(before, sight)
    if shown is not None and shown.status == "False":
        return shown
    if environment.spec.components.triggerer is not None:
        return Said(
            "False",
            Reason.TRIGGERER_SHARED,
            "the triggerer runs the triggers of all DAGs under one account: bind nothing to it, and read in tasks",
        )
    if shown is not None:
        return shown
    if sight.hidden:
        return Said("Unknown", Reason.TASK_PODS_NOT_VISIBLE, sight.hidden)
    return Said("Unknown", Reason.NO_MARKED_PODS, "no task pod with the executor's marks was seen yet: run a task")


def _shown_by_pods(sight: Sight) -> Said | None:
    if sight.hidden or not sight.marked:
        return None
    if sight.holds:
        return Said(
            "False",
            Reason.WORKERS_HOLD_DATABASE_CREDENTIALS,
            f"task pods hold {', '.join(sight.holds[:_NAMED])}, with which a task reads what others have stored in "
            "Airflow: take these variables out of the pods' environment",
        )
    if sight.opaque:
        return Said(
            "Unknown",
            Reason.WORKER_ENVIRONMENT_HIDDEN,
            f"task pods take variables from {', '.join(sight.opaque[:_NAMED])}, which Airwarden does not read: name "
            "them one by one in the pod template, so that it shows which they are",
        )
    return Said("True", Reason.ISOLATED, "task pods hold none of Airflow's own credentials")


def _shown_before(before: Condition | None, sight: Sight) -> Said | None:
    if sight.hidden or before is None or before.reason not in _LASTING:
        return None
    return Said(before.status, _LASTING[before.reason], before.message)


def _shares_identity(environment: AirflowEnvironment) -> Said:
    return Said(
        "False",
        Reason.EXECUTOR_SHARES_IDENTITY,
        f"with executor {environment.spec.executor.value} tasks of all DAGs run in the same processes and share one "
        "identity: use executor Kubernetes; docs/environment.md says what workers for one binding each still give",
    )
