"""The operator as a user runs it: a process of its own, under the RBAC of `manifests/` and the printed Vault set-up.

Used by the integration tests, the demo, the benchmarks and `make up`. Nothing here grants the operator
more than those two give: what it cannot do then, it cannot do for a user.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import requests
import yaml

from airwarden.api.backend import AirflowSecretBackend
from airwarden.providers.vault.fenced.setup import ModeOptions
from airwarden.providers.vault.fenced.slots import NO_ACCESSOR
from airwarden.providers.vault.rotation.setup import RotationOptions
from airwarden.providers.vault.setup import OperatorAccount, vault_setup
from plane import program
from plane.binaries import REPOSITORY
from plane.control_plane import Plane
from plane.errors import PlaneError, PlaneHTTPError
from plane.ports import free_ports
from plane.process import is_stopped
from plane.waiting import wait_for

NAMESPACE = "airwarden"
ACCOUNT = "airwarden"
CLUSTER = "test"
AUDIENCE = "vault"
START_DEADLINE = 60.0
POLICY_DEADLINE = 90.0
STOP_DEADLINE = 30.0
_LEFT_OUT = frozenset({"Deployment"})
"""There is no kubelet: the pod is played by a process; everything else of manifests/ is applied as it is."""
_TRIED: tuple[tuple[str, Mapping[str, Any]], ...] = (
    (
        "/api/v1/namespaces/default/pods",
        {"metadata": {"name": "tried"}, "spec": {"containers": [{"name": "tried", "image": "any"}]}},
    ),
    (
        "/api/v1/namespaces/default/serviceaccounts/default/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    ),
    (
        "/apis/airwarden.dev/v1alpha1/namespaces/default/airflowsecretbindings",
        {
            "apiVersion": "airwarden.dev/v1alpha1",
            "kind": "AirflowSecretBinding",
            "metadata": {"name": "tried"},
            "spec": {
                "serviceAccount": {"name": "tried"},
                "secrets": [{"type": "Variable", "id": "tried", "backendRef": {"name": "tried"}, "key": "tried"}],
            },
        },
    ),
)
"""What the policies let everybody make: a pod, a token and a binding that are none of their business."""


def install(plane: Plane, folder: str = "manifests") -> None:
    """Apply what `kubectl kustomize` gives of a folder, but the Deployment, and wait until the kinds are served."""
    rendered = plane.kubectl("kustomize", str(REPOSITORY / folder))
    objects = [each for each in yaml.safe_load_all(rendered) if each and each["kind"] not in _LEFT_OUT]
    crds = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
    rest = [each for each in objects if each["kind"] != "CustomResourceDefinition"]
    plane.api.apply(*crds)
    for each in crds:
        plane.kubectl("wait", "--for=condition=Established", f"crd/{each['metadata']['name']}", "--timeout=30s")
    plane.create_namespace(NAMESPACE)
    plane.api.apply(*rest)


def wait_for_policies(plane: Plane) -> None:
    """Wait until the policies of manifests/admission, just applied, know the kinds.

    Until then pods, tokens and bindings are refused to everybody: docs/admission.md says for how long.
    """
    wait_for("the policies know the kinds", lambda: not any(_refused(plane, *each) for each in _TRIED), POLICY_DEADLINE)


def _refused(plane: Plane, path: str, body: Mapping[str, Any]) -> bool:
    try:
        plane.api.admin.request("POST", f"{path}?dryRun=All", body)
    except PlaneHTTPError as error:
        if error.status in (403, 422):
            return True
        raise
    return False


def set_up_vault(
    plane: Plane,
    backend: Mapping[str, Any],
    cluster: str = CLUSTER,
    namespaces: Iterable[str] = (),
    options: ModeOptions | None = None,
    *,
    foreign_role_scan: bool = False,
    rotation: RotationOptions | None = None,
) -> None:
    """Do what `airwarden vault-setup` prints, with the same texts, as the Vault administrator would.

    ``namespaces`` are those that rules select by label, as `--workload-namespace` gives them.
    """
    model = AirflowSecretBackend.model_validate({key: backend[key] for key in ("metadata", "spec")})
    account = OperatorAccount(NAMESPACE, ACCOUNT)
    made = vault_setup(
        model,
        cluster=cluster,
        operator=account,
        namespaces=tuple(namespaces),
        options=options,
        foreign_role_scan=foreign_role_scan,
        rotation=rotation,
    )
    mount = plane.vault.request("GET", f"sys/auth/{made.workload_mount}", token=plane.vault_token)
    accessor = str(mount["data"]["accessor"])

    def write(method: str, path: str, body: dict[str, Any]) -> None:
        plane.vault.request(method, path, body, token=plane.vault_token, accept=(200, 204))

    if made.fence is not None:
        fence = made.fence
        text = fence.policy_text.replace(NO_ACCESSOR, accessor)
        write("PUT", f"sys/policies/acl/{fence.policy_name}", {"policy": text})
        write("POST", f"auth/{fence.role_mount}/role/{fence.role_name}", dict(fence.role_fields))
    text = made.policy_text.replace(NO_ACCESSOR, accessor)
    write("PUT", f"sys/policies/acl/{made.policy_name}", {"policy": text})
    write("POST", f"auth/{made.role_mount}/role/{made.role_name}", dict(made.role_fields))
    if made.rotation is not None:
        write("PUT", f"sys/policies/acl/{made.rotation.policy_name}", {"policy": made.rotation.policy_text})
        own = made.rotation.login
        write("POST", f"auth/{own.mount}/role/{own.role}", dict(own.fields))
    write("POST", f"sys/auth/{made.workload_mount}/tune", {"max_lease_ttl": made.max_lease_ttl})


@dataclass(frozen=True)
class Options:
    """How the operator is started."""

    cluster: str = CLUSTER
    log_level: str = "debug"
    extra: tuple[str, ...] = ()
    fresh: bool = False
    """In an interpreter of its own: where its memory is measured, it outlives who starts it, or all is to be real."""


class OperatorProcess:
    """One operator process; a context manager. Its log is kept in the plane's data directory."""

    def __init__(self, plane: Plane, options: Options | None = None, name: str = "operator") -> None:
        self._plane = plane
        self._options = options or Options()
        self.folder = plane.data_dir / f"{name}-{time.monotonic_ns()}"
        self.tokens = self.folder / "tokens"
        self.log = self.folder / "operator.log"
        self.port = 0
        self._process: program.Started | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id; raises when it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise PlaneError(f"the operator does not run; the end of its log:\n{self.tail()}")
        return self._process.pid

    @property
    def running(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.poll() is None

    def arguments(self) -> list[str]:
        """Return the command line after the program's name."""
        kubeconfig = self._plane.kubeconfig_for(NAMESPACE, ACCOUNT)
        return [
            "run",
            f"--cluster={self._options.cluster}",
            f"--kubeconfig={kubeconfig}",
            f"--token-directory={self.tokens}",
            f"--metrics-port={self.port}",
            "--listen-address=127.0.0.1",
            "--shutdown-seconds=5",
            f"--log-level={self._options.log_level}",
            *self._options.extra,
        ]

    def start(self, *, wait: bool = True) -> None:
        """Start the process, and wait until it has listed the cluster."""
        self.tokens.mkdir(parents=True, exist_ok=True)
        self.write_token()
        (self.port,) = free_ports(1)
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "PYTHONPATH": str(REPOSITORY / "operator"),
            "PYTHONUNBUFFERED": "1",
        }
        with self.log.open("ab") as out:
            start = program.fresh if self._options.fresh else program.start
            self._process = start(self.arguments(), environment, self.folder, out)
        with (self._plane.data_dir / "pids").open("a") as pids:  # so that the reaper ends it with the plane
            pids.write(f"{self._process.pid} operator\n")
        if wait:
            wait_for("the operator is ready", self.ready, START_DEADLINE)

    def write_token(self, audience: str = AUDIENCE) -> None:
        """Write the operator's store token anew, as the kubelet would before it expires."""
        token = self._plane.service_account_token(NAMESPACE, ACCOUNT, audience, 3600)
        waiting = self.tokens / f".{audience}"
        waiting.write_text(token)
        waiting.chmod(0o600)
        waiting.rename(self.tokens / audience)

    def ready(self) -> bool:
        """True once /readyz says so. Raises when the process has died."""
        if not self.running:
            raise PlaneError(f"the operator ended early; the end of its log:\n{self.tail()}")
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False

    def metrics(self) -> str:
        """Return what /metrics says."""
        return requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=30).text

    def stop(self) -> int | None:
        """End it as Kubernetes would, by SIGTERM; return its exit status."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise PlaneError(f"the operator did not end on SIGTERM; the end of its log:\n{self.tail()}") from None
        return self._process.poll()

    def pause(self) -> None:
        """Freeze it: what happens meanwhile it sees later, all at once."""
        os.kill(self.pid, signal.SIGSTOP)
        # The signal is only on its way: wait until it stands still.
        wait_for("the operator stands still", lambda: is_stopped(self.pid), STOP_DEADLINE, 0.002)

    def resume(self) -> None:
        """End a pause."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a lost node would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def tail(self, lines: int = 25) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text().splitlines()[-lines:]) if self.log.exists() else "(no log)"
