"""The operator is killed at 100 seeded places in runs of rotations: no value is lost, and none is rotated twice.

A kill is at one request that names one rotation or its secret, held by a proxy: before it is sent on, or when it has
acted and its answer has not been seen. The next process starts on whatever the last one left. Runs are asked for, come
due, meet a version that somebody writes by hand in the middle of them, or lose their rotation there. Versions are
counted against what was asked for. `AIRWARDEN_KILL_SEED` repeats a run.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import pytest

from integration.faults.placed import OWN_TREE, TEAM, Placed, stop_at_nth
from integration.handles import Backend
from integration.rotations import ROTATES, Rotation, make_rotation, permit_rotations, rotating
from integration.world import eventually
from plane.json_client import Json

KILLS: Final = 100
LEAST: Final = 5
"""How often each kind of gap must be hit."""
COUNT: Final = 10
"""Rotations at any time."""
REACHED: Final = 60.0
SETTLED: Final = 240.0
KEPT: Final = 10
"""Versions that the store keeps of a secret."""
PAST: Final = "2020-06-01T00:00:00Z"
GENERATED: Final = re.compile(r"[A-Za-z0-9]{32}")
Act = Literal["ask", "come due", "write by hand", "delete"]
Server = Literal["Vault", "API server"]
PLACES: Final[dict[tuple[Act, Server], int]] = {
    ("ask", "Vault"): 4,  # metadata, subkeys, the value, the mark
    ("ask", "API server"): 3,  # record, report, Event
    ("come due", "Vault"): 4,
    ("come due", "API server"): 3,
    ("write by hand", "Vault"): 4,
    ("write by hand", "API server"): 2,
    ("delete", "Vault"): 4,
    ("delete", "API server"): 2,
}
"""How many requests of a run name its rotation or secret: each of them may be the place of a kill."""


@dataclass(frozen=True)
class Kind:
    """One kind of gap."""

    act: Act
    server: Server
    after: bool

    def __str__(self) -> str:
        return f"{self.act}, {self.server}, {'after it acted' if self.after else 'before it is sent'}"


KINDS: Final = tuple(Kind(act, server, after) for act, server in PLACES for after in (False, True))


@dataclass
class Ledger:
    """One rotation, and what was asked of it."""

    handle: Rotation
    word: str = ""
    """The last word that asked for a run."""
    runs: int = 0
    """How many runs were asked for or came due."""
    skipped: int = 0
    """How many of them may have met a version made by hand, and then write nothing."""
    hands: dict[int, str] = field(default_factory=dict)
    """Versions that were written by hand."""

    @property
    def versions(self) -> range:
        """How many versions the secret may have."""
        most = 1 + self.runs + len(self.hands)
        return range(most - self.skipped, most + 1)

    def settled(self, body: Json | None) -> bool:
        """Tell whether all that was asked for is done with."""
        status = (body or {}).get("status") or {}
        ready = next((each["status"] for each in status.get("conditions", ()) if each["type"] == "Ready"), "")
        done = status.get("handledRequest", "") == self.word and status.get("handledSlot") != PAST
        return ready == "True" and done and "run" not in status


@dataclass
class Runs:
    """All rotations."""

    placed: Placed
    chance: random.Random
    store: Backend
    live: dict[str, Ledger] = field(default_factory=dict)
    gone: list[Ledger] = field(default_factory=list)
    made: int = 0

    def make(self) -> None:
        """Make one more rotation."""
        self.made += 1
        name = f"kills-{self.made:03}"
        schedule = "0 3 1 1 *"
        self.live[name] = Ledger(make_rotation(self.placed.world, TEAM, self.store, name, schedule=schedule))

    def settled(self) -> list[Ledger]:
        """Return the rotations that have done all that they were asked."""
        return [each for each in self.live.values() if each.settled(self.placed.world.get(each.handle.path))]

    def all_settled(self) -> bool:
        """Fail unless all have."""
        waiting = set(self.live) - {each.handle.name for each in self.settled()}
        assert not waiting, [(name, self.placed.world.get(self.live[name].handle.path)) for name in sorted(waiting)][:2]
        return True


@pytest.fixture
def seed() -> int:
    """Return the seed of this run."""
    given = os.environ.get("AIRWARDEN_KILL_SEED", "")
    return int(given) if given else random.SystemRandom().randrange(10**6)


@pytest.fixture
def runs(placed: Placed, seed: int) -> Iterator[Runs]:
    """Return the first rotations, all settled."""
    permit_rotations(placed.world)
    placed.run()
    store = placed.backend(**rotating(allow=[{**OWN_TREE, "operations": list(ROTATES)}]))
    store.wait_ready()
    made = Runs(placed, random.Random(seed), store)  # noqa: S311 - a run that can be repeated
    for _ in range(COUNT):
        made.make()
    eventually("the first rotations are Ready", made.all_settled, SETTLED)
    yield made
    placed.run()
    for each in made.live.values():
        placed.world.delete(each.handle.path)


@pytest.mark.timeout(1800)
def test_after_a_hundred_kills_no_value_is_lost_and_none_was_rotated_twice(
    runs: Runs, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()

    def tell(words: str) -> None:
        with capsys.disabled():
            print(f"kills: {time.monotonic() - begun:4.0f} s: {words}", flush=True)

    tell(f"seed {seed}; AIRWARDEN_KILL_SEED={seed} repeats it")
    hits: Counter[Kind] = Counter()
    for number, kind in enumerate(plan_of(runs.chance), 1):
        kill(runs, kind, f"word-{number}", away=number % 2 == 0)
        hits[kind] += 1
        if number % 10 == 0:
            tell(f"{number} of {KILLS}, {len(runs.gone)} rotations deleted")
    for each in KINDS:
        tell(f"{hits[each]:3} times {each}")
    assert hits.total() == KILLS
    assert min(hits[each] for each in KINDS) >= LEAST

    runs.placed.run()
    eventually("every run is done with", runs.all_settled, SETTLED)
    for ledger in runs.live.values():
        hold_to_it(ledger)
    for ledger in runs.gone:
        assert ledger.handle.version() in ledger.versions, ledger
    tell("every secret has the versions that were asked for, and its newest value")


def plan_of(chance: random.Random) -> list[Kind]:
    """Return the kinds of all kills in their order: each equally often."""
    kinds = [KINDS[number % len(KINDS)] for number in range(KILLS)]
    chance.shuffle(kinds)
    return kinds


def kill(runs: Runs, kind: Kind, word: str, *, away: bool) -> None:
    """Have one rotation run, kill the operator at one of the requests, and leave everything as it is."""
    placed = runs.placed
    target = a_settled_one(runs, away=away)
    nth = runs.chance.randint(1, PLACES[kind.act, kind.server])
    stop = stop_at_nth(target.handle.name, nth, after=kind.after)
    server = placed.vault if kind.server == "Vault" else placed.api
    if away:
        placed.operator.kill()
    server.behaviour = stop
    begin(target, kind, word)
    if away:
        placed.operator.start(wait=False)
    assert stop.reached.wait(REACHED), f"{kind} of {target.handle.name}: the request never came\n{target.handle.body()}"
    placed.kill_at(stop)
    target.runs += 1
    if kind.act == "write by hand":
        target.skipped += 1
        value = f"by-hand-{word}"
        target.handle.write(user="billing", password=value)
        target.hands[target.handle.version()] = value
    elif kind.act == "delete":
        target.skipped += 1
        placed.world.delete(target.handle.path)
        runs.gone.append(runs.live.pop(target.handle.name))
        runs.make()


def begin(target: Ledger, kind: Kind, word: str) -> None:
    """Ask for a run, or let one come due."""
    if kind.act == "come due":
        status = {**target.handle.status(), "handledSlot": PAST}
        target.handle.world.merge(f"{target.handle.path}/status", {"status": status})
        return
    target.word = word
    target.handle.ask(word)


def a_settled_one(runs: Runs, *, away: bool) -> Ledger:
    """Return a rotation with nothing left to do; while the operator runs, one that it has just looked at."""
    placed = runs.placed
    mark = placed.vault.mark()
    started = not placed.operator.running
    if started and not (away and len(runs.settled()) >= COUNT // 2):
        placed.operator.start()
    eventually("some rotations are settled", lambda: len(runs.settled()) >= COUNT // 3, SETTLED)
    target = runs.chance.choice(runs.settled())
    if not placed.operator.running or not started:
        return target
    looked = f"/v1/airflow/subkeys/{target.handle.key}"

    def looked_at() -> bool:
        asked = [each.number for each in placed.vault.since(mark) if each.path.partition("?")[0] == looked]
        return any(number in placed.vault.answers for number in asked)

    eventually(f"{target.handle.name} was looked at since the start", looked_at, SETTLED)
    return target


def hold_to_it(ledger: Ledger) -> None:
    """Fail unless the secret has as many versions as were asked for, and the newest is nobody's lost one."""
    handle = ledger.handle
    version, last = handle.version(), handle.status()["lastRun"] if ledger.runs else {}
    assert version in ledger.versions, (handle.name, version, ledger, last)
    values = handle.values()
    assert values["user"] == "billing"
    if version in ledger.hands:
        assert values["password"] == ledger.hands[version]
    elif ledger.runs:
        assert GENERATED.fullmatch(values["password"]), handle.name
        assert handle.metadata()["custom_metadata"]["airwarden.dev/run"] == last["id"]
        assert (last["result"], last["version"]) == ("Succeeded", version)
    else:
        assert values == handle.before
    kept = range(version - KEPT + 1, version + 1)
    for number, value in ((each, ledger.hands[each]) for each in kept if each in ledger.hands):
        held = handle.world.plane.vault.request("GET", f"airflow/data/{handle.key}?version={number}")["data"]
        assert held["data"]["password"] == value, "a version made by hand is as it was"
