"""What docs/executor.md shows is what the executor takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from airflow_airwarden.dag_map import map_name, parse_dag_map
from airflow_airwarden.executor_settings import executor_settings
from airflow_airwarden.map_view import FRESH

PAGE = (Path(__file__).parents[3] / "docs" / "executor.md").read_text()


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_map_is_one_that_the_executor_takes() -> None:
    (example,) = examples("json")
    claim = parse_dag_map(example, "airflow/main", "billing-git").find("billing_daily")
    assert claim is not None
    assert (claim.binding, claim.account) == ("airflow-prod/billing", "billing")


def test_the_role_names_the_map_of_the_bundle() -> None:
    (roles,) = [each for each in examples("yaml") if "kind: Role\n" in each]
    first: dict[str, Any] = next(yaml.safe_load_all(roles))
    assert first["rules"][0]["resourceNames"] == [map_name("main", "billing-git")]
    assert first["rules"][0]["verbs"] == ["list", "watch"]


def test_each_option_of_the_section_is_explained_and_none_else() -> None:
    asked: set[str] = set()
    values = {
        "environment": "airflow/main",
        "bundles": "billing-git",
        "unbound_namespace": "airflow-prod",
        "unbound_service_account": "airflow-unbound",
    }

    def option(name: str) -> str | None:
        asked.add(name)
        return values.get(name)

    executor_settings(option, frozenset())
    told = re.findall(r"`(?:AIRFLOW__AIRWARDEN|…)__([A-Z_]+)`", PAGE)
    assert sorted(asked) == sorted(each.lower() for each in told)


def test_the_minute_is_the_pages() -> None:
    assert f"{FRESH:.0f} s after it was last confirmed" in PAGE
    assert f"was not confirmed for {FRESH:.0f} s" in PAGE
