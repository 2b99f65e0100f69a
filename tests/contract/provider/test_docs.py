"""The examples of the provider's pages are what the provider, and Kubernetes, take."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from airflow_airwarden.errors import Reason
from airflow_airwarden.map_file import parse_map
from airflow_airwarden.settings import Settings, settings_of
from contract.provider.airflow_task import BACKEND, REPOSITORY
from contract.provider.bench import NAMESPACE, ProviderBench
from plane.waiting import wait_for

PAGE = (REPOSITORY / "docs" / "provider.md").read_text()
MAP_PAGE = (REPOSITORY / "docs" / "reference" / "binding-map.md").read_text()


def example(page: str, language: str, number: int = 0) -> str:
    return str(re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)[number])


def test_the_maps_example_is_taken() -> None:
    found = parse_map(example(MAP_PAGE, "json").encode(), "example")
    assert [str(each.place) for each in found.secrets.values()] == [
        "airflow-prod/connections/warehouse",
        "airflow-prod/reports",
        "database/creds/airflow-prod.reporting",
    ]


def test_the_charts_values_name_the_backend_with_its_defaults() -> None:
    workers = yaml.safe_load(example(PAGE, "yaml"))["config"]["workers"]
    assert workers["secrets_backend"] == BACKEND
    assert settings_of(json.loads(workers["secrets_backend_kwargs"])) == Settings()


def test_the_pod_is_one_that_kubernetes_takes(tasks: ProviderBench) -> None:
    plane = tasks.plane
    plane.api.create_service_account(NAMESPACE, "billing")
    pod: dict[str, Any] = yaml.safe_load(example(PAGE, "yaml", 1))
    apply = ("apply", "--dry-run=server", "-n", NAMESPACE, "-o", "name", "-f", "-")
    said = wait_for("the account is there", lambda: plane.kubectl(*apply, stdin=json.dumps(pod)), 30)
    assert said.strip() == "pod/task"
    mounts = {each["mountPath"] for each in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounts == {"/etc/airwarden", "/var/run/secrets/airwarden/vault"}


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_is_explained(reason: Reason) -> None:
    assert f"`{reason}`" in PAGE


def test_each_default_is_the_pages() -> None:
    for name, default in _defaults():
        assert f"| `{name}` | {default} |" in PAGE


def _defaults() -> list[tuple[str, str]]:
    made = Settings()
    texts = {"map_path": f"`{made.map_path}`"}
    names = ("map_path", "lookup_seconds", "fresh_denial_seconds", "allow_updates", "development")
    return [(name, texts.get(name) or f"{_shown(getattr(made, name))}") for name in names]


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
