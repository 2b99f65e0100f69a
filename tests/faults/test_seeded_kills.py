"""The operator is killed at 200 seeded places in the life of a hundred bindings: `make test-faults`.

A kill is at one request that names one binding, held by a proxy: before it is sent on, or when it has acted and
its answer has not been seen. The next process starts at once, on whatever the last one left, and is killed at
another binding; nothing settles in between. Half of the acts are done while the operator runs, the other half
while it is away. `AIRWARDEN_KILL_SEED` repeats a run.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import pytest

from faults.mix import Declared, Mix, hold_cluster_to_it, hold_readers_to_it, hold_vault_to_it, hold_vault_to_the_domain
from integration.faults.placed import Placed, stop_at_nth
from integration.world import eventually

KILLS: Final = 200
LEAST: Final = 5
"""How often each kind of gap must be hit."""
START: Final = 50
"""Bindings that are there before the first kill; the kills make as many more."""
REACHED: Final = 30.0
SETTLED: Final = 240.0
Act = Literal["create", "edit", "tighten", "delete"]
Server = Literal["Vault", "API server"]
PLACES: Final[dict[tuple[Act, Server], int]] = {
    ("create", "Vault"): 2,  # policy, role; the two lists name no binding
    ("create", "API server"): 5,  # finalizer, Pending, account, status, Event
    ("edit", "Vault"): 3,  # two reads, policy
    ("edit", "API server"): 1,  # status
    ("tighten", "Vault"): 4,  # two reads, policy, role
    ("tighten", "API server"): 2,  # status, Event
    ("delete", "Vault"): 4,  # two reads, policy, role
    ("delete", "API server"): 3,  # account read, account, finalizer
}
"""How many requests of an act name its binding: each of them may be the place of a kill."""


@dataclass(frozen=True)
class Kind:
    """One kind of gap."""

    act: Act
    server: Server
    after: bool

    def __str__(self) -> str:
        return f"{self.act}, {self.server}, {'after it acted' if self.after else 'before it is sent'}"


KINDS: Final = tuple(Kind(act, server, after) for act, server in PLACES for after in (False, True))


@pytest.fixture
def seed() -> int:
    """Return the seed of this run."""
    given = os.environ.get("AIRWARDEN_KILL_SEED", "")
    return int(given) if given else random.SystemRandom().randrange(10**6)


@pytest.fixture
def mix(placed: Placed, seed: int) -> Iterator[Mix]:
    """Return half of the bindings, all Ready."""
    placed.run()
    made = Mix(placed, random.Random(seed))  # noqa: S311 - a run that can be repeated
    for _ in range(START):
        made.create()
    eventually("the first bindings are Ready", made.settled, SETTLED)
    yield made
    placed.run()
    for each in list(made.bindings.values()):
        made.delete(each)
    eventually("all are gone", made.settled, SETTLED)


def plan_of(chance: random.Random) -> list[Kind]:
    """Return the kinds of all kills in their order: each equally often."""
    kinds = [KINDS[number % len(KINDS)] for number in range(KILLS)]
    chance.shuffle(kinds)
    return kinds


@pytest.mark.timeout(1500)
def test_after_two_hundred_kills_vault_and_kubernetes_hold_exactly_what_the_bindings_say(
    mix: Mix, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()

    def tell(words: str) -> None:
        with capsys.disabled():
            print(f"kills: {time.monotonic() - begun:4.0f} s: {words}", flush=True)

    tell(f"seed {seed}; AIRWARDEN_KILL_SEED={seed} repeats it")
    hits: Counter[Kind] = Counter()
    for number, kind in enumerate(plan_of(mix.chance), 1):
        kill(mix, kind, away=number % 2 == 0)
        hits[kind] += 1
        if number % 20 == 0:
            tell(f"{number} of {KILLS}, {len(mix.bindings)} bindings, {len(mix.deleted)} deleted")
    for each in KINDS:
        tell(f"{hits[each]:3} times {each}")
    assert hits.total() == KILLS
    assert min(hits[each] for each in KINDS) >= LEAST
    assert mix.made >= 2 * START

    mix.placed.operator.start()
    eventually("every binding says what is so of it", mix.settled, SETTLED)
    tell("settled; comparing")
    hold_vault_to_it(mix)
    hold_vault_to_the_domain(mix)
    hold_cluster_to_it(mix)
    hold_readers_to_it(mix, 12)
    tell("Vault and Kubernetes hold exactly what the bindings say")


def kill(mix: Mix, kind: Kind, *, away: bool) -> None:
    """Do one act on one binding, kill the operator at one of its requests, and leave everything as it is."""
    placed = mix.placed
    target = None if kind.act == "create" else a_settled_one(mix, away=away)
    name = f"mix-{mix.made + 1:03}" if target is None else target.handle.name
    if not away and not placed.operator.running:
        placed.operator.start()
    nth = mix.chance.randint(1, PLACES[kind.act, kind.server])
    stop = stop_at_nth(name, nth, after=kind.after)
    marks = placed.vault.mark(), placed.api.mark()
    server = placed.vault if kind.server == "Vault" else placed.api
    if away:
        placed.operator.kill()
    server.behaviour = stop
    act(mix, kind.act, target)
    if away:
        placed.operator.start(wait=False)
    assert stop.reached.wait(REACHED), what_came(mix, f"{kind} of {name}, {nth}, away: {away}", name, marks)
    placed.kill_at(stop)


def what_came(mix: Mix, wanted: str, name: str, marks: tuple[int, int]) -> str:
    """Return what there is to say of a request that never came."""
    placed = mix.placed
    since = [*placed.vault.since(marks[0]), *placed.api.since(marks[1])]
    came = [each.what for each in since if name in each.path or name.encode() in each.body]
    body = next((each for each in mix.bodies() if each["metadata"]["name"] == name), None)
    log = [line for line in placed.operator.log.read_text().splitlines() if name in line][-5:]
    return "\n".join([f"{wanted}: the request never came", *came, f"{body}", *log, placed.operator.tail(8)])


def act(mix: Mix, what: Act, target: Declared | None) -> None:
    """Do one act."""
    if target is None:
        mix.create()
    elif what == "edit":
        mix.edit(target)
    elif what == "tighten":
        mix.tighten(target)
    else:
        mix.delete(target)


def a_settled_one(mix: Mix, *, away: bool) -> Declared:
    """Return a Ready binding; of one that is to change before the operator's eyes, it has just seen that it is."""
    placed = mix.placed
    mark = placed.vault.mark()
    settled = placed.operator.running  # only before the first kill
    if not settled and not (away and len(mix.ready()) >= START // 2):
        placed.operator.start()
    eventually("enough bindings are Ready", lambda: len(mix.ready()) >= START // 5, SETTLED)
    target = mix.chance.choice(mix.ready())
    if away or settled:
        return target
    role = f"/v1/auth/kubernetes/role/{target.handle.store_name}"

    def looked_at() -> bool:
        asked = [each.number for each in placed.vault.since(mark) if each.path == role]
        return any(number in placed.vault.answers for number in asked)

    eventually(f"{target.handle.name} was looked at since the start", looked_at, SETTLED)
    return target
