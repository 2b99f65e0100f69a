"""How often one binding may be looked at: some passes at once, then one a second, and nobody else waits for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airwarden.reconcile.pacing import Pacing

RESTLESS, OTHER = ("team", "restless"), ("team", "other")


class Clock:
    """Time as the test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


def passes(pacing: Pacing, clock: Clock, seconds: float, step: float) -> int:
    """Return how many passes begin when one is asked for at every step."""
    begun = 0
    for _ in range(round(seconds / step)):
        if pacing.wait(RESTLESS) == 0:
            pacing.begun(RESTLESS)
            begun += 1
        clock.now += step
    return begun


def test_twenty_edits_a_second_are_five_passes_and_then_one_a_second() -> None:
    clock = Clock()
    assert passes(Pacing(clock), clock, 60, 0.05) == 5 + 59


def test_an_edit_now_and_then_never_waits() -> None:
    clock = Clock()
    assert passes(Pacing(clock), clock, 60, 2.0) == 30


def test_one_restless_binding_puts_off_no_other() -> None:
    clock = Clock()
    pacing = Pacing(clock)
    passes(pacing, clock, 10, 0.05)
    assert pacing.wait(RESTLESS) > 0
    assert pacing.wait(OTHER) == 0


def test_after_some_quiet_seconds_it_may_begin_at_once_again() -> None:
    clock = Clock()
    pacing = Pacing(clock)
    passes(pacing, clock, 10, 0.05)
    clock.now += 5
    for _ in range(3):
        assert pacing.wait(RESTLESS) == 0
        pacing.begun(RESTLESS)


@given(st.lists(st.floats(min_value=0, max_value=5), max_size=80))
def test_nobody_is_put_off_longer_than_a_second(gaps: list[float]) -> None:
    clock = Clock()
    pacing = Pacing(clock)
    for gap in gaps:
        clock.now += gap
        wait = pacing.wait(RESTLESS)
        assert 0 <= wait <= 1.0 + 1e-6
        clock.now += wait
        assert pacing.wait(RESTLESS) <= 1e-6
        pacing.begun(RESTLESS)
