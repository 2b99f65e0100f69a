"""The aliases of service accounts in Vault's identity store: found by name, marked, filled and emptied.

An alias cannot be deleted with the operator's rights, so what is removed is its metadata. Called by the stores
of both modes: by that of mode Fenced for its own, by that of mode Roles for what Fenced left.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from airwarden.domain.errors import Forbidden, NotOwned, StoreFailed
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Action, Address, Claim, FieldValue, Observed, Operation
from airwarden.providers.concurrency import SingleFlight
from airwarden.providers.ports import Written
from airwarden.providers.vault.answers import Answer
from airwarden.providers.vault.client import VaultClient
from airwarden.providers.vault.fenced import slots
from airwarden.providers.vault.role import JSONValue
from airwarden.providers.vault.transport import Call

ALIAS: Final = "VaultEntityAlias"
WRITE: Final = "identity/entity-alias"
LOOKUP: Final = "identity/lookup/entity"
LIST: Final = "identity/entity-alias/id"
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class Aliases:
    """The aliases of the accounts that log in through one Kubernetes auth mount."""

    def __init__(self, client: VaultClient, backend: str, auth_mount: str) -> None:
        self._client = client
        self._backend = backend
        self._auth_mount = auth_mount
        self._accessor: str | None = None
        self._asking = SingleFlight(self._ask)

    def address(self, owner: Owner) -> Address:
        """Return the address of the owner's account. Raises ValueError when the account is not known."""
        return Address(self._backend, ALIAS, owner.account_in_store)

    async def accessor(self, *, anew: bool = False) -> str:
        """Return the accessor of the auth mount. It changes only when the mount is made anew."""
        if anew or self._accessor is None:
            return await self._asking.join()
        return self._accessor

    async def observe(self, owner: Owner) -> Observed:
        """Return the metadata of the account's alias; absent when there is none. One request."""
        address = self.address(owner)
        accessor = await self.accessor()
        body = {"alias_name": address.name, "alias_mount_accessor": accessor}
        answer = await self._client.request(Call("POST", LOOKUP, body))
        found = _alias(answer, address.name, accessor)
        if found is None:
            return Observed(address, None)
        fields = _metadata(found.get("custom_metadata"))
        marked = slots.owner_of(fields)
        claim = Claim.UNMARKED if marked is None else Claim.OURS if marked == owner else Claim.FOREIGN
        return Observed(address, fields or None, claim, str(found.get("id", "")))

    async def apply(self, operation: Operation) -> Written:
        """Fill or empty one alias. Raises NotOwned where another owner's mark stands."""
        address, found = operation.address, operation.observed
        if address.backend != self._backend or address.kind != ALIAS or _NAME.fullmatch(address.name) is None:
            raise ValueError(f"{address} is not the alias of an account in {self._backend}")
        if operation.action is Action.DELETE:
            if found.claim is Claim.FOREIGN:
                return Written()  # nothing of ours stands there any more
            written = await self._write(address.name, {})
            kept = f"alias {address.name} (id {written.id or found.id}) and its entity stay in Vault, without any right"
            return Written(written.id, written.warnings, kept)
        if operation.resource is None or operation.resource.address != address:
            raise ValueError(f"{operation.action} of {address} comes without its resource")
        if found.claim is Claim.FOREIGN:
            raise NotOwned(f"the slots of {address} are marked as another owner's and were not touched")
        return await self._write(address.name, operation.resource.fields)

    async def owners(self, cluster: str) -> tuple[Owner, ...]:
        """Return the owner of each alias of the mount that is marked as the cluster's, with its account. One request.

        A mark that stands at an account of another namespace than its own was never written by us.
        """
        accessor = await self.accessor()
        answer = await self._client.request(Call("LIST", LIST))
        if answer.absent:
            return ()
        listed = answer.data.get("key_info")
        if not isinstance(listed, Mapping):
            raise StoreFailed(f"Vault answered LIST {LIST} without what it lists: is it a Vault?")
        found: list[Owner] = []
        for each in listed.values():
            if not isinstance(each, Mapping) or each.get("mount_accessor") != accessor:
                continue
            if "custom_metadata" not in each:
                raise StoreFailed(f"this Vault's LIST {LIST} does not show metadata: use Vault 1.21 or newer")
            owner = slots.owner_of(_metadata(each["custom_metadata"]))
            name = each.get("name")
            if owner is None or owner.cluster != cluster or not isinstance(name, str) or not _NAME.fullmatch(name):
                continue
            namespace, account = name.split("/")
            if namespace == owner.namespace:
                found.append(replace(owner, account=account))
        return tuple(found)

    async def _write(self, name: str, metadata: Mapping[str, FieldValue]) -> Written:
        body = {"name": name, "mount_accessor": await self.accessor(), "custom_metadata": dict(metadata)}
        try:
            answer = await self._client.request(Call("POST", WRITE, body))
        except Forbidden:
            # The mount may have been made anew: the next try asks for its accessor.
            self._accessor = None
            raise
        found = answer.data.get("id")
        return Written(found if isinstance(found, str) else "", answer.warnings)

    async def _ask(self) -> str:
        path = f"sys/internal/ui/mounts/auth/{self._auth_mount}"
        answer = await self._client.request(Call("GET", path))
        found = answer.data.get("accessor")
        if not isinstance(found, str) or not found:
            raise StoreFailed(f"Vault answered GET {path} without an accessor: is it a Vault?")
        self._accessor = found
        return found


def _alias(answer: Answer, name: str, accessor: str) -> Mapping[str, JSONValue] | None:
    """Return the alias of an entity that was looked up; None when Vault said that there is no such entity."""
    if not answer.body:
        return None
    listed = answer.data.get("aliases")
    if isinstance(listed, Sequence) and not isinstance(listed, str):
        for each in listed:
            if isinstance(each, Mapping) and (each.get("name"), each.get("mount_accessor")) == (name, accessor):
                return each
    raise StoreFailed(f"Vault answered POST {LOOKUP} for {name} without that alias: is it a Vault?")


def _metadata(value: JSONValue) -> dict[str, FieldValue]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value.values()):
        raise StoreFailed("Vault answered with alias metadata of an unknown form: is it a Vault?")
    return {key: str(each) for key, each in value.items()}
