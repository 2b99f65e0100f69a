"""Objects that were there before us, drift that is only reported, and what a binding leaves behind when it goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.diff import Terms, diff, leave
from airwarden.domain.resources import Action, Address, Adoption, Changes, Claim, Observed, Resource

POLICY, ROLE = (Address("vault", kind, "airwarden.c1.team.billing.vault") for kind in ("Policy", "Role"))
ORDER = (POLICY, ROLE)
ADOPTS = Terms("team/billing", adopts=True)
REPORTS = Terms("team/billing", reports_drift=True)
BOTH = Adoption("new", frozenset({"Policy", "Role"}))


def made(address: Address, text: str = "new") -> Resource:
    marked = {"mark": "ours"} if address is POLICY else {}
    return Resource(address, {**marked, "text": text}, scope=text)


def bare(address: Address, text: str = "new", claim: Claim = Claim.UNMARKED) -> Observed:
    """Return something without our mark."""
    fields = {"mark": "", "text": text} if address is POLICY else {"text": text}
    return Observed(address, fields, claim, as_marked={**fields, "mark": "ours"} if address is POLICY else fields)


def own(address: Address, text: str = "new", adoption: Adoption | None = None, *, like_ours: bool = False) -> Observed:
    fields = made(address, text).fields
    return Observed(address, fields, Claim.OURS, adoption=adoption, own_writing=like_ours)


def state(*found: Observed) -> dict[Address, Observed]:
    return {POLICY: Observed(POLICY, None), ROLE: Observed(ROLE, None)} | {each.address: each for each in found}


def kinds(changes: Changes) -> list[tuple[Action, str]]:
    return [(each.action, each.address.kind) for each in changes.operations]


WANTED = (made(POLICY), made(ROLE))
RECORD = {each.address: each.digest for each in WANTED}

contents = st.sampled_from(("new", "other"))
claims = st.sampled_from(tuple(Claim))
notes = st.one_of(st.none(), st.builds(Adoption, contents, st.frozensets(st.sampled_from(("Policy", "Role")))))


@st.composite
def stores(draw: st.DrawFn) -> dict[Address, Observed]:
    found = []
    for address in ORDER:
        if draw(st.booleans()):
            claim = draw(claims)
            base = own(address, draw(contents)) if claim is Claim.OURS else bare(address, draw(contents), claim)
            noted = draw(notes) if claim is Claim.OURS else None
            found.append(Observed(address, base.fields, claim, "", noted, base.as_marked, draw(st.booleans())))
    return state(*found)


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    record = {each.address: each.digest for each in WANTED if draw(st.booleans())}
    return Terms(
        "team/billing", draw(st.booleans()), draw(st.booleans()), draw(st.frozensets(st.sampled_from(ORDER))), record
    )


records = st.dictionaries(st.sampled_from(ORDER), st.sampled_from(("", *RECORD.values())))


# Adoption.


def test_what_is_identical_but_for_the_mark_is_adopted_with_one_write() -> None:
    changes = diff(WANTED, state(bare(POLICY), bare(ROLE)), {}, ORDER, ADOPTS)
    assert kinds(changes) == [(Action.ADOPT, "Policy")]
    assert changes.operations[0].adoption == BOTH
    assert changes.conflicts == ()
    assert changes.adopted == {POLICY, ROLE}


def test_beside_an_adopted_policy_a_missing_role_is_made_and_is_our_own() -> None:
    changes = diff(WANTED, state(bare(POLICY)), {}, ORDER, ADOPTS)
    assert kinds(changes) == [(Action.ADOPT, "Policy"), (Action.CREATE, "Role")]
    assert changes.adopted == {POLICY}


def test_without_the_backends_leave_nothing_is_adopted_and_the_message_names_the_way() -> None:
    changes = diff(WANTED, state(bare(POLICY), bare(ROLE)), {}, ORDER, Terms("team/billing"))
    assert changes.operations == ()
    assert [each.address for each in changes.conflicts] == [POLICY, ROLE]
    assert "what this binding would write, but for the mark" in changes.conflicts[0].message
    assert changes.conflicts[0].message.endswith("airwarden adopt team/billing")


@pytest.mark.parametrize("found", [(bare(POLICY, "other"), bare(ROLE)), (bare(POLICY), bare(ROLE, "other"))])
def test_one_object_that_differs_keeps_all_from_being_adopted_and_says_what_differs(
    found: tuple[Observed, Observed],
) -> None:
    changes = diff(WANTED, state(*found), {}, ORDER, ADOPTS)
    assert changes.operations == ()
    assert any("differs in text" in each.message for each in changes.conflicts)
    assert not any("other" in each.message for each in changes.conflicts)


@given(stores(), records, terms())
def test_a_foreign_mark_is_never_touched_whatever_is_recorded_or_permitted(
    found: dict[Address, Observed], record: dict[Address, str], given_terms: Terms
) -> None:
    foreign = {address for address, each in found.items() if each.claim is Claim.FOREIGN}
    for changes in (
        diff(WANTED, found, record, ORDER, given_terms),
        diff((), found, record, ORDER, given_terms),
        leave(WANTED, found, record, ORDER, given_terms, orphan=True),
        leave((), found, record, ORDER, given_terms, orphan=False),
    ):
        assert not foreign & {each.address for each in changes.operations}
    assert {each.address for each in diff(WANTED, found, record, ORDER, given_terms).conflicts} >= foreign


def test_an_adopted_object_whose_mark_was_taken_off_is_not_ours_by_its_record() -> None:
    taken_back = Terms("team/billing", by_mark=frozenset(ORDER))
    changes = diff(WANTED, state(bare(POLICY, "other"), bare(ROLE)), RECORD, ORDER, taken_back)
    assert changes.operations == ()
    assert {each.address for each in changes.conflicts} == {POLICY, ROLE}
    assert leave(WANTED, state(bare(POLICY), bare(ROLE)), RECORD, ORDER, taken_back, orphan=True).operations == ()


# Drift that is only reported.


def test_reported_drift_is_named_and_not_written() -> None:
    changes = diff(WANTED, state(own(POLICY, "other"), own(ROLE)), RECORD, ORDER, REPORTS)
    assert changes.operations == ()
    assert changes.reported == {POLICY: "differs in text; access may be wider than declared"}
    assert diff(WANTED, state(own(ROLE)), RECORD, ORDER, REPORTS).reported == {POLICY: "is gone"}
    lost = diff(WANTED, state(bare(POLICY), own(ROLE)), RECORD, ORDER, REPORTS)
    assert lost.reported == {POLICY: "lost its mark"}


def test_a_changed_declaration_acts_all_the_same() -> None:
    record = {POLICY: made(POLICY, "old").digest, ROLE: made(ROLE).digest}
    changes = diff(WANTED, state(own(POLICY, "other"), own(ROLE)), record, ORDER, REPORTS)
    assert kinds(changes) == [(Action.UPDATE, "Policy")]
    assert diff((), state(own(POLICY, "other"), own(ROLE)), RECORD, ORDER, REPORTS).reported == {}


def test_a_forged_record_does_not_pass_off_a_tightened_rule_as_drift() -> None:
    """The store holds what was declared before, and the status claims that it was the new declaration all along."""
    before = state(own(POLICY, "old", like_ours=True), own(ROLE))
    seen = Terms("team/billing", reports_drift=True, confirmed={POLICY: made(POLICY, "old").digest})
    for given_terms in (REPORTS, seen):
        assert kinds(diff(WANTED, before, RECORD, ORDER, given_terms)) == [(Action.UPDATE, "Policy")]


def test_what_this_process_has_seen_true_is_drift_also_without_a_record_and_however_it_reads() -> None:
    seen = Terms("team/billing", reports_drift=True, confirmed=RECORD)
    changes = diff(WANTED, state(own(POLICY, "other", like_ours=True), own(ROLE)), {}, ORDER, seen)
    assert (changes.operations, set(changes.reported)) == ((), {POLICY})


@given(stores(), records, terms())
def test_under_report_what_is_written_is_never_what_this_process_saw_true(
    found: dict[Address, Observed], record: dict[Address, str], given_terms: Terms
) -> None:
    changes = diff(WANTED, found, record, ORDER, given_terms)
    written = {each.address for each in changes.operations if each.action in (Action.CREATE, Action.UPDATE)}
    if given_terms.reports_drift:
        assert not written & set(given_terms.confirmed)
    else:
        assert changes.reported == {}


# What stays when a binding goes.


def test_without_orphan_what_we_made_is_deleted_in_the_order_of_removal() -> None:
    changes = leave(WANTED, state(own(POLICY), own(ROLE)), RECORD, ORDER, orphan=False)
    assert kinds(changes) == [(Action.DELETE, "Policy"), (Action.DELETE, "Role")]


def test_with_orphan_what_is_permitted_is_let_go_and_the_mark_is_taken_off_last() -> None:
    changes = leave(WANTED, state(own(POLICY, "wider"), own(ROLE)), RECORD, ORDER, orphan=True)
    assert kinds(changes) == [(Action.RELEASE, "Role"), (Action.RELEASE, "Policy")]
    assert changes.operations[1].resource == made(POLICY)
    assert kinds(leave((), state(own(POLICY), own(ROLE)), RECORD, ORDER, orphan=True)) == [
        (Action.DELETE, "Policy"),
        (Action.DELETE, "Role"),
    ]


def test_nothing_is_made_for_the_sake_of_leaving_it() -> None:
    assert leave(WANTED, state(), RECORD, ORDER, orphan=True).operations == ()
    assert kinds(leave(WANTED, state(own(ROLE)), RECORD, ORDER, orphan=True)) == [(Action.DELETE, "Role")]


def test_adopted_objects_are_let_go_without_orphan_and_those_made_beside_them_deleted() -> None:
    assert kinds(
        leave(WANTED, state(own(POLICY, "new", BOTH), own(ROLE, "new", BOTH)), RECORD, ORDER, orphan=False)
    ) == [
        (Action.RELEASE, "Role"),
        (Action.RELEASE, "Policy"),
    ]
    alone = Adoption("new", frozenset({"Policy"}))
    found = state(own(POLICY, "new", alone), own(ROLE, "new", alone))
    assert kinds(leave(WANTED, found, {}, ORDER, orphan=False)) == [(Action.DELETE, "Role"), (Action.RELEASE, "Policy")]


def test_what_a_binding_has_made_of_an_adopted_object_does_not_outlive_it() -> None:
    edited = (made(POLICY, "edited"), made(ROLE, "edited"))
    found = state(own(POLICY, "edited", BOTH), own(ROLE, "edited", BOTH))
    assert kinds(leave(edited, found, RECORD, ORDER, orphan=False)) == [
        (Action.DELETE, "Policy"),
        (Action.DELETE, "Role"),
    ]


def test_what_is_no_longer_permitted_is_deleted_also_when_it_was_adopted() -> None:
    found = state(own(POLICY, "new", BOTH), own(ROLE, "new", BOTH))
    assert {each.action for each in leave((), found, RECORD, ORDER, orphan=False).operations} == {Action.DELETE}


@given(stores(), records, terms(), st.booleans())
def test_leaving_only_takes_away_and_lets_go(
    found: dict[Address, Observed], record: dict[Address, str], given_terms: Terms, orphan: bool
) -> None:
    operations = leave(WANTED, found, record, ORDER, given_terms, orphan=orphan).operations
    assert {each.action for each in operations} <= {Action.DELETE, Action.RELEASE}
    kept = [each for each in operations if each.action is Action.RELEASE]
    assert operations[len(operations) - len(kept) :] == tuple(kept)
    assert all(orphan or (each.observed.adoption or BOTH).holds(made(each.address)) for each in kept)
    assert all(orphan or each.observed.adoption is not None for each in kept)
