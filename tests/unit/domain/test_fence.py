"""What a store with slots can hold: in the order declared, never silently less, and said before it runs out."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from airwarden.api.binding import SecretItem
from airwarden.api.reasons import Reason
from airwarden.domain.desired import Plan, Surroundings, plan
from airwarden.domain.fence import Fence, runs_low, usage
from airwarden.domain.guardrails import Admitted, Refused
from airwarden.domain.resources import Readable, StaticSecret
from unit.domain.making import NOW, binding, dynamic_item, item, keys, rule, view

FENCE = Fence("tasks", "database", own=3, shared=2, dynamic=1, place="here")
ALL = rule(
    keyPrefixes=["{namespace}/", "shared/", "global/", "teamster/"],
    dynamic=[{"engine": "database", "rolePrefixes": ["{namespace}.", "shared."]}],
    session={"required": False},
)


def planned(*items: SecretItem, fence: Fence = FENCE, recorded: frozenset[str] = frozenset(), **more: Fence) -> Plan:
    views = {
        name: replace(view(ALL, name=name, enforces=False), fence=each)
        for name, each in {"vault": fence, **more}.items()
    }
    return plan(binding(*items), Surroundings("c1", views, {}, recorded, now=NOW))


def refusals(made: Plan) -> dict[str, Reason]:
    return {each.id: each.verdict.reason for each in made.decisions if isinstance(each.verdict, Refused)}


def readable(made: Plan, backend: str = "vault") -> frozenset[Readable]:
    return made.grants[backend].readable if backend in made.grants else frozenset()


def test_each_kind_of_secret_has_a_slot_of_its_kind() -> None:
    made = planned(item("team/a", "a"), item("shared/b", "b"), dynamic_item("team.c", name="c"))
    assert refusals(made) == {}
    assert len(readable(made)) == 3


def test_what_no_slot_can_hold_is_refused_with_what_can_and_the_rest_stays() -> None:
    near = item("teamster/d", "d")
    made = planned(item("global/a", "a"), dynamic_item("shared.b", name="b"), item("team/c", "c"), near)
    assert refusals(made) == dict.fromkeys(("a", "b", "d"), Reason.KEY_OUTSIDE_FENCE)
    said = next(each.verdict for each in made.decisions if isinstance(each.verdict, Refused)).message
    assert "keys below team/, keys below shared/, roles of database beginning with team." in said
    assert readable(made) == {StaticSecret("team/c")}


def test_those_declared_first_keep_their_slots_and_one_secret_under_two_ids_needs_one() -> None:
    many = [item(f"team/{name}", name) for name in "abcde"]
    made = planned(*many)
    assert refusals(made) == {"d": Reason.SLOTS_EXHAUSTED, "e": Reason.SLOTS_EXHAUSTED}
    assert readable(made) == {StaticSecret(f"team/{name}") for name in "abc"}
    assert refusals(planned(*(item("team/same", name) for name in "abcde"))) == {}


@given(st.lists(keys, min_size=1, max_size=12))
def test_every_secret_is_granted_or_refused_and_no_kind_exceeds_its_slots(found: list[str]) -> None:
    made = planned(*(item(key, f"id{number}") for number, key in enumerate(found)))
    granted = readable(made)
    assert len(granted) <= FENCE.own + FENCE.shared
    for each, key in zip(made.decisions, found, strict=True):
        assert isinstance(each.verdict, Admitted) == (StaticSecret(key) in granted)


def test_two_backends_of_one_place_share_its_slots_so_that_one_has_them() -> None:
    items = (item("team/a", "a", "other"), item("team/b", "b"))
    assert refusals(planned(*items, other=FENCE)) == {"b": Reason.SLOTS_TAKEN}
    kept = planned(*items, other=FENCE, recorded=frozenset({"vault"}))
    assert refusals(kept) == {"a": Reason.SLOTS_TAKEN}
    assert set(kept.grants) == {"vault"}
    assert refusals(planned(*items, other=replace(FENCE, place="elsewhere"))) == {}


def test_usage_counts_each_kind_and_says_from_four_fifths_on_that_slots_run_low() -> None:
    one = planned(item("team/a", "a"))
    assert usage(one.grants.values(), one.fences) == "vault: own 1/3, shared 0/2, dynamic 0/1"
    assert not runs_low(usage(one.grants.values(), one.fences))
    large = replace(FENCE, own=5)
    for count, low in ((3, False), (4, True), (5, True)):
        made = planned(*(item(f"team/{number}", f"id{number}") for number in range(count)), fence=large)
        assert runs_low(usage(made.grants.values(), made.fences)) is low
    assert usage(one.grants.values(), {}) == ""


def test_a_kind_without_slots_holds_nothing_and_none_is_said_to_be_in_use() -> None:
    made = planned(item("shared/a", "a"), fence=replace(FENCE, shared=0))
    assert refusals(made) == {"a": Reason.KEY_OUTSIDE_FENCE}


def test_a_rule_that_requires_sessions_admits_nothing_to_a_store_that_holds_none() -> None:
    strict = rule(session={"required": True})
    fenced = replace(view(strict, enforces=False), fence=FENCE)
    made = plan(binding(item("team/a", "a")), Surroundings("c1", {"vault": fenced}, {}, now=NOW))
    assert refusals(made) == {"a": Reason.SESSION_NOT_ALLOWED}
