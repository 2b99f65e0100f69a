"""DAGs whose tasks read the connection that their binding names; what came of it goes to a file, without the value."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from airflow.sdk import Connection, dag, task


@task
def reads() -> None:
    try:
        found = Connection.get("warehouse")
    except PermissionError as error:
        seen = {"read": False, "said": str(error)}
    else:
        digest = hashlib.sha256((found.password or "").encode()).hexdigest()
        print("the password is", found.password)
        seen = {"read": True, "host": found.host, "as_expected": digest == os.environ["EXPECTED_SHA256"]}
    Path(os.environ["TASK_RESULT"]).write_text(json.dumps(seen))


@dag(schedule=None)
def billing_daily() -> None:
    reads()


@dag(schedule=None)
def weekly_report() -> None:
    reads()


billing_daily()
weekly_report()
