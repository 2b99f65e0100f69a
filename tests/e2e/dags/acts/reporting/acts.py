"""The DAGs of bundle reporting-git: one with the other bundle's prefix, one with a database user. Run by Airflow."""

from __future__ import annotations

from typing import Any

import psycopg2
from airflow.sdk import DAG, Connection, Variable, task
from asking import Talk, asked, mounted


@task
def looks_like_billing() -> dict[str, Any]:
    return {
        "connection": asked(lambda: Connection.get("warehouse").password),
        "variable": asked(lambda: Variable.get("region")),
        "mounted": mounted(),
    }


def connect() -> tuple[str, Any]:
    """Look the database up, and return its user and a connection."""
    found = Connection.get("reports_db")
    opened = psycopg2.connect(
        host=found.host, port=found.port, dbname=found.schema, user=found.login, password=found.password
    )
    return str(found.login), opened


def works(opened: Any) -> bool:
    """Tell whether an open connection still answers."""
    with opened.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone() == (1,)


@task
def works_long() -> None:
    """Use a database for longer than its first user lives."""
    with Talk() as talk:
        user, opened = connect()
        talk.say(user=user, works=works(opened))
        again, reopened = connect()
        talk.say(user=again, works=works(opened) and works(reopened))
        last, opened = connect()
        talk.say(user=last, works=works(opened))


with DAG("billing_lookalike", schedule=None):
    looks_like_billing()
with DAG("weekly_report", schedule=None):
    works_long()
