"""Refuses Airflow before 3.3, whose lookups turn every refusal into "not defined" and ask the next source.

Imported first by the modules that Airflow loads: `backend.py`, `executor.py`, `plugin.py`.
"""

from __future__ import annotations

from airflow import __version__ as found

OLDEST = (3, 3)


def check(version: str) -> None:
    """Raise RuntimeError, as Airflow's own providers do, for an Airflow that cannot fail closed."""
    numbers = tuple(int(each) for each in version.split(".")[:2])
    if numbers < OLDEST:
        raise RuntimeError(
            f"airflow-provider-airwarden needs Apache Airflow 3.3 or newer, and this is {version}: in older ones "
            "a refused secret was looked for in the next source. Upgrade Airflow, or take the provider out"
        )


check(found)
