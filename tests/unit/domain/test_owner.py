"""Names and marks: one owner for each name, and nobody can write a mark that reads as another's."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.keys import KeyGrammar
from airwarden.domain.owner import Owner
from unit.domain.making import GRAMMAR

_labels = st.from_regex(r"[ab]([-ab]{0,3}[ab])?", fullmatch=True)
_dotted = st.lists(_labels, min_size=1, max_size=3).map(".".join)
owners = st.builds(Owner, _labels, _labels, _dotted, _labels)


def test_two_owners_never_share_a_name_or_a_mark() -> None:
    words = ("a", "b", "a-b")
    dotted = (*words, "a.b", "b.a", "a.a", "a.b.a", "a-b.a")
    everyone = [Owner(*parts) for parts in itertools.product(words, words, dotted, words)]
    assert len({each.name_in_store for each in everyone}) == len(everyone) == 216
    assert len({each.mark for each in everyone}) == len(everyone)


@given(owners)
def test_a_mark_reads_back_and_anything_more_or_less_is_no_mark(owner: Owner) -> None:
    assert Owner.from_mark(owner.mark) == owner
    for spoiled in (f"{owner.mark} ", f" {owner.mark}", f"{owner.mark}\n", f"{owner.mark}.", owner.mark[1:]):
        assert Owner.from_mark(spoiled) is None
    assert Owner.from_mark(owner.mark.replace("binding=", "binding=other binding=")) is None


@pytest.mark.parametrize(
    ("cluster", "namespace", "binding"),
    [
        ("c.1", "team", "billing"),
        ("", "team", "billing"),
        ("C1", "team", "billing"),
        ("c" * 33, "team", "billing"),
        ("c1", "te.am", "billing"),
        ("c1", "team/../other", "billing"),
        ("c1", "team", "billing/../x"),
        ("c1", "team", ".."),
        ("c1", "team", "billing\n"),
        ("c1", "team\n", "billing"),
        ("c1", "*", "billing"),
        ("c1", "team", "bill*"),
    ],
)
def test_a_part_that_could_mean_another_owner_is_refused(cluster: str, namespace: str, binding: str) -> None:
    with pytest.raises(ValueError, match=r"cluster name|is not the name of"):
        Owner(cluster, namespace, binding)


@given(st.text(max_size=12))
def test_a_key_without_complaint_is_plain_segments_between_single_slashes(text: str) -> None:
    if GRAMMAR.complaint(text) is None:
        assert all(part not in ("", ".", "..") for part in text.split("/"))
        assert text.isascii()
        assert text.isprintable()
        assert not set(text) & set("*+%?#\\\"'{}[]()$&;<>|^` ")


def test_a_store_without_a_separator_has_no_segments_to_complain_of() -> None:
    grammar = KeyGrammar("", GRAMMAR.pattern, "…")
    assert grammar.complaint("a") is None
