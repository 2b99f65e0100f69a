"""What docs/azure.md names and promises in words and numbers is what the operator has."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from airwarden.api.azure import AzureLoginMethod
from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.reasons import Reason
from airwarden.domain.effect import EFFECTIVE
from airwarden.providers.azure.opening import connection_of, place_of, settings
from airwarden.providers.ports import NOTED
from airwarden.reconcile.metrics import Metrics

REPOSITORY = Path(__file__).parents[3]
PAGE = (REPOSITORY / "docs" / "azure.md").read_text()
WORDS = {each.word for each in Reason}


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_every_condition_reason_and_metric_of_what_it_shows_exists_and_no_condition_is_left_out() -> None:
    table = [line for line in section("What it shows").splitlines() if line.startswith("| `") or "metric" in line]
    named = [re.findall(r"`([A-Za-z_]+)`", line) for line in table]
    assert {each[0] for each in named if each[0] in NOTED} == NOTED
    known = {*WORDS, *NOTED, "Ready", EFFECTIVE, "Unknown"}
    metrics = {f"{each.name}" for each in Metrics().registry.collect()}
    assert {word for each in named for word in each} <= known | metrics
    assert "airwarden_store_requests_left" in {word for each in named for word in each}


def test_every_reason_that_it_names_on_the_way_exists() -> None:
    on_the_way = {"BackendForbidden", "CeilingReached", "GroupNotAllowed", "IdentityNotGiven", "KeyNotEnforced"}
    on_the_way |= {"NotOwned", "OrphanNotAllowed", "QuotaReached", "SessionTTLNotEnforced"}
    assert on_the_way <= WORDS
    assert all(f"`{each}`" in PAGE for each in on_the_way)


def test_the_ways_to_log_in_are_the_documented_ones() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", section("What the operator needs"), re.MULTILINE)) == set(AzureLoginMethod)


def test_what_is_not_given_is_as_documented() -> None:
    text = re.findall(r"```yaml\n(apiVersion.*?)```", section("The backend"), re.DOTALL)[0]
    backend = AirflowSecretBackend.model_validate(
        {key: value for key, value in yaml.safe_load(text).items() if key in {"metadata", "spec"}}
    )
    azure = settings(backend)
    connection = connection_of(backend, azure, Path("/tokens"), None)
    documented = (
        f"`requests.timeout` is {connection.timeout:.0f}s, `requests.maxConcurrent` {connection.max_concurrent}, "
        f"`requests.perSecond` {connection.per_second}, and `drift.interval` "
        f"{place_of(backend, azure, 'c1').drift_age / 60:.0f}m."
    )
    assert documented in PAGE
    assert f"`assignmentsPerNamespace` (default {azure.assignments_per_namespace})" in PAGE
