"""The thread that renews: no store's renewals end with another's, and none for good."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from airflow_airwarden import keeper
from airflow_airwarden.keeper import Keeper
from airflow_airwarden.ports import no_end
from plane.waiting import wait_for
from unit.provider.making import PlainReader

SOON = 30.0


class Tended(PlainReader):
    """A reader that counts how often it is looked after."""

    def __init__(self, due: Callable[[], float] = no_end) -> None:
        super().__init__({})
        self.due = due
        self.times = 0

    def maintain(self) -> float:
        self.times += 1
        return self.due()


@pytest.fixture
def tending() -> Iterator[Keeper]:
    made = Keeper()
    yield made
    made.stop()


def broken() -> float:
    raise OverflowError("canary-4711")


def test_renewals_that_fail_unforeseen_end_no_others_and_come_again(
    tending: Keeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper, "AGAIN", 0.01)
    bad, good = Tended(broken), Tended()
    tending.tend(bad)
    tending.tend(good)
    wait_for("the other one is looked after, and the first one again", lambda: good.times and bad.times > 2, SOON)
    assert "Renewals failed (OverflowError): they are tried again in 0.01 seconds" in caplog.text
    assert "canary" not in caplog.text


def test_a_thread_that_cannot_be_started_is_started_with_a_later_lookup(
    tending: Keeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    caplog.set_level(logging.WARNING)
    reader = Tended(lambda: time.monotonic() + 60)
    monkeypatch.setattr(threading.Thread, "start", no_more)
    tending.tend(reader)
    assert "No thread can be started" in caplog.text
    monkeypatch.undo()
    tending.tend(reader)
    wait_for("it is looked after", lambda: reader.times, SOON)
