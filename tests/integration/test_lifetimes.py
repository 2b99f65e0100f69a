"""Access that ends at a moment: measured by what Vault refuses, also across a restart and an outage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from integration.conftest import MakeBackend, MakeBinding
from integration.handles import Binding
from integration.objects import rule, secret
from integration.world import World, eventually
from plane.errors import PlaneHTTPError

PATIENCE = 60.0
"""Seconds, far below the time between two drift checks: what ends within them was ended by its own turn.

How soon after its end, `make bench` measures (design section 2, rule 10)."""


def in_seconds(seconds: float) -> datetime:
    """Return the whole second that lies so long from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def overdue(moment: datetime) -> float:
    """Return how many seconds a moment has passed."""
    return (datetime.now(UTC) - moment).total_seconds()


def wait_refused_from(world: World, token: str, key: str, end: datetime) -> None:
    """Read until Vault refuses, which it may do only from the end on."""
    eventually("Vault refuses the live token", lambda: not world.may_read(token, key), PATIENCE)
    assert overdue(end) >= 0, "it was refused before the end"


def live_token(bound: Binding, seconds: float) -> tuple[str, datetime]:
    """Log in for an hour, and only then let the access end so soon; return token and end."""
    bound.wait_ready()
    token = bound.login()
    end = in_seconds(seconds)
    bound.edit(access={"notAfter": text(end)})
    bound.wait_ready()
    return token, end


def key_of(team: str) -> str:
    return f"{team}/connections/warehouse"


def role_of(world: World, bound: Binding) -> tuple[int, int]:
    role = world.role(bound.store_name)
    assert role is not None
    return role["token_ttl"], role["token_max_ttl"]


def lasts(world: World, bound: Binding, seconds: int) -> bool:
    return role_of(world, bound) == (seconds, seconds)


def test_a_live_token_is_refused_from_the_end_on_and_the_account_stays(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    world.write_secret(key_of(team))
    bound = binding(team, backend())
    token, end = live_token(bound, 20)
    assert bound.wait_ready()["effective"]["notAfter"] == text(end)
    assert world.may_read(token, key_of(team))
    wait_refused_from(world, token, key_of(team), end)
    ready = bound.wait_refused("Expired")
    assert text(end) in ready["message"]
    assert {kind: each["status"] for kind, each in bound.conditions().items()} == {"Ready": "False", "Stalled": "True"}
    assert (world.policy(bound.store_name), world.role(bound.store_name)) == (None, None)
    assert bound.service_account() is not None
    with pytest.raises(PlaneHTTPError, match="invalid role name"):
        bound.login()
    bound.edit(access={"notAfter": text(in_seconds(3600))})
    bound.wait_ready()
    assert world.may_read(bound.login(), key_of(team))
    assert [reason for _, reason, _ in bound.events()] == ["Ready", "Expired", "Ready"]


def test_a_login_gets_shorter_as_the_end_nears_in_one_write_and_one_patch_a_step_and_without_drift(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    bound = binding(team, backend(), access={"notAfter": text(in_seconds(72)), "session": {"maxTTL": "60s"}})
    bound.wait_ready()
    assert role_of(world, bound) == (60, 60)
    mark = world.marks()
    for shorter in (30, 15):
        eventually(f"logins last {shorter}s", partial(lasts, world, bound, shorter), PATIENCE)
        token = world.plane.vault.request("GET", "auth/token/lookup-self", token=bound.login())["data"]
        assert token["creation_ttl"] <= shorter
    bound.wait_refused("Expired", PATIENCE)
    counted = mark.vault_operations(bound.store_name)
    assert (counted["update"], counted["create"], counted["delete"]) == (2, 0, 2)
    assert mark.patches(bound.name) == ["status", "status", "status"]
    assert "DriftCorrected" not in [reason for _, reason, _ in bound.events()]
    mark = world.marks()
    other = binding(team, bound.backend)
    other.wait_ready()
    assert mark.patches(bound.name) == []


def test_access_that_ends_while_the_operator_is_away_ends_at_its_start(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    world.write_secret(key_of(team))
    store = backend()
    bound, kept = binding(team, store), binding(team, store)
    kept.wait_ready()
    other = kept.login()
    token, end = live_token(bound, 20)
    world.operator.kill()
    try:
        eventually("the end has passed", lambda: overdue(end) > 0, PATIENCE)
        assert world.may_read(token, key_of(team)), "nobody was there to take it"
    finally:
        world.operator.start()
    eventually("Vault refuses the live token", lambda: not world.may_read(token, key_of(team)), PATIENCE)
    assert world.may_read(other, key_of(team))
    bound.wait_refused("Expired")


def test_access_ends_in_time_after_a_restart_before_the_end(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    world.write_secret(key_of(team))
    bound = binding(team, backend())
    token, end = live_token(bound, 40)
    world.operator.kill()
    world.operator.start()
    wait_refused_from(world, token, key_of(team), end)


def test_access_that_ends_while_its_store_is_away_goes_as_soon_as_it_is_back(
    other_world: World, backend: MakeBackend, binding: MakeBinding, make_namespace: Callable[..., str]
) -> None:
    team = make_namespace(also=other_world)
    other_world.write_secret(key_of(team))
    store = backend(world=other_world, requests={"timeout": "2s"})
    end = in_seconds(25)
    bound = binding(team, store, world=other_world, access={"notAfter": text(end)})
    bound.wait_ready()
    other_world.plane.vault.stop()
    try:
        eventually("the end has passed", lambda: overdue(end) > 0, PATIENCE)
        bound.wait_refused("BackendUnreachable", PATIENCE)
    finally:
        other_world.plane.vault.start()
    store.wait_ready(PATIENCE)
    gone = (None, None)
    eventually(
        "policy and role are gone",
        lambda: (other_world.policy(bound.store_name), other_world.role(bound.store_name)) == gone,
    )
    bound.wait_refused("Expired")


def test_a_rule_with_a_lifetime_refuses_what_ends_too_late_names_what_it_admits_and_takes_it_up_in_time(
    world: World, backend: MakeBackend, binding: MakeBinding, team: str
) -> None:
    store = backend(allow=[rule(maxLifetime="1h")])
    endless = binding(team, store)
    message = endless.wait_refused("LifetimeNotAllowed")["message"]
    for part in ("own-tree", "1h", store.name):
        assert part in message
    assert world.policy(endless.store_name) is None
    admitted = message.split("access.notAfter ")[-1].split(" ")[0]
    endless.edit(access={"notAfter": admitted})
    endless.wait_ready()
    late = in_seconds(3600 + 15)
    waiting = binding(team, store, access={"notAfter": text(late)})
    waiting.wait_refused("LifetimeNotAllowed")
    waiting.wait_ready(PATIENCE)
    assert overdue(late - timedelta(hours=1)) >= 0
    kept = binding(team, store, secrets=[secret(f"{team}/a", store.name)], access={"notAfter": text(late)})
    kept.wait_ready()
    store.edit(allow=[rule(maxLifetime="30m")])
    eventually("a shorter lifetime takes access", lambda: world.policy(kept.store_name) is None, PATIENCE)
    kept.wait_refused("LifetimeNotAllowed")
