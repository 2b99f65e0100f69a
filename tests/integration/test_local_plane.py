"""The local control plane itself: it behaves as a cluster with Vault does, and leaves nothing behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from plane import state, vault_admin
from plane.control_plane import READY_DEADLINE, ControlPlane, Plane, new_data_dir
from plane.errors import PlaneError, PlaneHTTPError
from plane.kubernetes_server import KubernetesServer
from plane.ports import free_ports
from plane.process import recorded_pids
from plane.waiting import wait_for


def test_a_namespace_gets_its_default_account(plane: Plane) -> None:
    plane.create_namespace("plane-account", {"team": "a"})
    plane.create_namespace("plane-account")
    assert "default" in plane.kubectl("get", "serviceaccounts", "-n", "plane-account", "-o", "name")


def test_anonymous_requests_and_unknown_tokens_are_refused(plane: Plane) -> None:
    assert plane.api.client().status("GET", "/api") == 401
    assert plane.api.client(token="invented").status("GET", "/api") == 401


def test_an_account_has_no_rights_until_they_are_given_and_is_audited(plane: Plane) -> None:
    plane.create_namespace("plane-rights")
    kubeconfig = plane.kubeconfig_for("plane-rights", "default")
    mark = plane.api.audit.mark()
    with pytest.raises(PlaneError, match="Forbidden"):
        plane.kubectl("get", "configmaps", "-n", "plane-rights", kubeconfig=kubeconfig)
    user = "system:serviceaccount:plane-rights:default"
    mine = wait_for(
        "the audit entry",
        lambda: [e for e in plane.api.audit.entries(mark) if e.resource == "configmaps" and e.user == user],
        60,
    )
    assert [(e.verb, e.namespace, e.code) for e in mine] == [("list", "plane-rights", 403)]


def test_a_named_user_has_the_groups_of_the_certificate(plane: Plane) -> None:
    kubeconfig = plane.api.kubeconfig_for_user("system:node:node-1", ["system:nodes"])
    said = plane.kubectl("auth", "whoami", kubeconfig=kubeconfig)
    assert "system:node:node-1" in said
    assert "system:nodes" in said


def test_a_task_reads_its_secret_through_token_review_and_another_does_not(plane: Plane) -> None:
    store = vault_admin.prepare_store(plane, kv_mount="plane-kv", auth_mount="plane-auth")
    assert store == vault_admin.prepare_store(plane, kv_mount="plane-kv", auth_mount="plane-auth")
    vault_admin.write_secret(plane, "team/db", {"conn_uri": "postgres://x"}, mount=store.kv_mount)
    vault_admin.write_policy(plane, "plane-read", 'path "plane-kv/data/team/db" { capabilities = ["read"] }')
    plane.create_namespace("plane-task")
    plane.api.create_service_account("plane-task", "team")
    vault_admin.write_kubernetes_role(
        plane, "team", namespace="plane-task", account="team", policy="plane-read", auth_mount=store.auth_mount
    )
    jwt = plane.service_account_token("plane-task", "team", "vault", 600)
    mark = plane.vault.audit.mark()
    token = vault_admin.login(plane, "team", jwt, store.auth_mount)
    assert vault_admin.read_secret(plane, "team/db", token=token, mount=store.kv_mount) == {"conn_uri": "postgres://x"}
    seen = [(e.operation, e.path, e.display_name) for e in plane.vault.audit.entries(mark)]
    name = "plane-auth-plane-task-team"
    assert seen == [("update", "auth/plane-auth/login", name), ("read", "plane-kv/data/team/db", name)]

    for bad in (
        plane.service_account_token("plane-task", "team", seconds=600),  # the API server's audience
        plane.service_account_token("plane-task", "default", "vault", 600),  # another account
    ):
        with pytest.raises(PlaneHTTPError) as refused:
            vault_admin.login(plane, "team", bad, store.auth_mount)
        assert refused.value.status == 403


def test_vault_speaks_tls_under_its_own_authority(plane: Plane) -> None:
    url = f"{plane.vault_tls_address}/v1/sys/health"
    assert requests.get(url, verify=str(plane.vault_ca_path), timeout=10).status_code == 200
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url, verify=str(plane.ca_path), timeout=10)


def test_outages_keep_the_data_and_the_end_leaves_nothing() -> None:
    with ControlPlane() as own:
        vault_admin.prepare_store(own)
        vault_admin.write_secret(own, "a", {"value": "1"})
        own.vault.seal()
        with pytest.raises(PlaneHTTPError, match="sealed"):
            vault_admin.read_secret(own, "a")
        own.vault.unseal()
        own.vault.stop()
        assert not own.vault.healthy()
        own.vault.start()
        own.vault.pause()
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.get(f"{own.vault_address}/v1/sys/health", timeout=0.3)
        own.vault.resume()
        assert vault_admin.read_secret(own, "a") == {"value": "1"}
        own.create_namespace("kept")
        own.api.stop()
        assert own.api.admin.status("GET", "/readyz") == 0
        own.api.start()
        own.kubectl("get", "namespace", "kept")
        own.create_namespace("after")  # the controllers are still at work
        data_dir = own.data_dir
        assert len(recorded_pids(data_dir)) == 4
    assert recorded_pids(data_dir) == []
    assert not data_dir.exists()


OWNER = """
import os, signal
from plane.control_plane import ControlPlane
plane = ControlPlane().start()
print(plane.data_dir, plane.vault.process.pid, plane.api.etcd.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_controllers_wait_for_an_api_server_that_is_slow(plane: Plane) -> None:
    data_dir = new_data_dir("airwarden-plane-")
    slow = KubernetesServer(plane.binaries, data_dir, free_ports(3))
    try:
        slow.launch()
        slow.pause()
        assert slow.controllers.pid is None  # they would end themselves after ten seconds without an answer
        slow.resume()
        slow.wait_ready(READY_DEADLINE)
        assert slow.controllers.pid is not None
    finally:
        for process in (slow.controllers, slow.apiserver, slow.etcd):
            process.kill()
        shutil.rmtree(data_dir)


def test_a_killed_owner_leaves_nothing() -> None:
    tests = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", OWNER], cwd=tests, capture_output=True, check=False, text=True, timeout=90
    )
    data_dir, *pids = done.stdout.split()
    wait_for("the data are gone", lambda: not Path(data_dir).exists(), 20)
    assert not any(state.KeptProcess("server", int(pid), data_dir).alive() for pid in pids)


def test_up_stays_and_down_ends_it(tmp_path: Path) -> None:
    folder, tests = tmp_path / "local", Path(__file__).resolve().parents[1]

    def run(command: str) -> tuple[int, str]:
        line = [sys.executable, "-m", "plane", command, "--folder", str(folder)]
        done = subprocess.run(line, cwd=tests, capture_output=True, check=False, text=True, timeout=90)
        return done.returncode, done.stdout

    assert run("down")[0] == 0
    assert run("status")[0] == 1
    try:
        assert run("up")[0] == 0
        kept = state.load(folder)
        assert kept is not None
        assert "already up" in run("up")[1]
        assert run("status")[0] == 0
        script = '. "$1" && test -r "$KUBECONFIG" && echo "$VAULT_ADDR $VAULT_TOKEN"'
        done = subprocess.run(
            ["sh", "-c", script, "sh", str(folder / "env")], capture_output=True, check=False, text=True
        )
        address, token = done.stdout.split()
        assert (
            requests.get(f"{address}/v1/airflow/config", headers={"X-Vault-Token": token}, timeout=10).status_code
            == 200
        )
        assert (folder / "env").stat().st_mode & 0o777 == 0o600
    finally:
        assert run("down")[0] == 0
    assert {process.name for process in kept.processes} == {
        "operator",
        "vault",
        "kube-controller-manager",
        "kube-apiserver",
        "etcd",
    }
    assert not any(process.alive() for process in kept.processes)
    assert list(folder.iterdir()) == []
    assert not Path(kept.data_dir).exists()
