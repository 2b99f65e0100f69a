"""Watches break, expire and are refused, the API server restarts, etcd forgets: nothing is lost, nothing flaps.

The operator's watches go through a proxy, which can keep them from it while everything else passes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from integration.faults.placed import TEAM, Placed
from integration.handles import Backend, Binding
from integration.objects import account_path, binding_path, secret
from integration.world import eventually
from plane.proxy import Answer, Fate, Request, pass_all

LONG = 90.0
"""Seconds: a gap is looked back at 5 s after its end, and in the first 30 s after a start not at all."""
KINDS = 5
"""Backends, bindings, rotations, namespaces and accounts are watched."""


def is_watch(request: Request) -> bool:
    """Tell whether a request asks for a watch, or for the whole list that one begins with."""
    where, _, query = request.path.partition("?")
    collection = where.rpartition("/")[2] in {
        "airflowsecretbindings",
        "airflowsecretbackends",
        "airflowsecretrotations",
        "namespaces",
        "serviceaccounts",
    }
    return request.method == "GET" and collection and ("watch=" in query or "limit=" in query)


def refuse_watches(request: Request) -> Fate:
    return Fate.CUT if is_watch(request) else Fate.PASS


@pytest.fixture
def settled(placed: Placed) -> Iterator[tuple[Placed, Backend, list[Binding]]]:
    """Return a running operator with Ready bindings; nothing of them is left in the end."""
    placed.run()
    store = placed.backend()
    made = [placed.binding(store) for _ in range(4)]
    for each in made:
        each.wait_ready(LONG)
    log = placed.operator.log.stat().st_size
    yield placed, store, made
    placed.api.behaviour = pass_all
    if placed.world.plane.api.apiserver.pid is None:
        placed.world.plane.api.start()
    for each in made:
        each.delete()
    for each in made:
        each.wait_gone(LONG)
    with placed.operator.log.open("rb") as lines:
        lines.seek(log)
        assert b"Traceback" not in lines.read()


def expire(placed: Placed) -> None:
    """Make every place in every watch one that the API server has forgotten."""
    api = placed.world.plane.api
    api.stop()
    api.compact()
    api.start()


@pytest.mark.timeout(300)
def test_what_is_deleted_made_and_edited_while_the_watches_are_away_is_found_after_they_expired(
    settled: tuple[Placed, Backend, list[Binding]],
) -> None:
    placed, store, (kept, edited, bare, lost) = settled
    world = placed.world
    pid = placed.operator.pid
    placed.api.behaviour = refuse_watches
    placed.api.cut_connections()
    before = bare.service_account()
    assert before is not None
    world.delete(account_path(TEAM, bare.account))
    world.merge(lost.path, {"metadata": {"finalizers": []}})
    world.delete(lost.path)
    world.wait_gone(lost.path)
    edited.edit(secrets=[secret(f"{TEAM}/connections/other", store.name)])
    late = placed.binding(store)
    untouched = kept.body()
    expire(placed)
    mark = placed.api.mark()
    placed.api.behaviour = pass_all

    edited.wait_ready(LONG)
    late.wait_ready(LONG)
    assert "connections/other" in (world.policy(edited.store_name) or "")
    account = eventually("the account is made again", bare.service_account, LONG)
    assert account["metadata"]["uid"] != before["metadata"]["uid"]
    eventually("the policy of the lost binding goes", lambda: world.policy(lost.store_name) is None, LONG)
    eventually("its role goes", lambda: world.role(lost.store_name) is None, LONG)
    eventually("its account goes", lambda: lost.service_account() is None, LONG)
    bare.wait_ready(LONG)
    assert placed.operator.pid == pid
    assert kept.body() == untouched, "what nobody touched, the operator does not touch either"
    assert relists(placed, mark) <= 4 * KINDS, "a list for each watch, one to look back, and a few that met a start"
    late.delete()
    late.wait_gone(LONG)


def relists(placed: Placed, mark: int) -> int:
    """Return how often a whole collection was listed since a mark."""
    return sum("limit=" in each.path and "continue=" not in each.path for each in placed.api.since(mark))


@pytest.mark.timeout(300)
def test_bindings_made_and_edited_while_the_api_server_restarts_are_all_ready_and_none_flaps(
    settled: tuple[Placed, Backend, list[Binding]],
) -> None:
    placed, store, made = settled
    world = placed.world
    pid = placed.operator.pid
    untouched = [each.body() for each in made[2:]]
    late = [placed.binding(store) for _ in range(10)]
    made[0].edit(secrets=[secret(f"{TEAM}/connections/before", store.name)])
    mark = placed.api.mark()
    world.plane.api.stop()
    world.plane.api.start()
    made[1].edit(secrets=[secret(f"{TEAM}/connections/after", store.name)])
    late += [placed.binding(store) for _ in range(5)]
    for each in (*made, *late):
        each.wait_ready(LONG)
    assert placed.operator.pid == pid
    for each, key in ((made[0], "before"), (made[1], "after")):
        assert f"connections/{key}" in (world.policy(each.store_name) or "")
    assert [each.body() for each in made[2:]] == untouched
    for each in late:
        assert {reason for _, reason, _ in each.events()} <= {"Ready"}, "Ready comes once and stays"
    assert relists(placed, mark) <= 4 * KINDS
    for each in late:
        each.delete()
    for each in late:
        each.wait_gone(LONG)


@pytest.mark.timeout(300)
def test_watches_that_are_refused_for_longer_than_kopf_tries_leave_the_operator_running(
    settled: tuple[Placed, Backend, list[Binding]],
) -> None:
    placed, store, made = settled
    pid = placed.operator.pid
    refused: Counter[str] = Counter()
    statuses = (403, 503, 429, 500)

    def refuse(request: Request) -> Fate | Answer:
        if not is_watch(request):
            return Fate.PASS
        refused[request.what] += 1
        status = statuses[refused[request.what] % len(statuses)]
        return Answer(status, b'{"kind":"Status","status":"Failure"}', (("Content-Type", "application/json"),))

    placed.api.behaviour = refuse
    placed.api.cut_connections()
    where = binding_path("x").replace("/namespaces/x", "")
    # kopf's own list of pauses would have ended after five: then it ends the operator.
    eventually("more tries than five were refused", lambda: refused[f"GET {where}"] >= 7, LONG)
    made[0].edit(secrets=[secret(f"{TEAM}/connections/meanwhile", store.name)])
    placed.api.behaviour = pass_all
    made[0].wait_ready(LONG)
    assert placed.operator.pid == pid
