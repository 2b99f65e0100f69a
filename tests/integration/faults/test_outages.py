"""A Vault that is sealed, stopped, hung, slow or has forgotten the operator: told apart, survived, and healed.

The operator is never restarted here. What it sends to a Vault behind a proxy is counted there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Backend, Binding
from integration.objects import secret
from integration.world import World, eventually
from plane.proxy import Fate, Proxy, Request

LONG = 60.0
"""Seconds within which the operator must have found out by itself that a store is back."""
AFTERWARDS = 40
"""Requests in all that one binding and one backend may cost until both are well again."""


def healthz(world: World) -> int:
    """Return what /healthz answers."""
    return requests.get(f"http://127.0.0.1:{world.operator.port}/healthz", timeout=5).status_code


@pytest.fixture
def outage(
    other_world: World, backend: MakeBackend, binding: MakeBinding, make_namespace: Callable[..., str]
) -> Iterator[tuple[Backend, Binding]]:
    """Return a backend and a Ready binding in a Vault of their own, whole again after the test."""
    namespace = make_namespace(also=other_world)
    store = backend(world=other_world, requests={"timeout": "2s"})
    bound = binding(namespace, store, world=other_world)
    bound.wait_ready()
    yield store, bound
    vault = other_world.plane.vault
    if vault.process.pid is None:
        vault.start()
    vault.resume()
    if not vault.healthy():
        vault.unseal()
    store.wait_ready(LONG)


def more(bound: Binding) -> list[dict[str, Any]]:
    """Return secrets that differ from what the binding has."""
    return [secret(f"{bound.namespace}/connections/{name}", bound.backend, id=name) for name in ("one", "two")]


BREAK: dict[str, tuple[Callable[[World], None], Callable[[World], None], str]] = {
    "sealed": (lambda w: w.plane.vault.seal(), lambda w: w.plane.vault.unseal(), "BackendSealed"),
    "stopped": (lambda w: w.plane.vault.stop(), lambda w: w.plane.vault.start(), "BackendUnreachable"),
    "hung": (lambda w: w.plane.vault.pause(), lambda w: w.plane.vault.resume(), "BackendUnreachable"),
}


@pytest.mark.parametrize("kind", BREAK)
def test_an_edit_in_an_outage_says_the_cause_and_is_made_when_the_store_is_back(
    other_world: World, outage: tuple[Backend, Binding], kind: str
) -> None:
    store, bound = outage
    break_it, mend_it, reason = BREAK[kind]
    break_it(other_world)
    bound.edit(secrets=more(bound))
    bound.wait_refused(reason)
    store.wait_condition("Ready", "False", reason)
    store.wait_condition("Reachable", "False", reason)
    assert healthz(other_world) == 200
    mend_it(other_world)
    marks = other_world.marks()
    bound.wait_ready(LONG)
    store.wait_ready(LONG)
    assert "connections/two" in (other_world.policy(bound.store_name) or "")
    assert marks.logins() <= 1
    assert len(marks.vault_requests()) <= AFTERWARDS


@pytest.mark.parametrize("kind", BREAK)
def test_a_deletion_in_an_outage_waits_says_why_and_finishes(
    other_world: World, outage: tuple[Backend, Binding], kind: str
) -> None:
    _, bound = outage
    break_it, mend_it, reason = BREAK[kind]
    break_it(other_world)
    bound.delete()
    eventually(
        "the binding says that it waits",
        lambda: bound.conditions()["Ready"]["reason"] == "DeletionBlocked",
    )
    assert reason in bound.conditions()["Ready"]["message"]
    assert bound.service_account() is not None
    assert healthz(other_world) == 200
    mend_it(other_world)
    bound.wait_gone(LONG)
    assert other_world.policy(bound.store_name) is None
    assert other_world.role(bound.store_name) is None


def test_a_binding_made_while_its_store_is_away_is_ready_when_the_store_comes(
    other_world: World, outage: tuple[Backend, Binding], binding: MakeBinding
) -> None:
    store, bound = outage
    other_world.plane.vault.stop()
    late = binding(bound.namespace, store, world=other_world)
    late.wait_refused("BackendUnreachable")
    other_world.plane.vault.start()
    late.wait_ready(LONG)
    assert other_world.role(late.store_name) is not None


def test_a_hung_store_does_not_slow_a_binding_of_another_one(
    other_world: World,
    outage: tuple[Backend, Binding],
    backend: MakeBackend,
    binding: MakeBinding,
    make_namespace: Callable[..., str],
) -> None:
    store, bound = outage
    quick = backend()
    other_world.plane.vault.pause()
    crowd = [binding(bound.namespace, store, world=other_world) for _ in range(20)]
    namespace = make_namespace()
    fine = [binding(namespace, quick) for _ in range(5)]
    for each in fine:
        each.wait_ready()
    # All this while, nobody in the crowd can have got anywhere.
    assert not any(each.conditions().get("Ready", {}).get("status") == "True" for each in crowd)
    other_world.plane.vault.resume()
    for each in crowd:
        each.wait_ready(LONG)


def test_a_token_revoked_under_the_operator_costs_one_login_and_no_failure(
    other_world: World, outage: tuple[Backend, Binding]
) -> None:
    _, bound = outage
    vault = other_world.plane.vault
    marks = other_world.marks()
    listed = vault.request("LIST", "auth/token/accessors")["data"]["keys"]
    for accessor in listed:
        found = vault.request("POST", "auth/token/lookup-accessor", {"accessor": accessor}, accept=[403, 404])
        if (found.get("data") or {}).get("display_name") == "kubernetes-airwarden-airwarden":
            vault.request("POST", "auth/token/revoke-accessor", {"accessor": accessor})
    bound.edit(secrets=more(bound))
    bound.wait_ready()
    eventually("there was a login", lambda: marks.logins() == 1)
    assert [reason for _, reason, _ in bound.events() if reason.startswith("Backend")] == []


def behind(proxy: Proxy, backend: MakeBackend, **requests_of: Any) -> Backend:
    """Return a backend that reaches the shared Vault through the proxy."""
    return backend(vault={"address": proxy.address}, requests={"timeout": "1s", **requests_of}, wait=False)


@pytest.mark.parametrize("fate", [Fate.CUT, Fate.RESET, Fate.LOSE, Fate.TRUNCATE], ids=lambda each: each.name.lower())
def test_connections_that_break_are_an_outage_and_end_as_one(
    vault_proxy: Proxy, backend: MakeBackend, binding: MakeBinding, team: str, fate: Fate
) -> None:
    store = behind(vault_proxy, backend)
    store.wait_ready()
    vault_proxy.behaviour = lambda _: fate
    bound = binding(team, store)
    bound.wait_refused("BackendUnreachable")
    vault_proxy.behaviour = lambda _: Fate.PASS
    mark = vault_proxy.mark()
    bound.wait_ready(LONG)
    assert len(vault_proxy.since(mark)) <= AFTERWARDS


def test_a_store_unreachable_at_the_start_is_told_and_heals(
    vault_proxy: Proxy, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    vault_proxy.behaviour = lambda _: Fate.CUT
    store = behind(vault_proxy, backend)
    bound = binding(team, store)
    store.wait_condition("Ready", "False", "BackendUnreachable")
    bound.wait_refused("BackendUnreachable")
    vault_proxy.behaviour = lambda _: Fate.PASS
    store.wait_ready(LONG)
    bound.wait_ready(LONG)
    assert sum(each.path.endswith("/login") for each in vault_proxy.requests) <= 15


def test_while_a_store_is_down_its_bindings_do_not_press_on_it(
    vault_proxy: Proxy, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = behind(vault_proxy, backend)
    store.wait_ready()
    vault_proxy.behaviour = lambda _: Fate.CUT
    mark = vault_proxy.mark()
    crowd = [binding(team, store) for _ in range(25)]
    for each in crowd:
        each.wait_refused("BackendUnreachable")
    # Three failures make an outage; those under way end, and then only the probe asks.
    assert len(vault_proxy.since(mark)) <= 16 + 25
    vault_proxy.behaviour = lambda _: Fate.PASS
    for each in crowd:
        each.wait_ready(LONG)


def test_answers_of_ten_seconds_are_waited_for_where_the_backend_permits_and_hold_nobody_else(
    vault_proxy: Proxy, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = behind(vault_proxy, backend, timeout="100s")
    store.wait_ready()
    quick = backend()
    seen = threading.Event()

    def slow(request: Request) -> Fate:
        if request.method == "POST" and "sys/policies" in request.path:
            vault_proxy.pause(10.0)
            seen.wait(60)  # on a slow machine it takes longer than that to look at the other one
        return Fate.PASS

    vault_proxy.behaviour = slow
    patient = binding(team, store)
    eventually("the slow write is under way", lambda: any("sys/policies/acl/" in r.path for r in vault_proxy.requests))
    binding(team, quick).wait_ready()
    assert patient.conditions()["Ready"]["reason"] == "Pending"
    seen.set()
    patient.wait_ready(LONG)


def test_answers_of_ten_seconds_are_an_outage_where_the_backend_does_not_wait_so_long(
    vault_proxy: Proxy, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = behind(vault_proxy, backend)
    store.wait_ready()

    def slow(_: Request) -> Fate:
        vault_proxy.pause(10.0)
        return Fate.PASS

    vault_proxy.behaviour = slow
    bound = binding(team, store)
    condition = bound.wait_refused("BackendUnreachable")
    assert "time ran out" in condition["message"]
    vault_proxy.behaviour = lambda _: Fate.PASS
    bound.wait_ready(LONG)
