"""Names and marks in Azure: one owner each, read back exactly, and nothing that a forged status names is anybody's."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.owner import Owner
from airwarden.domain.resources import Address
from airwarden.providers.azure import marks, naming
from airwarden.providers.azure.rows import Row, name_of

OWNER = Owner("c1", "team", "billing", "kv")
SHORT = OWNER.short_name_in_store
UID = "11111111-aaaa-bbbb-cccc-222222222222"
_labels = st.from_regex(re.compile(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?"), fullmatch=True)
owners = st.builds(Owner, _labels, _labels, _labels, _labels)


@given(owners, owners)
def test_a_short_name_is_of_one_owner_and_fits_every_name_in_azure(one: Owner, other: Owner) -> None:
    assert (one.short_name_in_store == other.short_name_in_store) == (one == other)
    assert re.fullmatch(r"airwarden-[a-z2-7]{26}", one.short_name_in_store)


@given(owners)
def test_marks_are_read_back_exactly(owner: Owner) -> None:
    for whom in (marks.ACCOUNT, "0123abcd"):
        assert marks.read_description(marks.description(owner, UID, whom)) == marks.Mark(owner, UID, whom)
    assert marks.read_tags({"others": "x", **marks.tags(owner, UID)}) == marks.Mark(owner, UID)


def test_the_longest_mark_fits_a_description_and_a_tag() -> None:
    longest = Owner("c" * 32, "n" * 63, "b" * 63, "k" * 63)
    assert len(marks.description(longest, "u" * 64)) <= 512
    assert all(len(value) <= 256 and "/" not in name for name, value in marks.tags(longest, UID).items())


@pytest.mark.parametrize(
    "text",
    [
        "",
        OWNER.mark,
        f"{marks.description(OWNER, UID)} and more",
        f"see {marks.description(OWNER, UID)}",
        marks.description(OWNER, UID).replace("team", "TEAM"),
    ],
)
def test_anything_else_is_no_mark(text: str) -> None:
    assert marks.read_description(text) is None


@pytest.mark.parametrize(
    ("kind", "name", "could"),
    [
        (naming.IDENTITY, SHORT, True),
        (naming.IDENTITY, "operator", False),
        (naming.CREDENTIAL, f"{SHORT}/id-billing", True),
        (naming.CREDENTIAL, f"{SHORT}/../operator", False),
        (naming.CREDENTIAL, SHORT, False),
        (naming.ASSIGNMENT, f"{SHORT}/airflow-a", True),
        (naming.ASSIGNMENT, f"{SHORT}/*", True),
        (naming.ASSIGNMENT, f"{SHORT}/airflow-a#0123abcd", True),
        (naming.ASSIGNMENT, f"{SHORT}/a/../../b", False),
        (naming.ASSIGNMENT, f"airwarden-{'a' * 26}/airflow-a", False),
        ("VaultPolicy", SHORT, False),
    ],
)
def test_only_what_begins_with_its_short_name_and_is_well_formed_could_be_an_owners(
    kind: str, name: str, could: bool
) -> None:
    assert naming.could_be_of(OWNER, Address("kv", kind, name)) is could
    assert not naming.could_be_of(OWNER, Address("other", kind, name))


def test_assignments_go_first_and_identities_last() -> None:
    found = naming.in_removal_order(
        Address("kv", kind, SHORT) for kind in (naming.IDENTITY, naming.ASSIGNMENT, naming.CREDENTIAL)
    )
    assert [each.kind for each in found] == [naming.ASSIGNMENT, naming.CREDENTIAL, naming.IDENTITY]


def test_an_assignment_is_named_by_what_it_gives_whatever_the_case() -> None:
    name = name_of("/subscriptions/S/vaults/KV", "ABC", "ROLE")
    assert name == name_of("/subscriptions/s/vaults/kv", "abc", "role")
    assert (
        len({name, *(name_of(*each) for each in (("/x", "abc", "role"), ("/subscriptions/s/vaults/kv", "x", "role")))})
        == 3
    )
    row = Row(name, "/subscriptions/s/vaults/kv", "role", "abc", "ServicePrincipal", "")
    assert row.is_named_by_us
    assert not Row("other", *row.triple[::2], row.principal, "", "").is_named_by_us


@pytest.mark.parametrize("key", ["Airflow-A", "air_flow", "air/flow", "air.flow", "", "a" * 128, "airflow-a\n"])
def test_a_name_that_key_vault_refuses_is_no_key(key: str) -> None:
    assert naming.GRAMMAR.complaint(key) is not None


@pytest.mark.parametrize("key", ["airflow-a", "0", "a" * 127])
def test_a_name_of_key_vault_is_a_key(key: str) -> None:
    assert naming.GRAMMAR.complaint(key) is None
