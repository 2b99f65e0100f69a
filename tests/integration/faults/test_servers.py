"""The API server goes and comes, the operator's token file changes, its process is asked to end: work goes on."""

from __future__ import annotations

import base64
import json

import pytest

from integration.faults.placed import HEALED, TEAM, Placed
from integration.handles import Backend, Binding
from integration.objects import account_path, secret
from integration.world import eventually
from plane.operator import AUDIENCE
from plane.proxy import Fate, Request, pass_all


@pytest.fixture
def bound(placed: Placed) -> Binding:
    """Return a Ready binding of a running operator."""
    placed.run()
    store = placed.backend()
    found = placed.binding(store)
    found.wait_ready(HEALED)
    return found


def edit(bound: Binding, name: str) -> None:
    bound.edit(secrets=[secret(f"{TEAM}/connections/{name}", bound.backend, id=name)])


def test_after_a_restart_of_the_api_server_the_operator_goes_on_by_itself(placed: Placed, bound: Binding) -> None:
    plane = placed.world.plane
    pid = placed.operator.pid
    plane.api.stop()
    plane.api.start()
    edit(bound, "after")
    eventually("the edit is made", lambda: "connections/after" in (placed.world.policy(bound.store_name) or ""), HEALED)
    bound.wait_ready(HEALED)
    assert placed.operator.pid == pid


@pytest.mark.parametrize("fate", [Fate.CUT, Fate.LOSE, Fate.TRUNCATE], ids=lambda each: each.name.lower())
def test_writes_to_the_api_server_that_break_off_are_made_in_the_end(
    placed: Placed, bound: Binding, fate: Fate
) -> None:
    broken: list[Request] = []

    def break_writes(request: Request) -> Fate:
        if request.method == "PATCH" and bound.name in request.path and len(broken) < 3:
            broken.append(request)
            return fate
        return Fate.PASS

    placed.api.behaviour = break_writes
    edit(bound, f"broken-{fate.name.lower()}")
    eventually("three writes broke off, or the first was made", lambda: broken)
    bound.wait_ready(HEALED)
    placed.api.behaviour = pass_all
    assert f"broken-{fate.name.lower()}" in (placed.world.policy(bound.store_name) or "")


def subject(jwt: str) -> str:
    """Return the id of a token: each one has its own."""
    payload = jwt.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"])


def test_a_login_reads_the_token_file_anew(placed: Placed, bound: Binding) -> None:
    before = (placed.operator.tokens / AUDIENCE).read_text()
    placed.operator.write_token()
    after = (placed.operator.tokens / AUDIENCE).read_text()
    assert subject(before) != subject(after)
    mark = placed.vault.mark()
    # A new backend is a new login.
    second = placed.backend()
    second.wait_ready(HEALED)
    logins = [each for each in placed.vault.since(mark) if each.path.endswith("/login")]
    assert [subject(json.loads(each.body)["jwt"]) for each in logins] == [subject(after)]
    edit(bound, "rotated")
    bound.wait_ready(HEALED)


def test_a_token_file_that_is_away_is_told_and_healed(placed: Placed, bound: Binding) -> None:
    path = placed.operator.tokens / AUDIENCE
    content = path.read_text()
    path.unlink()
    store: Backend = placed.backend()
    condition = store.wait_condition("Ready", "False", "BackendMisconfigured", HEALED)
    assert str(path) in condition["message"]
    path.write_text(content)
    store.wait_ready(HEALED)
    assert bound.conditions()["Ready"]["status"] == "True"


def test_an_operator_that_was_away_takes_away_what_was_deleted_and_tightened_meanwhile(
    placed: Placed, bound: Binding
) -> None:
    other = placed.binding(Backend(placed.world, bound.backend))
    other.wait_ready(HEALED)
    placed.operator.stop()
    bound.delete()
    Backend(placed.world, bound.backend).edit(allow=[])
    placed.operator.start()
    bound.wait_gone(HEALED)
    other.wait_refused("KeyNotAllowed", HEALED)
    for each in (bound, other):
        assert placed.world.policy(each.store_name) is None
        assert placed.world.role(each.store_name) is None
    assert placed.world.get(account_path(TEAM, bound.account)) is None


def test_at_its_end_the_operator_revokes_its_logins(placed: Placed, bound: Binding) -> None:
    edit(bound, "last")
    bound.wait_ready(HEALED)
    mark = placed.vault.mark()
    assert placed.operator.stop() == 0
    assert any(each.what == "POST /v1/auth/token/revoke-self" for each in placed.vault.since(mark))
