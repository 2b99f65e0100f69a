"""From a token of a real API server through the stand-in's Entra to its Key Vault: Airflow's own code reads."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from contract.azure.issuer import AUDIENCE
from plane.control_plane import Plane
from plane.kubernetes_server import ISSUER
from stand_ins.azure.roles import SECRETS_USER
from stand_ins.azure.stand_in import AzureStandIn
from stand_ins.azure.witnesses import AirflowReader, pod_environment
from stand_ins.azure.world import Identity

NAMESPACE = "azure-witness"
SUBJECT = f"system:serviceaccount:{NAMESPACE}:billing"


@pytest.fixture
def identity(azure: AzureStandIn, plane: Plane) -> Identity:
    """The identity of the task, with no role and for nobody's token yet."""
    plane.create_namespace(NAMESPACE)
    plane.api.create_service_account(NAMESPACE, "billing")
    azure.trust_issuer(ISSUER, lambda: plane.api.admin.request("GET", "/openid/v1/jwks"))
    return azure.add_identity("billing")


def test_a_task_reads_from_its_grant_to_the_end_of_it(
    azure: AzureStandIn, plane: Plane, identity: Identity, tmp_path: Path
) -> None:
    vault, password = azure.add_vault("kv-billing"), uuid.uuid4().hex
    azure.set_secret(vault.name, "airflow-connections-warehouse", f"postgresql://reader:{password}@db.example/dw")
    token = tmp_path / "token"
    token.write_text(plane.service_account_token(NAMESPACE, "billing", AUDIENCE))
    with AirflowReader(pod_environment(azure, identity.client_id, token), tmp_path) as task:

        def read() -> tuple[bool, str]:
            seen = task.read("https://kv-billing.vault.azure.net", "airflow-connections", "warehouse", password)
            return bool(seen.get("value_as_expected")), str(seen.get("host") or seen["code"])

        assert read() == (False, "ClientAuthenticationError")
        azure.federate(identity, ISSUER, SUBJECT)
        assert read() == (False, "ForbiddenByRbac")
        grant = azure.grant(identity.principal_id, SECRETS_USER, f"{vault.id}/secrets/airflow-connections-warehouse")
        assert read() == (True, "db.example")
        azure.revoke(grant.name)
        assert read() == (False, "ForbiddenByRbac")
