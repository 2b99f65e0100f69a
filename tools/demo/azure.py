"""`make demo-azure`: a key vault's secrets from a refusal to a read and back to a refusal, in about two minutes.

Run as `python -m demo.azure` with `tools`, `tests` and `provider` on PYTHONPATH. API server, operator and Airflow are
real; Azure is the stand-in of the tests, which enforces what the operator writes there. Every line after a `$` is run
as it is shown.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from demo.playing import played
from demo.stage import Stage
from demo.terminal import DemoFailed, Terminal
from e2e.azure_world import NAMESPACE, SECRETS, VAULT, AzureWorld, TaskEnded
from plane.airflow import airflow_python
from plane.binaries import REPOSITORY
from plane.control_plane import ControlPlane
from plane.errors import PlaneError
from plane.operator import OperatorProcess, Options
from stand_ins.azure.stand_in import AzureStandIn

CLUSTER = "demo"
WORK = REPOSITORY / ".local" / "demo-azure"
FOLDER = f"{WORK.parent.name}/{WORK.name}"
READY_SECONDS = 60
_ROW = "{:<40} {:<17} {}"
OPENING = """\
Airwarden and Azure Key Vault. kube-apiserver, etcd, the operator and Airflow are real, on 127.0.0.1, and stopped at
the end. Azure is not: the tests' stand-in plays Resource Manager, Entra and Key Vault, and enforces what is written
there.
  1  start the control plane and the stand-in
  2  install the operator, grant it what `airwarden azure-setup` prints, and start it
  3  before any binding: a task is refused
  4  kubectl apply -k examples/azure: a vault with a guardrail, an Airflow, two bindings
  5  tasks of Airflow read their own secrets, and nobody else's
  6  delete the bindings: see the access go"""


@dataclass(frozen=True)
class Attempt:
    """One task, and the refusal that is due; none is due when it is empty."""

    what: str
    run: Callable[[], TaskEnded]
    refusal: str = ""


def main() -> int:
    """Run the demo; returns its exit status."""
    return played(
        _play,
        again="mend what it names, or run make demo-azure again",
        then="Next: docs/azure.md has your own tenant; examples/azure/README.md explains the objects.",
    )


def _play(terminal: Terminal) -> None:
    terminal.say(OPENING)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    terminal.heading("1  The control plane, and the stand-in for Azure")
    airflow_python(terminal.say)
    with ExitStack() as running:
        plane = running.enter_context(ControlPlane())
        azure = running.enter_context(AzureStandIn())
        world = running.enter_context(AzureWorld(plane, azure, CLUSTER))
        stage = Stage(plane, terminal)
        terminal.use(stage.environment())
        world.prepare(WORK)
        terminal.say(f"The control plane was ready after {plane.start_seconds:.1f} s.")
        terminal.run("kubectl version")
        terminal.say(
            f"\nIn the stand-in: tenant {azure.tenant}, key vault {VAULT} with two secrets (fresh random\n"
            "values, not shown), and the identity id-billing, which the platform team made. Nobody may read yet."
        )
        operator = running.enter_context(_operator(stage, world))
        try:
            _acts(stage, world)
        except (DemoFailed, PlaneError):
            shutil.copy(operator.log, WORK / "operator.log")
            sys.stderr.write(f"\nThe operator's log: {FOLDER}/operator.log\n")
            raise
    shutil.rmtree(WORK)


def _operator(stage: Stage, world: AzureWorld) -> OperatorProcess:
    terminal = stage.terminal
    terminal.heading("2  The operator")
    terminal.run("kubectl apply -k manifests/")
    terminal.run("kubectl wait --for=condition=Established crd -l app.kubernetes.io/name=airwarden --timeout=30s")
    terminal.say("\nexamples/azure, through an overlay that puts in this tenant's ids and the stand-in's addresses:")
    terminal.run(f"cat {FOLDER}/kustomization.yaml")
    terminal.say("\nWhat an administrator of Azure reviews and runs; the operator may hand out one role, at one vault:")
    terminal.run(f"kubectl kustomize {FOLDER} > {FOLDER}/objects.yaml")
    terminal.run(f"airwarden azure-setup {FOLDER}/objects.yaml --cluster {CLUSTER} > {FOLDER}/azure-setup.sh")
    terminal.run(f"grep -A3 '^az ' {FOLDER}/azure-setup.sh")
    world.allow_operator(WORK)
    terminal.say("\nThere is no `az` for the stand-in: the same roles, with the same condition, are granted there.")
    operator = OperatorProcess(stage.plane, Options(cluster=CLUSTER, log_level="info"))
    world.give_token(operator)
    terminal.say("The operator is started as a process, with the tokens of its service account alone.")
    return operator


def _acts(stage: Stage, world: AzureWorld) -> None:
    terminal = stage.terminal
    terminal.heading("3  Before")
    terminal.say(
        "Somebody makes the account billing by hand, and a map that names id-billing and the secret, and runs a task\n"
        "under Airflow's own supervisor with them. Entra knows no credential for that account:"
    )
    stage.plane.create_namespace(NAMESPACE)
    terminal.run(f"kubectl create serviceaccount billing -n {NAMESPACE}")
    by_hand = world.map_by_hand(world.billing.client_id, SECRETS["billing"])
    knows = Attempt("billing, made by hand", lambda: world.try_by_hand("billing", by_hand, "billing"), "AADSTS700211")
    _try_all(stage, knows)
    terminal.run(f"kubectl delete serviceaccount billing -n {NAMESPACE}")

    terminal.heading("4  A vault, an Airflow, two bindings")
    _apply(stage, world)

    terminal.heading("5  Reading")
    _read(stage, world)

    terminal.heading("6  Taking away")
    _take_away(stage, world)


def _apply(stage: Stage, world: AzureWorld) -> None:
    terminal = stage.terminal
    terminal.run(f"kubectl apply -k {FOLDER}")
    began = time.monotonic()
    terminal.run(f"kubectl wait --for=condition=Ready asb --all -n {NAMESPACE} --timeout={READY_SECONDS}s")
    world.wait_mapped()
    terminal.say(f"(after {time.monotonic() - began:.1f} s)")
    terminal.run("kubectl get asb,asbk,afe -A")
    terminal.run(f"kubectl describe asb billing -n {NAMESPACE}")
    made = ", ".join(each.name for each in world.made_identities())
    terminal.say(
        f"\nIn Azure there are now a role assignment at each of {', '.join(world.assigned())}, a federated\n"
        f"credential for each account, and the identity {made}, which the operator made for reporting."
    )
    if world.assigned() != sorted(SECRETS.values()):
        raise DemoFailed("the role assignments are not exactly what the bindings ask for", "report it")


def _read(stage: Stage, world: AzureWorld) -> None:
    terminal = stage.terminal
    terminal.say(
        "Each task runs in the pod that Airwarden's executor makes of the operator's DAG map: the binding's account,\n"
        "its map, a token for Entra. There is no kubelet here, so one is played; Airflow's supervisor is real.\n"
    )
    billing = world.map_by_hand(world.billing.client_id, SECRETS["billing"])
    (reporting,) = world.made_identities()
    others = world.map_by_hand(reporting.client_id, SECRETS["billing"])
    _try_all(
        stage,
        Attempt("billing's DAG", lambda: world.run("billing")),
        Attempt("reporting's DAG", lambda: world.run("reporting")),
        Attempt("reporting, for billing's secret", lambda: _by(world, others), "ForbiddenByRbac"),
        Attempt("reporting, as billing's identity", lambda: _by(world, billing), "AADSTS700213"),
    )


def _by(world: AzureWorld, data: dict[str, str]) -> TaskEnded:
    return world.try_by_hand("reporting", data, "billing")


def _take_away(stage: Stage, world: AzureWorld) -> None:
    terminal = stage.terminal
    kept = world.map_of("billing")
    terminal.run(f"kubectl delete asb billing reporting -n {NAMESPACE} --timeout={READY_SECONDS}s")
    terminal.run("kubectl get asb,asbk,afe -A")
    left = [*world.assigned(), *(each.name for each in world.made_identities()), *world.billing.credentials]
    if left:
        raise DemoFailed(f"still in Azure: {', '.join(left)}", "report it with the operator's log")
    terminal.say(
        "\nIn Azure no role assignment, no credential and no identity of ours is left; id-billing is the platform\n"
        "team's and stays. Billing's DAG runs as the powerless account now. Then somebody makes the account anew and\n"
        "mounts a copy of its old map:"
    )
    terminal.run(f"kubectl create serviceaccount billing -n {NAMESPACE}")
    again = Attempt("billing, with a copy of its map", lambda: world.try_by_hand("billing", kept, "billing"), "AADSTS")
    _try_all(stage, Attempt("billing's DAG", lambda: world.run("billing"), "MapMissing"), again)


def _try_all(stage: Stage, *attempts: Attempt) -> None:
    """Run each task and print a table; the first that goes otherwise fails the demo."""
    terminal = stage.terminal
    terminal.show(_ROW.format("TASK OF", "ACCOUNT", "ANSWER"))
    with ThreadPoolExecutor(2) as pool:  # each is a whole Airflow that imports itself
        for attempt, ended in zip(attempts, pool.map(lambda each: each.run(), attempts), strict=True):
            answer = f"read: {ended.said}" if ended.read else f"refused: {ended.reason}"
            terminal.show(_ROW.format(attempt.what, ended.account, answer))
            _check(attempt, ended)


def _check(attempt: Attempt, ended: TaskEnded) -> None:
    due = attempt.refusal
    if due and ended.read:
        raise DemoFailed(f"{attempt.what} could read, which must be refused", "this is a hole: report it")
    if due and due not in ended.reason:
        raise DemoFailed(f"{attempt.what} should be refused with {due}, and was: {ended.said}", "see its words")
    if not due and not (ended.read and ended.as_expected):
        raise DemoFailed(f"{attempt.what} could not read: {ended.said}", "kubectl describe asb says what it may read")


if __name__ == "__main__":
    sys.exit(main())
