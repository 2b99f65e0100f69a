"""A store that answers with errors, or goes and comes: the reason is told, nothing is stuck, and no storm follows.

What the operator asked of Vault is read from Vault's own audit log, by its clock. The outages here last
seconds, not minutes: what makes them long is how often the operator tries, and its pauses are at their longest
after 15 s for a store and 60 s for a binding (`reconcile/probe.py`, `reconcile/engine.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Backend, Binding
from integration.objects import secret
from integration.world import OPERATOR_LOGIN, Marks, World, eventually
from plane.proxy import Answer, Fate, Proxy

LONG = 90.0
PER_SECOND = 20
CROWD = 60
WINDOW = 5
"""Seconds over which is counted: a busy machine answers late, and then several seconds' worth at once."""
UNDER_WAY = 16
"""Requests that may be under way, and so be answered together after a halt."""
BOUND = (WINDOW + 1) * PER_SECOND + UNDER_WAY
"""What may be answered in five seconds by the clock. Without a pace it would be all that there is to do."""


def asked_in(marks: Marks) -> int:
    """Return the most requests of the operator, upkeep included, that Vault answered within five seconds."""
    entries = marks.world.plane.vault.audit.entries(marks.vault)
    moments = sorted(datetime.fromisoformat(each.answered) for each in entries if each.display_name == OPERATOR_LOGIN)
    window = timedelta(seconds=WINDOW)
    return max((sum(first <= each < first + window for each in moments) for first in set(moments)), default=0)


@pytest.fixture
def crowd(vault_proxy: Proxy, backend: MakeBackend, binding: MakeBinding, team: str) -> tuple[Backend, list[Binding]]:
    """Return a slow-paced backend behind the proxy, and many Ready bindings of it."""
    requests = {"timeout": "2s", "perSecond": PER_SECOND}
    store = backend(vault={"address": vault_proxy.address}, requests=requests)
    made = [binding(team, store) for _ in range(CROWD)]
    for each in made:
        each.wait_ready(LONG)
    return store, made


def edit(bound: Binding) -> None:
    bound.edit(secrets=[secret(f"{bound.namespace}/connections/{name}", bound.backend, id=name) for name in "ab"])


def answering(status: int, text: bytes = b'{"errors":["no"]}', **headers: str) -> Answer:
    """Return an answer with headers; an underscore in a name is a dash."""
    return Answer(status, text, tuple((name.replace("_", "-"), value) for name, value in headers.items()))


ANSWERS = {
    "429": ((answering(429, Retry_After="2"),), "BackendThrottled"),
    "500 and 503": ((answering(500), answering(503, b"<html>busy</html>", Content_Type="text/html")), "BackendError"),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_store_that_answers_with_errors_is_told_of_and_no_storm_follows(
    vault_proxy: Proxy, world: World, crowd: tuple[Backend, list[Binding]], kind: str
) -> None:
    store, made = crowd
    answers, reason = ANSWERS[kind]
    vault_proxy.behaviour = lambda request: answers[request.number % len(answers)]
    for each in made:
        edit(each)
    for each in made:
        each.wait_refused(reason, LONG)
    store.edit(drift={"interval": "11m"})  # a changed backend is checked at once, and not in half a minute
    store.wait_condition("Ready", "False", reason, LONG)
    vault_proxy.behaviour = lambda _: Fate.PASS
    marks = world.marks()
    for each in made:
        each.wait_ready(LONG)
    store.wait_ready(LONG)
    assert asked_in(marks) <= BOUND
    assert marks.logins() == 0, "the login outlives answers that say nothing of it"
    counts = marks.vault_operations()
    assert counts["update"] == CROWD, "each policy is written once"
    assert counts["read"] <= 4 * CROWD


@pytest.fixture
def broken(other_world: World) -> Iterator[World]:
    """Return the world with a Vault of its own, which is whole again after the test."""
    yield other_world
    vault = other_world.plane.vault
    if vault.process.pid is None:
        vault.start()
    if not vault.healthy():
        vault.unseal()


BREAK: dict[str, tuple[Callable[[World], None], Callable[[World], None], str]] = {
    "restarted": (lambda w: w.plane.vault.stop(), lambda w: w.plane.vault.start(), "BackendUnreachable"),
    "sealed": (lambda w: w.plane.vault.seal(), lambda w: w.plane.vault.unseal(), "BackendSealed"),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", BREAK)
def test_after_an_outage_a_crowd_comes_back_at_its_pace_with_one_login_at_most_and_a_namespace_can_go(
    broken: World, backend: MakeBackend, binding: MakeBinding, make_namespace: Callable[..., str], kind: str
) -> None:
    break_it, mend_it, reason = BREAK[kind]
    staying, going = make_namespace(also=broken), make_namespace(also=broken)
    store = backend(world=broken, requests={"timeout": "2s", "perSecond": PER_SECOND})
    kept = [binding(staying, store, world=broken) for _ in range(CROWD)]
    lost = [binding(going, store, world=broken) for _ in range(5)]
    for each in (*kept, *lost):
        each.wait_ready(LONG)
    break_it(broken)
    broken.delete(f"/api/v1/namespaces/{going}")
    for each in kept:
        edit(each)
    for each in lost:
        eventually("it says what it waits for", partial(blocked_by, each, reason), LONG)
    for each in kept:
        each.wait_refused(reason, LONG)
    store.wait_condition("Ready", "False", reason, LONG)
    marks = broken.marks()
    mend_it(broken)
    broken.wait_gone(f"/api/v1/namespaces/{going}", LONG)
    for each in kept:
        each.wait_ready(LONG)
    store.wait_ready(LONG)
    assert asked_in(marks) <= BOUND
    assert marks.logins() <= 1
    for each in lost:
        assert (broken.policy(each.store_name), broken.role(each.store_name)) == (None, None)


def blocked_by(bound: Binding, reason: str) -> bool:
    """Tell whether a binding that is being deleted says which state of its store it waits for."""
    ready = bound.conditions()["Ready"]
    assert ready["reason"] == "DeletionBlocked", ready
    return reason in ready["message"]
