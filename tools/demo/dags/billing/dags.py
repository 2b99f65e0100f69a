"""A DAG of bundle billing-git, whose ids the binding billing claims. Run by Airflow in the demo's last act."""

from __future__ import annotations

from airflow.sdk import DAG, BaseHook, Connection, task


@task
def load(templated: str, chosen: str) -> dict[str, str]:
    """Read the connection in a template, by a name chosen at run time, and one that every bound DAG may read."""
    mail = Connection.get("smtp_default")
    return {"warehouse": f"{BaseHook.get_connection(chosen).login} at {templated}", "smtp_default": str(mail.host)}


with DAG("billing_daily", schedule=None):
    load("{{ conn.warehouse.host }}", "ware" + "house")
