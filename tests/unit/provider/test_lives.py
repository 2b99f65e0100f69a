"""When a login or lease is renewed, and how long what it gives may be used."""

from __future__ import annotations

import math

import pytest

from airflow_airwarden.readers.vault_logins import LONGEST, Life, seconds_of


def test_a_life_is_renewed_at_two_thirds() -> None:
    life = Life.of(900, renewable=True, now=100)
    assert (life.ends, life.renew_at) == (1000, 700)
    life.renewed(900, renewable=True, now=700)
    assert (life.ends, life.renew_at) == (1600, 1300)


def test_what_cannot_be_renewed_lives_to_its_end() -> None:
    life = Life.of(900, renewable=False, now=100)
    assert (life.ends, life.renew_at) == (1000, math.inf)


def test_what_has_no_end_is_not_renewed() -> None:
    life = Life.of(0, renewable=True, now=100)
    assert (life.ends, life.renew_at, life.alive(10**9)) == (math.inf, math.inf, True)


def test_a_renewal_that_adds_nothing_is_the_last() -> None:
    life = Life.of(900, renewable=True, now=100)
    life.renewed(300, renewable=True, now=700)
    assert (life.ends, life.renew_at) == (1000, math.inf)


def test_a_renewal_that_shortens_is_believed() -> None:
    life = Life.of(900, renewable=True, now=100)
    life.renewed(58, renewable=True, now=700)
    assert (life.ends, life.renew_at) == (758, math.inf)


def test_a_failed_renewal_is_tried_again_before_the_end_and_not_after_it() -> None:
    life = Life.of(900, renewable=True, now=100)
    life.failed(700)
    assert life.renew_at == 775
    life.failed(1001)
    assert life.renew_at == math.inf


def test_a_refused_renewal_is_not_tried_again() -> None:
    life = Life.of(900, renewable=True, now=100)
    life.refused(700, gone=False)
    assert (life.ends, life.renew_at) == (1000, math.inf)
    life.refused(700, gone=True)
    assert not life.alive(700)


@pytest.mark.parametrize(("seconds", "last"), [(900, 898), (4, 3), (1, 0.75)])
def test_nothing_is_begun_right_before_the_end(seconds: float, last: float) -> None:
    life = Life.of(seconds, renewable=True, now=0)
    assert life.alive(last - 0.01)
    assert not life.alive(last)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (900, 900),
        (0.5, 0.5),
        (10**400, LONGEST),
        (math.inf, LONGEST),
        (math.nan, 0),
        (-1, 0),
        (True, 0),
        ("900", 0),
        (None, 0),
    ],
    ids=lambda each: str(each)[:20],
)
def test_a_time_that_vault_says_is_a_time_that_clocks_can_hold(said: object, seconds: float) -> None:
    assert seconds_of(said) == seconds
