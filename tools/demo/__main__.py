"""The demo from first to last: says what comes, runs the six acts, and stops whatever it started.

Called by `make demo`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from demo.access import read_as_airflow
from demo.playing import played
from demo.running_dags import run_dags
from demo.setting_up import apply_quickstart, install_operator, show_plane, start_operator
from demo.stage import CLUSTER, WORK, Stage
from demo.taking_away import delete, refuse_a_wish, tighten
from demo.terminal import DemoFailed, Terminal
from plane import state
from plane.airflow import airflow_installed, airflow_python
from plane.binaries import REPOSITORY, Binary, find_binaries
from plane.control_plane import ControlPlane
from plane.errors import PlaneError
from plane.operator import NAMESPACE, OperatorProcess, Options
from plane.pod_root import pods_can_run

OPENING = """\
Airwarden, shown on real servers on 127.0.0.1 that are stopped at the end:
  1  start kube-apiserver, etcd, kube-controller-manager and Vault
  2  install the operator with the RBAC of manifests/ and the Vault policy that it documents, and start it
  3  kubectl apply -k examples/quickstart: a store with guardrails, two bindings
  4  read the secrets with Airflow's own code under each account, and be refused everyone else's
  5  ask for too much, tighten the rule, delete a binding: see the access go
  6  kubectl apply -k examples/airflow, start that Airflow and run DAGs: each pod has its own binding's account"""

WITHOUT_PODS = """\
This machine lets only root make mounts of one's own, in which pods are played here: act 6 is left out. To see it, run
make demo as root, or permit user namespaces."""


def main() -> int:
    """Run the demo; returns its exit status."""
    return played(
        _play,
        again="mend what it names, or run make demo again; make up keeps a plane to look at",
        then="Next: `make up` keeps the same servers for you to try; docs/getting-started.md has your own cluster.",
    )


def _duration() -> str:
    seconds = 0

    def unsaid(line: str) -> None:
        del line  # each complaint comes once, when the plane starts

    def note(missing: list[tuple[Binary, Path]], tools: Path, env: Mapping[str, str]) -> None:
        nonlocal seconds
        del tools, env
        seconds = sum(binary.seconds for binary, _ in missing)

    find_binaries(say=unsaid, build=note)
    once = [f"the servers are built, about {max(1, round(seconds / 60))} minutes"] if seconds else []
    if not airflow_installed():
        once.append("Airflow is installed, about a minute")
    if once:
        return f"The first time on this machine {' and '.join(once)}; later runs take about two minutes."
    return "All it needs is on this machine already: about two minutes."


def _play(terminal: Terminal) -> None:
    terminal.say(OPENING)
    if not pods_can_run():
        terminal.say(WITHOUT_PODS)
    terminal.say(f"\n{_duration()}")
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    terminal.heading("1  The control plane")
    airflow_python(terminal.say)
    with ControlPlane() as plane:
        stage = Stage(plane, terminal)
        terminal.use(stage.environment())
        show_plane(stage)
        terminal.heading("2  The operator")
        install_operator(stage)
        operator = OperatorProcess(plane, Options(cluster=CLUSTER, log_level="info"))
        with _log_kept_on_failure(operator):
            try:
                start_operator(stage, operator)
                _acts(stage)
            finally:
                status = operator.stop()
            kept = state.describe(plane, [])
            _check_end(stage, status)
    left = [process.name for process in kept.processes if process.alive()]
    if left:
        raise DemoFailed(f"still running: {', '.join(left)}", "end these processes by hand, and report it")
    terminal.say("Stopped: the operator, " + ", ".join(process.name for process in kept.processes) + ".")
    shutil.rmtree(WORK)


def _acts(stage: Stage) -> None:
    stage.terminal.heading("3  The quickstart")
    apply_quickstart(stage)
    stage.terminal.heading("4  Reading with Airflow")
    read_as_airflow(stage)
    stage.terminal.heading("5  Taking away")
    refuse_a_wish(stage)
    tighten(stage)
    delete(stage)
    if pods_can_run():
        stage.terminal.heading("6  Running DAGs")
        run_dags(stage)
    stage.terminal.heading("The end")


def _check_end(stage: Stage, status: int | None) -> None:
    """The operator must have ended in order and given its login at Vault back."""
    name = f"kubernetes-{NAMESPACE}-"
    requests = [each for each in stage.plane.vault.audit.entries() if each.display_name.startswith(name)]
    logins = sum(each.path == "auth/kubernetes/login" for each in requests)
    returned = sum(each.path == "auth/token/revoke-self" for each in requests)
    if status != 0 or logins != 1 or returned != 1:
        raise DemoFailed(
            f"the operator ended with status {status}, after {logins} logins at Vault, {returned} of them given back",
            f"its log is in {WORK.relative_to(REPOSITORY)}/operator.log",
        )
    stage.terminal.say(
        f"The operator ended with status 0. It sent {len(requests)} requests to Vault on one login, given back."
    )


@contextmanager
def _log_kept_on_failure(operator: OperatorProcess) -> Iterator[None]:
    """Keep the operator's log when the demo fails: the plane's data are removed with it."""
    try:
        yield
    except (DemoFailed, PlaneError):
        if operator.log.exists():
            shutil.copy(operator.log, WORK / "operator.log")
            sys.stderr.write(f"\nThe operator's log: {WORK.relative_to(REPOSITORY)}/operator.log\n")
        raise


if __name__ == "__main__":
    sys.exit(main())
