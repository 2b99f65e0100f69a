"""Azure's own clients, pointed at the stand-in: the witnesses of its contract tests.

Each function returns a client that only differs from a user's in addresses, in the certificate authority, and
in that it does not retry by itself where a test wants to see the first answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests
from azure.identity import ClientSecretCredential, ManagedIdentityCredential, WorkloadIdentityCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from azure.identity.aio import WorkloadIdentityCredential as AsyncWorkloadIdentityCredential
from azure.keyvault.secrets import SecretClient
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.authorization.aio import AuthorizationManagementClient as AsyncAuthorizationManagementClient
from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters
from azure.mgmt.msi import ManagedServiceIdentityClient

from stand_ins.azure.roles import OWNER
from stand_ins.azure.stand_in import AzureStandIn
from stand_ins.azure.world import Identity


def common(azure: AzureStandIn) -> dict[str, Any]:
    """Return what every management client is told."""
    return {
        "base_url": azure.url,
        "credential_scopes": [f"{azure.url}/.default"],
        "connection_verify": str(azure.ca_pem),
        "retry_total": 0,
    }


def owner(azure: AzureStandIn) -> ClientSecretCredential:
    """Return the login of somebody who owns the subscription."""
    return login_with(azure, OWNER)


def login_with(azure: AzureStandIn, role: str, condition: str = "") -> ClientSecretCredential:
    """Return the login of a new application that has this role in the subscription."""
    login, principal = application(azure)
    azure.grant(principal, role, condition=condition)
    return login


def application(azure: AzureStandIn) -> tuple[ClientSecretCredential, str]:
    """Return the login and the object id of a new application without any role."""
    made = azure.add_application("caller")
    login = ClientSecretCredential(
        azure.tenant,
        made.app_id,
        azure.add_client_secret(made),
        authority=azure.authority,
        disable_instance_discovery=True,
        connection_verify=str(azure.ca_pem),
    )
    return login, made.principal_id


def async_owner(azure: AzureStandIn) -> AsyncClientSecretCredential:
    """Return the same for asyncio."""
    made = azure.add_application("caller")
    azure.grant(made.principal_id, OWNER)
    more: dict[str, Any] = {"authority": azure.authority, "connection_verify": str(azure.ca_pem)}
    return AsyncClientSecretCredential(azure.tenant, made.app_id, azure.add_client_secret(made), **more)


def workload(azure: AzureStandIn, client_id: str, token_file: Path) -> WorkloadIdentityCredential:
    """Return the login of a pod: a service account's token from a file."""
    return WorkloadIdentityCredential(
        tenant_id=azure.tenant,
        client_id=client_id,
        token_file_path=str(token_file),
        authority=azure.authority,
        connection_verify=str(azure.ca_pem),
        retry_total=0,
    )


def async_workload(azure: AzureStandIn, client_id: str, token_file: Path) -> AsyncWorkloadIdentityCredential:
    """Return the same for asyncio."""
    return AsyncWorkloadIdentityCredential(
        tenant_id=azure.tenant,
        client_id=client_id,
        token_file_path=str(token_file),
        authority=azure.authority,
        connection_verify=str(azure.ca_pem),
        retry_total=0,
    )


def authorization(azure: AzureStandIn, credential: Any) -> AuthorizationManagementClient:
    """Return the client of role assignments."""
    return AuthorizationManagementClient(credential, azure.subscription, **common(azure))


def async_authorization(azure: AzureStandIn, credential: Any) -> AsyncAuthorizationManagementClient:
    """Return the same for asyncio."""
    return AsyncAuthorizationManagementClient(credential, azure.subscription, **common(azure))


def identities(azure: AzureStandIn, credential: Any) -> ManagedServiceIdentityClient:
    """Return the client of managed identities."""
    return ManagedServiceIdentityClient(credential, azure.subscription, **common(azure))


def secrets(azure: AzureStandIn, vault: str, credential: Any) -> SecretClient:
    """Return the client of a vault's secrets."""
    return SecretClient(
        azure.vault_url(vault),
        credential,
        connection_verify=str(azure.ca_pem),
        verify_challenge_resource=False,  # the vault is on localhost, and the challenge names vault.azure.net
        retry_total=0,
    )


def machine(identity: Identity) -> ManagedIdentityCredential:
    """Return the login of a machine that has this identity; the environment says where its metadata endpoint is."""
    return ManagedIdentityCredential(client_id=identity.client_id, retry_total=0)


def assignment(role: str, principal: str, **more: Any) -> RoleAssignmentCreateParameters:
    """Return the body of a role assignment for a service principal."""
    kind = "ServicePrincipal"
    return RoleAssignmentCreateParameters(role_definition_id=role, principal_id=principal, principal_type=kind, **more)


def get(azure: AzureStandIn, url: str, token: str) -> requests.Response:
    """Send one request with no client of Azure's between."""
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(url, headers=headers, timeout=30, verify=str(azure.ca_pem))
