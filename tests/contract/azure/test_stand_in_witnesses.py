"""Clients that others wrote, told of no address but Azure's own, succeed against the stand-in."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient
from azure.mgmt.authorization import AuthorizationManagementClient

from contract.azure.issuer import Issuer
from stand_ins.azure.roles import OWNER, SECRETS_USER
from stand_ins.azure.stand_in import AzureStandIn
from stand_ins.azure.witnesses import go_witness, pod_environment

SUBJECT = "system:serviceaccount:airflow:operator"


@pytest.fixture
def pod(azure: AzureStandIn, tmp_path: Path) -> dict[str, str]:
    """The environment of a pod whose identity owns the subscription."""
    issuer, identity = Issuer(), azure.add_identity("operator")
    azure.trust_issuer(issuer.url, issuer.keys)
    azure.federate(identity, issuer.url, SUBJECT)
    azure.grant(identity.principal_id, OWNER)
    return pod_environment(azure, identity.client_id, issuer.write(tmp_path / "token", SUBJECT))


def test_the_python_clients_need_nothing_but_the_way_there(
    azure: AzureStandIn, pod: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in pod.items():
        monkeypatch.setenv(name, value)
    vault = azure.add_vault("kv-one")
    azure.set_secret("kv-one", "warehouse", "one")
    with DefaultAzureCredential() as login:
        with AuthorizationManagementClient(login, azure.subscription) as management:
            assert list(management.role_assignments.list_for_scope(vault.id))
        with (
            SecretClient("https://kv-one.vault.azure.net", login) as secrets,
            pytest.raises(HttpResponseError) as caught,
        ):
            secrets.get_secret("warehouse")
        assert "ForbiddenByRbac" in str(caught.value)
        with (
            SecretClient("https://kv-two.vault.azure.net", login, retry_total=0) as secrets,
            pytest.raises(ServiceRequestError),
        ):
            secrets.get_secret("warehouse")


def test_the_go_client_makes_lists_and_removes_role_assignments(azure: AzureStandIn, pod: dict[str, str]) -> None:
    vault, names = azure.add_vault("kv-one"), [str(uuid.uuid4()) for _ in range(4)]
    azure.behave(page_size=2)
    task = {
        "ca": str(azure.ca_pem),
        "subscription": azure.subscription,
        "scope": vault.id,
        "role": f"/subscriptions/{azure.subscription}/providers/Microsoft.Authorization/roleDefinitions/{SECRETS_USER}",
        "principals": [azure.add_identity(f"one-{number}").principal_id for number in range(3)],
        "names": names,
    }
    seen = go_witness(pod, task)
    assert seen["created"] == names[:3]
    assert seen["description"] == "by the witness"
    assert seen["pages"] == 2
    assert set(names[:3]) < set(seen["listed"])
    assert (seen["conflict"], seen["gone"]) == ("RoleAssignmentExists", "RoleAssignmentNotFound")
    assert (seen["removed"], seen["again"]) == (names[0], False)


def test_the_way_leads_nowhere_else(azure: AzureStandIn) -> None:
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get("https://example.com/", proxies={"https": azure.proxy_url}, timeout=30)
