"""How long a map may be used after it was last confirmed."""

from __future__ import annotations

import pytest

from airflow_airwarden.dag_map import MapUnusable
from airflow_airwarden.map_view import MapView
from unit.executor.making import BUNDLE, ENVIRONMENT, map_text


class Clock:
    """A clock that a test sets, in seconds."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def view(clock: Clock) -> MapView:
    return MapView(ENVIRONMENT, BUNDLE, clock)


def test_a_map_that_was_never_seen_cannot_be_used(view: MapView) -> None:
    with pytest.raises(MapUnusable, match=r"'billing-git' cannot be used: it has not been read yet"):
        view.current()


def test_a_map_is_used_for_a_minute_after_it_was_last_confirmed(view: MapView, clock: Clock) -> None:
    view.saw(map_text(), clock())
    clock.time += 60
    assert view.current().find("invoices") is not None
    clock.time += 0.1
    with pytest.raises(MapUnusable, match="last confirmed 60 s ago"):
        view.current()


def test_a_confirmation_counts_from_when_it_was_asked_for(view: MapView, clock: Clock) -> None:
    asked = clock()
    view.saw(map_text(), asked)
    clock.time += 50
    view.saw(map_text(), clock())
    clock.time += 50
    view.current()
    view.saw(map_text(), asked)
    with pytest.raises(MapUnusable):
        view.current()


def test_the_same_text_is_read_once_and_ends_the_trouble(view: MapView, clock: Clock) -> None:
    view.saw(map_text(), clock())
    first = view.current()
    view.lost("the API server answers 403 Forbidden")
    view.saw(map_text(), clock())
    assert view.current() is first
    clock.time += 61
    with pytest.raises(MapUnusable, match=r"61 s ago$"):
        view.current()


def test_trouble_is_no_confirmation_and_is_named_when_the_minute_is_over(view: MapView, clock: Clock) -> None:
    view.saw(map_text(), clock())
    clock.time += 59
    view.lost("the API server answers 403 Forbidden")
    view.current()
    clock.time += 2
    with pytest.raises(MapUnusable, match=r"61 s ago \(the API server answers 403 Forbidden\)"):
        view.current()


def test_trouble_before_the_first_sight_is_named(view: MapView) -> None:
    view.lost("the API server answers 403 Forbidden")
    with pytest.raises(MapUnusable, match=r"not been read yet \(the API server answers 403 Forbidden\)"):
        view.current()


@pytest.mark.parametrize(("text", "why"), [(None, "does not exist"), ("{", "no whole JSON"), ("", "no whole JSON")])
def test_a_map_that_is_gone_or_broken_is_not_replaced_by_the_last_good_one(
    view: MapView, clock: Clock, text: str | None, why: str
) -> None:
    view.saw(map_text(), clock())
    view.saw(text, clock())
    with pytest.raises(MapUnusable, match=why):
        view.current()
    view.saw(text, clock())
    with pytest.raises(MapUnusable, match=why):
        view.current()
    view.saw(map_text(), clock())
    view.current()
