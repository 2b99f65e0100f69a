"""The shipped alerts speak of metrics and labels that the operator has."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from airwarden.api.rotation import RotationStatus
from airwarden.domain.rotation.decide import Result
from airwarden.reconcile.rotation_metrics import RotationMetrics

FILE = Path(__file__).parents[3] / "manifests" / "alerts" / "rotations.yaml"
ALERTS: list[dict[str, Any]] = [
    alert for group in yaml.safe_load(FILE.read_text())["spec"]["groups"] for alert in group["rules"]
]


def series() -> dict[str, set[str]]:
    """Return the labels of each series that a rotation with a run has."""
    registry = CollectorRegistry()
    metrics = RotationMetrics(registry, lambda: datetime(2031, 1, 1, tzinfo=UTC))
    times = RotationStatus(version_time="2031-01-01T00:00:00Z", next="2031-01-02T00:00:00Z")
    metrics.seen(("team", "warehouse"), times, overdue=False)
    metrics.ended(("team", "warehouse"), Result.FAILED.value, 1.0)
    return {sample.name: set(sample.labels) for family in registry.collect() for sample in family.samples}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda each: each["alert"])
def test_an_alert_speaks_of_metrics_and_labels_that_are_there(alert: dict[str, Any]) -> None:
    known = series()
    named = re.findall(r"airwarden_\w+", alert["expr"])
    assert named
    assert set(named) <= set(known)
    told = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
    assert told == {"namespace", "rotation"}
    assert all(told <= known[name] for name in named)
    assert set(re.findall(r"\{(\w+)=", alert["expr"])) <= known[named[0]]


def test_each_result_that_an_alert_asks_for_exists() -> None:
    asked = {word for alert in ALERTS for word in re.findall(r'result="(\w+)"', alert["expr"])}
    assert asked == {"Failed"}
    assert asked <= {each.value for each in Result}
