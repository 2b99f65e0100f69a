"""The Kubernetes half of a plane: etcd, kube-apiserver and kube-controller-manager.

Made by `control_plane.py`; tests reach it as `plane.api`. It answers as a real
cluster does: its own authority, no anonymous access, RBAC and Node
authorization, bound service account tokens, a complete audit log. There is no
kubelet and no scheduler.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from plane.audit import ApiAudit
from plane.binaries import Binaries
from plane.certificates import Authority, KeyPair, signing_key, write_private
from plane.errors import PlaneError
from plane.json_client import Json, JsonClient
from plane.process import ServerProcess
from plane.waiting import wait_for

ISSUER = "https://kubernetes.default.svc.cluster.local"
CONTROLLERS = (
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "namespace-controller",
    "garbage-collector-controller",
    "validatingadmissionpolicy-status-controller",
    "job-controller",
    "clusterrole-aggregation-controller",
)
_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
# The API server's own upkeep and probes are left out: no test asks for them, and they are most of an idle log.
AUDIT_POLICY: Json = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
        # With whose account a pod was made.
        {"level": "RequestResponse", "verbs": ["create"], "resources": [{"group": "", "resources": ["pods"]}]},
        # What a write did can be seen before its answer is logged: so it is logged already when it comes.
        {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "Metadata", "omitStages": ["RequestReceived"]},
    ],
}


class KubernetesServer:
    """A cluster without nodes on one port of the loopback address."""

    def __init__(self, binaries: Binaries, data_dir: Path, ports: Sequence[int]) -> None:
        self._binaries, self._data_dir = binaries, data_dir
        secure, etcd, peer = ports
        self.url = f"https://127.0.0.1:{secure}"
        self._authority = Authority(data_dir / "pki" / "kubernetes", "airwarden-plane")
        self.ca_path = self._authority.path
        self._keys = signing_key(data_dir / "pki" / "kubernetes")
        self._admin_pair = self._authority.client("admin", "plane-admin", ["system:masters"])
        self.admin = self.client(self._admin_pair)
        self.kubeconfig = self._write_kubeconfig("admin", _certificate_user(self._admin_pair))
        self._etcd_client = JsonClient(f"http://127.0.0.1:{etcd}")
        self.audit = ApiAudit(data_dir / "kubernetes-audit.log")
        self.etcd = ServerProcess("etcd", self._etcd_command(etcd, peer), data_dir)
        self.apiserver = ServerProcess("kube-apiserver", self._apiserver_command(secure, etcd), data_dir)
        self.controllers = ServerProcess("kube-controller-manager", self._controllers_command(), data_dir)

    def launch(self) -> None:
        """Start etcd and the API server at once: the second waits for the first as long as it needs."""
        for process in (self.etcd, self.apiserver):
            process.start()

    def wait_ready(self, deadline: float) -> None:
        """Wait until the API server is ready and the controllers have begun to work."""

        def ready() -> bool:
            if self.etcd.pid is None:
                raise PlaneError(f"etcd ended with status {self.etcd.exit_status}\n{self.etcd.log_tail()}")
            return self.admin.status("GET", "/readyz") == 200

        self.apiserver.wait_ready(ready, deadline)
        # Not before: the controllers end themselves when the API server has no answer for them within ten seconds.
        self.controllers.start()
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self.controllers.wait_ready(lambda: self.admin.status("GET", account) == 200, deadline)

    def stop(self) -> None:
        """Stop the API server in order; etcd keeps the data, the controllers keep trying."""
        self.apiserver.stop()

    def kill(self) -> None:
        """End the API server as a crash would."""
        self.apiserver.kill()

    def start(self, deadline: float = 30.0) -> None:
        """Start a stopped API server on its old port, and wait until it is ready."""
        self.apiserver.start()
        self.apiserver.wait_ready(lambda: self.admin.status("GET", "/readyz") == 200, deadline)

    def compact(self) -> None:
        """Let etcd forget every revision but the newest, as it does every few minutes of itself."""
        newest = self._etcd_client.request("POST", "/v3/kv/range", {"key": "AA=="})["header"]["revision"]
        self._etcd_client.request("POST", "/v3/kv/compaction", {"revision": newest, "physical": True})

    def pause(self) -> None:
        """Make the API server hang: connections open and nothing answers."""
        self.apiserver.pause()

    def resume(self) -> None:
        """End a pause."""
        self.apiserver.resume()

    def service_account_token(self, namespace: str, name: str, audience: str = ISSUER, seconds: int = 3600) -> str:
        """Return a token by TokenRequest; the API server accepts no less than 600 seconds."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        spec = {"audiences": [audience], "expirationSeconds": seconds}
        answer = self.admin.request(
            "POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        )
        return str(answer["status"]["token"])

    def kubeconfig_for(self, namespace: str, serviceaccount: str) -> Path:
        """Write a kubeconfig with a day's token of an existing account."""
        token = self.service_account_token(namespace, serviceaccount, seconds=24 * 3600)
        return self._write_kubeconfig(f"{namespace}.{serviceaccount}", {"token": token}, namespace)

    def kubeconfig_for_user(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Write a kubeconfig with a client certificate for any user and groups (`system:node:n1`, `system:nodes`)."""
        return self._write_kubeconfig(_file_name(user), _certificate_user(self.client_certificate(user, groups)))

    def client_certificate(self, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """Issue a client certificate for any user and groups."""
        return self._authority.client(f"user-{_file_name(user)}", user, groups)

    def client(self, pair: KeyPair | None = None, *, token: str = "") -> JsonClient:
        """Return a client that shows a certificate, or a token, or nothing."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        certificate = (pair.certificate, pair.key) if pair is not None else None
        return JsonClient(self.url, ca=self.ca_path, client_certificate=certificate, headers=headers)

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None, deadline: float = 60.0) -> None:
        """Create a namespace (or find it) and wait for its default account and authority."""
        body = {"metadata": {"name": name, "labels": dict(labels or {})}}
        self.admin.request("POST", "/api/v1/namespaces", body, accept=[409])
        needed = ("serviceaccounts/default", "configmaps/kube-root-ca.crt")

        def complete() -> bool:
            paths = (f"/api/v1/namespaces/{name}/{item}" for item in needed)
            return all(self.admin.status("GET", path) == 200 for path in paths)

        wait_for(f"namespace {name} has its default account", complete, deadline)

    def create_service_account(self, namespace: str, name: str) -> None:
        """Create an account, or find it."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.admin.request("POST", path, {"metadata": {"name": name}}, accept=[409])

    def wait_for_rights(self, client: JsonClient, namespace: str, *rules: Mapping[str, Any]) -> None:
        """Wait until a client has the first right of each rule: the API server follows roles a moment later."""
        for rule in rules:
            resource, _, part = rule["resources"][0].partition("/")
            asked = {"namespace": namespace, "group": rule["apiGroups"][0], "resource": resource, "subresource": part}
            asked |= {"verb": rule["verbs"][0], "name": [*rule.get("resourceNames", ()), ""][0]}
            wait_for(f"the API server grants {asked}", partial(_allowed, client, asked), 30.0)

    def apply(self, *objects: Mapping[str, Any]) -> str:
        """Apply objects as admin, server-side; return what kubectl printed."""
        text = yaml.safe_dump_all([dict(item) for item in objects])
        return self.kubectl("apply", "--server-side", "--field-manager=plane", "-f", "-", stdin=text)

    def kubectl(self, *args: str, stdin: str | None = None, kubeconfig: Path | None = None, seconds: float = 60) -> str:
        """Run kubectl, as admin unless told otherwise; PlaneError with its stderr if it fails."""
        command = [str(self._binaries.kubectl), f"--kubeconfig={kubeconfig or self.kubeconfig}", *args]
        environment = {"HOME": str(self._data_dir / "home"), "PATH": ""}
        done = subprocess.run(
            command, input=stdin or "", capture_output=True, check=False, text=True, timeout=seconds, env=environment
        )
        if done.returncode != 0:
            raise PlaneError(f"kubectl {' '.join(args)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def _write_kubeconfig(self, name: str, user: Mapping[str, str], namespace: str = "default") -> Path:
        cluster = {"server": self.url, "certificate-authority": str(self.ca_path)}
        context = {"cluster": "plane", "user": name, "namespace": namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "plane", "cluster": cluster}],
            "users": [{"name": name, "user": dict(user)}],
            "contexts": [{"name": "plane", "context": context}],
            "current-context": "plane",
        }
        path = self._data_dir / "kubeconfigs" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, yaml.safe_dump(config).encode())
        return path

    def _etcd_command(self, client: int, peer: int) -> list[str]:
        client_url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        return [
            str(self._binaries.etcd),
            f"--data-dir={self._data_dir / 'etcd'}",
            f"--listen-client-urls={client_url}",
            f"--advertise-client-urls={client_url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            "--name=plane",
            f"--initial-cluster=plane={peer_url}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def _apiserver_command(self, secure: int, etcd: int) -> list[str]:
        server = self._authority.server("apiserver", ["127.0.0.1", "localhost", "kubernetes.default.svc", "kubernetes"])
        policy = self._data_dir / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(AUDIT_POLICY))
        return [
            str(self._binaries.kube_apiserver),
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={secure}",
            "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--tls-cert-file={server.certificate}",
            f"--tls-private-key-file={server.key}",
            f"--client-ca-file={self.ca_path}",
            "--anonymous-auth=false",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={self._keys.certificate}",
            f"--service-account-signing-key-file={self._keys.key}",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self._data_dir / 'kubernetes-audit.log'}",
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=0",
            "--profiling=false",
            "--shutdown-watch-termination-grace-period=1s",  # else open watches hold up a stop for 60 s
        ]

    def _controllers_command(self) -> list[str]:
        return [
            str(self._binaries.kube_controller_manager),
            f"--kubeconfig={self.kubeconfig_for_user('system:kube-controller-manager')}",
            f"--service-account-private-key-file={self._keys.key}",
            f"--root-ca-file={self.ca_path}",
            f"--controllers={','.join(CONTROLLERS)}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]


def _certificate_user(pair: KeyPair) -> dict[str, str]:
    return {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}


def _file_name(user: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in user)


def _allowed(client: JsonClient, asked: Json) -> bool:
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    answer = client.request("POST", _ACCESS_REVIEWS, {**review, "spec": {"resourceAttributes": asked}})
    return bool(answer["status"]["allowed"])
