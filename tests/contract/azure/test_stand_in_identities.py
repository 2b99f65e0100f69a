"""Azure's own clients see in the stand-in what Azure documents of managed identities and of logging in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import CertificateCredential, ClientSecretCredential, ManagedIdentityCredential
from azure.identity.aio import CertificateCredential as AsyncCertificateCredential
from azure.mgmt.msi import ManagedServiceIdentityClient
from azure.mgmt.msi.aio import ManagedServiceIdentityClient as AsyncManagedServiceIdentityClient

from contract.azure import clients
from contract.azure.issuer import AUDIENCE, Issuer
from plane.certificates import self_signed
from stand_ins.azure.limits import Rate
from stand_ins.azure.roles import IDENTITY_CONTRIBUTOR
from stand_ins.azure.stand_in import GROUP, AzureStandIn
from stand_ins.azure.world import Identity

SUBJECT = "system:serviceaccount:airflow-prod:billing"


@pytest.fixture
def issuer(azure: AzureStandIn) -> Issuer:
    """An issuer whose keys the stand-in can fetch."""
    made = Issuer()
    azure.trust_issuer(made.url, made.keys)
    return made


@pytest.fixture
def identity(azure: AzureStandIn) -> Identity:
    """A managed identity without credentials."""
    return azure.add_identity("billing")


@pytest.fixture
def client(azure: AzureStandIn) -> Iterator[ManagedServiceIdentityClient]:
    """The client of somebody who may manage identities; it may write credentials without a pause."""
    azure.limit(credentials=Rate(1000, 1000), identities=Rate(1000, 1000))
    with clients.identities(azure, clients.login_with(azure, IDENTITY_CONTRIBUTOR)) as contributor:
        yield contributor


def credential(subject: str = SUBJECT, issuer: str = "https://cluster.example", *audiences: str) -> Any:
    """Return the body of a federated credential."""
    return {"properties": {"issuer": issuer, "subject": subject, "audiences": list(audiences or (AUDIENCE,))}}


def put(client: Any, name: str, body: Any, identity: str = "billing") -> Any:
    return client.federated_identity_credentials.create_or_update(GROUP, identity, name, body)


def refused(code: str, ask: Callable[[], Any]) -> HttpResponseError:
    """Return the error, which must have this code."""
    with pytest.raises(HttpResponseError) as caught:
        ask()
    assert caught.value.error is not None
    assert caught.value.error.code == code
    return caught.value


class TestAnIdentity:
    def test_is_made_with_ids_that_azure_chooses(self, azure: AzureStandIn, client: Any) -> None:
        made = client.user_assigned_identities.create_or_update(
            GROUP, "new", {"location": "westeurope", "tags": {"a": "b"}}
        )
        again = client.user_assigned_identities.create_or_update(GROUP, "new", {"location": "westeurope"})
        assert (made.principal_id, made.client_id) == (again.principal_id, again.client_id)
        assert made.tenant_id == azure.tenant
        assert [each.status for each in azure.requests(method="PUT")] == [201, 200]
        assert [each.name for each in client.user_assigned_identities.list_by_resource_group(GROUP)] == ["new"]
        assert [each.name for each in client.user_assigned_identities.list_by_subscription()] == ["new"]

    def test_does_not_move(self, client: Any, identity: Identity) -> None:
        elsewhere = {"location": "northeurope"}
        api = client.user_assigned_identities
        refused("InvalidResourceLocation", lambda: api.create_or_update(GROUP, identity.name, elsewhere))

    def test_goes_with_its_service_principal(self, azure: AzureStandIn, client: Any, identity: Identity) -> None:
        client.user_assigned_identities.delete(GROUP, identity.name)
        client.user_assigned_identities.delete(GROUP, identity.name)
        assert [each.status for each in azure.requests(method="DELETE")] == [200, 204]
        refused("ResourceNotFound", lambda: client.user_assigned_identities.get(GROUP, identity.name))
        with azure.world() as world:
            assert world.directory.find(identity.principal_id) is None

    def test_is_in_a_group_that_exists(self, client: Any) -> None:
        api, body = client.user_assigned_identities, {"location": "westeurope"}
        refused("ResourceGroupNotFound", lambda: api.create_or_update("nowhere", "new", body))


class TestAFederatedCredential:
    def test_is_made_read_listed_and_removed(self, azure: AzureStandIn, client: Any, identity: Identity) -> None:
        made = put(client, "billing", credential())
        put(client, "billing", credential())
        assert (made.issuer, made.subject, made.audiences) == ("https://cluster.example", SUBJECT, [AUDIENCE])
        assert [each.status for each in azure.requests(method="PUT")] == [201, 200]
        api = client.federated_identity_credentials
        assert api.get(GROUP, identity.name, "billing").id == made.id
        assert [each.name for each in api.list(GROUP, identity.name)] == ["billing"]
        api.delete(GROUP, identity.name, "billing")
        api.delete(GROUP, identity.name, "billing")
        assert [each.status for each in azure.requests(method="DELETE")] == [200, 204]
        refused("ResourceNotFound", lambda: api.get(GROUP, identity.name, "billing"))

    @pytest.mark.usefixtures("identity")
    def test_is_refused_when_it_is_malformed(self, client: Any) -> None:
        refused("BadRequest", lambda: put(client, "a", credential()))
        refused("BadRequest", lambda: put(client, "billing", credential(subject="")))
        refused("BadRequest", lambda: put(client, "billing", credential(SUBJECT, "http://cluster.example")))
        refused("BadRequest", lambda: put(client, "billing", credential(SUBJECT, "https://cluster.example", "a", "b")))
        refused("BadRequest", lambda: put(client, "billing", credential("s" * 601)))

    @pytest.mark.usefixtures("identity")
    def test_is_one_for_an_issuer_and_a_subject(self, client: Any) -> None:
        put(client, "billing", credential())
        error = refused("BadRequest", lambda: put(client, "another", credential()))
        assert "Issuer and subject combination already exists" in str(error)

    @pytest.mark.usefixtures("identity")
    def test_is_one_of_twenty(self, azure: AzureStandIn, client: Any) -> None:
        azure.behave(page_size=7)
        for number in range(20):
            put(client, f"one-{number}", credential(f"{SUBJECT}-{number}"))
        refused("BadRequest", lambda: put(client, "one-more", credential()))
        assert len(list(client.federated_identity_credentials.list(GROUP, "billing"))) == 20

    def test_has_a_parent(self, client: Any) -> None:
        refused("ParentResourceNotFound", lambda: put(client, "billing", credential()))

    async def test_is_not_written_beside_another(self, azure: AzureStandIn, identity: Identity) -> None:
        azure.limit(credentials=Rate(1000, 1000))
        azure.credential_writes_take = 0.3
        async with (
            clients.async_owner(azure) as login,
            AsyncManagedServiceIdentityClient(login, azure.subscription, **clients.common(azure)) as client,
        ):
            await client.user_assigned_identities.get(GROUP, identity.name)
            writes = [
                client.federated_identity_credentials.create_or_update(
                    GROUP, "billing", f"one-{number}", credential(f"s-{number}")
                )
                for number in range(2)
            ]
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
        failed = [each for each in outcomes if isinstance(each, HttpResponseError)]
        assert [each.error.code for each in failed if each.error] == [
            "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity"
        ]
        assert len(identity.credentials) == 1

    @pytest.mark.usefixtures("identity")
    def test_is_not_written_right_after_another(self, azure: AzureStandIn, client: Any) -> None:
        azure.limit(credentials=Rate(1, 0.25))
        put(client, "one", credential("one"))
        error = refused("TooManyRequests", lambda: put(client, "two", credential("two")))
        assert error.status_code == 429
        assert 1 <= int(azure.requests(service="arm")[-1].retry_after) <= 4
        azure.clock.advance(4)
        put(client, "two", credential("two"))


def login_fails(code: int, credential: Any, scope: str) -> None:
    """Have a login refused with this number of Entra's."""
    with pytest.raises(ClientAuthenticationError) as caught:
        credential.get_token(scope)
    assert f"AADSTS{code}:" in str(caught.value)


class TestAPod:
    """Logs in with its service account's token."""

    def test_gets_a_token_for_the_identity_that_is_federated_with_it(
        self, azure: AzureStandIn, issuer: Issuer, identity: Identity, tmp_path: Path
    ) -> None:
        azure.federate(identity, issuer.url, SUBJECT)
        pod = clients.workload(azure, identity.client_id, issuer.write(tmp_path / "token", SUBJECT))
        claims = jwt.decode(pod.get_token(f"{azure.url}/.default").token, options={"verify_signature": False})
        assert (claims["oid"], claims["appid"], claims["tid"]) == (
            identity.principal_id,
            identity.client_id,
            azure.tenant,
        )

    async def test_gets_it_in_asyncio_too(
        self, azure: AzureStandIn, issuer: Issuer, identity: Identity, tmp_path: Path
    ) -> None:
        azure.federate(identity, issuer.url, SUBJECT)
        async with clients.async_workload(azure, identity.client_id, issuer.write(tmp_path / "token", SUBJECT)) as pod:
            assert (await pod.get_token("https://vault.azure.net/.default")).token

    def test_is_refused_for_each_part_that_does_not_match(
        self, azure: AzureStandIn, issuer: Issuer, identity: Identity, tmp_path: Path
    ) -> None:
        scope, token = f"{azure.url}/.default", tmp_path / "token"

        def pod(subject: str = SUBJECT, audience: str = AUDIENCE) -> Any:
            return clients.workload(azure, identity.client_id, issuer.write(token, subject, audience=audience))

        login_fails(700211, pod(), scope)
        azure.federate(identity, issuer.url, SUBJECT)
        login_fails(700213, pod("system:serviceaccount:airflow-prod:other"), scope)
        login_fails(7002138, pod(SUBJECT.upper()), scope)
        login_fails(700212, pod(audience="vault"), scope)
        azure.behave(combined_login_errors=True)
        login_fails(70021, pod(audience="vault"), scope)
        login_fails(500011, pod(), "https://nowhere.example/.default")

    def test_is_refused_with_a_token_that_another_key_signed(
        self, azure: AzureStandIn, issuer: Issuer, identity: Identity, tmp_path: Path
    ) -> None:
        azure.federate(identity, issuer.url, SUBJECT)
        forged = Issuer().write(tmp_path / "token", SUBJECT)
        login_fails(700027, clients.workload(azure, identity.client_id, forged), f"{azure.url}/.default")

    def test_is_refused_with_a_token_of_yesterday(
        self, azure: AzureStandIn, issuer: Issuer, identity: Identity, tmp_path: Path
    ) -> None:
        azure.federate(identity, issuer.url, SUBJECT)
        stale = tmp_path / "token"
        stale.write_text(issuer.token(SUBJECT, expires=time.time() - 3600))
        login_fails(700024, clients.workload(azure, identity.client_id, stale), f"{azure.url}/.default")

    def test_waits_until_the_credential_is_known(
        self, azure: AzureStandIn, client: Any, issuer: Issuer, identity: Identity, tmp_path: Path
    ) -> None:
        azure.delay(credentials=120)
        put(client, "billing", credential())
        pod = clients.workload(azure, identity.client_id, issuer.write(tmp_path / "token", SUBJECT))
        login_fails(700211, pod, f"{azure.url}/.default")
        azure.clock.advance(121)
        assert pod.get_token(f"{azure.url}/.default").token

    def test_is_refused_for_an_identity_or_a_tenant_that_is_not_there(
        self, azure: AzureStandIn, issuer: Issuer, identity: Identity, tmp_path: Path
    ) -> None:
        token = issuer.write(tmp_path / "token", SUBJECT)
        azure.remove_identity(identity)
        login_fails(700016, clients.workload(azure, identity.client_id, token), f"{azure.url}/.default")
        azure.tenant = "00000000-0000-0000-0000-000000000000"
        login_fails(90002, clients.workload(azure, identity.client_id, token), f"{azure.url}/.default")


class TestAnApplication:
    """Logs in with a secret or a certificate."""

    def _login(self, azure: AzureStandIn, client_id: str, secret: str) -> ClientSecretCredential:
        more = {"authority": azure.authority, "connection_verify": str(azure.ca_pem)}
        return ClientSecretCredential(azure.tenant, client_id, secret, disable_instance_discovery=True, **more)

    def test_gets_a_token_for_its_secret_and_no_other(self, azure: AzureStandIn) -> None:
        application, scope = azure.add_application("operator"), f"{azure.url}/.default"
        assert self._login(azure, application.app_id, azure.add_client_secret(application)).get_token(scope).token
        login_fails(7000215, self._login(azure, application.app_id, "guess"), scope)
        old = azure.add_client_secret(application, ends=time.time() - 1)
        login_fails(7000222, self._login(azure, application.app_id, old), scope)

    async def test_gets_a_token_for_its_certificate_and_no_other(self, azure: AzureStandIn) -> None:
        application, scope = azure.add_application("operator"), f"{azure.url}/.default"
        own, own_pem = self_signed("operator")
        _, foreign_pem = self_signed("operator")
        azure.add_client_certificate(application, own)
        more = {"authority": azure.authority, "connection_verify": str(azure.ca_pem)}
        sync: dict[str, Any] = {**more, "disable_instance_discovery": True}
        login = CertificateCredential(azure.tenant, application.app_id, certificate_data=own_pem, **sync)
        assert login.get_token(scope).token
        stranger = CertificateCredential(azure.tenant, application.app_id, certificate_data=foreign_pem, **sync)
        login_fails(700027, stranger, scope)
        made = AsyncCertificateCredential(azure.tenant, application.app_id, certificate_data=own_pem, **more)
        async with made as login_in_asyncio:
            assert (await login_in_asyncio.get_token(scope)).token


class TestAMachine:
    """Asks the metadata endpoint."""

    def test_gets_a_token_for_the_identity_that_it_has(
        self, azure: AzureStandIn, identity: Identity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", azure.metadata_url)
        with pytest.raises(ClientAuthenticationError):
            ManagedIdentityCredential(client_id=identity.client_id, retry_total=0).get_token(f"{azure.url}/.default")
        azure.attach_identity(identity)
        token = ManagedIdentityCredential(client_id=identity.client_id, retry_total=0).get_token(
            f"{azure.url}/.default"
        )
        assert jwt.decode(token.token, options={"verify_signature": False})["oid"] == identity.principal_id
