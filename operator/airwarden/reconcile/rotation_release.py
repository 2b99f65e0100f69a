"""A rotation that is being deleted: the role that it declared goes from the store, then the rotation may go.

A rotation without a declared role leaves everything as it is, and has no finalizer. Called by
`airwarden.reconcile.rotations`.
"""

from typing import Any, Final

import structlog
from pydantic import ValidationError

from airwarden.api import FINALIZER
from airwarden.api.database_role import DatabaseRole
from airwarden.domain.desired import Held
from airwarden.domain.errors import AirwardenError
from airwarden.domain.role_guardrails import own_prefix
from airwarden.domain.rotation.roles import named
from airwarden.domain.rotation.targets import claims
from airwarden.providers.ports import RoleRotator
from airwarden.reconcile.backends import Backends
from airwarden.reconcile.rotation_cache import RotationCache, RotationEntry
from airwarden.reconcile.rotation_rivals import same_store
from airwarden.reconcile.rotation_verdicts import Verdicts
from airwarden.reconcile.rotators import Rotators

log = structlog.get_logger("airwarden.rotations")
_EXIT: Final = f"to let it go and leave the role, take {FINALIZER} out of metadata.finalizers"


class Blocked(Exception):
    """The role cannot be removed now. Says why."""


class RotationRelease:
    """Removes what a rotation declared."""

    def __init__(
        self, cluster: str, cache: RotationCache, backends: Backends, rotators: Rotators, verdicts: Verdicts
    ) -> None:
        self._cluster = cluster
        self._cache = cache
        self._backends = backends
        self._rotators = rotators
        self._verdicts = verdicts

    async def remove(self, entry: RotationEntry) -> str:
        """Remove the declared role if it is ours; return what there is to tell. Raises Blocked."""
        raw = entry.load()
        role = _declared(raw["spec"])
        if role is None or not role.name.startswith(own_prefix(self._cluster, entry.key[0])):
            return ""
        backend = (raw["spec"].get("backendRef") or {}).get("name", "")
        near = same_store(backend, self._backends)
        target = claims(raw["spec"])[0]
        # Only their own namespace can declare it, and no refused rotation may keep a role that nobody rotates then.
        others = (each for each in self._cache.of_secret(target) if each.key != entry.key and each.backend in near)
        for other in others:
            if other.key[0] == entry.key[0] and other.declares and self._verdicts.admits(other):
                return f"{named(role)} stays: rotation {'/'.join(other.key)} declares it too"
        return await self._remove(role, backend)

    async def _remove(self, role: DatabaseRole, backend: str) -> str:
        found = await self._backends.open(backend)
        if found is None or isinstance(found, Held):
            why = found.message if found is not None else f"there is no AirflowSecretBackend {backend}"
            raise Blocked(f"{named(role)} cannot be removed: {why}. {_EXIT}")
        try:
            found.breaker.guard()
            return await _take_away((await self._rotators.open(found.backend)).roles, role)
        except AirwardenError as error:
            failure = error.message
        raise Blocked(f"{named(role)} cannot be removed: {failure}. {_EXIT}")


async def _take_away(roles: RoleRotator, role: DatabaseRole) -> str:
    found = await roles.look(role)
    declared = role.declare
    if not found.present or declared is None:
        return f"{named(role)} was not there any more"
    if found.settings is None or (found.settings.connection, found.settings.username) != (
        declared.connection,
        declared.username,
    ):
        return f"{named(role)} stays: it is for another user or connection than was declared"
    await roles.remove(role)
    log.info("role removed", role=role.name, engine=role.engine)
    return (
        f"{named(role)} is removed from the store: database user {declared.username} keeps the last password, which "
        "nobody can read there any more; set a new one in the database if the user is still needed"
    )


def _declared(spec: dict[str, Any]) -> DatabaseRole | None:
    try:
        role = DatabaseRole.model_validate(spec.get("databaseRole"))
    except ValidationError:
        return None
    return role if role.declare is not None else None
