"""Which isolation may be claimed for an environment, and why no more: IdentityEnforced and Isolated. Pure.

Called by `airwarden.domain.environment.report`.
"""

from datetime import timedelta
from typing import Final

from airwarden.api.conditions import Condition
from airwarden.api.environment import AirflowEnvironment, Executor
from airwarden.api.fields import moment, moment_text
from airwarden.api.reasons import Reason
from airwarden.domain.conditions import Said
from airwarden.domain.environment.components import component_map_name
from airwarden.domain.environment.guards import APPLY
from airwarden.domain.environment.sight import Sight

_NAMED: Final = 8
_LASTING: Final = {
    each.word: each
    for each in (Reason.ISOLATED, Reason.WORKERS_HOLD_DATABASE_CREDENTIALS, Reason.WORKER_ENVIRONMENT_HIDDEN)
}
"""What the last task pods showed, which holds for a while when there are none."""
LASTING: Final = timedelta(days=7)
"""How long the last sight of a bound pod counts. A scheduler may be another since."""


def identity_enforced(
    environment: AirflowEnvironment, before: Condition | None, sight: Sight, last: str, now: str
) -> Said:
    """Tell whether each task runs under the account that the DAG map says.

    Once bound pods were seen it stays so while the policies are there and no other executor's pods are, also when no
    task runs, but not for ever. ``last`` is the hour of the last sight, empty where there was none.
    """
    if environment.spec.executor is not Executor.KUBERNETES:
        return _shares_identity(environment)
    if sight.hidden:
        return Said("Unknown", Reason.TASK_PODS_NOT_VISIBLE, sight.hidden)
    if sight.gaps:
        return Said("False", Reason.POLICY_MISSING, _unguarded(sight))
    takes = f"take the ConfigMap {component_map_name(environment.metadata.name, 'scheduler')} by envFrom, restart it"
    if sight.unmarked:
        return Said(
            "False",
            Reason.UNMARKED_TASK_PODS,
            f"pod {sight.unmarked} was made by another KubernetesExecutor than Airwarden's: have its scheduler {takes}",
        )
    if sight.bound or (before is not None and before.status == "True" and is_recent(last, now)):
        told = "task pods of bindings carry the executor's marks, and admission refuses those to others"
        return Said("True", Reason.IDENTITY_ENFORCED, f"{told}; the last was seen in the hour from {last}")
    return _not_seen(takes, last)


def _not_seen(takes: str, last: str) -> Said:
    if last:
        told = f"no task pod of a binding was seen since the hour from {last}, so it is not known who makes them now"
        return Said("Unknown", Reason.NO_MARKED_PODS, f"{told}: run a task of a bound DAG")
    told = "no task pod of a binding was seen yet whose marks admission guards"
    return Said("False", Reason.NO_MARKED_PODS, f"{told}: have the scheduler {takes}, and run a task of a bound DAG")


def is_recent(last: str, now: str) -> bool:
    """Tell whether what was seen at one time still counts at another."""
    return moment_text(moment(now) - LASTING) < last <= now


def isolated(environment: AirflowEnvironment, before: Condition | None, sight: Sight, last: str, now: str) -> Said:
    """Tell whether a way around the bindings is known: credentials of Airflow itself, or shared processes."""
    if environment.spec.executor is not Executor.KUBERNETES:
        return _shares_identity(environment)
    shown = _shown_by_pods(sight) or _shown_before(before, sight, recent=is_recent(last, now))
    if shown is not None and shown.status == "False":
        return shown
    if environment.spec.components.triggerer is not None:
        return Said(
            "False",
            Reason.TRIGGERER_SHARED,
            "the triggerer runs the triggers of all DAGs under one account: bind nothing to it, and read in tasks",
        )
    return shown or _not_shown(sight)


def _not_shown(sight: Sight) -> Said:
    """Tell why it cannot be said what task pods hold."""
    reason, told = Reason.NO_MARKED_PODS, "no task pod of a binding was seen lately: run a task of a bound DAG"
    if sight.hidden:
        reason, told = Reason.TASK_PODS_NOT_VISIBLE, sight.hidden
    elif sight.gaps:
        reason, told = Reason.POLICY_MISSING, _unguarded(sight)
    elif sight.unmarked:
        told = f"what pod {sight.unmarked} holds is not known: another KubernetesExecutor than Airwarden's made it"
        reason = Reason.UNMARKED_TASK_PODS
    return Said("Unknown", reason, told)


def _shown_by_pods(sight: Sight) -> Said | None:
    if sight.hidden:
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
    if sight.doubtful:
        return Said(
            "Unknown",
            Reason.UNGUARDED_MARKS,
            f"pod {sight.doubtful} says that it holds more than a task needs, and nothing guards its marks, so anybody "
            "may have made it: look at it, and delete it if it is no task",
        )
    if not sight.bound or sight.unmarked:
        return None
    return Said("True", Reason.ISOLATED, "task pods hold none of Airflow's own credentials")


def _shown_before(before: Condition | None, sight: Sight, *, recent: bool) -> Said | None:
    if sight.hidden or before is None or before.reason not in _LASTING:
        return None
    if before.status == "True" and (sight.gaps or sight.unmarked or not recent):
        return None
    return Said(before.status, _LASTING[before.reason], before.message)


def _unguarded(sight: Sight) -> str:
    return f"nothing guards the marks on pods: policy {', '.join(sight.gaps)}. Apply all of them: {APPLY}"


def _shares_identity(environment: AirflowEnvironment) -> Said:
    return Said(
        "False",
        Reason.EXECUTOR_SHARES_IDENTITY,
        f"with executor {environment.spec.executor.value} tasks of all DAGs run in the same processes and share one "
        "identity: use executor Kubernetes; docs/environment.md says what workers for one binding each still give",
    )
