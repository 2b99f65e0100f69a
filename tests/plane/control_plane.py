"""Starts and ends a whole local control plane.

Called by `tests/conftest.py` (once per test session), the demo and the
benchmarks as a context manager, and by `python -m plane up` detached.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from plane.binaries import Binaries, find_binaries
from plane.errors import PlaneError
from plane.kubernetes_server import ISSUER, KubernetesServer
from plane.ports import free_ports
from plane.process import ServerProcess, kill_recorded
from plane.reaper import start_reaper
from plane.vault_server import VaultServer

READY_DEADLINE = 100.0  # alone it takes four seconds; beside other work, and three more planes, many times that
START_TRIES = 3
TMPFS = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
TMPFS_NEEDED = 2 << 30  # a container's 64 MiB would be full with the first etcd segment


@dataclass(frozen=True)
class Plane:
    """A running plane: where everything is. `api` and `vault` carry the controls."""

    data_dir: Path
    binaries: Binaries
    kubeconfig: Path
    api_url: str
    ca_path: Path
    vault_address: str
    vault_tls_address: str
    vault_ca_path: Path
    vault_token: str = field(repr=False)
    api_audit_log: Path
    vault_audit_log: Path
    api: KubernetesServer = field(repr=False)
    vault: VaultServer = field(repr=False)
    start_seconds: float

    def service_account_token(self, namespace: str, name: str, audience: str = ISSUER, seconds: int = 3600) -> str:
        """Return a token by TokenRequest; the API server accepts no less than 600 seconds."""
        return self.api.service_account_token(namespace, name, audience, seconds)

    def kubeconfig_for(self, namespace: str, serviceaccount: str) -> Path:
        """Write a kubeconfig with a day's token of an existing account."""
        return self.api.kubeconfig_for(namespace, serviceaccount)

    def create_namespace(self, name: str, labels: dict[str, str] | None = None) -> None:
        """Create a namespace (or find it) and wait for its default account."""
        self.api.create_namespace(name, labels)

    def kubectl(self, *args: str, stdin: str | None = None, kubeconfig: Path | None = None) -> str:
        """Run kubectl, as admin unless told otherwise."""
        return self.api.kubectl(*args, stdin=stdin, kubeconfig=kubeconfig)


class ControlPlane:
    """Brings a plane up and takes it down; `with ControlPlane() as plane:`."""

    def __init__(self, binaries: Binaries | None = None, *, detached: bool = False) -> None:
        self._binaries = binaries
        self._detached = detached
        self._data_dir: Path | None = None
        self._processes: list[ServerProcess] = []
        self._reaper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Plane:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Plane:
        """Start all processes and wait until all are ready; on failure nothing is left running."""
        binaries = self._binaries or find_binaries()
        for attempt in range(1, START_TRIES + 1):
            try:
                return self._start(binaries)
            except PlaneError as error:
                self.stop()
                if "address already in use" not in str(error) or attempt == START_TRIES:
                    raise
            except BaseException:
                self.stop()
                raise
        raise AssertionError("not reached")

    def stop(self) -> None:
        """End all processes and remove the data; nothing happens the second time."""
        data_dir, self._data_dir = self._data_dir, None
        if data_dir is not None:
            for process in self._processes:
                process.kill()  # the data go with them, so there is nothing to end in order
            kill_recorded(data_dir)
            shutil.rmtree(data_dir, ignore_errors=True)
        reaper, self._reaper = self._reaper, None
        if reaper is not None and reaper.stdin is not None:
            reaper.stdin.close()
            reaper.wait(timeout=30)

    def _start(self, binaries: Binaries) -> Plane:
        began = time.monotonic()
        self._processes = []
        data_dir = self._data_dir = new_data_dir("airwarden-plane-")
        if not self._detached:
            self._reaper = start_reaper(data_dir)
        ports = free_ports(5)
        api = KubernetesServer(binaries, data_dir, ports[:3])
        vault = VaultServer(binaries, data_dir, ports[3:])
        self._processes = [api.controllers, api.apiserver, api.etcd, vault.process]
        api.launch()
        vault.launch()
        vault.initialise(READY_DEADLINE)
        api.wait_ready(READY_DEADLINE)
        return Plane(
            data_dir=data_dir,
            binaries=binaries,
            kubeconfig=api.kubeconfig,
            api_url=api.url,
            ca_path=api.ca_path,
            vault_address=vault.address,
            vault_tls_address=vault.tls_address,
            vault_ca_path=vault.ca_path,
            vault_token=vault.token,
            api_audit_log=api.audit.path,
            vault_audit_log=vault.audit.path,
            api=api,
            vault=vault,
            start_seconds=time.monotonic() - began,
        )


def new_data_dir(prefix: str) -> Path:
    """Make a folder for the data of servers, in memory where there is room for it."""
    parent = None
    if TMPFS.is_dir() and os.access(TMPFS, os.W_OK) and shutil.disk_usage(TMPFS).free >= TMPFS_NEEDED:
        parent = TMPFS
    return Path(tempfile.mkdtemp(prefix=prefix, dir=parent)).resolve()
