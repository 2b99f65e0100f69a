"""What of a rendering fits into ConfigMaps, and how long its steps are: by counts, which no busy machine changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from airwarden.api.environment import EnvironmentStatus, Rendered
from airwarden.api.reasons import Reason
from airwarden.domain import config_map
from airwarden.domain.environment import dag_map
from airwarden.domain.environment.asked import Asked
from airwarden.domain.environment.claims import Claims, Key, Verdict
from airwarden.domain.environment.dag_map import DagMap
from airwarden.domain.environment.fitting import Fitting, fit
from airwarden.domain.environment.rendering import Rendering, Surroundings, render
from airwarden.domain.environment.report import report
from airwarden.domain.environment.sight import Sight
from airwarden.domain.slices import STEP, Steps, at_once
from unit.domain.environment.making import NOW, VAULT, binding, environment, rendering

BILLING: Final = "dags/billing"
MANY: Final = 5000


def steps(work: Steps[Any]) -> Iterator[object]:
    """Yield at the end of each step, and what the work comes to at the last."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            yield end.value
            return
        yield None


class Watched:
    """Thousands of bindings, and how often a verdict was asked for since the last step ended."""

    def __init__(self, *ids: str) -> None:
        bodies = [binding(f"b{number:04}", *(f"{number:04}_{each}" for each in ids)) for number in range(MANY)]
        asking = {each.claimant.key: each for body in bodies if (each := Asked.read(body)) is not None}
        self.claims = Claims(environment().spec)
        for each in asking.values():
            self.claims.put(each.claimant)
        self.asked = 0
        self.found = Surroundings(asking, self.verdict, lambda *_: True, lambda *_: VAULT, NOW)

    def verdict(self, key: Key) -> Verdict:
        self.asked += 1
        return self.claims.verdict(key)

    def longest(self) -> int:
        """Return how many bindings the longest step of a rendering goes through."""
        counts = []
        for _ in steps(render(environment(), self.found)):
            counts.append(self.asked)
            self.asked = 0
        assert sum(counts) == MANY
        return max(counts)


def test_no_step_of_a_rendering_goes_through_more_than_a_few_of_five_thousand_bindings() -> None:
    assert Watched("one").longest() <= STEP // 2


def test_bindings_with_many_dags_make_shorter_steps() -> None:
    assert Watched(*(f"dag_{number}" for number in range(16))).longest() <= STEP // 16


def test_no_step_of_writing_a_map_goes_through_more_than_a_few_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = 0

    def counted(value: object) -> str:
        nonlocal texts
        texts += 1
        return config_map.compact(value)

    found = rendering([binding(f"b{number:04}", f"dag_{number:04}_*") for number in range(MANY)])
    monkeypatch.setattr(dag_map, "compact", counted)
    counts = []
    for _ in steps(fit(found, {})):
        counts.append(texts)
        texts = 0
    assert sum(counts) > MANY
    assert max(counts) <= STEP


def large(*, each: int = 64, bindings: int = 70) -> Rendering:
    long = [f"{'x' * 240}_{number:02}" for number in range(each)]
    return rendering([binding(f"b{number:02}", *(f"{number:02}{text}" for text in long)) for number in range(bindings)])


def test_the_text_of_a_map_is_not_made_when_its_ids_alone_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = large()
    made: list[int] = []
    text = DagMap._steps

    def noted(self: DagMap) -> Steps[str]:
        made.append(len(self.bindings))
        return text(self)

    monkeypatch.setattr(DagMap, "_steps", noted)
    fitting = at_once(fit(found, {}))
    assert fitting.large[BILLING].reason is Reason.MAP_TOO_LARGE
    assert max(made) == 0


def said(fitting: Fitting, found: Rendering) -> EnvironmentStatus:
    reasons = dict.fromkeys(fitting.full, Reason.MAP_FILLS_UP.word)
    rendered = [Rendered(name="x", content=content, reason=reasons.get(content, "")) for content in fitting.wanted]
    return report(environment(), found, rendered, None, Sight(), "2026-07-01T12:00:00Z")


@pytest.mark.parametrize(("bindings", "full"), [(43, False), (48, True)])
def test_a_map_with_four_fifths_of_what_fits_is_named_before_it_fits_no_longer(bindings: int, full: bool) -> None:
    found = large(bindings=bindings)
    fitting = at_once(fit(found, {}))
    assert (fitting.large, fitting.full) == ({}, {BILLING} if full else set())
    ready = said(fitting, found).condition("Ready")
    assert ready is not None
    assert (ready.status, f"nearly full: {BILLING}" in ready.message) == ("True", full)
