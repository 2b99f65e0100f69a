"""A binding on a key vault: real API server and operator, and the stand-in for Azure behind them."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from airwarden.api.backend import AirflowSecretBackend
from airwarden.providers.azure.opening import place_of, settings
from airwarden.providers.azure.setup import granted
from contract.azure import clients
from contract.azure.showing_cluster import azure_login
from integration.commands.running import admin
from integration.conftest import MakeBinding
from integration.handles import Backend, Binding
from integration.objects import TENANT, account_path, backend_path
from integration.world import World, eventually
from plane.json_client import Json
from plane.kubernetes_server import ISSUER
from plane.operator import ACCOUNT, CLUSTER, NAMESPACE
from stand_ins.azure.roles import MONITORING_CONTRIBUTOR, READER, SECRETS_USER, Role
from stand_ins.azure.stand_in import GROUP, LOCATION, AzureStandIn
from stand_ins.azure.world import Assignment, Identity

VAULT = "kv-airflow"
AUDIENCE = "api://AzureADTokenExchange"
LONG = 90.0
"""Seconds for what takes several writes that Azure wants apart."""


@dataclass(frozen=True)
class KeyVault:
    """One backend of the operator on the stand-in."""

    world: World
    azure: AzureStandIn
    backend: Backend
    operator: Identity

    def assignments(self) -> list[Assignment]:
        """Return what is assigned at the vault's secrets."""
        return [each for each in self.azure.assignments() if "/secrets/" in each.scope.lower()]

    def identities(self) -> list[Identity]:
        """Return the identities that the operator made."""
        with self.azure.world() as world:
            return [each for each in world.identities.values() if each.name.startswith("airwarden-")]

    def read(self, bound: Binding, name: str, folder: Path) -> str:
        """Read a secret as a task under the binding's account does, with Azure's own clients."""
        account = bound.service_account()
        assert account is not None
        client_id = account["metadata"]["annotations"]["azure.workload.identity/client-id"]
        return self.read_as(client_id, bound, name, folder)

    def read_as(self, client_id: str, bound: Binding, name: str, folder: Path) -> str:
        """Read a secret as this client, with a token of the binding's account."""
        token = folder / f"token-{os.urandom(4).hex()}"
        token.write_text(self.world.plane.service_account_token(bound.namespace, bound.account, AUDIENCE, 600))
        with clients.secrets(self.azure, VAULT, clients.workload(self.azure, client_id, token)) as reader:
            return str(reader.get_secret(name).value)


@pytest.fixture
def key_vault(world: World, azure: AzureStandIn) -> Iterator[Callable[..., KeyVault]]:
    """Return a function that makes a backend on the stand-in, with what azure-setup grants; it goes after the test."""
    azure.add_vault(VAULT)
    for name in ("airflow-a", "airflow-b"):
        azure.set_secret(VAULT, name, f"value-of-{name}")
    issuer = "/openid/v1/jwks"
    azure.trust_issuer(ISSUER, lambda: world.plane.api.admin.request("GET", issuer))
    made: list[str] = []

    def make(**spec: Any) -> KeyVault:
        operator = azure.add_identity(world.fresh("operator"))
        azure.federate(operator, ISSUER, f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}")
        token = world.plane.service_account_token(NAMESPACE, ACCOUNT, AUDIENCE, 3600)
        (world.operator.tokens / "azure").write_text(token)
        name = world.fresh("key-vault")
        authorities = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
        pem = Path(azure.ca_pem).read_text()
        world.create(authorities, {"metadata": {"name": name}, "data": {"ca.crt": pem}})
        body = backend(azure, operator, name, **spec)
        model = AirflowSecretBackend.model_validate({key: body[key] for key in ("metadata", "spec")})
        for each in granted(place_of(model, settings(model), CLUSTER)):
            role = azure.add_role(Role(str(uuid.uuid4()), each.name, each.actions, built_in=False))
            azure.grant(operator.principal_id, role.id, each.scope, condition=each.condition)
        world.create(backend_path(), body)
        made.append(name)
        return KeyVault(world, azure, Backend(world, name), operator)

    yield make
    for name in made:
        world.delete(backend_path(name))
    for name in made:
        world.wait_gone(backend_path(name))


WITHOUT_URL = {"subscriptionID": "11111111-2222-3333-4444-555555555555", "resourceGroup": GROUP, "name": VAULT}


def backend(azure: AzureStandIn, operator: Identity, name: str, **spec: Any) -> Json:
    """Return a backend for the stand-in's vault."""
    vault = {
        "tenantID": azure.tenant,
        "vault": {
            "subscriptionID": azure.subscription,
            "resourceGroup": GROUP,
            "name": VAULT,
            "url": azure.vault_url(VAULT),
        },
        "identities": {"subscriptionID": azure.subscription, "resourceGroup": GROUP, "location": LOCATION},
        "issuer": ISSUER,
        "login": {"clientID": operator.client_id, "file": "azure"},
        "authority": azure.authority,
        "resourceManager": azure.url,
        "caBundleRef": {"configMap": {"name": name}},
        **spec.pop("azureKeyVault", {}),
    }
    rule = {
        "name": "own-vault",
        "namespaces": {"selector": {"matchLabels": {TENANT: "true"}}},
        "keyPrefixes": ["airflow-"],
        "session": {"required": False},
    }
    return {
        "apiVersion": "airwarden.dev/v1alpha1",
        "kind": "AirflowSecretBackend",
        "metadata": {"name": name},
        "spec": {"type": "AzureKeyVault", "azureKeyVault": vault, "allow": [rule], **spec},
    }


def secrets(vault: KeyVault, *keys: str) -> list[Json]:
    """Return entries of a binding's secrets."""
    return [
        {"type": "Connection", "id": f"id-{key}", "backendRef": {"name": vault.backend.name}, "key": key}
        for key in keys
    ]


def test_a_binding_gets_an_identity_a_credential_and_an_assignment_for_each_secret_and_tasks_read_it(
    world: World, key_vault: Callable[..., KeyVault], team: str, binding: MakeBinding, tmp_path: Path
) -> None:
    vault = key_vault()
    vault.backend.wait_ready(LONG)
    marks = world.marks()
    bound = binding(team, vault.backend, secrets=secrets(vault, "airflow-a"))
    status = bound.wait_ready(LONG)
    assert marks.patches(bound.name) == ["metadata", "status", "status"]
    effective = bound.conditions()["Effective"]
    assert (effective["status"], effective["reason"]) == ("Unknown", "Propagating")
    kinds = sorted(each["kind"] for each in status["targets"])
    assert kinds == ["AzureFederatedCredential", "AzureManagedIdentity", "AzureRoleAssignment", "ServiceAccount"]
    (made,) = vault.assignments()
    (identity,) = vault.identities()
    assert made.principal == identity.principal_id
    assert made.role == SECRETS_USER
    account = bound.service_account()
    assert account is not None
    annotations = account["metadata"]["annotations"]
    assert annotations["azure.workload.identity/client-id"] == identity.client_id
    assert annotations["azure.workload.identity/tenant-id"] == vault.azure.tenant
    vault.azure.clock.advance(601)
    assert vault.read(bound, "airflow-a", tmp_path) == "value-of-airflow-a"
    with pytest.raises(HttpResponseError, match="Forbidden"):
        vault.read(bound, "airflow-b", tmp_path)
    left = rf'airwarden_store_requests_left{{backend="{vault.backend.name}",limit="subscription-reads"}} \d+'
    assert re.search(left, world.operator.metrics())


def test_people_who_ask_the_vault_themselves_find_what_the_operator_made_and_nothing_else(
    world: World, key_vault: Callable[..., KeyVault], team: str, binding: MakeBinding, tmp_path: Path
) -> None:
    vault = key_vault()
    bound = binding(team, vault.backend, secrets=secrets(vault, "airflow-a", "airflow-b"))
    bound.wait_ready(LONG)
    person = replace(admin(world.plane, tmp_path), variables=azure_login(vault.azure, READER))
    of_operator = ("--operator-namespace", NAMESPACE, "-o", "json")
    planned = json.loads(person.runs("plan", f"{team}/{bound.name}", *of_operator).out)
    assert {each["action"] for each in planned[0]["writes"]} == {"keep"}
    assert len(planned[0]["writes"]) == 5
    one = ("--backend", vault.backend.name, *of_operator)
    swept = person.runs("sweep", *one)
    assert (swept.status, json.loads(swept.out)) == (0, []), swept.err
    examined = json.loads(person.runs("doctor", *one).out)
    said = [each for each in examined["findings"] if VAULT in each["object"] + each["problem"]]
    assert {each["severity"] for each in said} == {"hint"}
    assert not [each for each in examined["findings"] if each["severity"] == "danger"]
    assert not [
        each for each in examined["unchecked"] if vault.backend.name in each["object"] or VAULT in each["object"]
    ]


def test_after_the_binding_nothing_is_left_and_nobody_reads_any_more(
    world: World, key_vault: Callable[..., KeyVault], team: str, binding: MakeBinding, tmp_path: Path
) -> None:
    vault = key_vault()
    bound = binding(team, vault.backend, secrets=secrets(vault, "airflow-a", "airflow-b"))
    bound.wait_ready(LONG)
    (identity,) = vault.identities()
    bound.delete()
    bound.wait_gone(LONG)
    assert (vault.assignments(), vault.identities()) == ([], [])
    assert world.get(account_path(team, bound.account)) is None
    world.plane.api.create_service_account(team, bound.account)
    with pytest.raises(ClientAuthenticationError, match="AADSTS"):
        vault.read_as(identity.client_id, bound, "airflow-a", tmp_path)


def test_what_is_changed_by_hand_is_set_right_from_one_list_a_vault(
    world: World, key_vault: Callable[..., KeyVault], team: str, binding: MakeBinding
) -> None:
    vault = key_vault(drift={"interval": "4s"})
    bound = binding(team, vault.backend, secrets=secrets(vault, "airflow-a", "airflow-b"))
    bound.wait_ready(LONG)
    before = {each.name for each in vault.assignments()}
    edited, deleted = vault.assignments()
    with vault.azure.world() as inside:
        inside.assignments[edited.name] = replace(edited, description="mine now")
    vault.azure.revoke(deleted.name)

    def restored() -> bool:
        found = vault.assignments()
        return {each.name for each in found} == before and all(
            "airwarden" in (each.description or "") for each in found
        )

    eventually("both are as they were", restored, LONG)
    eventually("an Event tells of it", lambda: any(each[1] == "DriftCorrected" for each in bound.events()), LONG)


def test_somebody_elses_assignment_fails_its_own_secret_and_is_left_alone(
    key_vault: Callable[..., KeyVault], team: str, binding: MakeBinding
) -> None:
    vault = key_vault()
    bound = binding(team, vault.backend, secrets=secrets(vault, "airflow-b"))
    bound.wait_ready(LONG)
    (identity,) = vault.identities()
    scope = vault.assignments()[0].scope.replace("airflow-b", "airflow-a")
    theirs = vault.azure.grant(identity.principal_id, SECRETS_USER, scope)
    bound.edit(secrets=secrets(vault, "airflow-a", "airflow-b"))
    bound.wait_refused("NotOwned", LONG)
    states = {each["id"]: each["state"] for each in bound.status()["secrets"]}
    assert states == {"id-airflow-a": "Failed", "id-airflow-b": "Granted"}
    bound.delete()
    bound.wait_gone(LONG)
    assert [each.name for each in vault.assignments()] == [theirs.name]


def test_a_vault_in_the_wrong_mode_is_the_backends_and_its_bindings_reason(
    key_vault: Callable[..., KeyVault], team: str, binding: MakeBinding
) -> None:
    vault = key_vault()
    vault.backend.wait_ready(LONG)
    vault.azure.change_vault(VAULT, rbac=False)
    vault.backend.wait_condition("Ready", "False", "VaultNotInRBACMode", LONG)
    bound = binding(team, vault.backend, secrets=secrets(vault, "airflow-a"))
    bound.wait_refused("VaultNotInRBACMode", LONG)
    assert (vault.assignments(), vault.identities()) == ([], [])
    vault.azure.change_vault(VAULT)
    bound.wait_ready(LONG)


def test_the_diagnostic_setting_comes_with_the_first_binding_and_goes_with_the_last(
    key_vault: Callable[..., KeyVault], team: str, binding: MakeBinding, azure: AzureStandIn
) -> None:
    workspace = (
        f"/subscriptions/{azure.subscription}/resourceGroups/{GROUP}"
        "/providers/Microsoft.OperationalInsights/workspaces/audit"
    )
    vault = key_vault(azureKeyVault={"diagnostics": {"workspaceID": workspace}})
    azure.grant(vault.operator.principal_id, MONITORING_CONTRIBUTOR)
    with azure.world() as inside:
        scope = inside.vaults[VAULT].id
    one = binding(team, vault.backend, secrets=secrets(vault, "airflow-a"))
    two = binding(team, vault.backend, secrets=secrets(vault, "airflow-b"))
    one.wait_ready(LONG)
    two.wait_ready(LONG)
    eventually("the setting is there", lambda: bool(azure.diagnostics(scope)), LONG)
    one.delete()
    one.wait_gone(LONG)
    assert azure.diagnostics(scope)
    two.delete()
    two.wait_gone(LONG)
    eventually("the setting is gone", lambda: not azure.diagnostics(scope), LONG)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"azureKeyVault": {"tenantID": "not-a-guid"}}, "must be a GUID"),
        ({"azureKeyVault": {"roleID": "Key Vault Secrets User"}}, "must be a GUID"),
        ({"azureKeyVault": {"login": {"clientID": "11111111-2222-3333-4444-555555555555"}}}, "file must be given"),
        ({"azureKeyVault": {"diagnostics": {}}}, "at least one of"),
        ({"azureKeyVault": {"issuer": "http://plain.example"}}, "must be the https URL"),
        ({"azureKeyVault": {"vault": WITHOUT_URL}}, "vault.url must be given for another cloud"),
        ({"type": "Vault"}, "must be given for type Vault"),
    ],
)
def test_a_backend_that_cannot_be_meant_is_refused_at_once(
    world: World, azure: AzureStandIn, change: Json, said: str
) -> None:
    azure.add_vault(VAULT)
    body = backend(azure, azure.add_identity("operator"), world.fresh("refused"), **change)
    with pytest.raises(Exception, match=said):
        world.create(backend_path(), body)


def test_prefixes_that_mean_nothing_in_a_vault_are_refused(world: World, azure: AzureStandIn) -> None:
    azure.add_vault(VAULT)
    body = backend(azure, azure.add_identity("operator"), world.fresh("refused"))
    for prefix in ("{namespace}/", "airflow/"):
        body["spec"]["allow"][0]["keyPrefixes"] = [prefix]
        with pytest.raises(Exception, match="end with a dash for type AzureKeyVault"):
            world.create(backend_path(), body)


def test_what_names_the_place_cannot_be_changed(key_vault: Callable[..., KeyVault]) -> None:
    vault = key_vault()
    other = "11111111-2222-3333-4444-555555555555"
    for change in (
        {"tenantID": other},
        {"roleID": other},
        {"vault": {"name": "another-vault"}},
        {"issuer": "https://other.example"},
    ):
        with pytest.raises(Exception, match="immutable"):
            vault.backend.edit(azureKeyVault=change)
