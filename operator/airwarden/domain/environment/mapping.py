"""Which DAGs run under a binding's account: what the environment gives it, and what of that is in force now.

The claims in force stand in ``status.identity``, which admission policies read. They leave it before the access that
they stand for is taken away, and come to it after all that a task needs is there. Pure; called by
`airwarden.domain.desired` and `airwarden.reconcile.binding_maps`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.conditions import ClaimInForce, Identity
from airwarden.api.dags import DagClaim
from airwarden.api.environment import EnvironmentSpec, Executor
from airwarden.api.reasons import Reason
from airwarden.domain.environment.claims import Complaint, Verdict
from airwarden.domain.progress import Fault

ANYBODY: Final = "*"
"""Who makes pods where Airflow makes none for tasks: whoever may make pods in the namespace, without the marks."""


@dataclass(frozen=True, slots=True)
class EnvironmentView:
    """What a binding must know of the environment that it names."""

    namespace: str
    name: str
    spec: EnvironmentSpec
    labels: Mapping[str, str] | None
    """Labels of its namespace; None when that has not been seen yet."""
    verdict: Verdict
    """What became of this binding's claims; of a suspended one, of those that are in force already."""

    @property
    def pod_creator(self) -> str:
        """User of the API server as which the scheduler makes pods."""
        return f"system:serviceaccount:{self.namespace}:{self.spec.components.scheduler.service_account_name}"


@dataclass(frozen=True, slots=True)
class DagMapping:
    """What a binding's environment gives it, as far as it can be said now."""

    environment: str
    """Namespace and name."""
    view: EnvironmentView | None
    """None where there is no such environment, or it cannot be read."""
    given: Identity | None = None
    """The claims that the environment gives; None where it gives none."""
    complaints: tuple[Complaint, ...] = ()
    """Why it gives none."""
    unreadable: bool = False
    """The environment is there and cannot be read: what is mapped already stays, as far as it is still claimed."""
    ended: bool = False
    """The access is over by time, and the mapping with it."""

    @property
    def makes_pods(self) -> bool:
        """Whether the environment is known to make a pod for each task: else there is none to tell apart."""
        return self.view is not None and self.view.spec.executor is Executor.KUBERNETES


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a pass came to, for the report."""

    identity: Identity | None = None
    """The claims in force."""
    fault: Fault | None = None
    """Why the map is not as it should be."""
    complaints: tuple[Complaint, ...] = ()
    lacking: bool = False
    """Claims that it may have are not in force, since nothing is added to a suspended binding."""

    @property
    def obstacles(self) -> tuple[Fault, ...]:
        """All that keeps the binding from being Ready."""
        said = tuple(Fault(each.reason, each.message) for each in self.complaints)
        return said if self.fault is None else (self.fault, *said)


class Footing(Enum):
    """Whether account and map of a binding are such that tasks may run under it."""

    SURE = "both are there and the binding's own"
    UNKNOWN = "that cannot be said now"
    NONE = "one of them is missing or somebody else's"


def mapping_of(
    binding: AirflowSecretBinding, view: EnvironmentView | None, *, unreadable: bool, ended: bool
) -> DagMapping | None:
    """Return what the environment gives the binding; None for a binding that names none.

    ``unreadable`` says that the environment is there and cannot be read: then nothing new is mapped, and nothing is
    taken, since it is not known what it says.
    """
    reference = binding.spec.environment_ref
    if reference is None:
        return None
    environment = f"{reference.namespace}/{reference.name}"
    if unreadable:
        return DagMapping(environment, None, unreadable=True, ended=ended)
    if view is None:
        message = (
            f"there is no AirflowEnvironment {environment}, or it is being deleted, so no DAG runs under the account: "
            "apply the environment, or make a new binding that names another one"
        )
        return DagMapping(environment, None, None, (Complaint(Reason.ENVIRONMENT_NOT_FOUND, message),), ended=ended)
    if not view.verdict.mapped:
        return DagMapping(environment, view, None, view.verdict.complaints, ended=ended)
    # Of a suspended binding the verdict speaks of what is in force already.
    claims = view.verdict.claims
    if view.spec.executor is not Executor.KUBERNETES:
        # Workers are deployed by people, for whole queues: no DAG is the binding's, and no user alone makes its pods.
        given = _identity(environment, ANYBODY, ()) if claims else None
    else:
        given = _identity(environment, view.pod_creator, claims) if claims else None
    return DagMapping(environment, view, given, ended=ended)


def in_force(binding: AirflowSecretBinding, mapping: DagMapping | None, footing: Footing) -> Identity | None:
    """Return the claims that are in force, for the status."""
    if mapping is None or mapping.ended or footing is Footing.NONE:
        return None
    before = binding.status.identity if binding.status is not None else None
    if footing is Footing.SURE and not mapping.unreadable:
        return mapping.given
    if before is None:
        return None
    if mapping.unreadable:
        return _narrowed(_identity(mapping.environment, before.pod_creator, binding.spec.dags), before)
    return _narrowed(mapping.given, before) if mapping.given is not None else None


def lessened(before: Identity | None, after: Identity | None) -> Identity | None:
    """Return what stays in force of what was: it differs from what was exactly when some DAG is withdrawn."""
    return _narrowed(before, after) if before is not None and after is not None else None


def claims_all(binding: AirflowSecretBinding, identity: Identity | None) -> bool:
    """Tell whether all that the binding claims is in force."""
    return identity is not None and identity.dags == _identity("", "", binding.spec.dags).dags


def _identity(environment: str, creator: str, claims: Iterable[DagClaim]) -> Identity:
    dags = tuple(ClaimInForce(bundle=each.bundle, ids=tuple(sorted(each.ids))) for each in claims)
    return Identity(
        environment=environment, pod_creator=creator, dags=tuple(sorted(dags, key=lambda each: each.bundle))
    )


def _narrowed(wanted: Identity, permitted: Identity) -> Identity | None:
    """Return the part of the claims that the others cover as well; None when nothing is left of them.

    An identity for workers of anybody's has no claims to lose: it is all there.
    """
    if (wanted.environment, wanted.pod_creator) != (permitted.environment, permitted.pod_creator):
        return None
    covering = {each.bundle: each.ids for each in permitted.dags}
    dags = tuple(
        each.model_copy(update={"ids": ids})
        for each in wanted.dags
        if (ids := tuple(one for one in each.ids if _covered(one, covering.get(each.bundle, ()))))
    )
    return wanted.model_copy(update={"dags": dags}) if dags or wanted.pod_creator == ANYBODY else None


def _covered(ids: str, others: Iterable[str]) -> bool:
    return any(ids == each or (each.endswith("*") and ids.startswith(each[:-1])) for each in others)
