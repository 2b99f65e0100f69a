"""The key vault itself, as Azure Resource Manager shows it: is it there, and does it decide by roles?

Nothing of its contents is read. Called by `airwarden.providers.azure.store` and the assignments beside it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from azure.core.rest import HttpRequest

from airwarden.api.reasons import Reason
from airwarden.domain.errors import AirwardenError, Forbidden, InvalidSettings, MountMissing
from airwarden.providers.azure.answers import ResourceMissing
from airwarden.providers.azure.arm import Arm
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.seen import State

_VERSION: Final = "2023-07-01"
_AGE: Final = 60.0
"""Seconds for which the vault's mode is taken to be as it was."""


class VaultMissing(MountMissing):
    """There is no such vault: what was assigned at it went with it."""

    reason = Reason.VAULT_NOT_FOUND


class VaultSoftDeleted(VaultMissing):
    """The vault was deleted and can be recovered, without what was assigned at it."""

    reason = Reason.VAULT_SOFT_DELETED


class VaultNotInRBACMode(InvalidSettings):
    """The vault decides by access policies: an assignment would be silently useless."""

    reason = Reason.VAULT_NOT_IN_RBAC_MODE


class KeyVault:
    """One vault."""

    def __init__(self, arm: Arm, place: Place, clock: Callable[[], float]) -> None:
        self._arm = arm
        self._place = place
        self._clock = clock
        self._seen: tuple[float, State] | None = None

    async def look(self) -> State:
        """Ask Azure for the vault. Raises VaultMissing, VaultSoftDeleted, or what `Arm.call` raises."""
        try:
            body = await self._send(f"{self._place.vault_id}", "looking at the vault")
        except ResourceMissing:
            raise await self._missing() from None
        properties = body.get("properties") or {}
        state = State(
            properties.get("enableRbacAuthorization") is True,
            _restriction(properties),
            soft_delete=properties.get("enableSoftDelete") is not False,  # without a word it is on
            purge_protection=properties.get("enablePurgeProtection") is True,
            for_templates=properties.get("enabledForTemplateDeployment") is True,
        )
        self._seen = (self._clock(), state)
        return state

    async def require_rbac(self) -> None:
        """Raise VaultNotInRBACMode unless role assignments count at the vault. Asks at most once a minute."""
        state = self._seen[1] if self._seen is not None and self._clock() - self._seen[0] < _AGE else await self.look()
        if not state.rbac:
            self._seen = None
            raise VaultNotInRBACMode(
                f"vault {self._place.vault_name} decides by access policies, so that a role assignment would give "
                "nothing. Give all who use it the roles that they need, then run az keyvault update "
                f"--name {self._place.vault_name} --enable-rbac-authorization true"
            )

    async def is_gone(self) -> bool:
        """Tell whether the vault is surely not there: a right that is missing is no proof of that."""
        try:
            await self.look()
        except VaultMissing:
            return True
        except Forbidden:
            return False
        return False

    async def refuse_missing(self) -> None:
        """Raise VaultMissing if the vault is surely not there."""
        try:
            await self.look()
        except Forbidden:
            return

    async def _missing(self) -> AirwardenError:
        """Return the error that says where the vault may be instead."""
        place, name = self._place, self._place.vault_name
        where = f"subscription {place.subscription}"
        try:
            deleted = await self._named(
                f"/subscriptions/{place.subscription}/providers/Microsoft.KeyVault/deletedVaults"
            )
            present = await self._named(f"/subscriptions/{place.subscription}/providers/Microsoft.KeyVault/vaults")
        except (Forbidden, ResourceMissing):
            deleted, present = None, None
        if present is not None:
            return VaultMissing(f"vault {name} is in another resource group: its id is {present}")
        if deleted is not None:
            return VaultSoftDeleted(
                f"vault {name} was deleted: recover it with az keyvault recover --name {name} and run what azure-setup "
                "prints again, since the operator's own role went with it; or use another vault"
            )
        return VaultMissing(
            f"there is no vault {name} in {where}: correct azureKeyVault.vault. If it is in another subscription, "
            f"az keyvault show --name {name} --query id shows in which"
        )

    async def _named(self, path: str) -> str | None:
        """Return the id of the vault of our name in a list; of a deleted one the id that it had."""
        url = f"{path}?api-version={_VERSION}"
        while url:
            request = HttpRequest("GET", url)
            body = await self._arm.send(self._place.side, request, "looking for the vault")
            for each in body.get("value") or ():
                if str(each.get("name", "")).lower() == self._place.vault_name.lower():
                    return str((each.get("properties") or {}).get("vaultId") or each.get("id"))
            url = str(body.get("nextLink") or "")
        return None

    async def _send(self, path: str, doing: str) -> Mapping[str, Any]:
        request = HttpRequest("GET", f"{path}?api-version={_VERSION}")
        return await self._arm.send(self._place.side, request, doing)


def _restriction(properties: Mapping[str, Any]) -> str:
    if str(properties.get("publicNetworkAccess", "")).lower() == "disabled":
        return "it can be reached through private endpoints only"
    if str((properties.get("networkAcls") or {}).get("defaultAction", "")).lower() == "deny":
        return "its firewall denies what no rule lets in"
    return ""
