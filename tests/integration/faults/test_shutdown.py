"""The operator is told to end while it has its hands full: it ends in order, says nothing odd, and loses nothing."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from integration.faults.placed import TEAM, Placed
from integration.handles import Backend, Binding
from integration.objects import account_path, secret
from integration.world import eventually

LONG = 90.0
ROUNDS = 4


LABELS = {"airwarden.dev/binding": "nobody", "airwarden.dev/cluster": "test"}
"""Of accounts that the operator watches; there is no such binding."""


@contextmanager
def changes(bindings: list[Binding]) -> Iterator[None]:
    """Edit bindings and make new accounts that are watched, without a pause, as fast as the API server takes it."""
    world = bindings[0].world
    over = threading.Event()

    def edit() -> None:
        for number in itertools.cycle(range(len(bindings))):
            if over.is_set():
                return
            bound = bindings[number]
            bound.edit(secrets=[secret(f"{TEAM}/connections/{secrets.token_hex(4)}", bound.backend)])

    def make() -> None:
        while not over.is_set():
            name = f"storm-{secrets.token_hex(6)}"
            world.create(account_path(TEAM), {"metadata": {"name": name, "labels": LABELS}})
            world.delete(account_path(TEAM, name))

    threads = [threading.Thread(target=edit), threading.Thread(target=make)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in threads:
            each.join(60)


def writes_much(placed: Placed, mark: int) -> bool:
    """Tell whether some policies were written since a mark."""
    asked = placed.vault.since(mark)
    return sum(each.method == "POST" and "/sys/policies/acl/" in each.path for each in asked) >= 3


@pytest.mark.timeout(300)
def test_ended_in_a_storm_of_changes_it_leaves_with_status_zero_and_no_traceback_and_the_next_one_finishes(
    placed: Placed,
) -> None:
    placed.run()
    store: Backend = placed.backend()
    made = [placed.binding(store) for _ in range(20)]
    for each in made:
        each.wait_ready(LONG)
    begin = placed.operator.log.stat().st_size
    for _ in range(ROUNDS):
        placed.run()
        with changes(made):
            mark = placed.vault.mark()
            eventually("it works on the changes", partial(writes_much, placed, mark), LONG)
            assert placed.operator.stop() == 0
    with placed.operator.log.open() as log:
        log.seek(begin)
        said = log.read()
    for word in ("Traceback", "RuntimeError", "asynchronous generator", "never retrieved", "this is a bug"):
        assert word not in said, said[max(0, said.index(word) - 1500) : said.index(word) + 1500]
    placed.run()
    for each in made:
        each.wait_ready(LONG)
    for each in made:
        each.delete()
    for each in made:
        each.wait_gone(LONG)
