"""What a namespace has by the marks of rows, and where another namespace's stand for it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace

import pytest

from airwarden.domain.owner import Owner
from airwarden.providers.azure import counting
from airwarden.providers.azure.ceilings import CeilingReached, Ceilings
from airwarden.providers.azure.connection import Place
from airwarden.providers.azure.counting import Listed, Marked
from airwarden.providers.azure.marks import ACCOUNT, Mark, description, read_description
from airwarden.providers.azure.naming import Target, assignment_address, read_target
from airwarden.providers.azure.rows import Row
from unit.azure.making import PLACE

UID = "uid-1"
ONE = Owner("prod", "team", "one", "kv", account="one")
TWO = Owner("prod", "team", "two", "kv", account="two")
THREE = Owner("prod", "other", "three", "kv", account="three")
GROUP = "0123abcd"


@pytest.fixture
def place() -> Place:
    """Return where a namespace may have two assignments."""
    return replace(PLACE, cluster="prod", per_namespace=2)


def row(place: Place, owner: Owner, secret: str, whom: str = ACCOUNT, uid: str = UID) -> Row:
    scope = f"{place.vault_id}/secrets/{secret}" if secret else place.vault_id
    name = f"{owner}-{secret}-{whom}"
    return Row(name, scope, place.role, f"principal-{name}", "ServicePrincipal", description(owner, uid, whom))


def listed(*rows: Row) -> Listed:
    return {each.name: each for each in rows}, {}


def marked(place: Place, found: Listed) -> Marked:
    counted = Marked(place)
    counted.update(found, UID)
    return counted


def target(place: Place, owner: Owner, secret: str, whom: str = ACCOUNT) -> Target:
    found = read_target(assignment_address(place, owner, secret, whom))
    assert found is not None
    return found


class Recorded:
    """What bindings have on record, as a test has it."""

    def __init__(self, **things: AbstractSet[str]) -> None:
        self.things = things

    def declaring(self, ending: str) -> tuple[Owner, ...]:
        raise NotImplementedError

    def groups(self) -> frozenset[str]:
        raise NotImplementedError

    def on_record(self, namespace: str) -> AbstractSet[str]:
        return self.things.get(namespace, frozenset())


def test_each_thing_counts_for_the_namespace_whose_mark_it_carries(place: Place) -> None:
    found = marked(place, listed(row(place, ONE, "a"), row(place, TWO, "a"), row(place, THREE, "a", GROUP)))
    assert (len(found.of("team")), len(found.of("other")), len(found.of("none"))) == (2, 1, 0)
    assert found.has(f"/a#{GROUP}")
    assert (found.carries(ONE), found.carries(replace(ONE, binding="four"))) == (True, False)


def test_what_stands_in_for_another_under_the_same_mark_is_one_with_it(place: Place) -> None:
    old = replace(row(place, ONE, "a"), name="of-an-identity-that-was-made-anew")
    assert len(marked(place, listed(old, row(place, ONE, "a"))).of("team")) == 1


def test_marks_of_other_clusters_and_backends_and_above_the_vault_are_none_of_ours(place: Place) -> None:
    others = row(place, replace(ONE, backend="twin"), "a"), row(place, ONE, "b", uid="another")
    above = replace(row(place, ONE, "c"), scope=place.vault_id.rpartition("/")[0])
    assert marked(place, listed(*others, above)).of("team") == set()
    assert len(marked(place, listed(row(place, ONE, ""))).of("team")) == 1, "the whole vault is one"


def test_what_was_written_since_the_list_counts_and_what_was_removed_does_not(place: Place) -> None:
    first, second = row(place, ONE, "a", GROUP), row(place, TWO, "b")
    handed_over = replace(first, description=description(THREE, UID, GROUP))
    found = marked(place, ({first.name: first, second.name: second}, {second.name: None, first.name: handed_over}))
    assert (found.of("team"), found.of("other")) == (set(), {f"/a#{GROUP}"})
    assert found.has(f"/a#{GROUP}")
    assert not found.carries(ONE)
    gone = marked(place, ({first.name: first}, {first.name: None}))
    assert not gone.has(f"/a#{GROUP}")


def test_a_list_is_gone_through_once_however_often_it_is_asked_about(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def counted(text: str) -> Mark | None:
        read.append(text)
        return read_description(text)

    monkeypatch.setattr(counting, "read_description", counted)
    rows = listed(*(row(place, THREE, f"s{each}") for each in range(500)))
    ceilings = Ceilings(replace(place, per_namespace=1000), lambda: rows)
    for each in range(200):
        with ceilings.room(ONE, UID, target(place, ONE, f"s{each}"), f"n{each}"):
            pass
    assert len(read) == 500


def test_who_leans_is_refused_beyond_the_ceiling_with_what_to_do(place: Place) -> None:
    found = listed(row(place, ONE, "a"), row(place, THREE, "a", GROUP), row(place, THREE, "b", GROUP))
    ceilings = Ceilings(place, lambda: found)
    ceilings.share(Recorded(team={f"/a#{GROUP}"}))
    with (
        pytest.raises(
            CeilingReached,
            match=r"namespace team has 2 role assignments through backend kv, those of groups .* included, and "
            r"azureKeyVault\.assignmentsPerNamespace of the backend permits 2: remove .*, or have the platform team",
        ),
        ceilings.room(TWO, UID, target(place, TWO, "b", GROUP)),
    ):
        raise AssertionError("there is no room")
    with ceilings.room(TWO, UID, target(place, TWO, "a", GROUP)):
        pass  # the namespace has that one


def test_what_leans_counts_before_its_record_says_so_and_until_it_is_let_go(place: Place) -> None:
    rows = listed(*(row(place, THREE, each, GROUP) for each in "abc"))
    ceilings = Ceilings(place, lambda: rows)
    recorded = Recorded()
    ceilings.share(recorded)
    for each in "ab":
        with ceilings.room(ONE, UID, target(place, ONE, each, GROUP)):
            address = assignment_address(place, ONE, each, GROUP)
            ceilings.leant(ONE, address, target(place, ONE, each, GROUP))
    with pytest.raises(CeilingReached), ceilings.room(TWO, UID, target(place, TWO, "c", GROUP)):
        raise AssertionError("there is no room")
    recorded.things = {"team": {f"/a#{GROUP}", f"/b#{GROUP}"}}
    with pytest.raises(CeilingReached), ceilings.room(TWO, UID, target(place, TWO, "c", GROUP)):
        raise AssertionError("there is no room")
    recorded.things = {}
    with ceilings.room(TWO, UID, target(place, TWO, "c", GROUP)):
        pass  # what was on record by then counts by the record alone
    ceilings.leant(ONE, assignment_address(place, ONE, "a", GROUP), target(place, ONE, "a", GROUP))
    ceilings.leant(ONE, assignment_address(place, ONE, "b", GROUP), target(place, ONE, "b", GROUP))
    ceilings.let_go(assignment_address(place, ONE, "a", GROUP))
    with ceilings.room(TWO, UID, target(place, TWO, "c", GROUP)):
        pass


def test_what_is_on_record_and_stands_nowhere_counts_nothing(place: Place) -> None:
    ceilings = Ceilings(place, listed)
    ceilings.share(Recorded(team={f"/{each}#{GROUP}" for each in "abcde"}))
    with ceilings.room(ONE, UID, target(place, ONE, "f", GROUP), "made-anew"):
        pass
    full = listed(row(place, ONE, "a"), row(place, ONE, "b"))
    ceilings = Ceilings(place, lambda: full)
    ceilings.share(Recorded(team={f"/a#{GROUP}"}))
    with pytest.raises(CeilingReached), ceilings.room(ONE, UID, target(place, ONE, "a", GROUP), "made-anew"):
        raise AssertionError("a record alone makes no room")


def test_no_record_brings_more_than_the_ceiling_by_inheriting(place: Place) -> None:
    own = row(place, ONE, "a"), row(place, ONE, "b")
    rows = listed(*own, row(place, THREE, "a", GROUP))
    ceilings = Ceilings(place, lambda: rows)
    ceilings.share(Recorded(team={f"/a#{GROUP}"}))
    with ceilings.inherited(TWO, UID, target(place, TWO, "a", GROUP)) as may:
        assert not may, "a number that was lowered, or a status that somebody wrote"
    fewer = listed(own[0], *(row(place, THREE, each, GROUP) for each in "abc"))
    ceilings = Ceilings(place, lambda: fewer)
    ceilings.share(Recorded(team={f"/{each}#{GROUP}" for each in "abc"}))
    with ceilings.inherited(TWO, UID, target(place, TWO, "a", GROUP)) as may:
        assert may, "more on record than it may have by now, and less under its own marks"
        with ceilings.inherited(TWO, UID, target(place, TWO, "b", GROUP)) as too:
            assert not too, "two at once do not add up to more"


def test_what_was_only_asked_for_is_inherited_where_there_is_room(place: Place) -> None:
    rows = listed(row(place, ONE, "a"), row(place, THREE, "a", GROUP), row(place, THREE, "b", GROUP))
    ceilings = Ceilings(place, lambda: rows)
    recorded = Recorded(team={f"/b#{GROUP}"})
    ceilings.share(recorded)
    with ceilings.inherited(TWO, UID, target(place, TWO, "a", GROUP)) as may:
        assert not may
    recorded.things = {}
    with ceilings.inherited(TWO, UID, target(place, TWO, "a", GROUP)) as may:
        assert may
