"""What the operator counts about rotations, in Prometheus' format; the series of a rotation go with it.

One instance per process, in the registry of `airwarden.reconcile.metrics`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from airwarden.api.fields import moment
from airwarden.api.rotation import RotationStatus
from airwarden.domain.rotation.decide import Result
from airwarden.reconcile.queue import Key

_LABELS = ["namespace", "rotation"]


class RotationMetrics:
    """Counters and gauges of all rotations."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._age = Gauge(
            "airwarden_rotation_age_seconds", "Age of the value, whoever made it", _LABELS, registry=registry
        )
        self._next = Gauge(
            "airwarden_rotation_next_timestamp_seconds", "When the next run is due", _LABELS, registry=registry
        )
        self._overdue = Gauge(
            "airwarden_rotation_overdue", "1 while the value is older than maxAge", _LABELS, registry=registry
        )
        self._healthy = Gauge(
            "airwarden_rotation_healthy", "1 while the condition Healthy holds", _LABELS, registry=registry
        )
        self._runs = Counter(
            "airwarden_rotation_runs_total", "Ended runs, by result", [*_LABELS, "result"], registry=registry
        )
        self._seconds = Histogram(
            "airwarden_rotation_run_seconds",
            "Seconds from a run's beginning to its end",
            registry=registry,
            buckets=(0.1, 0.5, 1, 2.5, 5, 15, 60, 300, 3600),
        )

    def seen(self, key: Key, status: RotationStatus, *, overdue: bool) -> None:
        """Take in a rotation's status after a pass."""
        if (made := _time(status.version_time)) is not None:
            self._age.labels(*key).set_function(partial(self._seconds_since, made))
        if (following := _time(status.next)) is not None:
            self._next.labels(*key).set(following.timestamp())
        else:
            self._drop(self._next, key)
        healthy = status.condition("Healthy")
        self._overdue.labels(*key).set(1 if overdue else 0)
        self._healthy.labels(*key).set(1 if healthy is None or healthy.status == "True" else 0)

    def ended(self, key: Key, result: str, seconds: float) -> None:
        """Count one run."""
        self._runs.labels(*key, result).inc()
        self._seconds.observe(seconds)

    def by_store(self, key: Key) -> None:
        """Count a rotation that the store did by itself."""
        self._runs.labels(*key, Result.SUCCEEDED.value).inc()

    def gone(self, key: Key) -> None:
        """Drop the series of a rotation that is gone."""
        for each in (self._age, self._next, self._overdue, self._healthy):
            self._drop(each, key)
        for result in Result:
            self._drop(self._runs, (*key, result.value))

    def _seconds_since(self, moment_made: datetime) -> float:
        return (self._clock() - moment_made).total_seconds()

    @staticmethod
    def _drop(metric: Gauge | Counter, labels: tuple[str, ...]) -> None:
        metric.remove(*labels)


def _time(text: str) -> datetime | None:
    try:
        return moment(text).astimezone(UTC)
    except ValueError:
        return None
