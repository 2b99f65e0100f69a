"""The operator as a process: its settings act, its ports answer, its log is in the asked form."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import yaml

from integration.conftest import MakeBackend, MakeBinding
from integration.world import World, eventually
from plane.binaries import REPOSITORY
from plane.operator import AUDIENCE, OperatorProcess, Options
from plane.ports import free_ports


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts an operator whose API server is not there, with some settings."""
    (port,) = free_ports(1)
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "none"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
    started: list[subprocess.Popen[str]] = []

    def run(*flags: str, **environment: str) -> subprocess.Popen[str]:
        fixed = {"PYTHONPATH": str(REPOSITORY / "operator"), "HOME": str(tmp_path)}
        command = [sys.executable, "-m", "airwarden", "run", f"--kubeconfig={kubeconfig}", *flags]
        log = (tmp_path / "log").open("w")
        process = subprocess.Popen(command, stderr=log, text=True, env={**fixed, **environment})
        log.close()
        started.append(process)
        return process

    yield run
    for each in started:
        each.terminate()
        each.wait(30)


def first_line(folder: Path, word: str) -> str:
    """Wait for the first line of the log that has the word in it."""
    log = folder / "log"

    def found() -> str | None:
        return next((line for line in log.read_text().splitlines() if word in line), None)

    return eventually(f"{word} is logged", found)


def test_port_zero_picks_a_free_port_and_logs_it_and_without_a_cluster_it_is_alive_but_not_ready(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    start(AIRWARDEN_CLUSTER="prod", AIRWARDEN_METRICS_PORT="0", AIRWARDEN_LISTEN_ADDRESS="127.0.0.1")
    port = json.loads(first_line(tmp_path, "started"))["port"]
    answers = {path: requests.get(f"http://127.0.0.1:{port}/{path}", timeout=5) for path in ("healthz", "readyz")}
    assert (answers["healthz"].status_code, answers["healthz"].text) == (200, "ok\n")
    assert (answers["readyz"].status_code, answers["readyz"].text) == (503, "still listing the cluster\n")


def test_it_listens_at_the_given_port_and_address_only(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    start("--cluster=prod", f"--metrics-port={port}", "--listen-address=127.0.0.2")
    first_line(tmp_path, "started")
    assert requests.get(f"http://127.0.0.2:{port}/healthz", timeout=5).status_code == 200
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5)


def test_console_lines_are_for_people(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    start("--cluster=prod", "--metrics-port=0", "--log-format=console")
    line = first_line(tmp_path, "started")
    assert re.match(r"20\d\d-\d\d-\d\dT[0-9:.]+Z \[info +\] started +", re.sub(r"\x1b\[[0-9;]*m", "", line))


def test_the_flag_wins_over_the_environment_and_the_level_leaves_out_what_is_below(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    flags = (f"--metrics-port={port}", "--log-level=error", "--listen-address=127.0.0.1")
    start(*flags, AIRWARDEN_CLUSTER="prod", AIRWARDEN_LOG_LEVEL="debug", AIRWARDEN_METRICS_PORT="1")

    def alive() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    eventually("it listens", alive)
    assert '"info"' not in (tmp_path / "log").read_text()


def test_without_a_cluster_name_it_ends_and_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airwarden", "run"],
        capture_output=True,
        check=False,
        text=True,
        env={"PYTHONPATH": str(REPOSITORY / "operator"), "HOME": str(tmp_path)},
    )
    assert done.returncode == 1
    assert done.stderr == "airwarden: the settings cannot be used: cluster: Field required\n"


def test_outside_a_pod_and_without_a_kubeconfig_it_ends_and_says_what_to_give(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airwarden", "run", "--cluster=prod"],
        capture_output=True,
        check=False,
        text=True,
        env={"PYTHONPATH": str(REPOSITORY / "operator"), "HOME": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "give --kubeconfig, or run in a pod" in done.stderr.splitlines()[-1]


def test_metrics_count_passes_bindings_backends_and_corrected_drift(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend(drift={"interval": "1s"})

    def value(name: str) -> float:
        lines = world.operator.metrics().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def all_ready() -> bool:
        """Tell whether as many bindings count as Ready as there are."""
        bodies = json.loads(world.plane.kubectl("get", "airflowsecretbindings", "-A", "-o", "json"))["items"]
        conditions = [found for each in bodies for found in each.get("status", {}).get("conditions", ())]
        there = sum((found["type"], found["status"]) == ("Ready", "True") for found in conditions)
        return value('airwarden_bindings{ready="true"}') == there > 0

    corrected = value("airwarden_drift_corrected_total")
    passes = value('airwarden_reconcile_passes_total{outcome="check"}')
    made = binding(team, store)
    made.wait_ready()
    eventually("it is counted as Ready", all_ready)
    assert value(f'airwarden_backend_ready{{backend="{store.name}"}}') == 1
    world.delete_policy(made.store_name)
    eventually("the correction is counted", lambda: value("airwarden_drift_corrected_total") == corrected + 1)
    # A pass is counted when it has ended, a little later than what it did.
    eventually("both passes count", lambda: value('airwarden_reconcile_passes_total{outcome="check"}') >= passes + 2)
    assert value("airwarden_last_pass_timestamp_seconds") > time.time() - 60
    assert value("airwarden_reconcile_seconds_count") >= 2
    made.delete()
    made.wait_gone()
    world.delete(store.path)
    world.wait_gone(store.path)
    eventually("the backend's series goes", lambda: f'backend="{store.name}"' not in world.operator.metrics())


def test_health_and_readiness_are_good_while_a_store_is_down(world: World, backend: MakeBackend) -> None:
    (port,) = free_ports(1)
    down = backend(wait=False, vault={"address": f"http://127.0.0.1:{port}"})
    ready = down.wait_condition("Ready", "False", "BackendUnreachable")
    assert "the connection was refused" in ready["message"]
    for path in ("healthz", "readyz"):
        answer = requests.get(f"http://127.0.0.1:{world.operator.port}/{path}", timeout=5)
        assert (answer.status_code, answer.text) == (200, "ok\n")


def test_the_token_of_each_audience_is_a_file_in_the_token_directory(world: World, backend: MakeBackend) -> None:
    fields = world.role("airwarden")
    assert fields is not None
    role = world.fresh("operator")
    world.write_role(role, **{**fields, "audience": "vault-of-others"})
    login = {"method": "Kubernetes", "kubernetes": {"mount": "kubernetes", "role": role, "audience": "vault-of-others"}}
    store = backend(wait=False, vault={"login": login})
    ready = store.wait_condition("Ready", "False", "BackendMisconfigured")
    assert f"token file {world.operator.tokens}/vault-of-others cannot be read" in ready["message"]
    world.operator.write_token("vault-of-others")
    store.wait_ready()


def test_the_token_file_is_read_anew_for_each_login(world: World, backend: MakeBackend) -> None:
    (world.operator.tokens / AUDIENCE).write_text("no token at all")
    try:
        store = backend(wait=False)
        ready = store.wait_condition("Ready", "False", "BackendMisconfigured")
        assert "holds no service-account token" in ready["message"]
        assert "no token at all" not in ready["message"]
    finally:
        world.operator.write_token()
    store.wait_ready()


def test_the_ca_bundle_comes_from_a_config_map_in_the_operators_namespace(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    name = world.fresh("vault-ca")
    reference = {"configMap": {"name": name, "key": "ca.crt"}}
    tls = {"serverName": "vault.test", "caBundleRef": reference}
    store = backend(wait=False, vault={"address": world.plane.vault_tls_address, "tls": tls})
    ready = store.wait_condition("Ready", "False", "BackendMisconfigured")
    assert f"ConfigMap airwarden/{name} of tls.caBundleRef is not there" in ready["message"]
    body = {"metadata": {"name": name}, "data": {"ca.crt": world.plane.vault_ca_path.read_text()}}
    world.create("/api/v1/namespaces/airwarden/configmaps", body)
    store.wait_ready()
    made = binding(team, store)
    made.wait_ready()
    assert made.login()


@pytest.mark.parametrize(
    ("tls", "cause"),
    [({}, "its certificate is not accepted"), ({"serverName": "vault.example"}, "vault.example")],
    ids=["unknown authority", "another name"],
)
def test_a_certificate_that_does_not_fit_is_not_accepted(
    world: World, backend: MakeBackend, tls: dict[str, str], cause: str
) -> None:
    name = world.fresh("vault-ca")
    body = {"metadata": {"name": name}, "data": {"ca.crt": world.plane.vault_ca_path.read_text()}}
    world.create("/api/v1/namespaces/airwarden/configmaps", body)
    reference = {"caBundleRef": {"configMap": {"name": name}}} if tls else {}
    store = backend(wait=False, vault={"address": world.plane.vault_tls_address, "tls": {**tls, **reference}})
    ready = store.wait_condition("Ready", "False", "BackendUnreachable")
    assert cause in ready["message"]


def test_the_login_is_revoked_when_the_operator_ends_and_when_a_backend_goes(
    world: World, backend: MakeBackend
) -> None:
    def revocations(since: int) -> int:
        return sum(each.path == "auth/token/revoke-self" for each in world.plane.vault.audit.entries(since))

    store = backend()
    mark = world.plane.vault.audit.mark()
    world.delete(store.path)
    world.wait_gone(store.path)
    eventually("the login of the backend is revoked", lambda: revocations(mark) >= 1)
    backend()
    mark = world.plane.vault.audit.mark()
    assert world.operator.stop() == 0
    try:
        assert revocations(mark) == 1
    finally:
        world.operator.start()


def test_an_api_server_that_hangs_costs_the_time_that_is_set(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    """The operator of the session is stopped for this one, so that one with another time works alone."""
    world.operator.stop()
    try:
        with OperatorProcess(world.plane, Options(extra=("--kubernetes-timeout=1",)), "impatient") as impatient:
            made = binding(team, backend(drift={"interval": "1s"}))
            made.wait_ready()
            begun = time.monotonic()
            world.plane.api.pause()
            try:
                world.delete_policy(made.store_name)
                eventually("a write gave up", lambda: "no answer in time" in impatient.log.read_text(), 25)
                assert time.monotonic() - begun < 25  # the default would be 30
            finally:
                world.plane.api.resume()
            mark = world.marks()
            eventually("it goes on", lambda: mark.drift_checks(made.store_name) >= 2)
            made.wait_ready()
            assert world.policy(made.store_name) is not None
    finally:
        world.operator.start()
