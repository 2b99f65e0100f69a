"""One environment on a fake cluster: its object, bindings that name it, their accounts, and its ConfigMaps."""

from __future__ import annotations

import json
from typing import Any, Final

from airwarden.domain.environment.guards import Guards
from airwarden.domain.environment.sight import TaskPod
from airwarden.domain.errors import AirwardenError
from airwarden.domain.owner import Owner
from airwarden.providers.kubernetes.accounts import Account, labels_of
from airwarden.providers.kubernetes.api import Json
from airwarden.providers.kubernetes.config_maps import ConfigMaps
from airwarden.providers.kubernetes.events import EventPoster
from airwarden.providers.kubernetes.objects import ObjectWriter, environment_path
from airwarden.providers.kubernetes.task_pods import TaskPods
from airwarden.reconcile.environment_engine import EnvironmentEngine
from airwarden.reconcile.environments import EnvironmentReconciler, EnvironmentTools, Following
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.queue import Key
from unit.reconcile.fakes import CLUSTER, Bench

MAIN: Final = ("airflow", "main")
MAPS: Final = "/api/v1/namespaces/airflow/configmaps"
BILLING: Final = f"{MAPS}/airwarden.main.dags.0c95c7ece1ce"
"""Where the map of bundle billing is."""
INTERVAL: Final = 60.0
LONG_AGO: Final = "2031-04-01T00:00:00Z"
"""When the bindings and the policies were made."""


class FakePods(TaskPods):
    """Task pods as the test says they are."""

    def __init__(self) -> None:
        self.found: list[TaskPod] = []
        self.guarding = Guards((), LONG_AGO)
        self.error: AirwardenError | None = None
        self.looks = 0
        self.policy_looks = 0

    async def pods(self, namespaces: object) -> tuple[TaskPod, ...]:
        self.looks += 1
        if self.error is not None:
            raise self.error
        return tuple(self.found)

    async def guards(self) -> Guards:
        self.policy_looks += 1
        return self.guarding


class EnvironmentBench:
    """One operator's environments. `restart` is a new process on the same world."""

    def __init__(self, bench: Bench | None = None) -> None:
        self.bench = bench or Bench()
        self.api, self.journal = self.bench.api, self.bench.journal
        self.pods: FakePods | None = None
        self.path = environment_path(*MAIN)
        self.monotonic = 0.0
        self.metrics = Metrics()
        self.bindings: dict[Key, Json] = {}
        self._version = 1000
        self._make()

    def _make(self) -> None:
        tools = EnvironmentTools(
            cluster=CLUSTER,
            cache=self.bench.cache,
            backends=self.bench.backends,
            writer=ObjectWriter(self.api),
            config_maps=ConfigMaps(self.api),
            events=EventPoster(self.api),
            metrics=self.metrics,
            task_pods=self.pods,
            interval=INTERVAL,
            clock=self.bench.clock,
            monotonic=lambda: self.monotonic,
        )
        self.reconciler = EnvironmentReconciler(tools)
        self.engine = EnvironmentEngine(self.bench.cache, self.bench.backends, self.reconciler, clock=self.bench.clock)

    def restart(self) -> None:
        """Forget everything that only memory held, and list the cluster anew."""
        self.bench.restart()
        self._make()
        for body in self.bindings.values():
            self.bench.cache.learn_binding(body)
            self._learn_account(body)

    def see_pods(self) -> FakePods:
        """Let the operator look at task pods; return them."""
        self.pods = FakePods()
        self.restart()
        return self.pods

    def declare(self, **spec: Any) -> None:
        """Create the environment, or edit its spec."""
        standard: dict[str, Any] = {
            "workerNamespaces": ["team"],
            "bundles": [{"name": "billing", "namespaces": ["team"]}],
            "components": {"scheduler": {"serviceAccountName": "airflow-scheduler"}},
            "unbound": {"namespace": "team", "serviceAccountName": "airflow-unbound"},
        }
        wanted = {key: value for key, value in {**standard, **spec}.items() if value is not None}
        if self.path in self.api.objects:
            self.api.change(self.path, lambda body: body.update(spec=wanted))
        else:
            self.api.put(self.path, {"metadata": {"name": MAIN[1], "namespace": MAIN[0]}, "spec": wanted})

    def delete(self) -> None:
        """Delete the environment as a user does: it stays until its finalizers are gone."""
        if self.path in self.api.objects and self.api.objects[self.path]["metadata"].get("finalizers"):
            stamp = "2031-05-01T00:00:00Z"
            self.api.change(self.path, lambda body: body["metadata"].update(deletionTimestamp=stamp))
        else:
            self.api.objects.pop(self.path, None)

    def bind(self, name: str, *ids: str, account: bool = True, **more: Any) -> None:
        """Let a binding claim DAGs of bundle billing, have its account, and say that they are in force."""
        self._version += 1
        dags = [{"bundle": "billing", "ids": list(ids)}]
        body: Json = {
            "metadata": {
                "name": name,
                "namespace": "team",
                "uid": f"uid-{name}",
                "resourceVersion": str(self._version),
                "creationTimestamp": LONG_AGO,
                **more.pop("metadata", {}),
            },
            "spec": {
                "environmentRef": {"name": "main", "namespace": "airflow"},
                "dags": dags,
                "serviceAccount": {"name": name},
                "secrets": [{"type": "Variable", "id": "a", "backendRef": {"name": "vault"}, "key": "team/a"}],
                **more,
            },
        }
        body["status"] = {"identity": {"environment": "airflow/main", "podCreator": "x", "dags": dags}}
        self.bindings["team", name] = body
        self.bench.cache.learn_binding(body)
        if account:
            self._learn_account(body)

    def unbind(self, name: str) -> None:
        """Let a binding be gone."""
        del self.bindings["team", name]
        self.bench.cache.forget_binding(("team", name), "")

    def _learn_account(self, body: Json) -> None:
        name = body["metadata"]["name"]
        labels = labels_of(Owner(CLUSTER, "team", name))
        self.bench.cache.learn_account(Account("team", name, f"uid-{name}", "1", labels, automount=False))

    def watch(self) -> None:
        """Let the operator hear what the cluster has now, as its watch would."""
        if self.path in self.api.objects:
            self.bench.cache.environments.learn(self.api.objects[self.path])
        else:
            self.bench.cache.environments.forget(MAIN, "")

    async def look(self) -> Following:
        """Do one pass on what the cluster has now."""
        self.watch()
        return await self.reconciler.reconcile(MAIN)

    async def settle(self, passes: int = 8) -> None:
        """Look until a pass changes nothing, as the engine does with retries."""
        for _ in range(passes):
            before = len(self.journal.kinds())
            await self.look()
            if len(self.journal.kinds()) == before:
                return
        raise AssertionError(f"no rest after {passes} passes: {self.journal.kinds()}")

    async def change(self) -> list[str]:
        """Look once; return the requests that this took, but for Events."""
        self.journal.lines.clear()
        await self.look()
        return [each for each in self.journal.lines if each != "EVENT"]

    @property
    def body(self) -> Json:
        """The environment as the cluster has it."""
        return self.api.objects[self.path]

    @property
    def status(self) -> Json:
        """Its status."""
        found: Json = self.body["status"]
        return found

    def condition(self, kind: str = "Ready") -> tuple[str, str]:
        """Status and reason of a condition."""
        found = next(each for each in self.status["conditions"] if each["type"] == kind)
        return found["status"], found["reason"]

    @property
    def recorded(self) -> list[int]:
        """How many ConfigMaps each status named that was written."""
        return [len(each.get("rendered", ())) for each in self.api.statuses]

    @property
    def maps(self) -> dict[str, dict[str, str]]:
        """Data of each ConfigMap of Airflow's namespace, by name."""
        return {
            path.rsplit("/", 1)[1]: dict(body["data"])
            for path, body in self.api.objects.items()
            if path.startswith(MAPS)
        }

    def mapped(self) -> dict[str, list[str]]:
        """DAG ids by binding, as the map of bundle billing has them."""
        found = json.loads(self.api.objects[BILLING]["data"]["map.json"])
        return {each["binding"]: each["ids"] for each in found["bindings"]}
