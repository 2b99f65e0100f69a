"""Collects what a Vault holds beside the bindings, with the caller's own token. Reads no secret value.

Called by `airwarden.commands.doctor.command`. What the token may not read becomes `Unknown` with the right it needs.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from airwarden.api.backend import AirflowSecretBackend
from airwarden.commands.caller import Caller
from airwarden.commands.doctor.facts import StoreFacts, Unknown
from airwarden.domain.errors import AirwardenError, Forbidden
from airwarden.domain.logins import ForeignLogins
from airwarden.domain.owner import PREFIX
from airwarden.domain.resources import FieldValue
from airwarden.providers.vault import role
from airwarden.providers.vault.foreign import Bounds, read_foreign_logins
from airwarden.providers.vault.opening import vault_settings
from airwarden.providers.vault.store import VaultStore
from airwarden.providers.vault.transport import Call

BOUNDS: Final = Bounds(roles=20_000, seconds=300)
"""How far one look at roles of others goes: further than the operator's, since a person waits for it."""
T = TypeVar("T")


async def look(caller: Caller, backend: AirflowSecretBackend) -> StoreFacts | Unknown:
    """Return what stands in the backend's store; Unknown when it cannot be asked at all."""
    try:
        store = await caller.store(backend)
    except AirwardenError as error:
        return Unknown(error.message)
    if not isinstance(store, VaultStore):
        return Unknown("stores of this kind are not looked into yet")
    return await _Look(store, backend).all()


class _Look:
    """One look at one Vault."""

    def __init__(self, store: VaultStore, backend: AirflowSecretBackend) -> None:
        self._client = store.client
        self._layout = store.layout
        self._backend = backend

    async def all(self) -> StoreFacts:
        """Ask for everything, one after the other: a person's run is no load."""
        roles, own = f"auth/{self._layout.auth_mount}/role", f"{PREFIX}-operator.{self._layout.cluster}"
        return StoreFacts(
            address=vault_settings(self._backend).address,
            logins=await _known(self._logins, f"list on {roles} and read on {roles}/*"),
            names=await _known(self._names, f"list on sys/policies/acl and on {roles}"),
            audit_devices=await _known(self._audit_devices, "read and sudo on sys/audit"),
            operator_policy=await _known(lambda: self._policy(own), f"read on sys/policies/acl/{own}"),
            operator_role=await self._operator_role(),
        )

    async def _operator_role(self) -> Mapping[str, FieldValue] | Unknown | None:
        login = vault_settings(self._backend).login.kubernetes
        if login is None:
            return Unknown("is looked at only where the operator logs in by method Kubernetes")
        path = f"auth/{login.mount}/role/{login.role}"
        return await _known(lambda: self._role(login.mount, login.role), f"read on {path}")

    async def _logins(self) -> ForeignLogins:
        layout = self._layout
        return await read_foreign_logins(self._client, layout.auth_mount, layout.cluster, bounds=BOUNDS)

    async def _names(self) -> frozenset[str]:
        found: set[str] = set()
        for path in ("sys/policies/acl", f"auth/{self._layout.auth_mount}/role"):
            answer = await self._client.request(Call("LIST", path))
            keys = answer.data.get("keys")
            found |= {key for key in keys if isinstance(key, str)} if isinstance(keys, list) else set()
        return frozenset(name for name in found if name.startswith(f"{PREFIX}.{self._layout.cluster}."))

    async def _audit_devices(self) -> int:
        return len((await self._client.request(Call("GET", "sys/audit"))).data)

    async def _policy(self, name: str) -> str | None:
        text = (await self._client.request(Call("GET", f"sys/policies/acl/{name}"))).data.get("policy")
        return text if isinstance(text, str) else None

    async def _role(self, mount: str, name: str) -> Mapping[str, FieldValue] | None:
        answer = await self._client.request(Call("GET", f"auth/{mount}/role/{name}"))
        return None if answer.absent else role.normalise(answer.data)


async def _known(work: Callable[[], Awaitable[T]], needs: str) -> T | Unknown:
    try:
        return await work()
    except Forbidden:
        return Unknown(f"needs {needs}: your token's policies do not give it")
    except AirwardenError as error:
        return Unknown(error.message)
