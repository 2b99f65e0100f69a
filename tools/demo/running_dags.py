"""Act 6: a whole Airflow whose DAGs run under their bindings' accounts, and one that would like another's.

Called by `demo.__main__` last. Airflow's servers are real; the kubelet that runs their pods is played.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from demo.stage import Stage
from demo.terminal import DemoFailed
from plane import quickstart
from plane.airflow_runs import AirflowRuns, Made
from plane.airflow_servers import AirflowServers, Bundle
from plane.kubelet import Kubelet
from plane.operator import wait_for_policies
from plane.postgres_server import PostgresServer
from plane.vault_admin import write_secret

AIRFLOW = "airflow"
_NS = quickstart.NAMESPACE
_DAGS = Path(__file__).parent / "dags"
BUNDLES = (Bundle("billing-git", _DAGS / "billing"), Bundle("reporting-git", _DAGS / "reporting"))
COMPONENTS = ("scheduler", "api-server", "dag-processor", "triggerer")
DECLARED = COMPONENTS[:3]
"""Those that examples/airflow declares; the triggerer has nothing to run here."""
SCHEDULER = f"system:serviceaccount:{AIRFLOW}:airflow-scheduler"
WIDER = (
    '[{"op":"replace","path":"/spec/allow/0/keyPrefixes","value":["{namespace}/"]},'
    '{"op":"add","path":"/spec/allow/0/namespaces/names/-","value":"airflow"}]'
)
BY_HAND = 'run by-hand --image=any --restart=Never --overrides=\'{"spec":{"serviceAccountName":"billing"}}\''
_ROW = "{:<14} {:<14} {:<30} {:<13} {}"


def run_dags(stage: Stage) -> None:
    """Declare an Airflow, start it, and run a DAG that is bound and one that pretends to be."""
    terminal = stage.terminal
    _declare(stage)
    with PostgresServer() as postgres:
        began = time.monotonic()
        terminal.say(
            "\nNow that Airflow: scheduler, API server, DAG processor and triggerer as processes, with the variables\n"
            "of these ConfigMaps, and a database. It takes half a minute."
        )
        with Kubelet(stage.plane) as kubelet, _servers(stage, postgres) as servers:
            terminal.say(f"Airflow is healthy after {time.monotonic() - began:.0f} s.")
            _run(stage, AirflowRuns(stage.plane, servers, kubelet))
        terminal.say("Airflow's servers, its database and its pods are stopped.")
        if kubelet.faults:
            raise DemoFailed(f"the played kubelet failed: {kubelet.faults[0]}", "run make demo again, and report it")
    _refuse_by_hand(stage)


def _declare(stage: Stage) -> None:
    """Apply the policies and the example, and what `airwarden environment rights` prints."""
    terminal, plane = stage.terminal, stage.plane
    terminal.say("The bindings so far gave accounts access, and left open who runs as these accounts. They go:")
    terminal.run(f"kubectl delete asb --all -n {_NS} --timeout=30s")
    terminal.say(
        "\nThe platform team widens the rule again, also for namespace airflow and its common secret, applies the\n"
        "admission policies and declares an Airflow. Two DAG teams bind the DAGs of their bundles:"
    )
    terminal.run(f"kubectl patch asbk vault --type=json -p '{WIDER}'")
    terminal.run("kubectl apply -k manifests/admission")  # last: the policies know the rule as it is when they begin
    began = time.monotonic()
    wait_for_policies(plane)
    terminal.say(f"(the policies know the kinds after {time.monotonic() - began:.1f} s)")
    write_secret(plane, "airflow/connections/smtp_default", {"conn_type": "smtp", "host": "mail.internal"})
    write_secret(plane, f"{_NS}/variables/recipients", {"value": "reports@internal"})
    terminal.run("kubectl apply -k examples/airflow")
    terminal.run("cat examples/airflow/binding-billing.yaml")
    terminal.run(f"kubectl wait --for=condition=Ready afe/main -n {AIRFLOW} --timeout=30s")
    terminal.run(f"kubectl wait --for=condition=Ready asb --all -n {_NS} --timeout=30s")
    for name in DECLARED:
        plane.api.create_service_account(AIRFLOW, f"airflow-{name}")
    terminal.say(
        "\nThe scheduler may read the DAG maps by name and make pods; Airwarden prints that, and grants nothing:"
    )
    terminal.run("airwarden environment rights airflow/main | kubectl apply -f -")
    terminal.say("\nWhat the operator rendered:")
    terminal.run("kubectl get configmaps -A -l airwarden.dev/environment=main")
    found = plane.kubectl("get", "configmaps", "-n", AIRFLOW, "-l", "airwarden.dev/environment=main", "-o", "name")
    (name,) = [each for each in found.split() if _holds(stage, each, "billing-git")]
    terminal.run(f"kubectl get {name} -n {AIRFLOW} -o jsonpath='{{.data.map\\.json}}'")


def _holds(stage: Stage, name: str, bundle: str) -> bool:
    """Tell whether a ConfigMap is the DAG map of a bundle."""
    said = stage.plane.kubectl("get", name, "-n", AIRFLOW, "-o", "jsonpath={.data.map\\.json}")
    return f'"bundle":"{bundle}"' in said


def _servers(stage: Stage, postgres: PostgresServer) -> AirflowServers:
    plane = stage.plane
    own: dict[str, Mapping[str, str]] = {}
    for component in DECLARED:
        path = f"/api/v1/namespaces/{AIRFLOW}/configmaps/airwarden.main.{component}"
        kubeconfig = str(plane.kubeconfig_for(AIRFLOW, f"airflow-{component}"))
        rendered = plane.api.admin.request("GET", path)["data"]
        own[component] = {**rendered, "AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE": kubeconfig}
    common = {"AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": AIRFLOW}
    return AirflowServers(plane, postgres, BUNDLES, common, {}, server_settings=own)


def _run(stage: Stage, airflow: AirflowRuns) -> None:
    terminal = stage.terminal
    airflow.unpause("billing_daily", "billing_copy")
    terminal.say(
        "\nTwo DAGs are run: billing_daily of bundle billing-git, and billing_copy of bundle reporting-git. That one\n"
        "takes the other's prefix, and asks for service account billing in its pod_override:\n"
    )
    began, mark = time.monotonic(), stage.plane.vault.audit.mark()
    runs = {dag_id: airflow.run(dag_id) for dag_id in ("billing_daily", "billing_copy")}
    bound = airflow.returned("billing_daily", runs["billing_daily"], "load")
    taken = airflow.returned("billing_copy", runs["billing_copy"], "take")
    terminal.show(_ROW.format("DAG", "BUNDLE", "ACCOUNT OF ITS POD", "ASKS FOR", "ANSWER"))
    rows = (
        ("billing_daily", "billing-git", "warehouse", f"read: {bound['warehouse']}"),
        ("billing_daily", "billing-git", "smtp_default", f"read: {bound['smtp_default']}"),
        ("billing_copy", "reporting-git", "warehouse", taken["warehouse"]),
    )
    for dag_id, bundle, asked, answer in rows:
        terminal.show(_ROW.format(dag_id, bundle, "/".join(_made(airflow, dag_id).account), asked, answer))
    _check(airflow, bound, taken)
    entries = stage.plane.vault.audit.entries(mark)
    logins = [each.display_name for each in entries if each.path.endswith("/login") and not each.error]
    if logins != [f"kubernetes-{_NS}-billing"]:
        raise DemoFailed(f"Vault let in {logins}", "it should have let in billing once: report it")
    terminal.say(
        f"\nBoth took {time.monotonic() - began:.0f} s. The accounts are those of the API server's audit log, where\n"
        f"{SCHEDULER} made both pods.\n"
        f"Vault saw one login, of billing; the other pod had {taken['tokens']} tokens to log in with."
    )


def _made(airflow: AirflowRuns, dag_id: str) -> Made:
    """Return the one pod of a DAG's run."""
    (made,) = airflow.made(dag_id)
    return made


def _check(airflow: AirflowRuns, bound: Mapping[str, str], taken: Mapping[str, str]) -> None:
    accounts = {dag_id: _made(airflow, dag_id) for dag_id in ("billing_daily", "billing_copy")}
    if {each.user for each in accounts.values()} != {SCHEDULER}:
        raise DemoFailed("a pod was not made by the scheduler", "report it, with the API server's audit log")
    if accounts["billing_daily"].account != (_NS, "billing") or bound["warehouse"] != "billing at warehouse.internal":
        raise DemoFailed(
            f"billing_daily ran as {accounts['billing_daily'].account} and read {dict(bound)}",
            "run make up and look at `kubectl describe afe,asb -A`",
        )
    if accounts["billing_copy"].account != (_NS, "airflow-unbound") or not taken["warehouse"].startswith("refused: "):
        raise DemoFailed(
            f"billing_copy ran as {accounts['billing_copy'].account} and got {dict(taken)}",
            "this is a hole: report it, with the DAG map and the pod from the API server's audit log",
        )


def _refuse_by_hand(stage: Stage) -> None:
    """Show that a person, even with every right, gets no pod and no token of the account."""
    stage.terminal.say("\nPast Airflow there is no way to the account, not even for the cluster's admin:")
    stage.terminal.run(f"kubectl {BY_HAND} -n {_NS}", status=1)
    stage.terminal.run(f"kubectl create token billing --audience=vault -n {_NS}", status=1)
