"""Acts 1 to 3: the control plane, the operator as a user runs it, and the quickstart.

Called by `demo.__main__` in this order.
"""

from __future__ import annotations

import time

from demo.stage import CLUSTER, WORK, Stage
from demo.terminal import DemoFailed
from plane import quickstart
from plane.control_plane import Plane
from plane.errors import PlaneHTTPError
from plane.operator import ACCOUNT, NAMESPACE, OperatorProcess
from plane.process import recorded_pids
from plane.vault_admin import token_reviewer_jwt
from plane.waiting import wait_for

READY_SECONDS = 30


def show_plane(stage: Stage) -> None:
    """Act 1, once the servers run."""
    plane, terminal = stage.plane, stage.terminal
    names = ", ".join(name for _, name in recorded_pids(plane.data_dir))
    terminal.say(f"Ready after {plane.start_seconds:.1f} s on 127.0.0.1: {names}.")
    terminal.run("kubectl version")
    terminal.run("vault version")


def install_operator(stage: Stage) -> None:
    """Act 2, its first half: what the cluster's admin and Vault's admin apply once."""
    terminal = stage.terminal
    terminal.say("The cluster's admin installs kinds, account and RBAC:")
    terminal.run("kubectl apply -k manifests/")
    terminal.run("kubectl wait --for=condition=Established crd -l app.kubernetes.io/name=airwarden --timeout=30s")
    terminal.say("\nThe operator's account is no cluster admin, and cannot even read Secrets:")
    who = f"--as=system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
    terminal.run(f"kubectl auth can-i list secrets --all-namespaces {who}", status=1)
    terminal.run(f"kubectl auth can-i '*' '*' --all-namespaces {who}", status=1)
    terminal.say(
        "\nVault's admin reviews and runs what airwarden vault-setup prints: a policy and a login for the operator."
    )
    _run_vault_setup(stage)


def _run_vault_setup(stage: Stage) -> None:
    plane, terminal = stage.plane, stage.terminal
    reviewer = WORK / "token-reviewer.jwt"
    reviewer.touch(mode=0o600)
    reviewer.write_text(token_reviewer_jwt(plane))
    script = f"{WORK.parent.name}/{WORK.name}/vault-setup.sh"
    terminal.run(f"airwarden vault-setup examples/quickstart/backend.yaml --cluster {CLUSTER} --enable-kv > {script}")
    terminal.use(
        {
            "KUBERNETES_HOST": plane.api_url,
            "KUBERNETES_CA_FILE": str(plane.ca_path),
            "TOKEN_REVIEWER_JWT_FILE": str(reviewer),
        }
    )
    terminal.run(f"sh {script}")
    reviewer.unlink()
    wait_for("Vault's key-value engine is ready", lambda: _kv_ready(plane), 15)
    stage.values |= quickstart.write_secrets(plane)
    terminal.say("\nVault's admin also writes the secrets that Airflow is to read (fresh random values, not shown).")


def _kv_ready(plane: Plane) -> bool:
    try:
        plane.vault.request("GET", "airflow/config")
    except PlaneHTTPError as error:
        if error.status == 400:  # a new version 2 engine upgrades itself first
            return False
        raise
    return True


def start_operator(stage: Stage, operator: OperatorProcess) -> None:
    """Act 2, its second half: the operator's process, which the kubelet would start from the Deployment."""
    began = time.monotonic()
    operator.start()
    stage.terminal.say(
        "\nThere is no kubelet here, so the Deployment's one container is started as a process:\n"
        f"`airwarden run --cluster={CLUSTER} …`, with the tokens of service account {NAMESPACE}/{ACCOUNT} alone.\n"
        f"It is ready after {time.monotonic() - began:.1f} s."
    )


def apply_quickstart(stage: Stage) -> None:
    """Act 3: a backend with guardrails and two bindings, until all are Ready."""
    terminal = stage.terminal
    quickstart.write_overlay(WORK, stage.plane.vault_address)
    folder = f"{WORK.parent.name}/{WORK.name}"
    terminal.say("examples/quickstart, through an overlay that only puts in this Vault's address:")
    terminal.run(f"cat {folder}/kustomization.yaml")
    terminal.run(f"kubectl apply -k {folder}")
    began = time.monotonic()
    terminal.run(
        f"kubectl wait --for=condition=Ready asb --all -n {quickstart.NAMESPACE} --timeout={READY_SECONDS}s",
        next_step="the MESSAGE column of `kubectl get asb,asbk -A -o wide` names the cause; "
        "with make up the same plane stays for a look",
    )
    terminal.say(f"(after {time.monotonic() - began:.1f} s)")
    terminal.run("kubectl get asb,asbk -A")
    terminal.run(f"kubectl describe asb billing -n {quickstart.NAMESPACE}")
    stage.learn_roles("billing", "reporting")
    terminal.say("\nWhat the operator wrote in Vault for it:")
    text = terminal.run(f"vault policy read {stage.role('billing')}")
    if "warehouse" not in text or "*" in text:
        raise DemoFailed("the policy is not exactly what the binding asks for", "report it with the policy above")
