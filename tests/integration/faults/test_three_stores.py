"""Of three stores one hangs: it accepts every request and answers none. The other two are as quick as ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Backend
from integration.objects import secret
from integration.world import World, eventually
from plane.proxy import Hang, Proxy, pass_all

LONG = 90.0
PATIENCE = "120s"
"""Longer than any test here takes: no request to the hung store ends before it is let go."""


@pytest.fixture
def hung(vault_proxy: Proxy, backend: MakeBackend) -> Iterator[tuple[Backend, Hang]]:
    """Return a backend of which every request hangs from now on."""
    store = backend(vault={"address": vault_proxy.address}, requests={"timeout": PATIENCE})
    hang = Hang()
    vault_proxy.behaviour = hang
    yield store, hang
    vault_proxy.behaviour = pass_all
    hang.release()


@pytest.mark.timeout(240)
def test_fifty_bindings_of_the_other_two_are_made_edited_and_deleted_while_every_request_to_it_hangs(
    vault_proxy: Proxy,
    world: World,
    backend: MakeBackend,
    binding: MakeBinding,
    team: str,
    hung: tuple[Backend, Hang],
) -> None:
    store, hang = hung
    others = [backend(), backend()]
    waiting = [binding(team, store) for _ in range(30)]
    eventually("requests hang", lambda: hang.held >= 1, LONG)
    marks = world.marks()
    fine = [binding(team, others[number % 2]) for number in range(50)]
    for each in fine:
        each.wait_ready(LONG)
    for each in fine[:10]:
        each.edit(secrets=[secret(f"{team}/connections/other", each.backend)])
    for each in fine[:10]:
        each.wait_ready(LONG)
    for each in fine[10:20]:
        each.delete()
    for each in fine[10:20]:
        each.wait_gone(LONG)
    assert hang.held >= 1, "all this while the store hung"
    for each in fine[20:]:
        assert marks.patches(each.name) == ["metadata", "status", "status"], "no more work than without the hung one"
    assert marks.logins() == 0
    assert not any(each.conditions().get("Ready", {}).get("status") == "True" for each in waiting)
    assert requests.get(f"http://127.0.0.1:{world.operator.port}/healthz", timeout=5).status_code == 200
    vault_proxy.behaviour = pass_all
    hang.release()
    for each in waiting:
        each.wait_ready(LONG)


@pytest.mark.timeout(240)
def test_a_binding_of_a_hung_and_a_healthy_store_has_what_the_healthy_one_gives_and_says_what_it_waits_for(
    vault_proxy: Proxy, world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    healthy = backend()
    store = backend(vault={"address": vault_proxy.address}, requests={"timeout": "2s"})
    hang = Hang()
    vault_proxy.behaviour = hang
    for key in ("a", "b"):
        world.write_secret(f"{team}/{key}")
    wanted = [secret(f"{team}/a", healthy.name, id="a"), secret(f"{team}/b", store.name, id="b")]
    made = binding(team, healthy, secrets=wanted)
    ready = made.wait_refused("BackendUnreachable", LONG)
    assert store.name in ready["message"]
    assert {each["id"]: each["state"] for each in made.status()["secrets"]} == {"a": "Granted", "b": "Failed"}
    token = world.login(team, made.account, made.name_at(healthy.name))
    assert [world.may_read(token, f"{team}/{key}") for key in "ab"] == [True, False]
    vault_proxy.behaviour = pass_all
    hang.release()
    made.wait_ready(LONG)
    assert world.may_read(world.login(team, made.account, made.name_at(store.name)), f"{team}/b")
