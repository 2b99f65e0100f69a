"""What the operator counts about itself, in Prometheus' format.

One instance per process, handed to the parts that count; `airwarden.telemetry` serves it.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """Counters and gauges of one operator."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._passes = Counter(
            "airwarden_reconcile_passes_total", "Passes over bindings, by outcome", ["outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            "airwarden_reconcile_seconds",
            "Seconds of one pass over one binding",
            registry=self.registry,
            buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
        )
        self._drift = Counter(
            "airwarden_drift_corrected_total",
            "Objects found changed from outside and set right",
            registry=self.registry,
        )
        self._reported = Counter(
            "airwarden_drift_reported_total",
            "Objects found changed from outside and left as they are",
            registry=self.registry,
        )
        self._swept = Counter(
            "airwarden_swept_total", "Leftovers without a binding that were removed", registry=self.registry
        )
        self._refused = Counter(
            "airwarden_statuses_refused_total",
            "Statuses that the API server does not take: its CRDs are of another version",
            ["kind"],
            registry=self.registry,
        )
        self._backend_ready = Gauge(
            "airwarden_backend_ready", "1 while a backend is Ready", ["backend"], registry=self.registry
        )
        self._left = Gauge(
            "airwarden_store_requests_left",
            "Requests that a store's limits still permitted at its last answer",
            ["backend", "limit"],
            registry=self.registry,
        )
        self._last_pass = Gauge(
            "airwarden_last_pass_timestamp_seconds", "When the last pass over any binding ended", registry=self.registry
        )
        self._queue = Gauge("airwarden_bindings_waiting", "Bindings waiting for a pass", registry=self.registry)
        self._bindings = Gauge("airwarden_bindings", "Bindings, by readiness", ["ready"], registry=self.registry)

    def watch(self, waiting: Callable[[], float], ready: Callable[[], float], unready: Callable[[], float]) -> None:
        """Read these gauges when they are scraped."""
        self._queue.set_function(waiting)
        self._bindings.labels("true").set_function(ready)
        self._bindings.labels("false").set_function(unready)

    def passed(self, outcome: str, seconds: float, now: float) -> None:
        """Count one pass."""
        self._passes.labels(outcome).inc()
        self._seconds.observe(seconds)
        self._last_pass.set(now)

    def drift_corrected(self, count: int) -> None:
        """Count objects that were set right."""
        self._drift.inc(count)

    def drift_reported(self, count: int) -> None:
        """Count objects that were found changed and only reported."""
        self._reported.inc(count)

    def swept(self) -> None:
        """Count one leftover that was removed."""
        self._swept.inc()

    def status_refused(self, kind: str) -> None:
        """Count one status that the API server does not take."""
        self._refused.labels(kind).inc()

    def backend_ready(self, name: str, ready: bool) -> None:
        """Note whether a backend is Ready."""
        self._backend_ready.labels(name).set(1 if ready else 0)

    def requests_left(self, backend: str, limit: str, count: int) -> None:
        """Note how many requests a limit of a store still permits."""
        self._left.labels(backend, limit).set(count)

    def backend_gone(self, name: str) -> None:
        """Drop the series of a backend that is gone."""
        self._backend_ready.remove(name)
        self._left.remove_by_labels({"backend": name})
