"""What stands in the slots of an account: exactly the grant, nothing hostile, and the same slots after an edit."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airwarden.domain.fence import Fence
from airwarden.domain.owner import Owner
from airwarden.domain.resources import DynamicCredentials, Grant, Readable, Session, StaticSecret
from airwarden.providers.vault.fenced import slots

FENCE = Fence("tasks", "database", own=6, shared=3, dynamic=3, place="here")
OWNER = Owner("c1", "team", "billing", "vault", "billing")
_KINDS: tuple[Literal["Dynamic", "Static"], ...] = ("Dynamic", "Static")
_segments = st.from_regex(r"[A-Za-z0-9_~@:=,-]{1,6}", fullmatch=True)
_paths = st.lists(_segments, min_size=1, max_size=3).map("/".join)
_roles = st.from_regex(r"[a-z0-9_]{1,5}", fullmatch=True).map(lambda text: f"team.{text}")


def grant(*readable: Readable) -> Grant:
    return Grant("vault", OWNER, "billing", frozenset(readable), Session(900, 3600))


@st.composite
def grants(draw: st.DrawFn) -> Grant:
    own = draw(st.sets(_paths, max_size=FENCE.own))
    shared = draw(st.sets(_paths, max_size=FENCE.shared))
    dynamic = draw(st.sets(st.tuples(_roles, st.sampled_from(_KINDS)), max_size=FENCE.dynamic))
    items: list[Readable] = [StaticSecret(f"team/{path}") for path in own]
    items += [StaticSecret(f"shared/{path}") for path in shared]
    items += [DynamicCredentials("database", role, kind) for role, kind in dynamic]
    return grant(*items)


def expanded(found: dict[str, str]) -> set[str]:
    """Read the admin's policy as Vault does for an account of namespace team: unset slots drop their path."""
    text = slots.policy_text(FENCE, mount="airflow", version=2, accessor="acc")
    values = {f"identity.entity.aliases.acc.custom_metadata.{key}": value for key, value in found.items()}
    values["identity.entity.aliases.acc.metadata.service_account_namespace"] = "team"
    paths = set()
    for path in re.findall(r'^path "([^"]+)"', text, re.MULTILINE):
        names = re.findall(r"\{\{([^}]+)\}\}", path)
        if names and all(name in values for name in names):
            paths.add(re.sub(r"\{\{([^}]+)\}\}", lambda match: values[match[1]], path))
    return paths


@given(grants())
def test_the_metadata_gives_exactly_the_grant_through_the_admins_policy(wanted: Grant) -> None:
    found = slots.metadata(wanted, FENCE)
    expected = {
        f"airflow/data/{each.key}"
        if isinstance(each, StaticSecret)
        else f"database/{'creds' if each.kind == 'Dynamic' else 'static-creds'}/{each.role}"
        for each in wanted.readable
    }
    assert expanded(found) == expected
    assert slots.readable(found, "team") == wanted.readable
    assert slots.owner_of(found) == OWNER
    assert len(found) == len(wanted.readable) + 2
    assert all(0 < len(value) <= 512 for value in found.values())


@given(grants(), grants())
def test_what_stands_there_narrows_to_what_both_give_in_the_slots_where_it_is(before: Grant, after: Grant) -> None:
    found, wanted = slots.metadata(before, FENCE), slots.metadata(after, FENCE)
    kept = slots.narrowed({**found, "note": "of an admin", "p04*": "x"}, wanted, "team")
    assert slots.readable(kept, "team") == before.readable & after.readable
    assert set(kept.items()) <= set(found.items())
    assert slots.owner_of(kept) == OWNER
    unmarked = {key: value for key, value in found.items() if key != slots.MARK}
    assert slots.narrowed(unmarked, wanted, "team") == kept


@given(st.sets(_paths, max_size=20), _paths)
def test_the_same_names_have_the_same_slots_and_one_more_moves_few(names: set[str], one: str) -> None:
    before = {name: slot for slot, name in slots.assigned(names, 32).items()}
    assert before == {name: slot for slot, name in slots.assigned(sorted(names, reverse=True), 32).items()}
    assert set(before) == names
    after = {name: slot for slot, name in slots.assigned({*names, one}, 32).items()}
    assert set(after) == {*names, one}
    assert sum(before[name] != after[name] for name in names) <= 4 + len(names) // 4


def test_over_many_edits_far_less_than_one_other_secret_moves_each_time() -> None:
    moved = 0
    for edit in range(200):
        names = {f"edit-{edit}/key-{number}" for number in range(16)}
        before = {name: slot for slot, name in slots.assigned(names, 32).items()}
        after = {name: slot for slot, name in slots.assigned({*names, "another"}, 32).items()}
        moved += sum(before[name] != after[name] for name in names)
    assert moved <= 150


def test_more_than_there_are_slots_is_an_error_and_never_dropped() -> None:
    with pytest.raises(ValueError, match="7 secrets for 6 slots"):
        slots.metadata(grant(*(StaticSecret(f"team/{number}") for number in range(7))), FENCE)
    with pytest.raises(ValueError, match="fits no slot"):
        slots.metadata(grant(StaticSecret("other/x")), FENCE)
    with pytest.raises(ValueError, match="fits no slot"):
        slots.metadata(grant(DynamicCredentials("ssh", "team.x", "Dynamic")), FENCE)
    with pytest.raises(ValueError, match="fits no slot"):
        slots.metadata(grant(DynamicCredentials("database", "teamster.x", "Dynamic")), FENCE)


HOSTILE = (
    "*",
    "a/*",
    "+",
    "a/+/b",
    "..",
    "a/../b",
    ".",
    "",
    "/a",
    "a//b",
    "a/",
    "{{x}}",
    "${x}",
    'a"b',
    "a b",
    "a\n",
    "é",
    "%2e",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_value_is_never_written(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be a path"):
        slots.slot_value(text)
    with pytest.raises(ValueError, match="cannot be a path"):
        slots.metadata(grant(StaticSecret(f"team/{text}")), FENCE)
    with pytest.raises(ValueError, match="cannot be"):
        slots.metadata(grant(DynamicCredentials("database", f"team.{text}", "Dynamic")), FENCE)


def test_a_role_with_a_slash_and_a_value_that_is_too_long_are_never_written() -> None:
    with pytest.raises(ValueError, match="has a slash"):
        slots.metadata(grant(DynamicCredentials("database", "team.a/b", "Dynamic")), FENCE)
    assert slots.slot_value("a" * 512)
    with pytest.raises(ValueError, match="longer"):
        slots.slot_value("a" * 513)


def test_the_policy_reads_slots_and_lets_a_task_care_for_its_own_token_and_nothing_else() -> None:
    text = slots.policy_text(FENCE, mount="airflow", version=2, accessor="acc")
    assert text.count("path ") == 6 + 3 + 2 * 3 + 3 + 2
    assert set(re.findall(r"capabilities = \[(.*?)\]", text)) == {'"read"', '"update"'}
    assert "*" not in text.replace('"database/creds/*"', "")
    assert "/data/" not in slots.policy_text(FENCE, mount="airflow", version=1, accessor="acc")
    without = slots.policy_text(Fence("tasks", "database", 1, 0, 0, ""), mount="airflow", version=2, accessor="acc")
    assert "shared" not in without
    assert "leases" not in without


@pytest.mark.parametrize("accessor", ["", "a b", 'a" {', "a}}", "a\n"])
def test_a_strange_accessor_is_not_rendered(accessor: str) -> None:
    with pytest.raises(ValueError, match="not the accessor"):
        slots.policy_text(FENCE, mount="airflow", version=2, accessor=accessor)


def test_a_policy_that_lacks_a_slot_is_noticed_and_what_an_admin_adds_is_not() -> None:
    wanted = slots.policy_text(FENCE, mount="airflow", version=2, accessor="acc")
    assert slots.missing_paths(wanted + 'path "x" { capabilities = ["read"] }', wanted) == ()
    fewer = slots.policy_text(Fence("tasks", "database", 5, 3, 3, ""), mount="airflow", version=2, accessor="acc")
    assert [path[-7:-2] for path in slots.missing_paths(fewer, wanted)] == ["a.p05"]
    other = slots.policy_text(FENCE, mount="airflow", version=2, accessor="other")
    assert len(slots.missing_paths(other, wanted)) == 15
