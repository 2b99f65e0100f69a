"""Access that ends by itself: at the moment, in few writes, also in an outage and after a restart."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pytest

from airwarden.api.fields import seconds
from airwarden.domain.errors import ClusterFailed, Unreachable
from airwarden.domain.lifetime import FLOOR
from airwarden.domain.resources import Address
from unit.reconcile.fakes import Bench, backend_body

NAME = "airwarden.c1.team.billing.vault"
ROLE = Address("vault", "Role", NAME)


def later(bench: Bench, **after: float) -> str:
    """Return the moment that lies so long after now."""
    return (bench.now + timedelta(**after)).strftime("%Y-%m-%dT%H:%M:%SZ")


def end_in(bench: Bench, *keys: str, **after: float) -> datetime:
    """Let the binding's access end so long after now; return the end."""
    text = later(bench, **after)
    bench.declare(*(keys or ("team/db",)), access={"notAfter": text})
    return datetime.fromisoformat(text)


@pytest.fixture
async def ending() -> Bench:
    """Return a world with one Ready binding whose access ends a day later; its journal starts afterwards."""
    bench = Bench()
    end_in(bench, days=1)
    await bench.settle()
    assert bench.ready == ("True", "Ready")
    bench.journal.lines.clear()
    return bench


def shown(bench: Bench) -> dict[str, Any]:
    effective: dict[str, Any] = bench.binding["status"]["effective"]
    return effective


async def test_the_end_is_shown_and_the_pass_says_when_it_is_due_again(ending: Bench) -> None:
    assert shown(ending)["notAfter"] == "2031-05-02T00:00:00Z"
    following = await ending.look()
    assert following.turn is not None
    assert following.turn.at == datetime.fromisoformat("2031-05-01T22:59:55Z")


async def test_to_its_end_a_session_of_an_hour_costs_two_writes_a_step_and_no_drift(ending: Bench) -> None:
    turns = 0
    while (following := await ending.look()).turn is not None:
        before = len(ending.journal.kinds())
        await ending.look()
        assert len(ending.journal.kinds()) == before, "a look between two steps writes nothing"
        ending.now = following.turn.at
        turns += 1
    assert ending.store.contents == {}
    steps = math.ceil(math.log2(3600 / FLOOR))
    assert turns == steps + 1
    assert ending.journal.kinds() == [
        *("Update Role in vault", "PATCH billing status Ready") * steps,
        "Delete Policy in vault",
        "Delete Role in vault",
        "PATCH billing status Expired",
    ]
    assert [each["reason"] for each in ending.api.events] == ["Ready", "Expired"]


async def test_at_no_step_may_a_login_outlive_the_end(ending: Bench) -> None:
    end = datetime.fromisoformat("2031-05-02T00:00:00Z")
    while (following := await ending.look()).turn is not None:
        ending.now = following.turn.at - timedelta(milliseconds=1)
        if ROLE in ending.store.contents:
            longest = int(str(ending.store.contents[ROLE]["max_ttl"]))
            assert ending.now + timedelta(seconds=longest) <= end + timedelta(seconds=FLOOR)
            assert seconds(shown(ending)["sessionMaxTTL"]) == longest
        ending.now = following.turn.at
    assert ending.ready == ("False", "Expired")


async def expired(bench: Bench) -> Bench:
    bench.now = datetime.fromisoformat("2031-05-02T00:00:00Z")
    await bench.look()
    assert bench.ready == ("False", "Expired")
    return bench


async def test_after_the_end_nothing_is_granted_the_account_stays_and_nothing_is_written_again(ending: Bench) -> None:
    await expired(ending)
    assert ending.store.contents == {}
    assert ending.targets == {"ServiceAccount": "Present"}
    assert ending.account() is not None
    conditions = {each["type"]: each["status"] for each in ending.binding["status"]["conditions"]}
    assert conditions == {"Ready": "False", "Stalled": "True"}
    assert ending.binding["status"]["secrets"][0]["reason"] == "Expired"
    assert "effective" not in ending.binding["status"]
    ending.journal.lines.clear()
    for _ in range(3):
        following = await ending.look()
        assert (following.kind, following.turn, following.ending) == ("check", None, False)
    assert ending.journal.kinds() == []


async def test_an_end_moved_later_gives_access_again_and_an_end_moved_to_the_past_takes_it(ending: Bench) -> None:
    await expired(ending)
    end_in(ending, days=1)
    await ending.settle()
    assert ending.ready == ("True", "Ready")
    assert ROLE in ending.store.contents
    end_in(ending, seconds=-60)
    await ending.look()
    assert (ending.ready, ending.store.contents) == (("False", "Expired"), {})


async def test_an_end_that_passes_in_an_outage_is_retried_as_a_removal_and_kept_on_the_record(ending: Bench) -> None:
    ending.store.errors["observe"] = Unreachable("no answer")
    ending.now = datetime.fromisoformat("2031-05-02T00:00:00Z")
    following = await ending.look()
    assert (following.kind, following.ending) == ("retry", True)
    assert ending.ready == ("False", "BackendUnreachable")
    assert ending.targets == {"ServiceAccount": "Present", "Policy": "Present", "Role": "Present"}
    ending.store.errors.clear()
    await ending.look()
    assert (ending.ready, ending.store.contents) == (("False", "Expired"), {})


async def test_access_ends_although_its_backend_can_no_longer_be_read(ending: Bench) -> None:
    """What is allowed need not be known to know that nothing is: but the store must be reached."""
    body = backend_body("vault", ("{namespace}/",), 2)
    ending.backends.learn({**body, "spec": {"type": "Vault"}})
    ending.now = datetime.fromisoformat("2031-05-02T00:00:00Z")
    assert (await ending.look()).ending
    assert ending.ready == ("False", "BackendInvalid")
    ending.backends.learn(backend_body("vault", ("{namespace}/",), 3))
    await ending.look()
    assert (ending.ready, ending.store.contents) == (("False", "Expired"), {})


async def test_an_ended_binding_that_never_had_anything_in_a_missing_backend_waits_for_nothing() -> None:
    bench = Bench()
    bench.declare("team/db", backend="missing", access={"notAfter": later(bench, days=-1)})
    await bench.settle()
    assert bench.ready == ("False", "Expired")
    assert (await bench.look()).kind == "check"


async def test_access_ends_while_the_api_server_is_away(ending: Bench) -> None:
    ending.now = datetime.fromisoformat("2031-05-02T00:00:00Z")
    ending.watch()
    ending.journal.fail_at, ending.journal.error = 4, ClusterFailed("no answer")
    with pytest.raises(ClusterFailed):
        await ending.look()
    assert ending.journal.lines[3] == "PATCH billing status Expired"
    assert ending.store.contents == {}


def limit(bench: Bench, lifetime: str | None) -> None:
    """Give the backend's one rule a lifetime."""
    version = int(bench.backend_bodies["vault"]["metadata"]["resourceVersion"]) + 1
    body = backend_body("vault", ("{namespace}/",), version)
    if lifetime is not None:
        body["spec"]["allow"][0]["maxLifetime"] = lifetime
    bench.backend_bodies["vault"] = body
    bench.backends.learn(body)


async def test_a_rule_that_gets_a_lifetime_takes_what_does_not_end_and_says_what_would_be_admitted() -> None:
    bench = Bench()
    bench.declare("team/db")
    await bench.settle()
    limit(bench, "24h")
    await bench.look()
    assert (bench.ready, bench.store.contents) == (("False", "LifetimeNotAllowed"), {})
    bench.journal.lines.clear()
    bench.now += timedelta(minutes=10)
    await bench.look()
    assert bench.journal.kinds() == [], "the message does not move with the clock"


async def test_a_refusal_that_time_ends_is_due_at_that_time_and_then_granted() -> None:
    bench = Bench()
    limit(bench, "24h")
    end = end_in(bench, days=3)
    await bench.settle()
    assert bench.ready == ("False", "LifetimeNotAllowed")
    following = await bench.look()
    assert following.turn is not None
    assert (following.turn.at, following.turn.tightens) == (end - timedelta(days=1), False)
    bench.now = following.turn.at
    await bench.settle()
    assert bench.ready == ("True", "Ready")
