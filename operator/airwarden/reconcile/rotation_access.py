"""Whether a rotation is admitted, and the way to its store: guardrails, conflicts, and the login for rotations.

Called by `airwarden.reconcile.rotations` at each pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from pydantic import ValidationError

from airwarden.api.backend import AirflowSecretBackend, Operation
from airwarden.api.reasons import Reason
from airwarden.api.rotation import AirflowSecretRotation, RotationSpec, Strategy
from airwarden.domain.desired import Held
from airwarden.domain.errors import AirwardenError, RotationNotEnabled
from airwarden.domain.guardrails import AdmittedRotation, BackendView, Refused, RotationRequest, judge_rotation
from airwarden.domain.role_guardrails import judge_role
from airwarden.domain.rotation.jobs import templates_of
from airwarden.domain.rotation.steps import Obstacle
from airwarden.domain.rotation.targets import reads_role
from airwarden.providers.kubernetes.objects import ObjectWriter
from airwarden.providers.ports import Rotator
from airwarden.reconcile.backends import Backends, Runtime
from airwarden.reconcile.cache import Cache
from airwarden.reconcile.rotation_cache import RotationCache, RotationEntry
from airwarden.reconcile.rotation_rivals import (
    conflict_of,
    revoked_role,
    rivals,
    same_store,
    unsafe_to_revoke,
    users_seen,
)
from airwarden.reconcile.rotators import Rotators

OPERATIONS: Final[Mapping[Strategy, Operation]] = {
    Strategy.GENERATE: Operation.ROTATE_GENERATE,
    Strategy.NATIVE: Operation.ROTATE_NATIVE,
    Strategy.JOB: Operation.ROTATE_JOB,
    Strategy.REVOKE: Operation.ROTATE_REVOKE,
}
"""What an allow rule must permit for each strategy."""
_LASTING: Final = frozenset({Reason.BACKEND_INVALID, Reason.STORE_CHANGED, Reason.CLUSTER_ID_CONFLICT})
"""Reasons to hold a backend back that are told at once; the others are an outage, which may pass before it matters."""


@dataclass(frozen=True, slots=True)
class Access:
    """What the guardrails and the backend say, and the way to the store if there is one."""

    obstacle: Obstacle | None = None
    fault: Obstacle | None = None
    rule: str = ""
    runtime: Runtime | None = None
    rotator: Rotator | None = None


class Gate:
    """Says of a rotation what stands against it, and opens its store."""

    def __init__(
        self,
        cluster: str,
        cache: RotationCache,
        surroundings: Cache,
        backends: Backends,
        rotators: Rotators,
        writer: ObjectWriter,
    ) -> None:
        self._cluster = cluster
        self._cache = cache
        self._surroundings = surroundings
        self._backends = backends
        self._rotators = rotators
        self._writer = writer

    async def access(self, rotation: AirflowSecretRotation, unreadable: Obstacle | None) -> Access:
        """Return whether the rotation is admitted, and its store's rotating side when there is use for it."""
        name = rotation.spec.backend_ref.name
        found = await self._backends.open(name)
        if found is None:
            missing = f"there is no AirflowSecretBackend {name}: correct backendRef.name, or apply it"
            return Access(Obstacle(Reason.BACKEND_NOT_FOUND, missing))
        if isinstance(found, Held):
            held = Obstacle(found.reason, found.message, passing=found.reason is not Reason.BACKEND_INVALID)
            return Access(held) if found.reason in _LASTING else Access(unreadable, held)
        obstacle, rule = self._verdict(rotation, found)
        admitted = partial(self._is_admitted, runtime=found)
        obstacle = unreadable or obstacle or conflict_of(rotation, self._cache, self._backends, admitted)
        obstacle = obstacle or await self._in_use(rotation)
        access = Access(obstacle, rule=rule, runtime=found)
        under_way = rotation.status is not None and rotation.status.run is not None
        if obstacle is not None and (not under_way or (unreadable is not None and rotation.spec.declared)):
            return access  # a declared role whose schedule cannot be read has no settings to go on with
        try:
            return replace(access, rotator=await self._rotators.open(found.backend))
        except RotationNotEnabled as error:
            return replace(access, obstacle=obstacle or Obstacle(error.reason, error.message))
        except AirwardenError as error:
            return replace(access, fault=Obstacle(error.reason, error.message, passing=True))

    async def _in_use(self, rotation: AirflowSecretRotation) -> Obstacle | None:
        """Return what the known bindings have against ending a role's leases.

        After a start not all are known yet: that none uses the role is only said once the cluster was asked.
        """
        if (role := revoked_role(rotation)) is None:
            return None
        users = users_seen(role, same_store(rotation.spec.backend_ref.name, self._backends), self._surroundings)
        return unsafe_to_revoke(rotation, role, users) if users else await self.in_use_now(rotation)

    async def in_use_now(self, rotation: AirflowSecretRotation) -> Obstacle | None:
        """Return the same, of what the cluster says now. Asked right before leases end: that cannot be taken back."""
        if (role := revoked_role(rotation)) is None:
            return None
        near = same_store(rotation.spec.backend_ref.name, self._backends)
        users = [name async for name, spec in self._writer.bindings() if reads_role(spec, near, role.engine, role.name)]
        return unsafe_to_revoke(rotation, role, sorted(users))

    def rivals(self, rotation: AirflowSecretRotation, runtime: Runtime | None) -> frozenset[str]:
        """Return the other rotations of the secret in any backend; all of them while the rules cannot be asked."""
        if runtime is None:
            return rivals(rotation, self._cache, lambda _: True)
        return rivals(rotation, self._cache, partial(self._is_admitted, runtime=runtime))

    def _verdict(self, rotation: AirflowSecretRotation, runtime: Runtime) -> tuple[Obstacle | None, str]:
        """Return what the guardrails say: an obstacle, or the rule that admits the rotation."""
        view = runtime.view()
        if view.deleting:
            return Obstacle(Reason.BACKEND_INVALID, f"AirflowSecretBackend {view.name} is being deleted"), ""
        namespace = rotation.metadata.namespace
        run = rotation.status.run if rotation.status is not None else None
        by_job = rotation.spec.strategy is Strategy.JOB
        wanted = templates_of(rotation.spec.job, run) if by_job else ()
        verdict = self._judge(rotation.spec, namespace, view, wanted)
        if verdict is None:
            return Obstacle(Reason.PENDING, f"namespace {namespace} has not been seen yet", passing=True), ""
        if isinstance(verdict, Refused):
            return Obstacle(verdict.reason, verdict.message), ""
        return None, verdict.rule

    def _judge(
        self, spec: RotationSpec, namespace: str, view: BackendView, templates: tuple[str, ...]
    ) -> AdmittedRotation | Refused | None:
        seen = self._surroundings.namespaces.get(namespace)
        asked = RotationRequest(namespace, seen.labels if seen is not None else None, templates)
        operation = OPERATIONS[spec.strategy]
        if spec.database_role is not None:
            return judge_role(spec.database_role, operation, self._cluster, asked, view)
        return judge_rotation(spec.key or "", operation, asked, view)

    def _is_admitted(self, entry: RotationEntry, *, runtime: Runtime) -> bool:
        """Tell whether the rules admit another rotation of the same store, or will once its namespace is seen."""
        other = self._backends.known(entry.backend)
        if not isinstance(other, AirflowSecretBackend):
            return False
        try:
            spec = RotationSpec.model_validate(entry.load()["spec"])
        except ValidationError:
            return False
        view = replace(runtime.view(), name=entry.backend, allow=other.spec.allow)
        return not isinstance(self._judge(spec, entry.key[0], view, templates_of(spec.job, None)), Refused)
