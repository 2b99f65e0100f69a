"""Collects what a store holds beside the bindings: of a Vault here, with the caller's own token. No value is read.

A key vault is looked at by `key_vaults` beside this module. Called by `airwarden.commands.doctor.command`. What the
token may not read becomes `Unknown` with the right it needs.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from airwarden.api.backend import AirflowSecretBackend
from airwarden.commands.caller import Caller
from airwarden.commands.doctor.asking import known
from airwarden.commands.doctor.facts import KeyVaultFacts, RotationFacts, StoreFacts, Unknown
from airwarden.domain.errors import AirwardenError
from airwarden.domain.logins import ForeignLogins
from airwarden.domain.owner import PREFIX
from airwarden.domain.resources import FieldValue
from airwarden.providers.opening import cluster_uid
from airwarden.providers.vault import people, policy, role
from airwarden.providers.vault.fenced.store import FencedStore
from airwarden.providers.vault.foreign import Bounds, read_foreign_logins
from airwarden.providers.vault.opening import vault_settings
from airwarden.providers.vault.rotation.reading import versions
from airwarden.providers.vault.rotation.setup import RotationSetup
from airwarden.providers.vault.setup import OperatorAccount, VaultSetup, vault_setup
from airwarden.providers.vault.store import VaultStore
from airwarden.providers.vault.transport import Call

BOUNDS: Final = Bounds(roles=20_000, seconds=300)
"""How far one look at roles of others goes: further than the operator's, since a person waits for it."""
ALIASES: Final = " and on identity/entity-alias/id"
_known = partial(known, given_by="your token's policies")


async def look(
    caller: Caller, backend: AirflowSecretBackend, dated: Sequence[str] = ()
) -> StoreFacts | KeyVaultFacts | Unknown:
    """Return what stands in the backend's store, with the age of the secrets under some keys.

    Unknown when it cannot be asked at all.
    """
    try:
        store = await caller.store(backend)
        if isinstance(store, VaultStore | FencedStore):
            return await _Look(store, backend, caller.ways.operator_namespace).all(dated)
        # Azure's clients take a second to load, which a look at other stores need not spend.
        from airwarden.commands.doctor import key_vaults  # noqa: PLC0415

        return await key_vaults.look(store, backend, await cluster_uid(caller.api))
    except AirwardenError as error:
        return Unknown(error.message)


class _Look:
    """One look at one Vault."""

    def __init__(self, store: VaultStore | FencedStore, backend: AirflowSecretBackend, namespace: str) -> None:
        self._store = store
        self._operator = OperatorAccount(namespace, "airwarden")
        self._client = store.client
        self._layout = store.layout
        self._backend = backend

    async def all(self, dated: Sequence[str]) -> StoreFacts:
        """Ask for everything, one after the other: a person's run is no load."""
        roles = f"auth/{self._layout.auth_mount}/role"
        fenced = isinstance(self._store, FencedStore)
        made = self._printed()
        role = await self._known_role(made.role_mount, made.role_name)
        policy = _carried(role) or f"{PREFIX}-operator.{self._layout.cluster}"
        return StoreFacts(
            address=vault_settings(self._backend).address,
            logins=await _known(self._logins, f"list on {roles} and read on {roles}/*"),
            names=await _known(self._names, f"list on sys/policies/acl and on {roles}{ALIASES if fenced else ''}"),
            audit_devices=await _known(self._audit_devices, "read and sudo on sys/audit"),
            operator_policy_name=policy,
            operator_policy=await self._known_policy(policy),
            operator_role=role,
            rotation=await self._rotation(made.rotation) if made.rotation is not None else None,
            made=await _known(lambda: self._made(dated), f"read on {self._layout.kv_mount}/metadata/* of the secrets"),
        )

    async def _made(self, keys: Sequence[str]) -> dict[str, datetime]:
        """Return when the newest version of each secret was made, by its metadata; nothing of one that is not there."""
        found: dict[str, datetime] = {}
        for key in keys if self._layout.kv_version == policy.VERSIONED else ():
            path = f"{self._layout.kv_mount}/metadata/{key}"
            told = versions(await self._client.request(Call("GET", path)), path)
            if told is not None and told.made is not None:
                found[key] = told.made
        return found

    def _printed(self) -> VaultSetup:
        """Return what is printed for the backend: it says where the operator's roles are."""
        cluster = self._layout.cluster
        return vault_setup(self._backend, cluster=cluster, operator=self._operator, namespaces=("airwarden",))

    async def _rotation(self, made: RotationSetup) -> RotationFacts:
        role = await self._known_role(made.login.mount, made.login.role)
        policy = _carried(role) or made.policy_name
        return RotationFacts(policy, await self._known_policy(policy), role)

    async def _known_role(self, mount: str, name: str) -> Mapping[str, FieldValue] | Unknown | None:
        """Return a role of the operator; None where there is none, as for a token that somebody else keeps."""
        return await _known(lambda: self._role(mount, name), f"read on auth/{mount}/role/{name}") if mount else None

    async def _known_policy(self, name: str) -> str | Unknown | None:
        return await _known(lambda: self._policy(name), f"read on sys/policies/acl/{name}")

    async def _logins(self) -> ForeignLogins:
        layout, fenced = self._layout, vault_settings(self._backend).fenced
        known = frozenset({fenced.role.lower()}) if fenced is not None else frozenset()
        return await read_foreign_logins(self._client, layout.auth_mount, layout.cluster, known, BOUNDS)

    async def _names(self) -> frozenset[str]:
        found: set[str] = set()
        for path in ("sys/policies/acl", f"auth/{self._layout.auth_mount}/role"):
            answer = await self._client.request(Call("LIST", path))
            keys = answer.data.get("keys")
            found |= {key for key in keys if isinstance(key, str)} if isinstance(keys, list) else set()
        if isinstance(self._store, FencedStore):
            found |= {each.owner.name_in_store for each in await self._store.holdings()}
        named = {people.owner_name(each) for each in found}
        return frozenset(name for name in named if name.startswith(f"{PREFIX}.{self._layout.cluster}."))

    async def _audit_devices(self) -> int:
        return len((await self._client.request(Call("GET", "sys/audit"))).data)

    async def _policy(self, name: str) -> str | None:
        text = (await self._client.request(Call("GET", f"sys/policies/acl/{name}"))).data.get("policy")
        return text if isinstance(text, str) else None

    async def _role(self, mount: str, name: str) -> Mapping[str, FieldValue] | None:
        answer = await self._client.request(Call("GET", f"auth/{mount}/role/{name}"))
        return None if answer.absent else role.normalise(answer.data)


def _carried(role: Mapping[str, FieldValue] | Unknown | None) -> str:
    """Return the one policy that a role carries; empty when it carries none, more, or one of no usable name."""
    carried = role.get("token_policies") if isinstance(role, Mapping) else None
    only = carried[0] if isinstance(carried, tuple) and len(carried) == 1 else ""
    return only if "/" not in only else ""
