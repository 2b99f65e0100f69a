"""Diagnostic settings and vaults in the stand-in, through Azure's own pipeline."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from contract.azure import clients
from contract.azure.plain import Plain
from stand_ins.azure.messages import Json
from stand_ins.azure.roles import MONITORING_CONTRIBUTOR, OWNER, READER, SECRETS_USER, Role
from stand_ins.azure.stand_in import GROUP, AzureStandIn
from stand_ins.azure.world import Vault

VERSION = {"api-version": "2021-05-01-preview"}
VAULTS = {"api-version": "2024-11-01"}


@pytest.fixture
def vault(azure: AzureStandIn) -> Vault:
    """A vault."""
    return azure.add_vault("kv-one")


@pytest.fixture
def arm(azure: AzureStandIn) -> Iterator[Plain]:
    """Resource Manager, for the owner of the subscription."""
    owner = Plain(azure, azure.url, clients.login_with(azure, OWNER))
    yield owner
    owner.close()


def workspace(azure: AzureStandIn, name: str = "audit") -> str:
    group = f"/subscriptions/{azure.subscription}/resourceGroups/{GROUP}"
    return f"{group}/providers/Microsoft.OperationalInsights/workspaces/{name}"


def at(vault: Vault, name: str = "airwarden") -> str:
    return f"{vault.id}/providers/Microsoft.Insights/diagnosticSettings/{name}"


def setting(sink: str, *logs: Json) -> Json:
    return {"properties": {"workspaceId": sink, "logs": list(logs or ({"category": "AuditEvent", "enabled": True},))}}


class TestADiagnosticSetting:
    def test_is_made_read_listed_and_removed(self, azure: AzureStandIn, arm: Plain, vault: Vault) -> None:
        body = setting(workspace(azure))
        assert [arm.send("PUT", at(vault), body, query=VERSION)[0] for _ in range(2)] == [200, 200]
        assert arm.send("GET", at(vault), query=VERSION)[1]["name"] == "airwarden"
        listed = arm.send("GET", at(vault).rpartition("/")[0], query=VERSION)[1]["value"]
        assert [each["name"] for each in listed] == ["airwarden"]
        assert [arm.send("DELETE", at(vault), query=VERSION)[0] for _ in range(2)] == [200, 204]
        assert arm.refused("GET", at(vault), query=VERSION) == (404, "ResourceNotFound")

    def test_comes_back_with_more_than_was_sent(self, azure: AzureStandIn, arm: Plain, vault: Vault) -> None:
        _, shown = arm.send("PUT", at(vault), setting(workspace(azure)), query=VERSION)
        logs = {each["category"]: each["enabled"] for each in shown["properties"]["logs"]}
        assert logs == {"AuditEvent": True, "AzurePolicyEvaluationDetails": False}
        assert "retentionPolicy" in shown["properties"]["logs"][0]

    def test_has_groups_or_categories_that_there_are_and_a_sink(
        self, azure: AzureStandIn, arm: Plain, vault: Vault
    ) -> None:
        group, category = {"categoryGroup": "audit", "enabled": True}, {"category": "AuditEvent", "enabled": True}
        for body in (
            setting(workspace(azure), group, category),
            setting(workspace(azure), {"category": "Everything", "enabled": True}),
            {"properties": {"logs": [category]}},
        ):
            assert arm.refused("PUT", at(vault), body, query=VERSION) == (400, "BadRequest")
        _, shown = arm.send("PUT", at(vault), setting(workspace(azure), group), query=VERSION)
        assert {each["categoryGroup"]: each["enabled"] for each in shown["properties"]["logs"]} == {
            "audit": True,
            "allLogs": False,
        }

    def test_does_not_share_a_sink_and_is_one_of_five(self, azure: AzureStandIn, arm: Plain, vault: Vault) -> None:
        arm.send("PUT", at(vault, "theirs"), setting(workspace(azure)), query=VERSION)
        assert arm.refused("PUT", at(vault), setting(workspace(azure)), query=VERSION) == (409, "Conflict")
        for number in range(4):
            arm.send("PUT", at(vault, f"more-{number}"), setting(workspace(azure, f"one-{number}")), query=VERSION)
        assert arm.refused("PUT", at(vault), setting(workspace(azure, "last")), query=VERSION) == (400, "BadRequest")

    def test_outlives_its_vault(self, azure: AzureStandIn, arm: Plain, vault: Vault) -> None:
        arm.send("PUT", at(vault), setting(workspace(azure)), query=VERSION)
        azure.delete_vault(vault.name)
        assert arm.refused("GET", at(vault), query=VERSION) == (404, "ResourceNotFound")
        azure.recover_vault(vault.name)
        assert arm.send("GET", at(vault), query=VERSION)[0] == 200

    def test_needs_rights_on_its_sink_too(self, azure: AzureStandIn, vault: Vault) -> None:
        role = Role(
            str(uuid.uuid4()), "diagnostics alone", ("Microsoft.Insights/diagnosticSettings/*",), built_in=False
        )
        weak = Plain(azure, azure.url, clients.login_with(azure, azure.add_role(role).id))
        strong = Plain(azure, azure.url, clients.login_with(azure, MONITORING_CONTRIBUTOR))
        body = setting(workspace(azure))
        assert weak.refused("PUT", at(vault), body, query=VERSION) == (403, "LinkedAuthorizationFailed")
        assert strong.send("PUT", at(vault), body, query=VERSION)[0] == 200
        reader = Plain(azure, azure.url, clients.login_with(azure, READER))
        assert reader.refused("DELETE", at(vault), query=VERSION) == (403, "AuthorizationFailed")
        for each in (weak, strong, reader):
            each.close()

    def test_has_errors_without_an_envelope(self, azure: AzureStandIn, vault: Vault) -> None:
        token = clients.login_with(azure, OWNER).get_token(f"{azure.url}/.default").token
        said = clients.get(azure, f"{azure.url}{at(vault)}?api-version=2021-05-01-preview", token).json()
        assert said["code"] == "ResourceNotFound"


class TestAVault:
    def _properties(self, arm: Plain, vault: Vault) -> Any:
        return arm.send("GET", vault.id, query=VAULTS)[1]["properties"]

    def test_shows_its_mode_and_its_address(self, azure: AzureStandIn, arm: Plain, vault: Vault) -> None:
        properties = self._properties(arm, vault)
        assert (properties["enableRbacAuthorization"], properties["vaultUri"]) == (True, f"{vault.url}/")
        azure.change_vault(vault.name, rbac=False, firewalled=True, public=False)
        properties = self._properties(arm, vault)
        assert properties["enableRbacAuthorization"] is False
        assert properties["networkAcls"]["defaultAction"] == "Deny"
        assert properties["publicNetworkAccess"] == "Disabled"

    def test_that_is_deleted_is_among_the_deleted(self, azure: AzureStandIn, arm: Plain, vault: Vault) -> None:
        azure.delete_vault(vault.name)
        assert arm.refused("GET", vault.id, query=VAULTS) == (404, "ResourceNotFound")
        under = f"/subscriptions/{azure.subscription}/providers/Microsoft.KeyVault"
        gone = arm.send("GET", f"{under}/locations/{vault.location}/deletedVaults/{vault.name}", query=VAULTS)[1]
        assert gone["properties"]["vaultId"] == vault.id
        assert len(arm.send("GET", f"{under}/deletedVaults", query=VAULTS)[1]["value"]) == 1
        assert arm.send("GET", f"{under}/vaults", query=VAULTS)[1]["value"] == []

    def test_in_another_subscription_is_not_here(self, azure: AzureStandIn, arm: Plain) -> None:
        elsewhere = azure.add_vault("kv-two", azure.add_subscription())
        here = elsewhere.id.replace(elsewhere.subscription, azure.subscription)
        assert arm.refused("GET", here, query=VAULTS) == (404, "ResourceNotFound")
        assert arm.refused("GET", elsewhere.id, query=VAULTS) == (403, "AuthorizationFailed")
        assert arm.refused("GET", here.replace(GROUP, "nowhere"), query=VAULTS) == (404, "ResourceGroupNotFound")

    def test_shows_secrets_without_values(self, azure: AzureStandIn, arm: Plain, vault: Vault) -> None:
        azure.set_secret(vault.name, "warehouse", "canary")
        _, shown = arm.send("GET", f"{vault.id}/secrets/warehouse", query=VAULTS)
        assert "canary" not in str(shown)
        assert shown["properties"]["attributes"]["enabled"] is True
        assert arm.refused("GET", f"{vault.id}/secrets/missing", query=VAULTS) == (404, "SecretNotFound")

    def test_role_assignments_are_paged_over_plain_http_too(
        self, azure: AzureStandIn, arm: Plain, vault: Vault
    ) -> None:
        azure.behave(page_size=1)
        azure.grant(azure.add_identity("billing").principal_id, SECRETS_USER, vault.id)
        path = f"{vault.id}/providers/Microsoft.Authorization/roleAssignments"
        first = arm.send("GET", path, query={"api-version": "2022-04-01"})[1]
        assert len(first["value"]) == 1
        assert first["nextLink"].startswith(f"{azure.url}/subscriptions/")
