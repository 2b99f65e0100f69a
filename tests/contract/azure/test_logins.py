"""The operator logs in to Entra in each way that a backend can name, from files, and shows nothing of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airwarden.domain.errors import InvalidSettings, Unauthorized
from airwarden.providers.azure.store import AzureStore
from contract.azure.bench import Bench
from plane.certificates import self_signed
from stand_ins.azure.roles import READER
from stand_ins.azure.stand_in import AzureStandIn

Opening = Callable[[AzureStore], AzureStore]


async def test_a_client_secret_from_a_file_is_read_again_after_it_was_replaced(
    azure: AzureStandIn, bench: Bench, opening: Opening
) -> None:
    application = azure.add_application("operator")
    azure.grant(application.principal_id, READER)
    file = bench.folder / "client-secret"
    file.write_text("wrong")
    login = {"method": "ClientSecret", "clientID": application.app_id, "file": "client-secret"}
    store = opening(bench.open(login=login))
    with pytest.raises(Unauthorized, match="AADSTS7000215") as caught:
        await store.check()
    assert "wrong" not in caught.value.message
    assert len(azure.requests(service="entra", method="POST")) == 1, "a wrong secret is not tried twice"
    secret = azure.add_client_secret(application)
    file.write_text(f"{secret}\n")
    assert (await store.check()).store_id == store.place.vault_id


async def test_a_client_certificate_from_a_file_logs_in(azure: AzureStandIn, bench: Bench, opening: Opening) -> None:
    application = azure.add_application("operator")
    azure.grant(application.principal_id, READER)
    known, pem = self_signed("operator")
    azure.add_client_certificate(application, known)
    file = bench.folder / "operator.pem"
    file.write_text("no certificate at all")
    login = {"method": "ClientCertificate", "clientID": application.app_id, "file": "operator.pem"}
    store = opening(bench.open(login=login))
    with pytest.raises(InvalidSettings, match="no PEM certificate with its RSA key"):
        await store.check()
    file.write_bytes(pem)
    assert (await store.check()).store_id == store.place.vault_id


async def test_a_managed_identity_of_the_node_logs_in_without_a_file(
    azure: AzureStandIn, bench: Bench, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    azure.attach_identity(bench.operator)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", azure.metadata_url)
    store = opening(bench.open(login={"method": "ManagedIdentity", "clientID": bench.operator.client_id}))
    assert (await store.check()).missing_permissions == ()


async def test_one_token_serves_all_clients_of_a_backend(azure: AzureStandIn, bench: Bench, store: AzureStore) -> None:
    await store.check()
    wanted = bench.grant("airflow-a")
    await store.observe(wanted.owner, store.addresses(wanted.owner), known=False)
    assert len(azure.requests(service="entra", method="POST")) == 1
