"""What `airflow providers list` reads; the entry point in pyproject.toml names it.

The executor is not listed: Airflow would take the commands that it inherits (`airflow kubernetes`) for a second
definition of them, and end. It needs no listing, since `[core] executor` names it by its path.
"""

from __future__ import annotations


def get_provider_info() -> dict[str, object]:
    """Return the provider's description, as airflow/provider_info.schema.json has it."""
    return {
        "package-name": "airflow-provider-airwarden",
        "name": "Airwarden",
        "description": "Gives each task the identity of its DAG's binding, and reads what is bound to that, no more.",
        "secrets-backends": ["airflow_airwarden.backend.AirwardenBackend"],
    }
