"""Who else in the cluster is concerned by a rotation: others of the same secret, and the bindings that use a role.

Called by `airwarden.reconcile.rotations`.
"""

from collections.abc import Callable, Sequence

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.database_role import DatabaseKind, DatabaseRole
from airwarden.api.reasons import Reason
from airwarden.api.rotation import AirflowSecretRotation
from airwarden.domain.rotation.steps import Obstacle, conflict
from airwarden.domain.rotation.targets import claims
from airwarden.reconcile.backends import Backends
from airwarden.reconcile.queue import Key
from airwarden.reconcile.rotation_cache import RotationCache, RotationEntry


def rivals(
    rotation: AirflowSecretRotation, cache: RotationCache, admitted: Callable[[RotationEntry], bool]
) -> frozenset[str]:
    """Return the admitted rotations of the same secret in any backend: two backends may lie in one store."""
    own = (rotation.metadata.namespace, rotation.metadata.name)
    others = (each for claim in _claims(rotation) for each in cache.of_secret(claim) if each.key != own)
    return frozenset("/".join(each.key) for each in others if admitted(each))


def conflict_of(
    rotation: AirflowSecretRotation,
    cache: RotationCache,
    backends: Backends,
    admitted: Callable[[RotationEntry], bool],
) -> Obstacle | None:
    """Return what to say when the cluster has another rotation of the same secret, role or declared user.

    Only what the rules admit counts: else anybody could stop a rotation by naming its secret in one of their own. Of a
    key only those of the same backend are told here: in the store itself its mark tells the others.
    """
    own = (rotation.metadata.namespace, rotation.metadata.name)
    name = rotation.spec.backend_ref.name
    near = frozenset({name}) if rotation.spec.key is not None else same_store(name, backends)
    target, *users = _claims(rotation)

    def others(claim: str) -> list[RotationEntry]:
        found = (each for each in cache.of_secret(claim) if each.key != own and each.backend in near)
        return [each for each in found if admitted(each)]

    if same := others(target):
        return conflict("/".join(each.key) for each in same)
    shared = [each for user in users for each in others(user)]
    if not shared:
        return None
    named = ", ".join(sorted("/".join(each.key) for each in shared))
    return Obstacle(
        Reason.ROTATION_CONFLICT,
        f"the database user is declared by more than one rotation, of which each makes the other's password wrong, and "
        f"none of them runs: delete this one or {named}",
    )


def revoked_role(rotation: AirflowSecretRotation) -> DatabaseRole | None:
    """Return the role whose leases the rotation ends; None for another rotation."""
    role = rotation.spec.database_role
    return role if role is not None and role.kind is DatabaseKind.DYNAMIC else None


def unsafe_to_revoke(rotation: AirflowSecretRotation, role: DatabaseRole, users: Sequence[Key]) -> Obstacle | None:
    """Return why leases of a dynamic role may not be ended: somebody else's would end with them.

    Not passing: each look may list all bindings, so that it is looked again only as often as at one that is ready.
    """
    namespace = rotation.metadata.namespace
    own = sorted(name for each, name in users if each == namespace)
    others = len(users) - len(own)
    if len(own) == 1 and not others:
        return None
    listed = [f"{namespace}/{each}" for each in own[:8]] + (["…"] if len(own) > 8 else [])
    if others:
        listed.append(f"{others} in other namespaces")
    return Obstacle(
        Reason.ROLE_IN_USE,
        f"leases of role {role.name} of engine {role.engine} are ended only while exactly one binding uses it, which "
        f"is in namespace {namespace}. Used by: {', '.join(listed) or 'no binding'}",
    )


def same_store(name: str, backends: Backends) -> frozenset[str]:
    """Return the backends that lie in the same store as one, itself included."""
    own = backends.known(name)
    if not isinstance(own, AirflowSecretBackend):
        return frozenset({name})
    return frozenset({name, *(each for each in backends.names() if _are_one(own, backends.known(each)))})


def _are_one(own: AirflowSecretBackend, other: object) -> bool:
    if not isinstance(other, AirflowSecretBackend):
        return False
    ids = {_store(own), _store(other)}
    if "" not in ids and len(ids) == 1:
        return _namespace(own) == _namespace(other)
    return _address(own) == _address(other)


def _store(backend: AirflowSecretBackend) -> str:
    return backend.status.store.id if backend.status is not None else ""


def _namespace(backend: AirflowSecretBackend) -> str:
    return backend.spec.vault.namespace if backend.spec.vault is not None else ""


def _address(backend: AirflowSecretBackend) -> tuple[str, str]:
    vault = backend.spec.vault
    return (vault.address, vault.namespace) if vault is not None else ("", "")


def _claims(rotation: AirflowSecretRotation) -> tuple[str, ...]:
    return claims(rotation.spec.model_dump(by_alias=True, exclude_none=True, include={"key", "database_role"}))
