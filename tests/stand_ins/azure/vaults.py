"""Microsoft.KeyVault: vaults as Resource Manager shows them, soft-deleted ones, and secrets without their values."""

from __future__ import annotations

from collections.abc import Sequence

from stand_ins.azure.authorization import require
from stand_ins.azure.messages import Answer, Json, Refused, instant
from stand_ins.azure.resource_manager import Call, Route, page, route
from stand_ins.azure.world import Vault, World, require_group

_TYPE = "Microsoft.KeyVault/vaults"
_VERSIONS = (
    "2019-09-01",
    "2021-10-01",
    "2022-07-01",
    "2023-02-01",
    "2023-07-01",
    "2024-11-01",
    "2025-05-01",
    "2026-02-01",
)
_KEPT_DAYS = 90


class Vaults:
    """The provider."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Sequence[Route]:
        """Return what it answers."""
        subscription = r"(?P<scope>/subscriptions/(?P<subscription>[^/]+))"
        group = r"(?P<scope>/subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+))"
        provider = r"/providers/microsoft\.keyvault"
        gone = rf"{subscription}{provider}/locations/(?P<location>[^/]+)/deletedvaults/(?P<name>[^/]+)"
        return (
            route(rf"{subscription}{provider}/vaults", _VERSIONS, _TYPE, get=self._list),
            route(rf"{group}{provider}/vaults", _VERSIONS, _TYPE, get=self._list),
            route(rf"{group}{provider}/vaults/(?P<name>[^/]+)", _VERSIONS, _TYPE, get=self._get),
            route(
                rf"{group}{provider}/vaults/(?P<name>[^/]+)/secrets/(?P<secret>[^/]+)",
                _VERSIONS,
                f"{_TYPE}/secrets",
                get=self._secret,
            ),
            route(
                rf"{subscription}{provider}/deletedvaults",
                _VERSIONS,
                "Microsoft.KeyVault/deletedVaults",
                get=self._list_deleted,
            ),
            route(gone, _VERSIONS, "Microsoft.KeyVault/locations/deletedVaults", get=self._get_deleted),
        )

    def _list(self, call: Call) -> Answer:
        require(self._world, call.caller, f"{_TYPE}/read", call.scope)
        require_group(self._world, call.scope)
        under = f"{call.scope.lower()}/"
        found = [
            each for each in self._world.vaults.values() if each.deleted is None and each.id.lower().startswith(under)
        ]
        return Answer(200, page(call.request, [self._shown(each) for each in found], self._world.page_size))

    def _get(self, call: Call) -> Answer:
        return Answer(200, self._shown(self._find(call, f"{_TYPE}/read")))

    def _find(self, call: Call, action: str) -> Vault:
        require(self._world, call.caller, action, call.request.path)
        require_group(self._world, call.request.path)
        found = self._world.vault_at(call.request.path)
        if found is None or found.deleted is not None:
            what, group = f"{_TYPE}/{call.parts['name']}", call.parts["group"]
            words = f"The Resource '{what}' under resource group '{group}' was not found."
            raise Refused(404, "ResourceNotFound", words)
        return found

    def _secret(self, call: Call) -> Answer:
        vault = self._find(call, f"{_TYPE}/secrets/read")
        versions = vault.secrets.get(call.parts["secret"].lower())
        if not versions:
            words = f"The Resource '{_TYPE}/{vault.name}/secrets/{call.parts['secret']}' was not found."
            raise Refused(404, "SecretNotFound", words)
        latest = versions[-1]
        uri = f"{vault.url}/secrets/{call.parts['secret']}"
        body = {
            "id": f"{vault.id}/secrets/{call.parts['secret']}",
            "name": call.parts["secret"],
            "type": f"{_TYPE}/secrets",
            "location": vault.location,
            "properties": {
                "attributes": {
                    "enabled": latest.enabled,
                    "created": int(latest.created),
                    "updated": int(latest.created),
                },
                "secretUri": uri,
                "secretUriWithVersion": f"{uri}/{latest.id}",
            },
        }
        return Answer(200, body)

    def _list_deleted(self, call: Call) -> Answer:
        require(self._world, call.caller, "Microsoft.KeyVault/deletedVaults/read", call.scope)
        mine = f"{call.scope.lower()}/"
        found = [
            each
            for each in self._world.vaults.values()
            if each.deleted is not None and each.id.lower().startswith(mine)
        ]
        return Answer(200, page(call.request, [_shown_deleted(each) for each in found], self._world.page_size))

    def _get_deleted(self, call: Call) -> Answer:
        require(self._world, call.caller, "Microsoft.KeyVault/locations/deletedVaults/read", call.scope)
        found = self._world.vaults.get(call.parts["name"].lower())
        mine = f"{call.scope.lower()}/"
        if found is None or found.deleted is None or not found.id.lower().startswith(mine):
            raise Refused(404, "DeletedVaultNotFound", f"The deleted vault '{call.parts['name']}' was not found.")
        return Answer(200, _shown_deleted(found))

    def _shown(self, vault: Vault) -> Json:
        properties: Json = {
            "sku": {"family": "A", "name": "standard"},
            "tenantId": self._world.tenant,
            "accessPolicies": [],
            "enabledForDeployment": False,
            "enableSoftDelete": True,
            "softDeleteRetentionInDays": _KEPT_DAYS,
            "enableRbacAuthorization": vault.rbac,
            "vaultUri": f"{vault.url}/",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled" if vault.public else "Disabled",
            "enabledForTemplateDeployment": vault.for_templates,
        }
        if vault.purge_protection:
            properties["enablePurgeProtection"] = True  # Azure leaves out what was never switched on
        if vault.firewalled:
            properties["networkAcls"] = {
                "bypass": "AzureServices",
                "defaultAction": "Deny",
                "ipRules": [],
                "virtualNetworkRules": [],
            }
        return {
            "id": vault.id,
            "name": vault.name,
            "type": _TYPE,
            "location": vault.location,
            "tags": {},
            "properties": properties,
        }


def _shown_deleted(vault: Vault) -> Json:
    deleted = vault.deleted or 0.0
    provider = f"/subscriptions/{vault.subscription}/providers/Microsoft.KeyVault"
    return {
        "id": f"{provider}/locations/{vault.location}/deletedVaults/{vault.name}",
        "name": vault.name,
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": {
            "vaultId": vault.id,
            "location": vault.location,
            "deletionDate": instant(deleted),
            "scheduledPurgeDate": instant(deleted + _KEPT_DAYS * 86400),
        },
    }
