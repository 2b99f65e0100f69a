"""Results for the tests of this folder: one with everything in it, made up, and one with nothing."""

from typing import Any

from benchmarks.result import Measured, Result

ABOUT: dict[str, Any] = {
    "commit": "0123456789ab",
    "date": "2026-01-31 12:00 UTC",
    "machine": {"processor": "Fast & Co", "cores": 2, "memory_gb": 8, "system": "Linux 6"},
    "versions": {"python": "3.11.7", "vault": "1.21.1"},
    "runs": [
        {
            "kind": "full",
            "commit": "0123456789ab",
            "date": "2026-01-31 12:00 UTC",
            "scenarios": ["new-5000", "new-100", "new-1000"],
            "seconds": 900,
            "others_busy_percent": 1.5,
        }
    ],
}
NOTHING = Result.of({"runs": []}, {})


def new(count: int, rate: float = 100.0) -> Measured:
    return Measured(
        {"bindings_per_second": rate, "ready_seconds_p50": 2.5} if count == 1000 else {},
        {
            "bindings": count,
            "per_second": rate,
            "cpu_ms_per_binding": 6.0,
            "ready_seconds_p50": 2.5,
            "ready_seconds_p99": 4.5,
            "rss_mb": 80 + count / 100,
            "rss_mb_before": 80.0,
        },
    )


SOME = Result.of(ABOUT, {"new-5000": new(5000), "new-100": new(100), "new-1000": new(1000)})
