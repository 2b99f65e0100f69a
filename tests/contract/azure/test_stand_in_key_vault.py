"""Azure's client of Key Vault sees in the stand-in what Azure documents of secrets, and of who may read them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError, ServiceRequestError, ServiceResponseError
from azure.identity.aio import ManagedIdentityCredential as AsyncManagedIdentityCredential
from azure.keyvault.secrets import SecretClient
from azure.keyvault.secrets.aio import SecretClient as AsyncSecretClient

from contract.azure import clients
from stand_ins.azure.limits import Rate
from stand_ins.azure.roles import CERTIFICATE_USER, OWNER, SECRETS_OFFICER, SECRETS_USER, VAULT_READER
from stand_ins.azure.stand_in import AzureStandIn
from stand_ins.azure.world import Identity, Vault


@pytest.fixture
def vault(azure: AzureStandIn) -> Vault:
    """A vault with one secret."""
    made = azure.add_vault("kv-one")
    azure.set_secret("kv-one", "warehouse", "postgresql://one")
    return made


@pytest.fixture
def identity(azure: AzureStandIn) -> Identity:
    """An identity of this machine, without a role."""
    made = azure.add_identity("billing")
    azure.attach_identity(made)
    return made


@pytest.fixture
def reader(
    azure: AzureStandIn, vault: Vault, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], SecretClient]:
    """Makes clients of the identity; each logs in anew."""
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", azure.metadata_url)
    return lambda: clients.secrets(azure, vault.name, clients.machine(identity))


def refused(inner: str, ask: Callable[[], Any]) -> HttpResponseError:
    """Return the error, whose inner code must be this."""
    with pytest.raises(HttpResponseError) as caught:
        ask()
    assert caught.value.status_code == 403
    assert f'"code": "{inner}"' in str(caught.value)
    return caught.value


class TestASecret:
    def test_is_read_with_a_role_at_its_own_scope_and_only_it(
        self, azure: AzureStandIn, vault: Vault, identity: Identity, reader: Callable[[], SecretClient]
    ) -> None:
        azure.set_secret(vault.name, "other", "not for you")
        azure.grant(identity.principal_id, SECRETS_USER, f"{vault.id}/secrets/warehouse")
        with reader() as client:
            assert client.get_secret("warehouse").value == "postgresql://one"
            assert client.get_secret("WAREHOUSE").value == "postgresql://one"
            error = refused("ForbiddenByRbac", lambda: client.get_secret("other"))
            assert identity.principal_id in str(error)
            refused("ForbiddenByRbac", lambda: client.get_secret("missing"))
            refused("ForbiddenByRbac", lambda: list(client.list_properties_of_secrets()))

    async def test_is_read_in_asyncio_too(
        self, azure: AzureStandIn, vault: Vault, identity: Identity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", azure.metadata_url)
        azure.grant(identity.principal_id, SECRETS_USER, vault.id)
        more: dict[str, Any] = {"connection_verify": str(azure.ca_pem), "verify_challenge_resource": False}
        async with (
            AsyncManagedIdentityCredential(client_id=identity.client_id) as login,
            AsyncSecretClient(azure.vault_url(vault.name), login, **more) as client,
        ):
            assert (await client.get_secret("warehouse")).value == "postgresql://one"
        assert [each.status for each in azure.requests(service="vault")] == [401, 200]

    @pytest.mark.parametrize(
        ("role", "permitted"),
        [
            (SECRETS_USER, True),
            (SECRETS_OFFICER, True),
            (CERTIFICATE_USER, True),
            (VAULT_READER, False),
            (OWNER, False),
        ],
    )
    def test_is_read_with_roles_that_have_the_data_action(
        self,
        azure: AzureStandIn,
        vault: Vault,
        identity: Identity,
        reader: Callable[[], SecretClient],
        role: str,
        permitted: bool,
    ) -> None:
        azure.grant(identity.principal_id, role, vault.id)
        with reader() as client:
            if permitted:
                assert client.get_secret("warehouse").value
            else:
                refused("ForbiddenByRbac", lambda: client.get_secret("warehouse"))

    def test_is_read_by_a_member_of_a_group_that_may(
        self, azure: AzureStandIn, vault: Vault, identity: Identity, reader: Callable[[], SecretClient]
    ) -> None:
        azure.grant(azure.add_group("tasks", [identity.principal_id]).id, SECRETS_USER, vault.id)
        with reader() as client:
            assert client.get_secret("warehouse").value

    def test_has_versions(
        self, azure: AzureStandIn, vault: Vault, identity: Identity, reader: Callable[[], SecretClient]
    ) -> None:
        azure.grant(identity.principal_id, SECRETS_USER, vault.id)
        old = azure.set_secret(vault.name, "pin", "one")
        azure.set_secret(vault.name, "pin", "two")
        with reader() as client:
            assert client.get_secret("pin").value == "two"
            assert client.get_secret("pin", old).value == "one"
            assert len(list(client.list_properties_of_secret_versions("pin"))) == 2
            with pytest.raises(ResourceNotFoundError):
                client.get_secret("pin", "0" * 32)

    def test_that_is_disabled_is_told_from_one_that_is_missing(
        self, azure: AzureStandIn, vault: Vault, identity: Identity, reader: Callable[[], SecretClient]
    ) -> None:
        azure.grant(identity.principal_id, SECRETS_USER, vault.id)
        azure.set_secret(vault.name, "off", "x", enabled=False)
        with reader() as client:
            refused("SecretDisabled", lambda: client.get_secret("off"))
            with pytest.raises(ResourceNotFoundError) as caught:
                client.get_secret("missing")
        assert caught.value.error is not None
        assert caught.value.error.code == "SecretNotFound"

    def test_out_of_its_time_is_handed_out_with_its_dates(
        self, azure: AzureStandIn, vault: Vault, identity: Identity, reader: Callable[[], SecretClient]
    ) -> None:
        azure.grant(identity.principal_id, SECRETS_USER, vault.id)
        azure.set_secret(vault.name, "old", "x", expires=time.time() - 60)
        azure.set_secret(vault.name, "early", "x", not_before=time.time() + 60)
        with reader() as client:
            old, early = client.get_secret("old"), client.get_secret("early")
        assert old.properties.expires_on is not None
        assert early.properties.not_before is not None

    def test_is_written_by_who_may(
        self, azure: AzureStandIn, vault: Vault, identity: Identity, reader: Callable[[], SecretClient]
    ) -> None:
        azure.grant(identity.principal_id, SECRETS_USER, vault.id)
        with reader() as client:
            refused("ForbiddenByRbac", lambda: client.set_secret("warehouse", "mine"))
            azure.grant(identity.principal_id, SECRETS_OFFICER, vault.id)
            client.set_secret("warehouse", "two", enabled=True)
            assert client.get_secret("warehouse").value == "two"
            azure.behave(page_size=1)
            azure.set_secret(vault.name, "another", "x")
            assert [each.name for each in client.list_properties_of_secrets()] == ["another", "warehouse"]


class TestARole:
    def test_given_and_taken_acts_after_its_delay(
        self, azure: AzureStandIn, vault: Vault, identity: Identity, reader: Callable[[], SecretClient]
    ) -> None:
        azure.delay(assignments=120, removals=60)
        with clients.authorization(azure, clients.owner(azure)) as owner, reader() as client:
            role = (
                f"/subscriptions/{azure.subscription}/providers/Microsoft.Authorization/roleDefinitions/{SECRETS_USER}"
            )
            made: Any = owner.role_assignments.create(
                vault.id, str(uuid.uuid4()), clients.assignment(role, identity.principal_id)
            )
            refused("ForbiddenByRbac", lambda: client.get_secret("warehouse"))
            azure.clock.advance(121)
            assert client.get_secret("warehouse").value
            owner.role_assignments.delete_by_id(made.id)
            assert client.get_secret("warehouse").value
            azure.clock.advance(61)
            refused("ForbiddenByRbac", lambda: client.get_secret("warehouse"))


class TestAVault:
    def test_with_access_policies_does_not_heed_roles(
        self, azure: AzureStandIn, vault: Vault, identity: Identity, reader: Callable[[], SecretClient]
    ) -> None:
        azure.grant(identity.principal_id, SECRETS_USER, vault.id)
        azure.change_vault(vault.name, rbac=False)
        with reader() as client:
            refused("AccessDenied", lambda: client.get_secret("warehouse"))

    def test_behind_a_firewall_refuses_before_it_looks_at_roles(
        self, azure: AzureStandIn, vault: Vault, reader: Callable[[], SecretClient]
    ) -> None:
        with reader() as client:
            azure.change_vault(vault.name, firewalled=True)
            refused("ForbiddenByFirewall", lambda: client.get_secret("warehouse"))
            azure.change_vault(vault.name, public=False)
            refused("ForbiddenByConnection", lambda: client.get_secret("warehouse"))

    def test_that_is_deleted_does_not_answer(
        self, azure: AzureStandIn, vault: Vault, reader: Callable[[], SecretClient]
    ) -> None:
        azure.delete_vault(vault.name)
        with reader() as client, pytest.raises((ServiceRequestError, ServiceResponseError)):
            client.get_secret("warehouse")

    def test_says_when_it_has_had_enough(
        self, azure: AzureStandIn, vault: Vault, identity: Identity, reader: Callable[[], SecretClient]
    ) -> None:
        azure.grant(identity.principal_id, SECRETS_USER, vault.id)
        azure.limit(vault=Rate(1, 0.5))
        with reader() as client:
            client.get_secret("warehouse")
            with pytest.raises(HttpResponseError) as caught:
                client.get_secret("warehouse")
        assert caught.value.status_code == 429
        assert azure.requests(service="vault")[-1].retry_after == "2"

    def test_refuses_names_and_versions_of_the_api_that_azure_does_not_have(
        self, azure: AzureStandIn, vault: Vault, identity: Identity, reader: Callable[[], SecretClient]
    ) -> None:
        azure.grant(identity.principal_id, SECRETS_USER, vault.id)
        with reader() as client:
            for name in ("under_score", "a" * 128):
                with pytest.raises(HttpResponseError) as caught:
                    client.get_secret(name)
                assert caught.value.status_code == 400
        more: dict[str, Any] = {"connection_verify": str(azure.ca_pem), "verify_challenge_resource": False}
        with (
            SecretClient(vault.url, clients.machine(identity), api_version="6.0", **more) as client,
            pytest.raises(HttpResponseError) as caught,
        ):
            client.get_secret("warehouse")
        assert caught.value.status_code == 400

    def test_takes_no_token_that_is_for_somebody_else(
        self, azure: AzureStandIn, vault: Vault, identity: Identity, reader: Callable[[], SecretClient]
    ) -> None:
        azure.grant(identity.principal_id, SECRETS_USER, vault.id)
        token = clients.machine(identity).get_token(f"{azure.url}/.default").token
        answer = clients.get(azure, f"{vault.url}/secrets/warehouse?api-version=7.4", token)
        assert answer.status_code == 401
        assert 'resource="https://vault.azure.net"' in answer.headers["WWW-Authenticate"]
        assert answer.json()["error"]["message"].startswith("AKV10022")
