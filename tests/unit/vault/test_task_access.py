"""How tasks are told to reach a Vault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airwarden.api.backend import AirflowSecretBackend
from airwarden.domain.owner import Owner
from airwarden.providers.vault.connection import TokenFile
from airwarden.providers.vault.opening import connection_of
from airwarden.providers.vault.role_forms import KubernetesForm
from airwarden.providers.vault.task_access import task_access

OWN, EU, US = "https://vault.example:8200", "https://eu.vault.example:8200", "https://us.vault.example:8200"


def entry(**vault: Any) -> dict[str, Any]:
    """Return what the map says of a backend's Vault."""
    settings = {
        "address": OWN,
        "login": {"kubernetes": {"role": "airwarden"}},
        "kv": {"mount": "airflow"},
        "workloadLogin": {"kubernetes": {"audience": "vault"}},
        **vault,
    }
    body = {"metadata": {"name": "vault"}, "spec": {"type": "Vault", "vault": settings}}
    connection = connection_of(AirflowSecretBackend.model_validate(body), TokenFile(Path("/token")), None)
    role = Owner("c1", "team-a", "billing", "vault").name_in_store
    return dict(task_access(connection, KubernetesForm("vault"), "kubernetes", role, ("airflow", 2)).entry)


def test_tasks_reach_it_where_the_operator_does() -> None:
    assert entry()["addresses"] == [OWN]


@pytest.mark.parametrize("order", [[EU, US], [US, EU, OWN]])
def test_tasks_reach_it_where_the_backend_says_in_that_order(order: list[str]) -> None:
    assert entry(workloadAddresses=order)["addresses"] == order


@pytest.mark.parametrize("wrong", ["vault.example", "https://vault.example/v1", "https://user@vault.example"])
def test_an_address_of_tasks_is_checked_as_the_operators_is(wrong: str) -> None:
    with pytest.raises(ValueError, match="must be a URL without path"):
        entry(workloadAddresses=[EU, wrong])
