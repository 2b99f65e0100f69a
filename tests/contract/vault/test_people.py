"""People of the admin's groups read a binding's secrets while the binding says so: asked with their own logins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from airwarden.domain.resources import Action, Claim, Operation, StaticSecret
from airwarden.providers.vault import people
from airwarden.providers.vault.policy import TOKEN_CALLS
from airwarden.providers.vault.store import POLICY, ROLE, VaultStore
from contract.vault.bench import BACKEND, CLUSTER, KV, NAMESPACE, Bench
from contract.vault.people_bench import ANALYSTS, AUDITORS, STRANGERS, PeopleBench, changes, reconcile

COMMON = StaticSecret(f"{NAMESPACE}/connections/common")


@pytest_asyncio.fixture
async def store(people_bench: PeopleBench) -> AsyncIterator[VaultStore]:
    """Return a store of the backend that lets people in."""
    opened = people_bench.open()
    yield opened
    await opened.close()


async def test_a_person_of_the_group_reads_the_bindings_own_secrets_and_nothing_else(
    people_bench: PeopleBench, store: VaultStore
) -> None:
    wanted = people_bench.grant("let-in", ANALYSTS, common=(COMMON,))
    (own,) = wanted.for_people
    people_bench.put(own.key, COMMON.key, f"{NAMESPACE}/connections/let-in-not")  # type: ignore[union-attr]
    analyst, stranger = people_bench.person(ANALYSTS, name="ann"), people_bench.person(STRANGERS, name="sam")
    assert not people_bench.reads(analyst, f"{NAMESPACE}/connections/let-in")
    await reconcile(store, wanted)
    assert people_bench.reads(analyst, f"{NAMESPACE}/connections/let-in"), "at once, with a login from before"
    assert not people_bench.reads(analyst, COMMON.key)
    assert not people_bench.reads(analyst, f"{NAMESPACE}/connections/let-in-not")
    assert not people_bench.reads(stranger, f"{NAMESPACE}/connections/let-in")
    text = people_bench.bench.plane.vault.request(
        "GET", f"sys/policies/acl/{wanted.owner.name_in_store}{people.SUFFIX}"
    )["data"]["policy"]
    found = [line.split('"')[1] for line in text.splitlines() if line.startswith("path ")]
    assert sorted(found) == sorted([*dict(TOKEN_CALLS), f"{KV}/data/{NAMESPACE}/connections/let-in"])


async def test_deletion_cuts_live_logins_of_people_and_leaves_nothing(
    people_bench: PeopleBench, store: VaultStore
) -> None:
    wanted = people_bench.grant("leaving", ANALYSTS)
    people_bench.put(f"{NAMESPACE}/connections/leaving")
    recorded = await reconcile(store, wanted)
    analyst = people_bench.person(ANALYSTS)
    assert people_bench.reads(analyst, f"{NAMESPACE}/connections/leaving")
    decided = await changes(store, None, recorded, wanted.owner)
    assert [each.address.kind for each in decided.operations] == [POLICY, people.POLICY, ROLE, people.GROUP]
    for each in decided.operations[:2]:
        await store.apply(each)
    assert not people_bench.reads(analyst, f"{NAMESPACE}/connections/leaving"), "the policies' removal alone cuts it"
    await reconcile(store, None, recorded, wanted.owner)
    assert (await changes(store, None, recorded, wanted.owner)).operations == ()
    assert wanted.owner not in {each.owner for each in await store.holdings()}


async def test_fewer_groups_and_none_take_access_away_and_the_tasks_keep_theirs(
    people_bench: PeopleBench, store: VaultStore
) -> None:
    wanted = people_bench.grant("fewer", ANALYSTS, AUDITORS)
    key = f"{NAMESPACE}/connections/fewer"
    people_bench.put(key)
    recorded = await reconcile(store, wanted)
    analyst, auditor = people_bench.person(ANALYSTS, name="ann"), people_bench.person(AUDITORS, name="aude")
    assert people_bench.reads(analyst, key)
    assert people_bench.reads(auditor, key)
    recorded |= await reconcile(store, people_bench.grant("fewer", AUDITORS), recorded)
    assert not people_bench.reads(analyst, key)
    assert people_bench.reads(auditor, key)
    nobody = replace(wanted, people=frozenset())
    decided = await changes(store, nobody, recorded, wanted.owner)
    assert [(each.action, each.address.kind) for each in decided.operations] == [
        (Action.DELETE, people.POLICY),
        (Action.DELETE, people.GROUP),
    ]
    await reconcile(store, nobody, recorded)
    assert not people_bench.reads(auditor, key)
    assert {each.kind for each in (await changes(store, nobody, {}, wanted.owner)).present} == {POLICY, ROLE}


BY_HAND: list[dict[str, Any]] = [
    {"member_group_ids": []},
    {"member_group_ids": "STRANGERS"},
    {"member_entity_ids": "ENTITY"},
    {"policies": ["default", "admin"]},
    {"policies": []},
    {"metadata": {}},
]


@pytest.mark.parametrize("change", BY_HAND, ids=str)
async def test_what_is_changed_by_hand_is_set_right(
    people_bench: PeopleBench, store: VaultStore, change: dict[str, Any]
) -> None:
    wanted = people_bench.grant("drifting", ANALYSTS)
    recorded = await reconcile(store, wanted)
    before = people_bench.group(wanted.owner)
    vault = people_bench.bench.plane.vault
    entity = vault.request("POST", "identity/entity", {"name": "by-hand"}) or vault.request(
        "GET", "identity/entity/name/by-hand"
    )
    given = {"STRANGERS": [people_bench.ids[STRANGERS]], "ENTITY": [entity["data"]["id"]]}
    body = {name: given.get(value, value) if isinstance(value, str) else value for name, value in change.items()}
    vault.request("POST", f"identity/group/name/{wanted.owner.name_in_store}", body)
    assert people_bench.group(wanted.owner) != before
    decided = await changes(store, wanted, recorded, wanted.owner)
    assert [(each.action, each.address.kind) for each in decided.operations] == [(Action.UPDATE, people.GROUP)]
    assert {each.kind for each in decided.drifted} == {people.GROUP}
    await reconcile(store, wanted, recorded)
    after = people_bench.group(wanted.owner)
    for field in ("member_group_ids", "member_entity_ids", "policies", "metadata", "type", "id"):
        assert after[field] == before[field]
    await reconcile(store, None, recorded, wanted.owner)


@pytest.mark.parametrize("metadata", [{}, {"airwarden-owner": f"cluster={CLUSTER} namespace=x binding=y backend=z"}])
async def test_somebody_elses_group_of_the_same_name_is_not_touched_and_the_tasks_do_not_wait(
    people_bench: PeopleBench, store: VaultStore, metadata: dict[str, str]
) -> None:
    wanted = people_bench.grant("foreign-group", ANALYSTS)
    name = f"identity/group/name/{wanted.owner.name_in_store}"
    theirs = {"policies": ["theirs"], "metadata": metadata}
    people_bench.bench.plane.vault.request("POST", name, theirs)
    decided = await changes(store, wanted, {}, wanted.owner)
    (conflict,) = decided.conflicts
    assert conflict.address.kind == people.GROUP
    assert "not made by this binding" in conflict.message
    assert [each.address.kind for each in decided.operations] == [POLICY, ROLE, people.POLICY]
    removal = await changes(store, None, {}, wanted.owner)
    assert removal.operations == ()
    people_bench.bench.plane.vault.request("DELETE", name)


async def test_beside_a_foreign_policy_for_people_no_group_is_made(
    people_bench: PeopleBench, store: VaultStore
) -> None:
    wanted = people_bench.grant("foreign-policy", ANALYSTS)
    path = f"sys/policies/acl/{wanted.owner.name_in_store}{people.SUFFIX}"
    people_bench.bench.plane.vault.request("PUT", path, {"policy": 'path "*" { capabilities = ["read"] }'})
    decided = await changes(store, wanted, {}, wanted.owner)
    assert [each.address.kind for each in decided.conflicts] == [people.POLICY]
    assert people.GROUP not in {each.address.kind for each in decided.operations}
    people_bench.bench.plane.vault.request("DELETE", path)


async def test_the_sweep_sees_people_also_where_only_the_group_or_only_the_policy_is_left(
    people_bench: PeopleBench, store: VaultStore
) -> None:
    for number, left in enumerate((people.GROUP, people.POLICY)):
        wanted = people_bench.grant(f"swept-{number}", ANALYSTS)
        recorded = await reconcile(store, wanted)
        decided = await changes(store, None, recorded, wanted.owner)
        for each in decided.operations:
            if each.address.kind != left:
                await store.apply(each)
        (holding,) = [each for each in await store.holdings() if each.owner == wanted.owner]
        assert left in {each.kind for each in holding.present}
        seen = await store.observe(wanted.owner, holding.present, known=False)
        there = [each for each in holding.present if not seen[each].absent]
        assert [each.kind for each in there] == [left]
        assert seen[there[0]].claim is Claim.OURS
        await store.apply(Operation(Action.DELETE, there[0], None, seen[there[0]]))
        assert wanted.owner not in {each.owner for each in await store.holdings()}


async def test_suspended_people_keep_what_they_have_and_get_nothing_more(
    people_bench: PeopleBench, store: VaultStore
) -> None:
    before = people_bench.grant("resting", ANALYSTS)
    recorded = await reconcile(store, before)
    more = StaticSecret(f"{NAMESPACE}/connections/more")
    wanted = people_bench.grant("resting", ANALYSTS, AUDITORS, common=(more,))
    wanted = replace(wanted, for_people=wanted.for_people | {more})
    seen = await store.observe(wanted.owner, recorded, known=True)
    assert store.narrowed(wanted, seen) == before
    untold = {address: each for address, each in seen.items() if address.kind != people.GROUP}
    kept = store.narrowed(wanted, untold)
    assert kept is not None
    assert kept.people == frozenset()
    await reconcile(store, None, recorded, wanted.owner)


async def test_what_is_released_stays_without_our_mark(people_bench: PeopleBench, store: VaultStore) -> None:
    wanted = people_bench.grant("released", ANALYSTS)
    recorded = await reconcile(store, wanted)
    resources = store.render(wanted)
    seen = await store.observe(wanted.owner, recorded, known=True)
    for each in reversed(resources):
        await store.apply(Operation(Action.RELEASE, each.address, each, seen[each.address]))
    found = await store.observe(wanted.owner, recorded, known=True)
    assert {each.address.kind: each.claim for each in found.values() if each.address.kind != ROLE} == {
        POLICY: Claim.RELEASED,
        people.POLICY: Claim.RELEASED,
        people.GROUP: Claim.RELEASED,
    }
    people_bench.put(f"{NAMESPACE}/connections/released")
    assert people_bench.reads(people_bench.person(ANALYSTS), f"{NAMESPACE}/connections/released")


async def test_without_the_right_the_backend_says_which_one_is_missing(bench: Bench, people_bench: PeopleBench) -> None:
    able = people_bench.open()
    assert (await able.check()).missing_permissions == ()
    await able.close()
    plain = bench.setup.policy_text.replace(f"airwarden.{CLUSTER}.", "airwarden.c5.")
    path = f"sys/policies/acl/{people_bench.setup().policy_name}"
    bench.plane.vault.request("PUT", path, {"policy": plain})
    try:
        unable = people_bench.open()
        missing = (await unable.check()).missing_permissions
        await unable.close()
    finally:
        bench.plane.vault.request("PUT", path, {"policy": people_bench.setup().policy_text})
    assert missing == (
        "identity/group/name/airwarden.c5.*: create,read,update,delete",
        "identity/group/name: list",
    )


def test_names_of_people_are_those_of_one_binding_alone(people_bench: PeopleBench) -> None:
    wanted = people_bench.grant("named", ANALYSTS)
    own_policy, group = people.addresses(BACKEND, wanted.owner)
    assert group.name == wanted.owner.name_in_store
    assert own_policy.name == f"{group.name}_people"
