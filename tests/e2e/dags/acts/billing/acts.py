"""The DAGs of bundle billing-git: what a bound DAG gets, and what it pries for in vain. Run by Airflow."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

import httpx
import hvac
from airflow.sdk import DAG, BaseHook, BaseOperator, Connection, Variable, task
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection
from asking import MAP, TOKEN, Asks, Talk, asked, digest, wished, workload_token
from forging import forged


@task
def reads(password: str, host: str, region: str) -> dict[str, str]:
    """Read in each way that a DAG's author has."""
    chosen = BaseHook.get_connection(wished("name"))
    return {
        "templated": digest(password),
        "host": host,
        "region": region,
        "variable": Variable.get("region"),
        "chosen": digest(chosen.password),
    }


@task
def pries() -> dict[str, str]:
    """Go past Airflow: Vault itself, and Airflow's API for tasks, with all that the pod has."""
    jwt, vault = TOKEN.read_text(), json.loads(MAP.read_text())["stores"]["vault"]
    key, role, theirs = wished("key"), wished("role"), wished("id")
    client = hvac.Client(url=vault["addresses"][0])
    client.auth.kubernetes.login(role=vault["login"]["role"], jwt=jwt)

    def read(path: str) -> str:
        found = client.secrets.kv.v2.read_secret_version(path=path, mount_point="airflow")
        return str(found["data"]["data"]["password"])

    def raw(path: str) -> str:
        url = f"{vault['addresses'][0]}/v1/airflow/data/{path}"
        answer = httpx.get(url, headers={"X-Vault-Token": client.token}, trust_env=False)
        return str(answer.raise_for_status().json()["data"]["data"]["password"])

    def as_them() -> str:
        return str(hvac.Client(url=vault["addresses"][0]).auth.kubernetes.login(role=role, jwt=jwt)["auth"])

    def of_airflow() -> str:
        answer = task_runner.SUPERVISOR_COMMS.send(GetConnection(conn_id=theirs))
        if isinstance(answer, ErrorResponse):
            raise AirflowRuntimeError(answer)
        return str(answer)

    def of_airflow_by_hand() -> str:
        url = f"{os.environ['AIRFLOW__CORE__EXECUTION_API_SERVER_URL']}connections/{theirs}"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {workload_token()}"}, trust_env=False)
        return answer.raise_for_status().text

    return {
        "own by hvac": asked(lambda: read(wished("own"))),
        "own by httpx": asked(lambda: raw(wished("own"))),
        "theirs by hvac": asked(lambda: read(key)),
        "theirs by httpx": asked(lambda: raw(key)),
        "their role": asked(as_them),
        "their id": asked(lambda: Connection.get(theirs).password),
        "Execution API": asked(of_airflow),
        "Execution API by hand": asked(of_airflow_by_hand),
    }


@task(executor_config=forged("reporting", "airflow-late", "reporting-git"))
def forges() -> dict[str, str]:
    return {
        "own": asked(lambda: Connection.get("warehouse").password),
        "theirs": asked(lambda: Connection.get("reports").password),
    }


class Waits(BaseOperator):
    """Has the triggerer look connections up, and reads when it is back."""

    def execute(self, context: Any) -> None:
        self.defer(trigger=Asks(["webhook", "warehouse"]), method_name="resumed")

    def resumed(self, context: Any, event: dict[str, str]) -> dict[str, str]:
        return {**event, "resumed": asked(lambda: Connection.get("warehouse").password)}


@task
def lingers() -> dict[str, str]:
    """Read before and after whatever the test does meanwhile."""
    first = asked(lambda: Connection.get("warehouse").password)
    with Talk() as talk:
        talk.say(first=first)
    return {"first": first, "second": asked(lambda: Variable.get("region"))}


@task
def reads_ledger() -> str:
    return digest(Connection.get("ledger").password)


@task
def reads_ledger_and_waits() -> str:
    read = digest(Connection.get("ledger").password)
    with Talk() as talk:
        talk.say(read=read)
    return read


with DAG("billing_reads", schedule=None):
    reads("{{ conn.warehouse.password }}", "{{ conn.warehouse.host }}", "{{ var.value.region }}")
with DAG("billing_pries", schedule=None):
    pries()
with DAG("billing_forges", schedule=None):
    forges()
with DAG("billing_triggers", schedule=None):
    Waits(task_id="waits")
with DAG("billing_lingers", schedule=None):
    lingers()
with DAG("billing_outage", schedule=None):
    again = reads_ledger.override(task_id="after", retries=50, retry_delay=timedelta(seconds=1))()
    reads_ledger_and_waits.override(task_id="before")() >> again
with DAG("late", schedule=None):
    reads_ledger()
