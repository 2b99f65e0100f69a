"""Whether a rotation is admitted, and the way to its store: guardrails, conflicts, and the login for rotations.

Called by `airwarden.reconcile.rotations` at each pass.
"""

from dataclasses import dataclass, replace
from typing import Final

from airwarden.api.reasons import Reason
from airwarden.api.rotation import AirflowSecretRotation, Strategy
from airwarden.domain.desired import Held
from airwarden.domain.errors import AirwardenError, RotationNotEnabled
from airwarden.domain.guardrails import Refused
from airwarden.domain.rotation.jobs import templates_of
from airwarden.domain.rotation.steps import Obstacle
from airwarden.providers.kubernetes.objects import ObjectWriter
from airwarden.providers.ports import Rotator
from airwarden.reconcile.backends import Backends, Runtime
from airwarden.reconcile.cache import Cache
from airwarden.reconcile.role_users import RoleUsers
from airwarden.reconcile.rotation_cache import RotationCache
from airwarden.reconcile.rotation_rivals import conflict_of, revoked_role, rivals, unsafe_to_revoke
from airwarden.reconcile.rotation_verdicts import Verdicts
from airwarden.reconcile.rotators import Rotators

_LASTING: Final = frozenset({Reason.BACKEND_INVALID, Reason.STORE_CHANGED, Reason.CLUSTER_ID_CONFLICT})
"""Reasons to hold a backend back that are told at once; the others are an outage, which may pass before it matters."""


@dataclass(frozen=True, slots=True)
class Access:
    """What the guardrails and the backend say, and the way to the store if there is one."""

    obstacle: Obstacle | None = None
    fault: Obstacle | None = None
    admitted: bool = False
    """Whether the rules admit it, whatever else stands against it."""
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
        self.verdicts = Verdicts(cluster, surroundings, backends)
        self._cache = cache
        self._backends = backends
        self._rotators = rotators
        self._users = RoleUsers(surroundings, backends, writer)

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
        refused, rule = self._verdict(rotation, found)
        obstacle = unreadable or refused or conflict_of(rotation, self._cache, self._backends, self.verdicts.admits)
        obstacle = obstacle or await self._in_use(rotation)
        access = Access(obstacle, admitted=refused is None, rule=rule, runtime=found)
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
        users = self._users.seen(role, rotation.spec.backend_ref.name)
        return unsafe_to_revoke(rotation, role, users) if users else await self.in_use_now(rotation)

    async def in_use_now(self, rotation: AirflowSecretRotation) -> Obstacle | None:
        """Return the same, of what the cluster says now. Asked right before leases end: that cannot be taken back."""
        if (role := revoked_role(rotation)) is None:
            return None
        users = await self._users.now(role, rotation.spec.backend_ref.name)
        return unsafe_to_revoke(rotation, role, users)

    def rivals(self, rotation: AirflowSecretRotation, access: Access) -> frozenset[str]:
        """Return the other rotations of the secret, in any backend, that the rules admit.

        One that may not begin and has no run to end has none: anybody can make a thousand such of one secret.
        """
        if not access.admitted and (rotation.status is None or rotation.status.run is None):
            return frozenset()
        return rivals(rotation, self._cache, self.verdicts.admits)

    def _verdict(self, rotation: AirflowSecretRotation, runtime: Runtime) -> tuple[Obstacle | None, str]:
        """Return what the guardrails say: an obstacle, or the rule that admits the rotation."""
        view = runtime.view()
        if view.deleting:
            return Obstacle(Reason.BACKEND_INVALID, f"AirflowSecretBackend {view.name} is being deleted"), ""
        namespace = rotation.metadata.namespace
        run = rotation.status.run if rotation.status is not None else None
        by_job = rotation.spec.strategy is Strategy.JOB
        wanted = templates_of(rotation.spec.job, run) if by_job else ()
        verdict = self.verdicts.judge(rotation.spec, namespace, view, wanted)
        if verdict is None:
            return Obstacle(Reason.PENDING, f"namespace {namespace} has not been seen yet", passing=True), ""
        if isinstance(verdict, Refused):
            return Obstacle(verdict.reason, verdict.message), ""
        return None, verdict.rule
