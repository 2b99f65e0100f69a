"""Tasks that read secrets in all the ways that a DAG author has; Airflow's own supervisor runs them in the tests.

What they saw goes to a file that only the test reads, so that the task's log may be searched for values.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from airflow.sdk import BaseHook, BaseOperator, Connection, Variable, dag, task

LOG = logging.getLogger(__name__)

if "READ_AT_PARSE" in os.environ:
    Connection.get("warehouse")


def tell(**seen: object) -> None:
    Path(os.environ["TASK_RESULT"]).write_text(json.dumps({"pid": os.getpid(), **seen}))


class IsKilled(BaseOperator):
    """Reads while it is killed, and reads to end what it began elsewhere, as operators of databases do."""

    def execute(self, context: object) -> None:
        tell()
        self.found = Connection.get("warehouse").password
        tell(on_kill=self.in_on_kill, execute=self.found)

    def on_kill(self) -> None:
        self.in_on_kill = Connection.get("warehouse").password


@dag(schedule=None)
def bound() -> None:
    @task
    def reads(templated: str, variable: str) -> None:
        chosen = "ware" + "house"
        with ThreadPoolExecutor(8) as pool:
            in_threads = list(pool.map(lambda _: Connection.get(chosen).password, range(8)))
        hook = BaseHook.get_connection(chosen)
        print("printed:", hook.password, variable)
        LOG.warning("logged: %s %s", hook.password, hook.get_uri())
        tell(
            templated=templated,
            variable=variable,
            same_variable=Variable.get("recipient"),
            in_threads=sorted(set(in_threads)),
            chosen=hook.password,
            host=hook.host,
            port=hook.port,
            unbound=Connection.get("elsewhere").host,
        )

    @task
    def asks_for_denied() -> None:
        seen = {}
        for wanted, ask in (("warehouse", Connection.get), ("recipient", Variable.get)):
            try:
                ask(wanted)
            except PermissionError as error:
                seen[wanted] = f"{type(error).__name__}: {error}"
        tell(**seen)

    @task
    def waits() -> None:
        async def ask() -> str:
            found = await asyncio.gather(*(BaseHook.aget_connection("warehouse") for _ in range(5)))
            LOG.warning("logged: %s", found[0].password)
            return found[0].password

        tell(password=asyncio.run(ask()))

    @task
    def fails() -> None:
        raise ValueError("failed with " + Connection.get("warehouse").password)

    reads("{{ conn.warehouse.password }}", "{{ var.value.recipient }}")
    asks_for_denied()
    waits()
    fails()
    IsKilled(task_id="is_killed")


bound()
