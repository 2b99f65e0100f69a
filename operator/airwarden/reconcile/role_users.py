"""Which bindings have leases of a database role, so that ending them is known to be safe.

Only those count whose rules admit it, or that have it on record: anybody may write a binding that asks for the role,
and would otherwise keep its leases from ever being ended. Called by `airwarden.reconcile.rotation_access`.
"""

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import DynamicKind
from airwarden.api.database_role import DatabaseRole
from airwarden.api.environment import AirflowEnvironment
from airwarden.domain.guardrails import RotationRequest, may_read_role
from airwarden.domain.rotation.targets import role_claim, uses_role
from airwarden.providers.kubernetes.objects import ObjectWriter
from airwarden.reconcile.backends import Backends
from airwarden.reconcile.cache import Cache
from airwarden.reconcile.queue import Key
from airwarden.reconcile.rotation_rivals import same_store


class RoleUsers:
    """Looks for the bindings that have leases of a role."""

    def __init__(self, surroundings: Cache, backends: Backends, writer: ObjectWriter) -> None:
        self._surroundings = surroundings
        self._backends = backends
        self._writer = writer

    def seen(self, role: DatabaseRole, backend: str) -> tuple[Key, ...]:
        """Return those that are known so far; after a start that is not all of them."""
        near = same_store(backend, self._backends)
        admitting: dict[str, frozenset[str]] = {}
        found: list[Key] = []
        for key in self._surroundings.naming_secret(role_claim(role.engine, role.name)):
            entry, namespace = self._surroundings.bindings[key], key[0]
            if namespace not in admitting:
                admitting[namespace] = self._admitting(role, namespace, near)
            # What is granted is on record: one that is neither admitted nor recorded need not be read.
            if not (admitting[namespace] or entry.recorded):
                continue
            if uses_role(entry.load(), role.engine, role.name, admitting[namespace], near):
                found.append(key)
        views = self._surroundings.environments
        common = {key for environment in self._common(role, near) for key in views.asking(environment)}
        return tuple(sorted({*found, *common}))

    async def now(self, role: DatabaseRole, backend: str) -> tuple[Key, ...]:
        """Return those that the cluster has now: a list of all bindings. Raises what the API server's client raises."""
        near = same_store(backend, self._backends)
        admitting: dict[str, frozenset[str]] = {}
        found: list[Key] = []
        common = self._common(role, near)
        async for body in self._writer.bindings():
            namespace = body["metadata"]["namespace"]
            named = (body.get("spec") or {}).get("environmentRef") or {}
            if (named.get("namespace"), named.get("name")) in common:
                found.append((namespace, body["metadata"]["name"]))
                continue
            if namespace not in admitting:
                admitting[namespace] = self._admitting(role, namespace, near)
            if uses_role(body, role.engine, role.name, admitting[namespace], near):
                found.append((namespace, body["metadata"]["name"]))
        return tuple(found)

    def _common(self, role: DatabaseRole, near: frozenset[str]) -> frozenset[Key]:
        """Return the environments that give leases of the role to every binding that names them."""
        return frozenset(
            key
            for key, entry in self._surroundings.environments.known.items()
            if entry.usable is not None and self._gives(entry.usable, role, near)
        )

    def _gives(self, environment: AirflowEnvironment, role: DatabaseRole, near: frozenset[str]) -> bool:
        admitting = self._admitting(role, environment.metadata.namespace, near)
        return any(
            item.dynamic is not None
            and (item.dynamic.engine, item.dynamic.role) == (role.engine, role.name)
            and item.dynamic.kind is DynamicKind.DYNAMIC
            and item.backend_ref.name in admitting
            for item in environment.spec.common_secrets
        )

    def _admitting(self, role: DatabaseRole, namespace: str, near: frozenset[str]) -> frozenset[str]:
        """Return the backends whose rules let the namespace read the role."""
        seen = self._surroundings.namespaces.get(namespace)
        asked = RotationRequest(namespace, seen.labels if seen is not None else None)
        return frozenset(each for each in near if self._admits(each, role, asked))

    def _admits(self, backend: str, role: DatabaseRole, asked: RotationRequest) -> bool:
        known = self._backends.known(backend)
        return isinstance(known, AirflowSecretBackend) and may_read_role(
            role.engine, role.name, asked, known.spec.allow
        )
