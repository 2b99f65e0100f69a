"""A cluster and a store in memory, for tests of the reconciler that run in milliseconds.

The cluster stands in for the API server below the operator's own writers, and the store implements
`airwarden.providers.ports.Store`. Both write into one journal, so that tests see the order of all
requests, and both can fail or break off at any one of them. The store also holds the operator to its
promise: nothing is made before the finalizer is there and the object is on the record.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airwarden.api import FINALIZER
from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AirflowSecretBinding
from airwarden.api.reasons import Reason
from airwarden.domain.fence import Fence
from airwarden.domain.holdings import Holding
from airwarden.domain.identity import Expected
from airwarden.domain.owner import Owner
from airwarden.domain.resources import (
    Action,
    Address,
    Adoption,
    Claim,
    DynamicCredentials,
    FieldValue,
    Grant,
    Observed,
    Operation,
    Readable,
    Resource,
    Session,
    StaticSecret,
)
from airwarden.domain.sessions import PER_BINDING, SessionRange
from airwarden.domain.task_access import TaskAccess
from airwarden.providers.kubernetes.accounts import SELECTOR, Account, Accounts
from airwarden.providers.kubernetes.api import Json
from airwarden.providers.kubernetes.config_maps import ConfigMaps
from airwarden.providers.kubernetes.events import EventPoster
from airwarden.providers.kubernetes.live import LiveObjects
from airwarden.providers.kubernetes.objects import ObjectWriter, binding_path, rotation_path
from airwarden.providers.kubernetes.rotations import Rotations
from airwarden.providers.ports import Health, Store, Written
from airwarden.reconcile import claims
from airwarden.reconcile.backends import Backends, Runtime
from airwarden.reconcile.binding_maps import BindingMaps
from airwarden.reconcile.binding_rotations import BindingRotations, RotationsTools
from airwarden.reconcile.bindings import BindingReconciler, Next, Tools
from airwarden.reconcile.cache import Cache, NamespaceView
from airwarden.reconcile.metrics import Metrics
from airwarden.reconcile.queue import Key
from airwarden.reconcile.rotation_cache import RotationCache
from airwarden.reconcile.sweep import SweepTools
from unit.domain.making import GRAMMAR
from unit.reconcile.fake_cluster import FakeApi, Journal

CLUSTER = "c1"
KEY: Key = ("team", "billing")


class FakeStore:
    """Two objects a binding, like Vault's, in a dictionary."""

    grammar = GRAMMAR
    settings: object = "as declared"
    drift_interval: float = 600.0
    sessions: SessionRange | None = PER_BINDING
    alone: frozenset[str] = frozenset()
    effect_lag = 0.0
    releases = True
    takes_people = False
    fence: Fence | None = None

    def __init__(self, name: str, journal: Journal, api: FakeApi) -> None:
        self.name = name
        self.contents: dict[Address, Mapping[str, FieldValue]] = {}
        self.foreign: set[Address] = set()
        self.unmarked: set[Address] = set()
        self.released: set[Address] = set()
        self.adoptions: dict[Address, Adoption] = {}
        self.own_writings: set[Address] = set()
        """What reads as an earlier writing of ours, though it is not what was declared last."""
        self.errors: dict[str, Exception] = {}
        """By step: observe, or action and kind, as in ``Delete Policy``."""
        self.warnings: tuple[str, ...] = ()
        self.ca_pem = ""
        self.tells_when_written = False
        """Whether how tasks log in is known only once something was written."""
        self.closed = False
        self.annotated: dict[str, str] = {}
        self._journal = journal
        self._api = api

    def render(self, grant: Grant) -> tuple[Resource, ...]:
        policy, role = self.addresses(grant.owner)
        readable = tuple(sorted(_shown(each) for each in grant.readable))
        return (
            Resource(policy, {"owner": str(grant.owner), "paths": readable}, ",".join(readable)),
            Resource(
                role,
                {"account": grant.account, "ttl": grant.session.ttl, "max_ttl": grant.session.max_ttl},
                ",".join(readable),
            ),
        )

    def narrowed(self, grant: Grant, observed: Mapping[Address, Observed]) -> Grant | None:
        policy, role = (observed[each].fields for each in self.addresses(grant.owner))
        if policy is None or role is None or role.get("account") != grant.account:
            return None
        paths, ttls = policy.get("paths", ()), [role.get(name, 0) for name in ("ttl", "max_ttl")]
        assert isinstance(paths, tuple)
        readable = frozenset(each for each in grant.readable if _shown(each) in paths)
        longest = min(grant.session.max_ttl, int(str(ttls[1])))
        session = Session(min(grant.session.ttl, int(str(ttls[0])), longest), longest)
        return replace(grant, readable=readable, session=session) if readable else None

    def task_access(self, owner: Owner) -> TaskAccess:
        if self.tells_when_written and not self.contents:
            return TaskAccess({}, impossible=(Reason.PENDING, "not made yet"))
        login = {"role": owner.name_in_store, "tokenFile": f"/var/run/secrets/airwarden/{self.name}/token"}
        return TaskAccess({"type": "Vault", "addresses": ["https://vault.test:8200"], "login": login}, self.ca_pem)

    def addresses(self, owner: Owner, others: Iterable[Address] = ()) -> tuple[Address, ...]:
        return tuple(Address(self.name, kind, owner.at(self.name).name_in_store) for kind in ("Policy", "Role"))

    async def observe(self, owner: Owner, addresses: Iterable[Address], *, known: bool) -> Mapping[Address, Observed]:
        self._journal.begin(f"observe {self.name}{' one by one' if known else ''}")
        self._raise("observe")
        asked = tuple(addresses)
        for each in asked:
            self._raise(f"observe {each.kind}")
        permitted = {*self.addresses(owner), *self.former(owner)}
        assert set(asked) <= permitted, "only what the owner derives may be looked at"
        found = {each: self._observed(each, owner) for each in asked}
        self._journal.end()
        return found

    def former(self, owner: Owner) -> tuple[Address, ...]:
        return (Address(self.name, "Former", f"{owner.namespace}/{owner.account}"),)

    def readable(self, observed: Mapping[Address, Observed]) -> frozenset[Readable]:
        paths = [each.fields.get("paths", ()) for each in observed.values() if each.fields is not None]
        return frozenset(StaticSecret(path) for found in paths if isinstance(found, tuple) for path in found)

    async def apply(self, operation: Operation) -> Written:
        self._journal.begin(f"{operation.action} {operation.address.kind} in {self.name}")
        self._raise(f"{operation.action} {operation.address.kind}")
        if operation.action is Action.DELETE:
            self.contents.pop(operation.address, None)
        elif operation.action is Action.RELEASE:
            assert operation.resource is not None
            self.contents[operation.address] = {**operation.resource.fields, "owner": ""}
            (self.released if operation.address.kind == "Policy" else self.unmarked).add(operation.address)
        else:
            assert operation.resource is not None
            self._hold_to_promise(operation.address)
            self.contents[operation.address] = operation.resource.fields
            if operation.adoption is not None:
                for address in [each for each in self.contents if each.kind in operation.adoption.kinds]:
                    self.adoptions[address] = operation.adoption
                    self.unmarked.discard(address)
        self._journal.end()
        return Written(warnings=self.warnings)

    def annotations(self, owner: Owner) -> Mapping[str, str]:
        return self.annotated

    def expect(self, expected: Expected) -> None:
        self.expected = expected

    async def identify(self) -> None:
        self._raise("identify")

    async def holdings(self) -> frozenset[Holding]:
        self._journal.begin(f"list {self.name}")
        self._raise("holdings")
        names = {each.name for each in self.contents}
        self._journal.end()
        return frozenset(Holding(owner) for name in names if (owner := Owner.from_name(CLUSTER, name)) is not None)

    async def former_holdings(self) -> frozenset[Holding]:
        self._journal.begin(f"list former {self.name}")
        self._raise("former holdings")
        self._journal.end()
        return frozenset(
            Holding.of(held_by(address, fields), (address,))
            for address, fields in self.contents.items()
            if address.kind == "Former"
        )

    async def check(self) -> Health:
        self._raise("check")
        return Health("store-1", "1.0", (), ("Static",))

    async def close(self) -> None:
        self.closed = True

    def _claim(self, address: Address) -> Claim:
        if address not in self.contents:
            return Claim.UNMARKED
        if address in self.released:
            return Claim.RELEASED
        if address in self.unmarked:
            return Claim.UNMARKED
        return Claim.FOREIGN if address in self.foreign else Claim.OURS

    def _observed(self, address: Address, owner: Owner) -> Observed:
        fields = self.contents.get(address)
        marked = None if fields is None else {**fields, "owner": str(owner)} if address.kind == "Policy" else fields
        noted = self.adoptions.get(address)
        ours = address in self.own_writings
        return Observed(address, fields, self._claim(address), adoption=noted, as_marked=marked, own_writing=ours)

    def _raise(self, step: str) -> None:
        if step in self.errors:
            raise self.errors[step]

    def _hold_to_promise(self, address: Address) -> None:
        """Fail unless the binding has our finalizer and the address on its record before this write."""
        _, _, namespace, rest = address.name.split(".", 3)
        name = rest.removesuffix(f".{address.backend}")
        body = self._api.objects[binding_path(namespace, name)]
        assert FINALIZER in body["metadata"].get("finalizers", ()), "written before the finalizer was acknowledged"
        targets = body.get("status", {}).get("targets", ())
        recorded = {(each["backend"], each["kind"], each["name"]) for each in targets}
        assert (address.backend, address.kind, address.name) in recorded, "written before it was recorded"


def held_by(address: Address, fields: Mapping[str, FieldValue]) -> Owner:
    """Return whose a thing is that stands under an account's name."""
    namespace, binding = str(fields["owner"]).split("/")
    return Owner(CLUSTER, namespace, binding, address.backend, address.name.split("/")[1])


def _shown(readable: object) -> str:
    if isinstance(readable, DynamicCredentials):
        return f"{readable.engine}:{readable.role}"
    return str(getattr(readable, "key", readable))


def backend_body(
    name: str = "vault", prefixes: Sequence[str] = ("{namespace}/",), version: int = 1, **spec: Any
) -> Json:
    """Return an AirflowSecretBackend as the API server sends it."""
    rule = {"name": "own", "namespaces": {"names": ["team"]}, "keyPrefixes": list(prefixes)}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version), "generation": version},
        "spec": {
            "type": "Vault",
            "vault": {
                "address": "https://vault.test:8200",
                "login": {"kubernetes": {"role": "airwarden"}},
                "kv": {"mount": "airflow"},
                "workloadLogin": {"kubernetes": {"audience": "vault"}},
            },
            "allow": [rule] if prefixes else [],
            **spec,
        },
    }


class Bench:
    """One operator's reconciler on a fake cluster and fake stores. `restart` is a new process on the same world."""

    def __init__(self, backends: Sequence[str] = ("vault",)) -> None:
        self.journal = Journal()
        self.api = FakeApi(self.journal)
        self.stores = {name: FakeStore(name, self.journal, self.api) for name in backends}
        self.backend_bodies = {name: backend_body(name) for name in backends}
        self.now = datetime(2031, 5, 1, tzinfo=UTC)
        self.failing: list[str] = []
        self.namespace_labels: dict[str, str] | None = {}
        self.environment_bodies: dict[str, Json] = {}
        self.restart()

    @property
    def store(self) -> FakeStore:
        """The only store, or the first."""
        return next(iter(self.stores.values()))

    def restart(self) -> None:
        """Forget everything that only memory held, and list the cluster anew."""
        self.cache = Cache()
        self.backends = Backends(self._open, self.failing.append, self._tell)
        for body in self.backend_bodies.values():
            self.backends.learn(body)
        for body in self.environment_bodies.values():
            self.cache.environments.learn(body)
        if self.namespace_labels is not None:
            self.cache.namespaces["team"] = NamespaceView(self.namespace_labels, terminating=False)
        self.rotations = RotationCache()
        tools = Tools(
            cluster=CLUSTER,
            cache=self.cache,
            backends=self.backends,
            writer=ObjectWriter(self.api),
            accounts=Accounts(self.api),
            events=EventPoster(self.api),
            metrics=Metrics(),
            clock=self._tick,
            rotations=BindingRotations(RotationsTools(CLUSTER, self.rotations, Rotations(self.api), self.clock)),
            maps=BindingMaps(ConfigMaps(self.api)),
        )
        self.locks = tools.locks
        self.reconciler = BindingReconciler(tools)

    def sweeps(self, interval: float = 600.0, grace: float = 3600.0) -> SweepTools:
        """Return what sweeps need, on the same world."""
        return SweepTools(self.backends, LiveObjects(self.api), self.locks, Metrics(), self._tick, interval, grace)

    def watch(self) -> None:
        """Let the operator hear what the cluster has now, as its watches would."""
        path = binding_path(*KEY)
        if path in self.api.objects:
            self.cache.learn_binding(self.api.objects[path])
        else:
            self.cache.forget_binding(KEY, "")
        rotations = {path: body for path, body in self.api.objects.items() if "/airflowsecretrotations/" in path}
        for body in rotations.values():
            self.rotations.learn(body)
        for key, entry in list(self.rotations.rotations.items()):
            if rotation_path(*key) not in rotations:
                self.rotations.forget(key, entry.uid)
        labelled = {
            (each.namespace, each.name): each
            for path, body in self.api.objects.items()
            if "/serviceaccounts/" in path and SELECTOR in (each := Account.read(body)).labels
        }
        self.cache.accounts.clear()
        self.cache.accounts.update(labelled)

    async def look(self) -> Next:
        """Do one pass on what the cluster has now."""
        self.watch()
        return await self.reconciler.reconcile(KEY)

    async def settle(self, passes: int = 8) -> None:
        """Look until a pass changes nothing, as the engine does with retries."""
        for _ in range(passes):
            before = len(self.journal.kinds())
            await self.look()
            if len(self.journal.kinds()) == before:
                return
        raise AssertionError(f"no rest after {passes} passes: {self.journal.kinds()}")

    def declare(self, *keys: str, account: str = "billing", backend: str = "vault", **spec: Any) -> None:
        """Create the binding, or edit its spec."""
        path = binding_path(*KEY)
        secrets = [
            {"type": "Connection", "id": f"id{number}", "backendRef": {"name": backend}, "key": key}
            for number, key in enumerate(keys)
        ]
        wanted = {"serviceAccount": {"name": account}, "secrets": secrets, **spec}
        if path in self.api.objects:
            self.api.change(path, lambda body: body.update(spec=wanted))
        else:
            self.api.put(path, {"metadata": {"name": KEY[1], "namespace": KEY[0]}, "spec": wanted})

    def declare_environment(self, *common: Mapping[str, Any], namespace: str = "airflow", **spec: Any) -> None:
        """Create the environment airflow/main, or edit its spec: it runs tasks in team, and gives it the bundle git."""
        before = self.environment_bodies.get("main", {"metadata": {"resourceVersion": "0"}})
        version = int(before["metadata"]["resourceVersion"]) + 1
        metadata = {"name": "main", "namespace": namespace, "uid": "uid-main", "generation": version}
        wanted = {
            "workerNamespaces": ["team"],
            "bundles": [{"name": "git", "namespaces": ["team"]}],
            "components": {"scheduler": {"serviceAccountName": "airflow-scheduler"}},
            "unbound": {"namespace": "team", "serviceAccountName": "airflow-unbound"},
            "commonSecrets": list(common),
            **spec,
        }
        body = {"metadata": {**metadata, "resourceVersion": str(version)}, "spec": wanted}
        self.environment_bodies["main"] = body
        self.cache.environments.learn(body)

    def remove_environment(self) -> None:
        """Delete the environment."""
        del self.environment_bodies["main"]
        self.cache.environments.forget(("airflow", "main"), "uid-main")

    def identity(self) -> list[str] | None:
        """The DAGs in force of the bundle git; None while none are."""
        found = self.binding.get("status", {}).get("identity")
        return None if found is None else [ids for each in found["dags"] for ids in each["ids"]]

    def tighten(self, name: str = "vault") -> None:
        """Take the backend's rules away."""
        version = int(self.backend_bodies[name]["metadata"]["resourceVersion"]) + 1
        self.backend_bodies[name] = backend_body(name, (), version)
        self.backends.learn(self.backend_bodies[name])

    def delete(self) -> None:
        """Delete the binding as a user does: it stays until its finalizers are gone."""
        path = binding_path(*KEY)
        if self.api.objects[path]["metadata"].get("finalizers"):
            stamp = "2031-05-01T00:00:00Z"
            self.api.change(path, lambda body: body["metadata"].update(deletionTimestamp=stamp))
        else:
            del self.api.objects[path]

    @property
    def binding(self) -> Json:
        """The binding as the cluster has it."""
        return self.api.objects[binding_path(*KEY)]

    @property
    def model(self) -> AirflowSecretBinding:
        """The binding as the operator reads it."""
        return AirflowSecretBinding.model_validate(self.cache.bindings[KEY].load())

    @property
    def ready(self) -> tuple[str, str]:
        """Status and reason of Ready."""
        found = next(each for each in self.binding["status"]["conditions"] if each["type"] == "Ready")
        return found["status"], found["reason"]

    @property
    def targets(self) -> dict[str, str]:
        """State of each recorded target, by kind."""
        return {each["kind"]: each["state"] for each in self.binding["status"].get("targets", ())}

    def account(self, name: str = "billing") -> Json | None:
        """Return a service account of the namespace."""
        return self.api.objects.get(f"/api/v1/namespaces/team/serviceaccounts/{name}")

    def world(self) -> str:
        """Return everything that counts at the end, to compare two ways there: no times, uids or versions."""
        paths = sorted(self.api.objects)
        stores = {
            f"{address}": dict(fields) for each in self.stores.values() for address, fields in each.contents.items()
        }
        status = copy.deepcopy(self.api.objects.get(binding_path(*KEY), {}).get("status", {}))
        for each in (*status.get("conditions", ()), *status.get("targets", ())):
            for volatile in ("lastTransitionTime", "lastAppliedTime", "id"):
                each.pop(volatile, None)
        return json.dumps({"paths": paths, "stores": stores, "status": status}, sort_keys=True, indent=1)

    def clock(self) -> datetime:
        """Return the time without letting it go on."""
        return self.now

    def _tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def _tell(self, runtime: Runtime) -> None:
        claims.tell(runtime, CLUSTER, self.cache, self.clock)

    async def _open(self, backend: AirflowSecretBackend) -> Store:
        return self.stores[backend.metadata.name]
