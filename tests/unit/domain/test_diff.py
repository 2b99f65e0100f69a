"""From what should be and what is, to operations: idempotent, ordered, and never on what is not ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.diff import diff
from airwarden.domain.resources import Action, Address, Changes, Claim, Observed, Resource

POLICY, ROLE, EXTRA = (
    Address("vault", kind, "airwarden.c1.team.billing.vault") for kind in ("Policy", "Role", "Extra")
)
OURS = (POLICY, ROLE, EXTRA)
FORGED = Address("vault", "Policy", "airwarden.c1.other.billing.vault")

contents = st.sampled_from(("old", "new", "other"))
claims = st.sampled_from(tuple(Claim))


def made(address: Address, text: str) -> Resource:
    return Resource(address, {"text": text})


@st.composite
def states(draw: st.DrawFn) -> dict[Address, Observed]:
    """Draw what a store has at each address that the owner derives."""
    found = {}
    for address in OURS:
        there = draw(st.booleans())
        fields = {"text": draw(contents)} if there else None
        found[address] = Observed(address, fields, draw(claims) if there else Claim.UNMARKED)
    return found


@st.composite
def wishes(draw: st.DrawFn) -> tuple[Resource, ...]:
    """Draw what should be there, in order of creation."""
    return tuple(made(address, draw(contents)) for address in OURS if draw(st.booleans()))


@st.composite
def records(draw: st.DrawFn) -> dict[Address, str]:
    """Draw a status: digests, Pending entries, and forged ones."""
    found = {}
    for address in (*OURS, FORGED):
        if draw(st.booleans()):
            found[address] = draw(st.one_of(st.just(""), contents.map(lambda text: made(POLICY, text).digest)))
    return found


def act(state: Mapping[Address, Observed], changes: Changes) -> dict[Address, Observed]:
    """Return the store after the operations."""
    after = dict(state)
    for each in changes.operations:
        fields = each.resource.fields if each.resource is not None else None
        after[each.address] = Observed(each.address, fields, Claim.OURS if fields else Claim.UNMARKED)
    return after


def remember(record: Mapping[Address, str], changes: Changes) -> dict[Address, str]:
    """Return the status after the operations."""
    after = dict(record)
    for each in changes.operations:
        if each.resource is None:
            after.pop(each.address, None)
        else:
            after[each.address] = each.resource.digest
    return after


@given(wishes(), states(), records())
def test_after_its_operations_nothing_is_left_to_do(
    wanted: tuple[Resource, ...], state: dict[Address, Observed], record: dict[Address, str]
) -> None:
    first = diff(wanted, state, record, OURS)
    again = diff(wanted, act(state, first), remember(record, first), OURS)
    assert again.operations == ()
    assert again.drifted == frozenset()
    assert again.conflicts == first.conflicts


@given(wishes(), states(), records())
def test_what_is_neither_ours_nor_recorded_is_never_touched_but_named(
    wanted: tuple[Resource, ...], state: dict[Address, Observed], record: dict[Address, str]
) -> None:
    changes = diff(wanted, state, record, OURS)
    foreign = {
        address
        for address, found in state.items()
        if found.fields is not None
        and found.claim is not Claim.OURS
        and (found.claim is not Claim.UNMARKED or address not in record)
    }
    assert not foreign & {each.address for each in changes.operations}
    assert {each.address for each in changes.conflicts} == foreign & {each.address for each in wanted}
    if changes.conflicts:
        assert Action.CREATE not in {each.action for each in changes.operations}


@given(wishes(), states(), records())
def test_an_address_that_the_owner_does_not_derive_is_never_written_or_deleted_however_it_is_recorded(
    wanted: tuple[Resource, ...], state: dict[Address, Observed], record: dict[Address, str]
) -> None:
    state = {**state, FORGED: Observed(FORGED, {"text": "theirs"}, Claim.OURS)}
    changes = diff(wanted, state, {**record, FORGED: ""}, OURS)
    assert FORGED not in {each.address for each in changes.operations}
    assert FORGED not in changes.present


@given(wishes(), states(), records())
def test_removals_come_first_in_the_store_s_order_then_writes_in_the_order_of_creation(
    wanted: tuple[Resource, ...], state: dict[Address, Observed], record: dict[Address, str]
) -> None:
    found = diff(wanted, state, record, OURS).operations
    kinds = [each.action is Action.DELETE for each in found]
    assert kinds == sorted(kinds, reverse=True)
    removed = [each.address for each in found if each.action is Action.DELETE]
    written = [each.address for each in found if each.action is not Action.DELETE]
    assert removed == [address for address in OURS if address in removed]
    assert written == [each.address for each in wanted if each.address in written]


@given(wishes(), states(), records())
def test_the_order_in_which_things_were_seen_does_not_matter(
    wanted: tuple[Resource, ...], state: dict[Address, Observed], record: dict[Address, str]
) -> None:
    def turned(found: Mapping[Address, object]) -> list[tuple[Address, object]]:
        return list(found.items())[::-1]

    reversed_state = {address: state[address] for address, _ in turned(state)}
    reversed_record = {address: record[address] for address, _ in turned(record)}
    assert diff(wanted, state, record, OURS) == diff(wanted, reversed_state, reversed_record, OURS)


@given(wishes())
def test_making_and_then_removing_leaves_nothing(wanted: tuple[Resource, ...]) -> None:
    empty = {address: Observed(address, None) for address in OURS}
    creation = diff(wanted, empty, {}, OURS)
    state = act(empty, creation)
    removal = diff((), state, remember({}, creation), OURS)
    assert act(state, removal) == empty
    assert len(removal.operations) == len(wanted)


@given(wishes(), states(), records())
def test_drift_is_what_differs_from_what_was_written_last(
    wanted: tuple[Resource, ...], state: dict[Address, Observed], record: dict[Address, str]
) -> None:
    changes = diff(wanted, state, record, OURS)
    written = {each.address: each.resource for each in changes.operations if each.resource is not None}
    assert changes.drifted == {
        address for address, resource in written.items() if record.get(address) == resource.digest
    }


@pytest.mark.parametrize("seen", [(), (POLICY,), (ROLE,)])
def test_what_was_not_observed_is_not_guessed(seen: Sequence[Address]) -> None:
    state = {address: Observed(address, None) for address in seen}
    with pytest.raises(KeyError):
        diff((made(POLICY, "new"), made(ROLE, "new")), state, {}, (POLICY, ROLE))


def test_equal_fields_cost_no_write_and_a_lost_mark_on_a_recorded_object_is_mended() -> None:
    wanted = made(POLICY, "new")
    same = {POLICY: Observed(POLICY, {"text": "new"}, Claim.OURS)}
    assert diff((wanted,), same, {}, (POLICY,)).operations == ()
    unmarked = {POLICY: Observed(POLICY, {"text": "hand-made"}, Claim.UNMARKED)}
    (operation,) = diff((wanted,), unmarked, {POLICY: wanted.digest}, (POLICY,)).operations
    assert operation.action is Action.UPDATE
    assert diff((wanted,), unmarked, {}, (POLICY,)).conflicts
