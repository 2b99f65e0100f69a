"""The floor: the same requests by a script without logic, to tell what the servers cost from what we cost.

The requests are copied from what the operator did for one binding, so that they are as large as its own.
"""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass

from airwarden.api import FINALIZER
from airwarden.providers.vault import role
from airwarden.providers.vault.store import POLICY
from benchmarks.errors import BenchmarkError
from benchmarks.floor_script import PLACEHOLDER, Order
from benchmarks.meter import server_seconds
from benchmarks.objects import Json, binding, collection
from benchmarks.result import Measured
from benchmarks.stage import Stage
from plane.operator import ACCOUNT, AUDIENCE
from plane.operator import NAMESPACE as OPERATORS
from plane.vault_admin import login

NAMESPACE = "bench-floor"
_SAMPLE = "sample-of-the-operator"
_IN_FLIGHT = (8, 16, 32, 64)
_SERVER_SIDE = ("uid", "resourceVersion", "creationTimestamp", "managedFields")


@dataclass(frozen=True, slots=True)
class Floor:
    """Lets the operator make one binding, stops it, and has the script make many."""

    count: int

    @property
    def name(self) -> str:
        """Return the key of its details."""
        return "floor"

    @property
    def title(self) -> str:
        """Return what it does."""
        return f"the same requests without logic, for {self.count:,} bindings"

    async def run(self, stage: Stage) -> Measured:
        """Take the sample and run the script. The ratio is made by `runner`, from this and from `new`."""
        stage.watcher.kept[_SAMPLE] = []
        await stage.start_operator()
        await stage.create(NAMESPACE, [_SAMPLE])
        await stage.wait_ready(NAMESPACE, 1)
        order = await asyncio.to_thread(_order, stage, stage.watcher.kept[_SAMPLE])
        await stage.stop_operator()
        await stage.watcher.stop()  # so that nothing else uses the script's core
        asked = {"order": asdict(order), "count": self.count, "trial": self.count // 4, "in_flight": _IN_FLIGHT}
        before = server_seconds(stage.plane)
        found = await asyncio.to_thread(_script, asked)
        # Trials and both measurements; the bindings of the trials count too.
        handled = self.count // 4 * len(_IN_FLIGHT) + 2 * self.count
        used = {name: 1000 * (now - before[name]) / handled for name, now in server_seconds(stage.plane).items()}
        return Measured({}, {"bindings": self.count, **found, "servers_cpu_ms_per_binding": used})


def _script(asked: Json) -> Json:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.floor_script"],
        input=json.dumps(asked),
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if done.returncode != 0:
        raise BenchmarkError(f"the floor broke off: {done.stderr.strip()[-600:]}")
    found: Json = json.loads(done.stdout)
    return found


def _order(stage: Stage, states: list[Json]) -> Order:
    plane = stage.plane
    statuses = [each["status"] for each in states if (each.get("status") or {}).get("targets")]
    store = next(str(each["name"]) for each in statuses[-1]["targets"] if each["kind"] == POLICY)
    accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    account = plane.api.admin.request("GET", f"{accounts}/{_SAMPLE}-account")
    account["metadata"] = {key: value for key, value in account["metadata"].items() if key not in _SERVER_SIDE}
    policy = plane.vault.request("GET", f"sys/policies/acl/{store}")["data"]["policy"]
    fields = role.normalise(plane.vault.request("GET", f"auth/kubernetes/role/{store}")["data"])
    token = plane.service_account_token(OPERATORS, ACCOUNT, AUDIENCE, 3600)
    return Order(
        api_url=plane.api_url,
        ca_path=str(plane.ca_path),
        api_token=_user_token(stage),
        vault_url=plane.vault_address,
        vault_token=login(plane, "airwarden", token),
        bindings=collection(NAMESPACE),
        accounts=accounts,
        policies="/v1/sys/policies/acl",
        roles="/v1/auth/kubernetes/role",
        store_name=store.replace(_SAMPLE, PLACEHOLDER),
        finalizer=_text([{"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]}]),
        binding=_text(binding(NAMESPACE, _SAMPLE)),
        pending=_text([{"op": "add", "path": "/status", "value": statuses[0]}]),
        final=_text([{"op": "add", "path": "/status", "value": statuses[-1]}]),
        account=_text(account),
        policy=_text({"policy": policy}),
        role=_text(role.request_body(fields)),
    )


def _user_token(stage: Stage) -> str:
    """Return a token of an account that may also create bindings, which the operator may not."""
    plane = stage.plane
    plane.api.create_service_account(NAMESPACE, "floor")
    subject = {"kind": "ServiceAccount", "namespace": NAMESPACE, "name": "floor"}
    grant = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "bench-floor"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [subject],
    }
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    plane.api.admin.request("POST", path, grant, accept=[409])
    return plane.service_account_token(NAMESPACE, "floor")


def _text(body: object) -> str:
    return json.dumps(body).replace(_SAMPLE, PLACEHOLDER)
