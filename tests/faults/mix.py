"""A hundred bindings of three backends that are made, edited, tightened and deleted, and what must hold of them.

What is declared is kept here, by hand, beside what the API server has, so that the end can be judged twice: by
the operator's own arithmetic over the objects as they are, and by this module's, which shares no code with it.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from airwarden.api.backend import AirflowSecretBackend
from airwarden.api.binding import AirflowSecretBinding
from airwarden.domain.desired import Surroundings, plan
from airwarden.domain.guardrails import BackendView
from airwarden.domain.sessions import PER_BINDING
from airwarden.providers.vault import policy, role
from airwarden.providers.vault.identity import marker_name
from airwarden.providers.vault.store import key_grammar
from integration.faults.placed import TEAM, Placed
from integration.handles import Backend, Binding
from integration.objects import account_path, binding_path, secret
from integration.world import World
from plane.errors import PlaneHTTPError
from plane.json_client import Json
from plane.operator import CLUSTER

NAMESPACES: Final = (TEAM, "second")
GROUPS: Final = 8
"""Key prefixes of a backend; each can be taken away by itself."""
_POLICY: Final = re.compile(r'path "airflow/data/([^"*+]+)" \{\n  capabilities = \["read"\]\n\}\n')
_TOKEN_CALLS: Final = ("auth/token/lookup-self", "auth/token/renew-self", "auth/token/revoke-self")


@dataclass(frozen=True)
class Declared:
    """One binding as it was last declared."""

    handle: Binding
    backend: Backend
    group: int
    keys: tuple[str, ...]


@dataclass
class Mix:
    """All that is declared. The acts return when the API server has taken them."""

    placed: Placed
    chance: random.Random
    backends: list[Backend] = field(default_factory=list)
    closed: dict[str, int] = field(default_factory=dict)
    """The group that each backend does not admit now."""
    bindings: dict[str, Declared] = field(default_factory=dict)
    deleted: list[Declared] = field(default_factory=list)
    made: int = 0

    def __post_init__(self) -> None:
        self.backends = [self.placed.backend(allow=[_rule(-1)]) for _ in range(3)]

    @property
    def world(self) -> World:
        """The cluster and Vault."""
        return self.placed.world

    def create(self) -> Declared:
        """Make one more binding."""
        self.made += 1
        name, namespace = f"mix-{self.made:03}", NAMESPACES[self.made % 2]
        backend = self.backends[self.made % 3]
        group = self.chance.choice([each for each in range(GROUPS) if each != self.closed.get(backend.name)])
        keys = self._keys(namespace, group)
        body = {
            "apiVersion": "airwarden.dev/v1alpha1",
            "kind": "AirflowSecretBinding",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"serviceAccount": {"name": name}, "secrets": _secrets(keys, backend)},
        }
        self.world.create(binding_path(namespace), body)
        handle = Binding(self.world, namespace, name, name, backend.name)
        self.bindings[name] = Declared(handle, backend, group, keys)
        return self.bindings[name]

    def edit(self, which: Declared) -> None:
        """Give a binding other keys."""
        keys = self._keys(which.handle.namespace, which.group)
        which.handle.edit(secrets=_secrets(keys, which.backend))
        self.bindings[which.handle.name] = replace(which, keys=keys)

    def tighten(self, which: Declared) -> None:
        """Take the binding's group out of its backend's rule, and admit again what was taken out before."""
        self.closed[which.backend.name] = which.group
        which.backend.edit(allow=[_rule(which.group)])

    def delete(self, which: Declared) -> None:
        """Delete a binding."""
        which.handle.delete()
        self.deleted.append(self.bindings.pop(which.handle.name))

    def admitted(self, which: Declared) -> bool:
        """Tell, by hand, whether a binding may have its keys."""
        return self.closed.get(which.backend.name) != which.group

    def settled(self) -> bool:
        """Fail unless every binding says what is so of it now, and the deleted ones are gone."""
        bodies = {each["metadata"]["name"]: each for each in self.bodies()}
        assert set(bodies) == set(self.bindings), sorted(set(bodies) ^ set(self.bindings))
        waiting = Counter(
            _said(bodies[name]) for name, each in self.bindings.items() if not self._as_wanted(each, bodies)
        )
        assert not waiting, waiting
        return True

    def ready(self) -> list[Declared]:
        """Return the bindings that are Ready and should be."""
        bodies = {each["metadata"]["name"]: each for each in self.bodies()}
        return [each for each in self.bindings.values() if self.admitted(each) and self._as_wanted(each, bodies)]

    def bodies(self) -> list[Json]:
        """Return all bindings that the API server has."""
        admin = self.world.plane.api.admin
        return [each for name in NAMESPACES for each in admin.request("GET", binding_path(name))["items"]]

    def _as_wanted(self, which: Declared, bodies: dict[str, Json]) -> bool:
        body = bodies.get(which.handle.name)
        wanted = "Ready" if self.admitted(which) else "KeyNotAllowed"
        return body is not None and _said(body) == wanted

    def _keys(self, namespace: str, group: int) -> tuple[str, ...]:
        count = self.chance.randint(1, 3)
        return tuple(sorted(f"{namespace}/g{group}/k{self.chance.randrange(10**6)}" for _ in range(count)))


def _rule(closed: int) -> Json:
    prefixes = [f"{{namespace}}/g{group}/" for group in range(GROUPS) if group != closed]
    return {
        "name": "own",
        "namespaces": {"names": list(NAMESPACES)},
        "keyPrefixes": prefixes,
        "session": {"maxTTL": "1h"},
    }


def _secrets(keys: tuple[str, ...], backend: Backend) -> list[Json]:
    return [secret(key, backend.name, id=f"c{number}") for number, key in enumerate(keys)]


def _said(body: Json) -> str:
    """Return the reason of Ready; nothing while it is of an older generation."""
    status = body.get("status") or {}
    if status.get("observedGeneration") != body["metadata"]["generation"]:
        return "not looked at"
    return next((str(each["reason"]) for each in status.get("conditions", ()) if each["type"] == "Ready"), "nothing")


def hold_vault_to_it(mix: Mix) -> None:
    """Fail unless Vault has the policies and roles of the admitted bindings, and nothing else of ours."""
    world = mix.world
    wanted = {each.handle.store_name: each for each in mix.bindings.values() if mix.admitted(each)}
    for listing in ("sys/policies/acl", "auth/kubernetes/role"):
        names = world.plane.vault.request("LIST", listing)["data"]["keys"]
        ours = {each for each in names if each.startswith(f"airwarden.{CLUSTER}.")} - {marker_name(CLUSTER)}
        assert ours == set(wanted), listing
    for name, each in wanted.items():
        text = world.policy(name) or ""
        assert set(_POLICY.findall(text)) == set(each.keys), name
        assert text.count("path ") == len(set(each.keys)) + len(_TOKEN_CALLS), name
        assert all(f'path "{call}"' in text for call in _TOKEN_CALLS)
        fields = world.role(name) or {}
        assert fields["bound_service_account_names"] == [each.handle.account]
        assert fields["bound_service_account_namespaces"] == [each.handle.namespace]
        assert fields["token_policies"] == [name]


def hold_vault_to_the_domain(mix: Mix) -> None:
    """Fail unless Vault has, to the letter, what the operator's own plan makes of the objects as they are."""
    world = mix.world
    views = {each.name: _view(each) for each in mix.backends}
    for body in mix.bodies():
        binding = AirflowSecretBinding.model_validate(body)
        wanted = plan(binding, Surroundings(CLUSTER, views, {}, frozenset(views), now=datetime.now(UTC)))
        assert not wanted.held
        for backend in sorted(wanted.backends):
            handle = mix.bindings[binding.metadata.name].handle
            grant = wanted.grants.get(backend)
            if grant is None:
                assert (world.policy(handle.store_name), world.role(handle.store_name)) == (None, None)
                continue
            rules = policy.rules_for(grant.readable, mount="airflow", version=2)
            assert world.policy(handle.store_name) == policy.render(grant.owner, rules)
            assert role.normalise(world.role(handle.store_name) or {}) == role.desired_fields(grant, "vault")


def _view(backend: Backend) -> BackendView:
    model = AirflowSecretBackend.model_validate({key: backend.body()[key] for key in ("metadata", "spec")})
    return BackendView(backend.name, model.spec.allow, key_grammar(2), sessions=PER_BINDING)


def hold_cluster_to_it(mix: Mix) -> None:
    """Fail unless statuses, finalizers and accounts are those of the declared bindings, and nothing else is left."""
    admin = mix.world.plane.api.admin
    accounts = {
        (namespace, each["metadata"]["name"])
        for namespace in NAMESPACES
        for each in admin.request("GET", account_path(namespace))["items"]
        if "airwarden.dev/binding" in (each["metadata"].get("labels") or {})
    }
    assert accounts == {(each.handle.namespace, each.handle.account) for each in mix.bindings.values()}
    for body in mix.bodies():
        each = mix.bindings[body["metadata"]["name"]]
        assert body["metadata"]["finalizers"] == ["airwarden.dev/revoke-access"]
        status = body["status"]
        in_store = [("VaultKubernetesRole", each.handle.store_name), ("VaultPolicy", each.handle.store_name)]
        expected = [("ServiceAccount", each.handle.account), *(in_store if mix.admitted(each) else [])]
        assert [(target["kind"], target["name"]) for target in status["targets"]] == expected
        assert {target["state"] for target in status["targets"]} == {"Present"}
        granted = "Granted" if mix.admitted(each) else "Refused"
        assert {found["state"] for found in status["secrets"]} == {granted}


def hold_readers_to_it(mix: Mix, count: int) -> None:
    """Fail unless some accounts, really logged in, read their own keys and no others, and refused ones nothing."""
    world = mix.world
    sample = mix.chance.sample(sorted(mix.bindings), count)
    others = {name: mix.bindings[sample[number - 1]] for number, name in enumerate(sample)}
    for name in sample:
        for key in mix.bindings[name].keys:
            world.write_secret(key)
    for name in sample:
        each = mix.bindings[name]
        if not mix.admitted(each):
            assert not _logs_in(each.handle), f"{name} is refused, but logs in"
            continue
        token = each.handle.login()
        assert all(world.may_read(token, key) for key in each.keys), name
        foreign = set(others[name].keys) - set(each.keys)
        assert not any(world.may_read(token, key) for key in foreign), name
    for each in mix.deleted[:count]:
        assert not _logs_in(each.handle), f"{each.handle.name} is deleted, but logs in"


def _logs_in(handle: Binding) -> bool:
    try:
        return bool(handle.login())
    except PlaneHTTPError:
        return False
