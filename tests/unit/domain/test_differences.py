"""What differs is said in names and counts, never in values."""

from __future__ import annotations

import pytest

from airwarden.domain.differences import drift, named
from airwarden.domain.resources import Address, Claim, Observed, Resource

POLICY = Address("vault", "Policy", "airwarden.c1.team.billing.vault")
TEXT = "mark\na {\n  read\n}\nb {\n  write\n}\n"
WANTED = Resource(POLICY, {"policy": TEXT})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT + "c {\n  read\n}\n", "policy (lines: 3 more, 0 fewer)"),
        (TEXT.replace("  read\n", ""), "policy (lines: 0 more, 1 fewer)"),
        (TEXT.replace("read", "write"), "policy (lines: 1 more, 1 fewer)"),
        (TEXT.replace("read", "x").replace("write", "read").replace("x", "write"), "policy (the order of its lines"),
        ("secret-value", "policy (lines: 1 more, 7 fewer)"),
    ],
)
def test_of_a_text_the_lines_are_counted_and_all_that_is_there_may_give_more(text: str, said: str) -> None:
    found = drift(WANTED, Observed(POLICY, {"policy": text}, Claim.OURS))
    assert said in found
    assert found.endswith("access may be wider than declared")
    assert "secret-value" not in found


def test_fields_are_named_and_their_values_are_not() -> None:
    assert named({"a": 1, "b": ("x",), "c": "same"}, {"a": 2, "c": "same", "d": "secret"}) == "differs in a, b, d"


def test_a_lost_mark_and_a_lost_object_are_said_as_that() -> None:
    bare = Observed(POLICY, {"policy": TEXT.removeprefix("mark\n")}, Claim.UNMARKED, as_marked={"policy": TEXT})
    assert drift(WANTED, bare) == "lost its mark"
    assert drift(WANTED, Observed(POLICY, None)) == "is gone"
