"""What may be swept: only what no binding owns, after its grace, and never much at once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.holdings import Holding, Use
from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address
from airwarden.domain.sweep import FEW, MOST, SHARE, Key, held_back, judge, read_time, show_time

NOW = datetime(2031, 5, 1, 12, tzinfo=UTC)
GRACE = 3600.0
FORMER = Address("vault", "VaultEntityAlias", "team/old")
LONG_AGO = show_time(NOW - timedelta(days=1))
OTHER: dict[Key, Use] = {("other", "binding"): Use(frozenset({"vault"}))}


def owner(number: int, account: str = "", *, former: tuple[Address, ...] = ()) -> Holding:
    return Holding.of(Owner("c1", "team", f"b{number}", "vault", account), former)


def used(*numbers: int, backend: str = "vault", account: str = "", recorded: Iterable[Address] = ()) -> dict[Key, Use]:
    use = Use(frozenset({backend}), account, frozenset(recorded))
    return {("team", f"b{number}"): use for number in numbers}


def test_what_a_binding_names_or_has_on_record_is_no_orphan() -> None:
    assert judge([owner(1)], used(1), {}, NOW, 0).since == {}


def test_a_binding_that_uses_another_backend_does_not_own_what_is_here() -> None:
    assert judge([owner(1)], used(1, backend="elsewhere"), {}, NOW, 0).due == (owner(1),)


def test_of_two_accounts_under_one_mark_the_one_that_the_binding_does_not_name_is_an_orphan() -> None:
    here = [owner(1, "new"), owner(1, "old")]
    found = judge(here, used(1, account="new"), {}, NOW, 0)
    assert found.due == (owner(1, "old"),)
    assert len(set(here)) == 2, "one mark, two holdings"


def test_a_binding_whose_account_cannot_be_read_may_have_any() -> None:
    assert judge([owner(1, "old")], used(1), {}, NOW, 0).since == {}


def test_an_account_keeps_its_time_whether_its_binding_is_gone_or_made_anew_for_another() -> None:
    first = judge([owner(1, "old")], OTHER, {}, NOW, GRACE)
    seen = {str(each): since for each, since in first.since.items()}
    anew = judge(
        [owner(1, "old"), owner(1, "new")], used(1, account="new"), seen, NOW + timedelta(seconds=GRACE), GRACE
    )
    assert (seen, anew.due) == ({"team/b1/old": show_time(NOW)}, (owner(1, "old"),))


def test_a_record_without_an_account_is_that_of_each_account_unless_something_here_has_none() -> None:
    seen = {"team/b1": LONG_AGO}
    assert judge([owner(1, "old")], OTHER, seen, NOW, GRACE).due == (owner(1, "old"),)
    former = owner(1, former=(FORMER,))
    assert judge([owner(1, "old"), former], OTHER, seen, NOW, GRACE).due == (former,)


def test_what_another_mode_left_is_owned_only_by_a_binding_that_has_it_on_record() -> None:
    left = owner(1, "old", former=(FORMER,))
    assert judge([left], used(1), {}, NOW, 0).due == (left,)
    assert judge([left], used(1, account="old", recorded=[FORMER]), {}, NOW, 0).due == ()
    assert judge([left], used(1, account="new", recorded=[FORMER]), {}, NOW, 0).due == (left,)
    other = Address("elsewhere", FORMER.kind, FORMER.name)
    assert judge([left], used(1, account="old", recorded=[other]), {}, NOW, 0).due == (left,)


def test_the_grace_counts_from_when_it_was_first_seen() -> None:
    first = judge([owner(1)], OTHER, {}, NOW, GRACE)
    assert (first.since, first.due) == ({owner(1): show_time(NOW)}, ())
    seen = {str(each): since for each, since in first.since.items()}
    before = judge([owner(1)], OTHER, seen, NOW + timedelta(seconds=GRACE - 1), GRACE)
    assert (before.since, before.due) == (first.since, ())
    assert judge([owner(1)], OTHER, seen, NOW + timedelta(seconds=GRACE), GRACE).due == (owner(1),)


@pytest.mark.parametrize("forged", ["", "yesterday", show_time(NOW + timedelta(days=1)), "2031-05-01"])
def test_a_time_that_cannot_be_counts_from_now(forged: str) -> None:
    found = judge([owner(1)], OTHER, {"team/b1": forged}, NOW, GRACE)
    assert (found.since, found.due) == ({owner(1): show_time(NOW)}, ())


def test_an_empty_list_of_bindings_is_not_believed() -> None:
    found = judge([owner(1)], {}, {"team/b1": LONG_AGO}, NOW, GRACE)
    assert (found.due, list(found.since)) == ((), [owner(1)])
    assert "lists no binding at all" in found.held
    assert judge([], {}, {}, NOW, GRACE).held == ""


def test_more_than_the_share_is_held_and_less_is_not() -> None:
    everything = [owner(number) for number in range(50)]
    seen = {str(each): LONG_AGO for each in everything}
    ten, eleven = (judge(everything, used(*range(gone, 50)), seen, NOW, GRACE) for gone in (10, 11))
    assert (len(ten.due), ten.held) == (10, "")
    assert (eleven.due, len(eleven.since)) == ((), 11)
    assert "11 of 50" in eleven.held


def test_a_few_are_never_too_many() -> None:
    few = [owner(number) for number in range(FEW)]
    assert len(judge(few, OTHER, {str(each): LONG_AGO for each in few}, NOW, GRACE).due) == FEW
    assert held_back(FEW + 1, FEW + 1, bindings=1)


def test_only_what_fits_on_the_record_is_removed_the_oldest_first() -> None:
    everything = [owner(number) for number in range(1000)]
    seen = {str(each): LONG_AGO for each in everything[:100]} | {"team/b77": show_time(NOW - timedelta(days=2))}
    found = judge(everything, used(*range(100, 1000)), seen, NOW, GRACE)
    assert len(found.due) == MOST
    assert (next(iter(found.since)), found.due[0]) == (owner(77), owner(77))


_numbers = st.sets(st.integers(0, 40))


@given(here=_numbers, bound=_numbers, elsewhere=_numbers, old=_numbers, others=st.booleans())
def test_nothing_goes_that_is_owned_new_too_much_or_not_there(
    here: set[int], bound: set[int], elsewhere: set[int], old: set[int], others: bool
) -> None:
    users = {**used(*elsewhere, backend="elsewhere"), **used(*bound), **(OTHER if others else {})}
    seen = {str(owner(number)): LONG_AGO for number in old}
    found = judge([owner(number) for number in here], users, seen, NOW, GRACE)
    orphans = {owner(number) for number in here - bound}
    assert set(found.since) == orphans
    assert set(found.due) <= {each for each in orphans if str(each) in seen}
    assert len(found.due) <= max(FEW, len(here) / SHARE)
    assert not (found.due and not users)
    assert not (found.due and found.held)
    assert all(read_time(since) <= NOW for since in found.since.values())
