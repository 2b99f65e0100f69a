"""A whole Airflow under an operator that renders everything, in four acts: what its DAGs get, and what they do not.

Scheduler, API server, DAG processor, triggerer, kube-apiserver with our admission policies, Vault and PostgreSQL are
real; the kubelet is played. No account, policy or role is written by hand, and no map of a DAG or of its binding.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from e2e.acts_world import (
    AIRFLOW,
    ENGINE,
    FIRST_LIFE,
    FULL,
    SCHEDULER,
    SOON,
    TEAM,
    UNBOUND,
    Deployment,
    access_lines,
    staged,
)
from integration.objects import KV, account_path
from plane.airflow_runs import DONE
from plane.control_plane import ControlPlane
from plane.errors import PlaneHTTPError
from plane.json_client import Json
from plane.kubelet import Kubelet
from plane.postgres_server import PostgresServer
from plane.vault_server import VaultServer
from plane.waiting import wait_for

pytestmark = pytest.mark.timeout(1200)  # the first run on a machine installs Airflow

WAREHOUSE, LEDGER, REPORTS = (f"{TEAM}/connections/{name}" for name in ("warehouse", "ledger", "reports"))
AT_ONCE = ("billing_reads", "billing_pries", "billing_lookalike", "billing_forges", "billing_triggers")
"""Runs that are begun together: they wait for one another more than they work."""
IN_TURN = ("weekly_report", "billing_lingers", "billing_outage", "late")


@pytest.fixture(scope="module")
def deployment(postgres: PostgresServer) -> Iterator[Deployment]:
    """Start all; nothing of it is started again but Vault, where a test says so."""
    with ControlPlane() as plane, staged(plane, postgres) as stage:
        with Kubelet(plane) as kubelet, stage.servers() as servers:
            found = Deployment(plane, servers, kubelet, stage)
            found.unpause(*AT_ONCE, *IN_TURN)
            yield found
        assert kubelet.faults == []


@pytest.fixture(scope="module")
def runs(deployment: Deployment) -> dict[str, str]:
    """Begin one run of each DAG that needs nobody; return their ids."""
    asks = {"own": WAREHOUSE, "key": REPORTS, "id": "reports", "role": deployment.stage.role(TEAM, "reporting")}
    return {each: deployment.run(each, name="warehouse", **asks) for each in AT_ONCE}


# Act 1: what is bound, and nothing else.


def test_a_dag_reads_its_connection_and_variable_in_every_way(deployment: Deployment, runs: dict[str, str]) -> None:
    got = deployment.returned("billing_reads", runs["billing_reads"], "reads")
    password = deployment.stage.values.digest(WAREHOUSE)
    assert got == {
        "templated": password,
        "host": "db.test",
        "region": "north",
        "variable": "north",
        "chosen": password,
    }
    (made,) = deployment.made("billing_reads")
    assert (made.user, made.account) == (SCHEDULER, (TEAM, "billing"))
    assert made.pod["metadata"]["annotations"]["airwarden.dev/environment-digest"] == digest(deployment)


def test_a_dag_of_the_other_bundle_with_the_same_prefix_gets_neither_account_nor_secret(
    deployment: Deployment, runs: dict[str, str]
) -> None:
    got = deployment.returned("billing_lookalike", runs["billing_lookalike"], "looks_like_billing")
    assert "isn't defined" in got["connection"]
    assert "AirflowRuntimeError" in got["variable"]
    assert got["mounted"] == []
    (made,) = deployment.made("billing_lookalike")
    assert made.account == (TEAM, UNBOUND)
    assert made.pod["metadata"]["labels"]["airwarden.dev/identity"] == "Unbound"


def test_past_airflow_a_task_gets_no_further_than_its_binding(deployment: Deployment, runs: dict[str, str]) -> None:
    got = deployment.returned("billing_pries", runs["billing_pries"], "pries")
    own = deployment.stage.values.digest(WAREHOUSE)
    assert (got.pop("own by hvac"), got.pop("own by httpx")) == (own, own)
    assert got.pop("theirs by hvac").startswith("Forbidden: ")
    assert "403 Forbidden" in got.pop("theirs by httpx")
    assert "service account name not authorized" in got.pop("their role")
    # Airflow's API server has no account with access, so it has nothing to give, whoever asks.
    assert "isn't defined" in got.pop("their id")
    assert got.pop("Execution API").startswith("AirflowRuntimeError: CONNECTION_NOT_FOUND")
    assert "403 Forbidden" in got.pop("Execution API by hand")
    assert got == {}
    denied = [each for each in deployment.plane.vault.audit.entries() if each.path == f"{KV}/data/{REPORTS}"]
    assert [each.display_name for each in denied if not each.error] == ["root"], "as it was written"
    assert {each.display_name for each in denied if each.error} == {f"kubernetes-{TEAM}-billing"}


def test_a_trigger_reads_as_the_triggerer_and_the_task_as_itself(deployment: Deployment, runs: dict[str, str]) -> None:
    got = deployment.returned("billing_triggers", runs["billing_triggers"], "waits")
    assert got["webhook"] == deployment.stage.values.digest(f"{AIRFLOW}/connections/webhook")
    assert "isn't defined" in got["warehouse"], "what a DAG is bound to, the triggerer is not"
    assert got["resumed"] == deployment.stage.values.digest(WAREHOUSE)
    assert [each.account for each in deployment.made("billing_triggers")] == [(TEAM, "billing")] * 2


# Act 2: what is forged.


def test_a_dag_that_forges_all_of_its_pod_runs_as_itself(deployment: Deployment, runs: dict[str, str]) -> None:
    got = deployment.returned("billing_forges", runs["billing_forges"], "forges")
    assert got["own"] == deployment.stage.values.digest(WAREHOUSE)
    assert "isn't defined" in got["theirs"]
    (made,) = deployment.made("billing_forges")
    assert made.account == (TEAM, "billing")
    (container,) = made.pod["spec"]["containers"]
    assert "initContainers" not in made.pod["spec"]
    assert container["image"] == "airflow:any"
    marks = {**made.pod["metadata"]["labels"], **made.pod["metadata"]["annotations"]}
    assert (marks["airwarden.dev/binding"], marks["airwarden.dev/dag-id"]) == ("billing", "billing_forges")
    container.pop("env")  # in which the administrator names the bundles
    assert "reporting" not in json.dumps([marks, made.pod["spec"]])


@pytest.mark.parametrize("marked", [False, True])
def test_a_pod_made_by_hand_with_a_bound_account_is_refused(
    deployment: Deployment, runs: dict[str, str], marked: bool
) -> None:
    body: Json = {
        "metadata": {"name": "airwarden-by-hand"},
        "spec": {"serviceAccountName": "billing", "containers": [{"name": "base", "image": "any"}]},
    }
    if marked:
        deployment.state("billing_reads", runs["billing_reads"])
        real, *_ = deployment.made("billing_reads")
        body["metadata"] |= {each: real.pod["metadata"][each] for each in ("labels", "annotations")}
    refusal = refused(deployment, f"/api/v1/namespaces/{TEAM}/pods", body)
    # Forged marks offend against every binding of the environment; the API server names one offence, in no order.
    said = "only the scheduler of environment airflow/main makes pods for it, not plane-admin"
    forged = "mark a task of environment airflow/main, and only its scheduler sets them, not plane-admin"
    assert said in refusal or (marked and forged in refusal)


def test_a_token_made_by_hand_of_a_bound_account_is_refused(deployment: Deployment) -> None:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["vault"]}}
    refusal = refused(deployment, f"{account_path(TEAM, 'billing')}/token", body)
    assert "its tokens are made for pods alone, by their kubelet, not for plane-admin" in refusal


def test_a_task_queued_before_its_binding_was_removed_does_not_run_with_the_old_account(
    deployment: Deployment,
) -> None:
    world, late = deployment.stage.world, deployment.stage.binding(FULL, "late")
    quotas = f"/api/v1/namespaces/{FULL}/resourcequotas"
    full = {"hard": {"pods": "0"}, "used": {"pods": "0"}}
    world.create(quotas, {"metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}})
    world.merge(f"{quotas}/full/status", {"status": full})  # no controller of quotas counts here
    wait_for("nobody makes a pod there", lambda: "exceeded quota: full" in tried(deployment, FULL), SOON)
    run_id = deployment.run("late")
    mark = "exceeded quota: full"
    wait_for("there is no room for its pod", lambda: mark in deployment.servers.log("scheduler"), SOON, 0.3)
    assert deployment.task("late", run_id, "reads_ledger")["state"] == "queued"
    late.delete()
    late.wait_gone()
    world.delete(f"{quotas}/full")
    assert deployment.state("late", run_id) == "failed"
    assert deployment.made("late") == []
    assert "kubernetes-airflow-late-late" not in logins(deployment)
    events = deployment.servers.request("GET", "eventLogs?dag_id=late")["event_logs"]
    said = "\n".join(each["extra"] or "" for each in events)
    # It is tried again and again: the executor says so once it has seen the map, and else whoever knows it before.
    reasons = ("Airwarden makes no pod: ", f"is that of binding {FULL}/late", "error looking up service account")
    assert any(each in said for each in reasons), said


# Act 3: what changes.


def test_a_changed_value_is_what_the_next_task_reads(deployment: Deployment, runs: dict[str, str]) -> None:
    before = deployment.stage.values.digest(WAREHOUSE)
    deployment.returned("billing_reads", runs["billing_reads"], "reads")
    deployment.stage.values.write(WAREHOUSE, host="other.test")
    got = deployment.returned("billing_reads", deployment.run("billing_reads", name="warehouse"), "reads")
    assert got["chosen"] == got["templated"] == deployment.stage.values.digest(WAREHOUSE) != before
    assert got["host"] == "other.test"


def test_a_database_user_lives_as_long_as_its_task_and_its_longest_life(
    deployment: Deployment, postgres: PostgresServer
) -> None:
    vault = deployment.plane.vault.audit
    mark = vault.mark()

    def requests(path: str) -> int:
        mine = [each for each in vault.entries(mark) if each.display_name == f"kubernetes-{TEAM}-reporting"]
        return sum(each.path == path for each in mine)

    with deployment.talking("weekly_report") as talk:
        began = time.monotonic()
        first = talk.hear()
        assert first["works"]
        assert first["user"] in postgres.users()
        wait_for("its first life is over", lambda: time.monotonic() > began + FIRST_LIFE, SOON, 0.3)
        assert requests("sys/leases/renew") >= 1
        talk.go_on()
        assert talk.hear() == first, "the same user, at its second lookup and in the connection of the first"
        wait_for("its longest life is over", lambda: first["user"] not in postgres.users(), SOON, 0.3)
        assert requests(f"{ENGINE}/creds/{TEAM}.reporting") == 1
        talk.go_on()
        second = talk.hear()
        assert second["works"]
        assert second["user"] in postgres.users() - {first["user"]}
        talk.go_on()
    assert deployment.state("weekly_report", talk.run_id) == "success"
    wait_for("the second is gone with its task", lambda: second["user"] not in postgres.users(), SOON, 0.3)
    (made,) = deployment.made("weekly_report")
    accesses = [each for each in access_lines(deployment.output(made)) if each.get("id") == "reports_db"]
    assert [each["cached"] for each in accesses] == [False, True, False]
    assert len({each["lease"] for each in accesses}) == 2
    assert requests(f"{ENGINE}/creds/{TEAM}.reporting") == 2
    assert logins(deployment).count(f"kubernetes-{TEAM}-reporting") == 1


def test_the_environment_says_that_identities_are_enforced_and_what_is_not_isolated(
    deployment: Deployment, runs: dict[str, str]
) -> None:
    deployment.state("billing_reads", runs["billing_reads"])
    environment = deployment.stage.environment
    environment.wait_condition("IdentityEnforced", "True", "IdentityEnforced", SOON)
    environment.wait_condition("Isolated", "False", "TriggererShared", SOON)
    assert environment.status()["bindings"]["mapped"] >= 2


# Act 4: what fails.


def test_while_vault_is_down_a_task_fails_closed_and_its_retry_reads_again(deployment: Deployment) -> None:
    vault = deployment.plane.vault
    with deployment.talking("billing_outage") as talk:
        assert talk.hear()["read"] == deployment.stage.values.digest(LEDGER)

        def failed_once() -> bool:
            found = deployment.task("billing_outage", talk.run_id, "after")
            assert found["state"] != "success", "something else was read"
            return bool(found["state"] == "up_for_retry" or found["try_number"] > 1)

        with down(vault):
            talk.go_on()
            wait_for("the second task fails", failed_once, DONE, 0.3)
    got = deployment.returned("billing_outage", talk.run_id, "after")
    assert got == deployment.stage.values.digest(LEDGER), "and not what the pod's own variables hold under this id"
    _, failed, *_ = deployment.made("billing_outage")
    said = deployment.output(failed)
    assert (
        f"Airwarden gives no Connection 'ledger' to binding {TEAM}/billing: StoreUnreachable: "
        f"Vault at {vault.address} cannot be reached"
    ) in said
    assert {each.account for each in deployment.made("billing_outage")} == {(TEAM, "billing")}


def test_an_environment_that_changes_and_goes_leaves_running_tasks_their_access_and_new_ones_none(
    deployment: Deployment,
) -> None:
    stage, environment = deployment.stage, deployment.stage.environment
    with deployment.talking("billing_lingers") as talk:
        first = talk.hear()["first"]
        assert first == stage.values.digest(WAREHOUSE)
        before = environment.status()
        assert "older" not in before["pods"]
        bundles = environment.body()["spec"]["bundles"]
        environment.edit(bundles=[*bundles, {"name": "new-git", "namespaces": [TEAM]}])
        wait_for("the pod is of an older rendering", lambda: environment.status()["pods"].get("older"), SOON, 0.3)
        assert environment.status()["digest"] != before["digest"]
        stage.world.delete(environment.path)
        stage.world.wait_gone(environment.path, SOON)
        talk.go_on()
    got = deployment.returned("billing_lingers", talk.run_id, "lingers")
    assert got["second"] == sha256("north")
    assert deployment.state("billing_reads", deployment.run("billing_reads", name="warehouse")) == "failed"
    *_, last = deployment.made("billing_reads")
    assert last.account == (TEAM, UNBOUND)
    assert "MapMissing" in deployment.output(last)


def digest(deployment: Deployment) -> str:
    return deployment.stage.rendered("scheduler")["AIRFLOW__AIRWARDEN__DIGEST"]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def refused(deployment: Deployment, path: str, body: Json) -> str:
    """Return the words with which the API server refuses even its admin."""
    with pytest.raises(PlaneHTTPError) as refusal:
        deployment.plane.api.admin.request("POST", path, body)
    assert refusal.value.status == 403
    return refusal.value.text


@contextmanager
def down(vault: VaultServer) -> Iterator[None]:
    """Have Vault refuse connections for a while."""
    vault.stop()
    try:
        yield
    finally:
        vault.start()


def tried(deployment: Deployment, namespace: str) -> str:
    """Return what the API server says to a pod that is only tried; empty when it would take it."""
    body = {"metadata": {"name": "tried"}, "spec": {"containers": [{"name": "base", "image": "any"}]}}
    try:
        deployment.plane.api.admin.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", body)
    except PlaneHTTPError as refusal:
        return refusal.text
    return ""


def logins(deployment: Deployment) -> list[Any]:
    """Return who logged in to Vault, once for each time."""
    entries = deployment.plane.vault.audit.entries()
    return [each.display_name for each in entries if each.path == "auth/kubernetes/login" and not each.error]
