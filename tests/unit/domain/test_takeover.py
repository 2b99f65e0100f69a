"""What a person's adoption writes: everything noted, the mark last, and nothing of another owner."""

from __future__ import annotations

import pytest

from airwarden.domain.errors import NotOwned
from airwarden.domain.resources import Action, Claim, Observed
from airwarden.domain.takeover import take_over
from unit.domain.test_adoption import BOTH, POLICY, ROLE, WANTED, bare, own, state


def test_what_differs_is_written_and_the_mark_comes_last() -> None:
    writes = take_over(WANTED, state(bare(POLICY, "other"), bare(ROLE, "other")))
    assert [(each.action, each.address) for each in writes] == [(Action.UPDATE, ROLE), (Action.ADOPT, POLICY)]
    assert writes[-1].adoption == BOTH


def test_what_is_missing_is_made_and_goes_with_the_rest() -> None:
    writes = take_over(WANTED, state(bare(ROLE, "other")))
    assert [(each.action, each.address) for each in writes] == [(Action.UPDATE, ROLE), (Action.ADOPT, POLICY)]
    writes = take_over(WANTED, state(bare(POLICY)))
    assert [(each.action, each.address) for each in writes] == [(Action.CREATE, ROLE), (Action.ADOPT, POLICY)]


def test_what_was_let_go_may_be_taken_over_again() -> None:
    writes = take_over(WANTED, state(bare(POLICY, claim=Claim.RELEASED), bare(ROLE)))
    assert [each.action for each in writes] == [Action.ADOPT]


def test_there_is_nothing_to_take_over_where_all_is_our_own_or_nothing_is_there() -> None:
    assert take_over(WANTED, state()) == ()
    assert take_over(WANTED, state(own(POLICY, "other"), own(ROLE))) == ()


@pytest.mark.parametrize("others", [(), (bare(ROLE),), (own(ROLE),)], ids=["alone", "a bare role", "a role of ours"])
def test_a_foreign_mark_is_never_taken_over(others: tuple[Observed, ...]) -> None:
    with pytest.raises(NotOwned, match="mark of another owner"):
        take_over(WANTED, state(bare(POLICY, claim=Claim.FOREIGN), *others))
